//! ID tokens whose keys cannot be had when they come.

use super::standing_in::World;
use super::*;
use crate::rules::Rotation as Known;
use crate::worker::verify;
use standins::{Endpoint, Fault, How, Odd};

impl World {
    /// It cannot be asked for its keys.
    fn loses_its_keys(&self) {
        self.there.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
    }

    fn has_its_keys_again(&self) {
        self.there.logins().fail(Endpoint::Jwks, None);
    }

    /// Verifies what is due to be verified.
    async fn verifies(&self) {
        while verify(Arc::clone(self.house.inner())).await == Tick::More {}
    }

    /// What the last good ID token says, and the session's version.
    async fn seen(&self, session: &SessionId) -> (Option<Object>, i64) {
        let view = self.house.show(session).await;
        (view.claims.id_token, view.version)
    }
}

#[tokio::test]
async fn one_is_verified_when_the_keys_are_back_and_nothing_is_refreshed_for_it() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        world.loses_its_keys();
        assert_eq!(world.refreshed(&session).await, "live live g1 f0", "the tokens are good");
        assert_eq!(world.seen(&session).await, (None, 1));
        for _ in 0..3 {
            world.house.passes(Duration::from_mins(1)).await;
            world.verifies().await;
            assert_eq!(world.seen(&session).await, (None, 1));
        }
        world.has_its_keys_again();
        world.house.passes(Duration::from_mins(1)).await;
        world.verifies().await;
        let (claims, version) = world.seen(&session).await;
        assert_eq!((&claims.expect("it is good")["sub"], version), (&"ada".into(), 2));
        let asked = world.there.logins().requests(Endpoint::Jwks);
        world.house.passes(Duration::from_mins(1)).await;
        world.verifies().await;
        let logins = world.there.logins();
        assert_eq!((logins.requests(Endpoint::Token), logins.requests(Endpoint::Jwks)), (1, asked));
        assert_eq!(world.house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn one_that_turns_out_not_to_be_good_is_dropped_and_the_session_lives_on() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        world.loses_its_keys();
        world.there.logins().answer_oddly([Odd::BadSignature]);
        assert_eq!(world.refreshed(&session).await, "live live g1 f0");
        world.has_its_keys_again();
        for _ in 0..2 {
            world.house.passes(Duration::from_mins(1)).await;
            world.verifies().await;
            assert_eq!(world.seen(&session).await, (None, 1));
        }
        assert_eq!(world.house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn the_next_refresh_takes_its_place_and_with_the_session_it_is_gone() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        world.loses_its_keys();
        world.refreshed(&session).await;
        world.has_its_keys_again();
        assert_eq!(world.refreshed(&session).await, "live live g2 f0");
        let (claims, version) = world.seen(&session).await;
        assert!(claims.is_some() && version == 2);
        world.verifies().await;
        assert_eq!(world.seen(&session).await, (claims, version), "nothing was left to be verified");

        let (other, _) = world.logs_in().await;
        world.there.rotate_keys();
        world.loses_its_keys();
        assert_eq!(world.refreshed(&other).await, "live live g1 f0");
        world.house.happens("ada", world.house.clock.now(), Change::PasswordChange).await;
        world.has_its_keys_again();
        world.house.passes(Duration::from_mins(1)).await;
        world.verifies().await;
        assert_eq!(world.seen(&other).await.0, None);
    }
}

#[tokio::test]
async fn one_that_is_set_aside_is_sealed_and_sealed_anew() {
    let world = World::over(sqlite(TABLES).await, profile(Known::Always, 0)).await;
    let (session, given) = world.logs_in().await;
    world.loses_its_keys();
    world.refreshed(&session).await;
    let head = given.id_token.expect("it has one").split('.').next().expect("a head").to_owned();
    assert!(!secrets::holds(&secrets::files_of(&world.house), &head));
    let keys = &world.house.inner().keys;
    let new = keys.rotate().await.expect("the store answers").expect("a key");
    for _ in 0..4 {
        crate::worker::sweep(Arc::clone(world.house.inner())).await;
    }
    let left: Vec<i64> = keys.list().iter().map(|key| key.id).collect();
    assert_eq!(left, [new]);
    world.has_its_keys_again();
    world.house.passes(Duration::from_mins(1)).await;
    world.verifies().await;
    assert!(world.seen(&session).await.0.is_some());
}
