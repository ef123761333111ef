//! What ends sessions: their account's events, their users, their time.

use super::*;
use crate::store::end::{End, EndBy};
use crate::worker::revoke;

impl House {
    async fn revokes(&self) {
        while revoke(Arc::clone(self.inner())).await == Tick::More {}
    }

    async fn ends(&self, id: &SessionId, name: &str) {
        let end = End {
            by: EndBy::Session(id.clone()),
            reason: crate::Reason::SignedOut,
            accounts: vec![account(name)],
            actor: None,
            now: self.clock.now(),
            limit: 1,
        };
        self.store.run(end).await.expect("the store answers");
    }
}

#[tokio::test]
async fn an_account_event_ends_the_accounts_sessions_and_their_grants_are_revoked() {
    let events = [
        (Change::PasswordChange, "password_change"),
        (Change::PasswordReset, "password_reset"),
        (Change::SignOutEverywhere, "sign_out_everywhere"),
        (Change::Disable, "disabled"),
        (Change::Delete { reason: None }, "deleted"),
    ];
    for (change, reason) in events {
        for house in House::on_each_engine().await {
            let session = house.logs_in("u").await;
            let neighbour = house.logs_in("v").await;
            house.passes(Duration::from_mins(1)).await;
            house.happens("u", house.clock.now(), change.clone()).await;
            assert_eq!(house.shown(&session).await, format!("ended({reason}) ended({reason}) g0 f0"));
            assert_eq!(house.shown(&neighbour).await, "live live g0 f0");
            house.revokes().await;
            assert_eq!(house.idp.revoked(), ["refresh-secret-u.1.0"]);
            house.passes(Duration::from_mins(58)).await;
            assert_eq!(house.refresh().await, 1, "only the neighbour's");
        }
    }
}

#[tokio::test]
async fn a_late_event_leaves_a_newer_login_alone() {
    for house in House::on_each_engine().await {
        let old = house.logs_in("u").await;
        house.passes(Duration::from_mins(1)).await;
        let change = house.clock.now();
        house.passes(Duration::from_mins(1)).await;
        let new = house.logs_in("u").await;
        house.happens("u", change, Change::PasswordChange).await;
        assert_eq!(house.shown(&old).await, "ended(password_change) ended(password_change) g0 f0");
        assert_eq!(house.shown(&new).await, "live live g0 f0");
        // A deletion of before the enabling that holds.
        house.happens("u", house.clock.now(), Change::Enable).await;
        house.happens("u", change.plus(Duration::from_secs(1)), Change::Delete { reason: None }).await;
        assert_eq!(house.shown(&new).await, "live live g0 f0");
    }
}

#[tokio::test]
async fn a_login_is_as_old_as_its_auth_time() {
    for house in House::on_each_engine().await {
        let before = house.clock.now().minus(HOUR);
        let sso = house.logs_in_with("u", |login| login.authenticated_at = Some(before)).await;
        house.happens("u", house.clock.now().minus(Duration::from_mins(30)), Change::PasswordChange).await;
        assert_eq!(house.shown(&sso).await, "ended(password_change) ended(password_change) g0 f0");
    }
}

#[tokio::test]
async fn a_login_that_could_not_live_is_refused() {
    for house in House::on_each_engine().await {
        house.happens("u", house.clock.now(), Change::Disable).await;
        let (access, _) = house.idp.log_in("u");
        let login = |at: Option<Millis>| Login {
            account: account("u"),
            sid: None,
            authenticated_at: at,
            tokens: Some(Tokens {
                access_token: Zeroizing::new(access.clone()),
                refresh_token: None,
                dpop_key: None,
                token_type: crate::upstream::TokenType::Bearer,
                expires_in: None,
                scope: None,
                claims: None,
                original: None,
            }),
            grant: None,
            claims: Object::new(),
            data: Object::new(),
            lifetime: None,
        };
        let refused = house.inner().log_in(login(None)).await.expect("the store answers");
        assert_eq!(refused, Err(crate::login::LoginError::Refused(crate::Reason::Disabled)));
        house.passes(Duration::from_mins(1)).await;
        house.happens("u", house.clock.now(), Change::Enable).await;
        house.passes(Duration::from_mins(1)).await;
        assert!(house.inner().log_in(login(None)).await.expect("the store answers").is_ok());
        let old = Some(house.clock.now().minus(HOUR));
        let refused = house.inner().log_in(login(old)).await.expect("the store answers");
        assert_eq!(refused, Err(crate::login::LoginError::Refused(crate::Reason::AccountChanged)));
    }
}

#[tokio::test]
async fn many_sessions_end_by_workers_and_are_refused_at_once() {
    for house in House::on_each_engine().await {
        let mut sessions = Vec::new();
        for _ in 0..51 {
            sessions.push(house.logs_in("u").await);
        }
        house.passes(Duration::from_mins(1)).await;
        house.happens("u", house.clock.now(), Change::PasswordChange).await;
        let view = house.show(&sessions[0]).await;
        assert_eq!(view.reason, Some(crate::Reason::AccountChanged), "the mark says so, the row not yet");
        assert_eq!(view.grant.expect("a grant").state, GrantState::Live);
        while house.ledger.clone().carry_out_due().await == Tick::More {}
        for session in &sessions {
            assert_eq!(house.shown(session).await, "ended(password_change) ended(password_change) g0 f0");
        }
        house.revokes().await;
        assert_eq!(house.idp.revoked().len(), 51);
    }
}

#[tokio::test]
async fn with_the_last_session_of_a_login_its_grant_ends() {
    for house in House::on_each_engine().await {
        let first = house.logs_in("u").await;
        let grant = house.show(&first).await.grant.expect("a grant").id;
        let second = house.logs_in_with("u", |login| (login.tokens, login.grant) = (None, Some(grant))).await;
        house.ends(&first, "u").await;
        assert_eq!(house.shown(&first).await, "ended(signed_out) live g0 f0");
        assert_eq!(house.shown(&second).await, "live live g0 f0");
        house.ends(&second, "u").await;
        assert_eq!(house.shown(&second).await, "ended(signed_out) ended(signed_out) g0 f0");
        house.revokes().await;
        assert_eq!(house.idp.revoked(), ["refresh-secret-u.1.0"]);
    }
}

#[tokio::test]
async fn a_revocation_is_tried_until_it_is_heard() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        let class = crate::upstream::Class::KnownFailed;
        house.idp.set(pretender::Mode::Fails(class, None));
        house.ends(&session, "u").await;
        house.revokes().await;
        assert!(house.idp.revoked().is_empty());
        house.idp.set(pretender::Mode::Well);
        house.passes(Duration::from_mins(6)).await;
        house.revokes().await;
        assert_eq!(house.idp.revoked(), ["refresh-secret-u.1.0"]);
    }
}

#[tokio::test]
async fn a_login_without_a_refresh_token_has_its_access_token_revoked_unless_that_has_run_out() {
    for house in House::on_each_engine().await {
        let bare = |login: &mut Login| login.tokens.as_mut().expect("tokens").refresh_token = None;
        let first = house.logs_in_with("u", bare).await;
        let second = house.logs_in_with("v", bare).await;
        house.ends(&first, "u").await;
        house.passes(Duration::from_mins(61)).await;
        house.ends(&second, "v").await;
        house.revokes().await;
        assert_eq!(house.idp.revoked(), ["access-secret-u.1.0"]);
    }
}

/// What revocations came to, as they are counted.
fn counted(run: impl Future<Output = ()>) -> String {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(run);
    });
    handle.render()
}

#[test]
fn a_revocation_that_is_not_heard_for_a_week_is_given_up_and_counted() {
    let text = counted(async {
        for house in House::on_each_engine().await {
            let session = house.logs_in("u").await;
            house.ends(&session, "u").await;
            house.idp.set(pretender::Mode::Fails(crate::upstream::Class::Misconfigured, None));
            house.revokes().await;
            house.passes(Duration::from_hours(7 * 24 + 1)).await;
            house.revokes().await;
            let (pending, _) =
                house.store.scan(crate::store::revocations::ReadDepth).await.expect("the store");
            assert_eq!(pending, 0);
            house.idp.set(pretender::Mode::Well);
            house.passes(Duration::from_hours(1)).await;
            house.revokes().await;
            assert_eq!(house.idp.revoked(), Vec::<String>::new());
        }
    });
    for line in [
        r#"sessions_revocations{idp="main",outcome="misconfigured"} 4"#,
        r#"sessions_revocations_given_up{idp="main"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn an_event_that_this_identity_provider_does_not_end_logins_by_ends_none() {
    let ends_on = vec![crate::rules::EndsOn::PasswordReset];
    let own = IdpSettings { ends_on, ..profile(crate::rules::Rotation::Unknown, 0).idps.remove(0) };
    for house in House::on_each_engine_with(Settings { idps: vec![own], ..Settings::default() }).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(1)).await;
        house.happens("u", house.clock.now(), Change::PasswordChange).await;
        assert_eq!(house.shown(&session).await, "live live g0 f0");
        house.happens("u", house.clock.now(), Change::Disable).await;
        assert_eq!(house.shown(&session).await, "ended(disabled) ended(disabled) g0 f0");
    }
}
