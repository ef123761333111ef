//! Users: looked at by themselves, whatever comes of it touching neither grants nor sessions.

use super::standing_in::World;
use super::*;
use crate::rules::Rotation as Known;
use crate::worker::look;
use standins::{Endpoint, Fault, How, Odd};

const INTERVAL: Duration = Duration::from_mins(10);

impl World {
    /// Looks at everybody who is due.
    async fn looks(&self) {
        let inner = self.house.inner();
        for lane in inner.lanes.iter() {
            let mut tick = Tick::More;
            while tick == Tick::More {
                tick = look(Arc::clone(inner), Arc::clone(lane)).await;
            }
            assert_eq!(tick, Tick::Idle);
        }
    }

    async fn userinfo(&self, session: &SessionId) -> Option<Object> {
        self.house.show(session).await.claims.userinfo
    }

    /// How often it was asked.
    fn asked(&self) -> u64 {
        self.there.logins().requests(Endpoint::UserInfo)
    }
}

#[tokio::test]
async fn a_user_is_looked_at_after_the_login_and_then_now_and_again() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        let (other, _) = world.logs_in().await;
        assert_eq!(world.userinfo(&session).await, None);
        world.looks().await;
        let claims = world.userinfo(&session).await.expect("it was told");
        assert_eq!(claims["email"], "ada@mail.example");
        assert_eq!(world.userinfo(&other).await, Some(claims), "one user, however many sessions");
        let version = world.house.show(&session).await.version;
        assert_eq!((version, world.asked()), (2, 1));
        world.looks().await;
        assert_eq!(world.asked(), 1, "not before it is time");
        for asked in 2..=4 {
            world.house.passes(INTERVAL).await;
            world.looks().await;
            assert_eq!(world.asked(), asked);
        }
        assert_eq!(world.house.show(&session).await.version, version, "what is the same is no news");
    }
}

#[tokio::test]
async fn what_goes_wrong_there_touches_neither_the_grant_nor_the_session() {
    let rows = [
        (How::Status(403), "userinfo"),
        (How::Status(500), "userinfo"),
        (How::RetryAfter(429, 60), "userinfo"),
        (How::Html(200), "userinfo"),
        (How::Hang, "userinfo"),
        (How::Reset, "userinfo"),
    ];
    for (how, class) in rows {
        let world = World::one().await;
        let (session, _) = world.logs_in().await;
        world.there.logins().fail(Endpoint::UserInfo, Some(Fault::before(how.clone())));
        world.looks().await;
        assert_eq!(world.house.shown(&session).await, "live live g0 f0", "{how:?}");
        let user = world.house.show(&session).await.userinfo.expect("it is known of");
        assert_eq!((user.failures, user.fetched_at), (1, None), "{how:?}");
        assert!(user.last_error.is_some() && user.next_fetch_at > Some(world.house.clock.now()), "{how:?}");
        let troubles = world.house.store.scan(crate::store::find::ListTroubles).await.expect("the store");
        assert_eq!(troubles[0].class, class, "{how:?}");
        world.there.logins().fail(Endpoint::UserInfo, None);
        world.house.passes(INTERVAL).await;
        world.looks().await;
        assert!(world.userinfo(&session).await.is_some(), "{how:?}");
    }
}

#[tokio::test]
async fn what_is_said_of_somebody_else_is_not_used() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        world.there.logins().answer_oddly([Odd::UserInfoOfAnother]);
        world.looks().await;
        assert_eq!(world.userinfo(&session).await, None);
        assert_eq!(world.house.shown(&session).await, "live live g0 f0");
    }
}

#[tokio::test]
async fn an_access_token_that_is_not_taken_is_refreshed_once_and_the_user_looked_at_by_the_new_one() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        world.house.passes(Duration::from_mins(1)).await;
        world.there.logins().fail_times(Endpoint::UserInfo, Fault::before(How::Status(401)), 1);
        world.looks().await;
        assert_eq!(world.house.refresh().await, 1, "it is due at once");
        assert_eq!(world.house.shown(&session).await, "live live g1 f0");
        world.house.passes(Duration::from_secs(10)).await;
        world.looks().await;
        assert!(world.userinfo(&session).await.is_some());
        // One that is never taken does not make us refresh without end.
        world.there.logins().fail(Endpoint::UserInfo, Some(Fault::before(How::Status(401))));
        for _ in 0..12 {
            world.house.passes(Duration::from_mins(2)).await;
            world.looks().await;
            world.house.refresh().await;
        }
        assert_eq!(world.house.shown(&session).await, "live live g2 f0");
        assert_eq!(world.there.logins().reuses_detected(), 0);
    }
}

#[tokio::test]
async fn a_user_without_a_living_token_waits_for_one_and_is_forgotten_with_the_last_session() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let (session, _) = world.logs_in().await;
        world.looks().await;
        world.house.passes(Duration::from_mins(61)).await;
        world.looks().await;
        assert_eq!(world.asked(), 1, "nothing to ask by");
        world.house.refresh().await;
        world.looks().await;
        assert_eq!(world.asked(), 2, "it lives again");
        world.house.passes(Duration::from_mins(1)).await;
        world.house.happens("ada", world.house.clock.now(), Change::PasswordChange).await;
        world.house.passes(INTERVAL).await;
        world.looks().await;
        assert_eq!(
            (world.asked(), world.userinfo(&session).await),
            (2, None),
            "what was said of ada is gone"
        );
    }
}

#[tokio::test]
async fn trouble_there_holds_no_refresh_back_and_no_more_are_asked_about_than_may_be() {
    let world = World::one().await;
    for _ in 0..3 {
        world.logs_in().await;
    }
    world.there.logins().fail(Endpoint::UserInfo, Some(Fault::before(How::RetryAfter(503, 300))));
    world.looks().await;
    world.house.passes(Duration::from_mins(1)).await;
    world.looks().await;
    assert_eq!(world.asked(), 1, "it wants to be left alone");
    world.house.passes(Duration::from_mins(58)).await;
    assert_eq!(world.house.refresh().await, 3);
}

#[tokio::test]
async fn where_it_is_not_wanted_nobody_is_looked_at() {
    let settings = Settings { userinfo_seconds: 0, ..profile(Known::Always, 0) };
    let world = World::over(sqlite(TABLES).await, settings).await;
    let (session, _) = world.logs_in().await;
    world.looks().await;
    world.house.passes(Duration::from_mins(59)).await;
    world.house.refresh().await;
    world.looks().await;
    assert_eq!((world.asked(), world.userinfo(&session).await), (0, None));
}
