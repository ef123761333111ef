//! Against an identity provider on a real socket, which rotates strictly, knows what is presented twice, and fails in every
//! way there is.

use super::*;
use crate::access::Wanted;
use crate::rules::Rotation as Known;
use crate::upstream::{LoginIdps, UserAsk, UserTrouble};
use crate::worker::revoke;
use idp::{IdpConfig, Idps, LoginConfig, Secret};
use standins::{Endpoint, Fault, How, LoginClient, LoginTokens, Now, Odd, Rotation, StandInIdp};

/// A node, and the identity provider that it asks.
pub(super) struct World {
    pub(super) house: House,
    pub(super) there: StandInIdp,
}

impl World {
    pub(super) async fn on_each_engine(known: Known, reuse_grace_seconds: u32) -> Vec<Self> {
        let mut worlds = Vec::new();
        for test in engines(TABLES).await {
            worlds.push(Self::over(test, profile(known, reuse_grace_seconds)).await);
        }
        worlds
    }

    /// One whose identity provider is known to rotate.
    pub(super) async fn one() -> Self {
        Self::over(sqlite(TABLES).await, profile(Known::Always, 0)).await
    }

    pub(super) async fn over(test: TestStore, settings: Settings) -> Self {
        Self::with(test, settings, |_| ()).await
    }

    /// Where logins are configured like this.
    pub(super) async fn with(
        test: TestStore,
        settings: Settings,
        change: impl FnOnce(&mut LoginConfig),
    ) -> Self {
        let (store, clock) = (test.store.clone(), test.clock.clone());
        let now: Now = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        let there = StandInIdp::start(now).await.expect("it starts");
        there.sign_up("ada");
        there.logins().register(LoginClient::new("web", "s3cret"));
        let mut config = IdpConfig::new(main_idp(), &there.url(), "idp.example");
        let mut login = LoginConfig::new("web");
        login.client_secret = Some(Secret::new("s3cret"));
        login.timeout = Duration::from_millis(500);
        change(&mut login);
        config.login = Some(login);
        config.unknown_key_refetch = Duration::ZERO;
        let upstream = Arc::new(LoginIdps::of(Idps::new(&[config]).expect("a good configuration")));
        let (root, idle) = (RootKey::generate(), Pretender::new());
        let mut house = House::asking(upstream, settings, store, clock, root, idle);
        house.ledger.register_capabilities().await.expect("the store answers");
        house.inner().make_ready().await.expect("the store answers");
        house.lives().await;
        house.test = Some(test);
        Self { house, there }
    }

    pub(super) async fn logs_in(&self) -> (SessionId, LoginTokens) {
        let given = self.there.logins().log_in("web", "ada").expect("there is such an account");
        let tokens = given.clone();
        let session = self
            .house
            .logs_in_with("ada", |login| {
                login.sid = Some(given.sid.clone());
                login.tokens = Some(Tokens {
                    access_token: Zeroizing::new(given.access_token),
                    refresh_token: Some(Zeroizing::new(given.refresh_token)),
                    dpop_key: None,
                    token_type: crate::upstream::TokenType::Bearer,
                    expires_in: Some(Duration::from_secs(given.expires_in)),
                    scope: None,
                    claims: None,
                    original: None,
                });
            })
            .await;
        (session, tokens)
    }

    pub(super) async fn refreshed(&self, session: &SessionId) -> String {
        self.house.passes(Duration::from_mins(59)).await;
        self.house.refresh().await;
        self.house.shown(session).await
    }
}

#[tokio::test]
async fn ten_refreshes_and_a_revocation_by_a_password_change() {
    for world in World::on_each_engine(Known::Unknown, 0).await {
        let (session, _) = world.logs_in().await;
        for generation in 1..=10 {
            assert_eq!(world.refreshed(&session).await, format!("live live g{generation} f0"));
        }
        let claims = world.house.show(&session).await.claims.id_token.expect("its ID tokens are good");
        assert_eq!(claims["sub"], "ada");
        let logins = world.there.logins();
        assert_eq!((logins.most_presented(), logins.reuses_detected()), (1, 0));

        world.house.passes(Duration::from_mins(1)).await;
        world.house.happens("ada", world.house.clock.now(), Change::PasswordChange).await;
        while revoke(Arc::clone(world.house.inner())).await == Tick::More {}
        assert_eq!(logins.requests(Endpoint::Revocation), 1);
        let shown = world.house.shown(&session).await;
        assert_eq!(shown, "ended(password_change) ended(password_change) g10 f0");
    }
}

#[tokio::test]
async fn where_refresh_tokens_are_not_taken_back_the_access_token_is() {
    for world in World::on_each_engine(Known::Always, 0).await {
        world.there.logins().answer_oddly([Odd::KeepsRefreshTokens]);
        let (session, given) = world.logs_in().await;
        let told = async || {
            let (account, now) = (&account("ada"), world.house.clock.now());
            let ask = UserAsk { account, access_token: &given.access_token, dpop_key: None, now };
            world.house.inner().upstream.userinfo(ask).await.map(drop)
        };
        assert_eq!(told().await, Ok(()));
        world.house.happens("ada", world.house.clock.now(), Change::PasswordChange).await;
        while revoke(Arc::clone(world.house.inner())).await == Tick::More {}
        assert_eq!(world.house.shown(&session).await, "ended(password_change) ended(password_change) g0 f0");
        let logins = world.there.logins();
        assert_eq!(logins.requests(Endpoint::Revocation), 2, "first it was asked to take the grant back");
        assert_eq!(told().await, Err(UserTrouble::Refused));
    }
}

/// What goes wrong at the token endpoint, and what becomes of the session.
#[tokio::test]
async fn whatever_goes_wrong_there_only_its_own_word_ends_a_session() {
    let kept = "live live g0 f1";
    let lost = "live retired(lost_reply) g0 f1";
    let rows = [
        (
            Fault::before(How::Error(400, "invalid_grant")),
            "ended(refused_by_idp) ended(refused_by_idp) g0 f0",
        ),
        (Fault::before(How::Error(400, "invalid_request")), kept),
        (Fault::before(How::Error(401, "invalid_client")), kept),
        (Fault::before(How::Error(400, "unauthorized_client")), kept),
        (Fault::before(How::Error(400, "invalid_scope")), kept),
        (Fault::before(How::Html(403)), kept),
        (Fault::before(How::RetryAfter(429, 60)), kept),
        (Fault::before(How::RetryAt(429, 60)), kept),
        (Fault::before(How::Status(503)), kept),
        (Fault::before(How::RetryAfter(503, 60)), kept),
        (Fault::before(How::Status(408)), lost),
        (Fault::before(How::Status(500)), lost),
        (Fault::after(How::Status(500)), lost),
        (Fault::after(How::Status(502)), lost),
        (Fault::after(How::Status(504)), lost),
        (Fault::after(How::Hang), lost),
        (Fault::after(How::Reset), lost),
        (Fault::after(How::Truncate), lost),
        (Fault::after(How::Html(200)), lost),
    ];
    for (fault, expected) in rows {
        for world in World::on_each_engine(Known::Always, 0).await {
            let (session, _) = world.logs_in().await;
            world.there.logins().fail(Endpoint::Token, Some(fault.clone()));
            assert_eq!(world.refreshed(&session).await, expected, "{fault:?}");
            let logins = world.there.logins();
            assert!(logins.most_presented() <= 1 && logins.reuses_detected() == 0, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_within_the_grace_costs_nothing() {
    for world in World::on_each_engine(Known::Always, 30).await {
        world.there.logins().rotate(Rotation::Grace(Duration::from_secs(30)));
        let (session, _) = world.logs_in().await;
        world.there.logins().fail_times(Endpoint::Token, Fault::after(How::Status(502)), 1);
        assert_eq!(world.refreshed(&session).await, "live suspect g0 f1");
        world.house.passes(Duration::from_secs(21)).await;
        world.house.refresh().await;
        assert_eq!(world.house.shown(&session).await, "live live g1 f0");
        assert_eq!(world.there.logins().reuses_detected(), 0);
    }
}

#[tokio::test]
async fn odd_answers_lose_no_tokens_and_anothers_are_not_taken() {
    let rows = [
        (Odd::NoIdToken, "live live g1 f0"),
        (Odd::NoExpiresIn, "live live g1 f0"),
        (Odd::ExpiresInAsText, "live live g1 f0"),
        (Odd::BadSignature, "live live g1 f0"),
        (Odd::OtherSubject, "ended(mismatch) ended(mismatch) g0 f1"),
        (Odd::OtherIssuer, "ended(mismatch) ended(mismatch) g0 f1"),
        (Odd::OtherAudience, "ended(mismatch) ended(mismatch) g0 f1"),
    ];
    for (odd, expected) in rows {
        for world in World::on_each_engine(Known::Always, 0).await {
            let (session, _) = world.logs_in().await;
            world.there.logins().answer_oddly([odd]);
            let shown = world.refreshed(&session).await;
            assert_eq!(shown.replace("f1", "f0"), expected.replace("f1", "f0"), "{odd:?}");
        }
    }
}

#[tokio::test]
async fn an_access_token_is_handed_out_by_one_presentation_however_many_ask() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, given) = world.logs_in().await;
        world.house.passes(Duration::from_mins(61)).await;
        let inner = world.house.inner();
        let asked = (0..10).map(|_| inner.live_token(&session, Wanted::Lasting(Duration::from_mins(1))));
        let tokens = futures::future::join_all(asked).await;
        let tokens: Vec<String> = tokens
            .into_iter()
            .map(|it| it.expect("the store answers").expect("a token").access_token.to_string())
            .collect();
        assert!(tokens.iter().all(|it| *it == tokens[0] && *it != given.access_token));
        assert_eq!(world.there.logins().presentations(&given.refresh_token), 1);
    }
}
