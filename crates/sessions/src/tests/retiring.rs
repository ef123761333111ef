//! Grants that are refreshed no more, by what their identity provider's settings say.

use super::pretender::Mode;
use super::*;
use crate::NoToken;
use crate::access::Wanted;
use crate::rules::{Rotation, WhenRetired};
use crate::store::changes::ReadHead;
use crate::worker::{revoke, sweep};

const NOW: Wanted = Wanted::Lasting(Duration::ZERO);

fn settings(when_retired: WhenRetired) -> Settings {
    let own = IdpSettings { when_retired, ..profile(Rotation::Always, 0).idps.remove(0) };
    Settings { idps: vec![own], ..Settings::default() }
}

impl House {
    /// Its token has a minute left when the answer to its refresh is lost.
    async fn loses_a_reply(&self) -> SessionId {
        let session = self.logs_in("u").await;
        self.passes(Duration::from_mins(59)).await;
        self.idp.set(Mode::LosesAnswers);
        self.refresh().await;
        self.idp.set(Mode::Well);
        session
    }

    async fn sweeps(&self) {
        while sweep(Arc::clone(self.inner())).await == Tick::More {}
    }

    /// Whether there is an access token; else why not.
    async fn has_token(&self, id: &SessionId) -> Result<(), NoToken> {
        self.inner().live_token(id, NOW).await.expect("the store answers").map(drop)
    }
}

#[tokio::test]
async fn kept_sessions_live_on_and_say_that_a_login_is_needed_when_the_token_has_run_out() {
    for house in House::on_each_engine_with(settings(WhenRetired::Keep)).await {
        let session = house.loses_a_reply().await;
        assert_eq!(house.has_token(&session).await, Ok(()));
        assert_eq!(house.show(&session).await.login_needed, None);
        house.passes(Duration::from_mins(2)).await;
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "live retired(lost_reply) g0 f1");
        assert_eq!(house.show(&session).await.login_needed, Some(crate::Reason::LostReply));
        assert_eq!(house.has_token(&session).await, Err(NoToken::LoginNeeded(crate::Reason::LostReply)));
    }
}

#[tokio::test]
async fn sessions_that_are_to_end_do_so_with_the_token_and_are_revoked() {
    for house in House::on_each_engine_with(settings(WhenRetired::End)).await {
        let session = house.loses_a_reply().await;
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "live retired(lost_reply) g0 f1", "the token lives");
        assert_eq!(house.has_token(&session).await, Ok(()));
        house.passes(Duration::from_mins(2)).await;
        // At once, whatever the row says.
        assert_eq!(house.has_token(&session).await, Err(NoToken::Ended(crate::Reason::LostReply)));
        assert_eq!(house.shown(&session).await, "ended(lost_reply) retired(lost_reply) g0 f1");
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "ended(lost_reply) ended(lost_reply) g0 f1");
        while revoke(Arc::clone(house.inner())).await == Tick::More {}
        assert_eq!(house.idp.revoked(), ["refresh-secret-u.1.0"]);
    }
}

#[tokio::test]
async fn a_token_whose_end_was_not_told_ends_sessions_when_it_would_have_been_refreshed() {
    for house in House::on_each_engine_with(settings(WhenRetired::End)).await {
        let session = house
            .logs_in_with("u", |login| {
                let tokens = login.tokens.as_mut().expect("tokens");
                (tokens.refresh_token, tokens.expires_in) = (None, None);
            })
            .await;
        house.passes(Duration::from_mins(29)).await;
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "live retired(no_refresh_token) g0 f0");
        house.passes(Duration::from_mins(1)).await;
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "ended(no_refresh_token) ended(no_refresh_token) g0 f0");
    }
}

#[tokio::test]
async fn where_the_user_is_to_step_up_no_token_is_handed_out_and_the_session_lives_on() {
    for house in House::on_each_engine_with(settings(WhenRetired::StepUp)).await {
        let session = house.loses_a_reply().await;
        let needed = crate::Reason::LostReply;
        assert_eq!(house.has_token(&session).await, Err(NoToken::LoginNeeded(needed)), "though one lives");
        assert_eq!(house.show(&session).await.login_needed, Some(needed));
        house.passes(Duration::from_mins(2)).await;
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "live retired(lost_reply) g0 f1");
        let bare = |login: &mut Login| login.tokens.as_mut().expect("tokens").refresh_token = None;
        let bare = house.logs_in_with("v", bare).await;
        assert_eq!(house.has_token(&bare).await, Ok(()), "it has just logged in");
        house.passes(Duration::from_mins(61)).await;
        let needed = crate::Reason::NoRefreshToken;
        assert_eq!(house.has_token(&bare).await, Err(NoToken::LoginNeeded(needed)));
    }
}

#[tokio::test]
async fn the_setting_holds_at_once_for_what_was_retired_before() {
    for house in House::on_each_engine_with(settings(WhenRetired::Keep)).await {
        let session = house.loses_a_reply().await;
        assert_eq!(house.has_token(&session).await, Ok(()));
        house.changes(|it| it.idps = settings(WhenRetired::StepUp).idps);
        assert_eq!(house.has_token(&session).await, Err(NoToken::LoginNeeded(crate::Reason::LostReply)));
        house.changes(|it| it.idps = settings(WhenRetired::End).idps);
        assert_eq!(house.has_token(&session).await, Ok(()));
        house.passes(Duration::from_mins(2)).await;
        house.sweeps().await;
        assert_eq!(house.shown(&session).await, "ended(lost_reply) ended(lost_reply) g0 f1");
    }
}

#[tokio::test]
async fn those_who_watch_hear_that_a_grant_is_retired_by_its_own_process_or_by_another() {
    for house in House::on_each_engine_with(settings(WhenRetired::StepUp)).await {
        let told = async || {
            while crate::feed::place(Arc::clone(house.inner())).await == Tick::More {}
            house.store.scan(ReadHead).await.expect("the store answers").last
        };
        let session = house.logs_in("u").await;
        let before = told().await;
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::LosesAnswers);
        house.refresh().await;
        assert_eq!((told().await, house.show(&session).await.version), (before + 1, 2));

        let other = house.logs_in("v").await;
        let before = told().await;
        house.passes(Duration::from_mins(59)).await;
        assert_eq!(house.claims().await.len(), 1);
        house.dies().await;
        house.beside().await.reap().await;
        assert_eq!(house.shown(&other).await, "live retired(lost_reply) g0 f0");
        assert_eq!((told().await, house.show(&other).await.version), (before + 1, 2));
    }
}
