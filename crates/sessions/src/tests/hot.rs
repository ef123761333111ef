//! Settings that change while everything runs.

use super::*;
use crate::worker::respread;

impl House {
    pub(super) fn changes(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.clone();
        change(&mut settings);
        self.sessions.change(settings).expect("they work");
    }

    async fn due_in(&self, session: &SessionId) -> Duration {
        let next = self.show(session).await.grant.expect("a grant").next_attempt_at.expect("it waits");
        next.since(self.clock.now())
    }

    async fn carries_timing_over(&self) {
        while respread(Arc::clone(self.inner())).await == Tick::More {}
    }
}

#[tokio::test]
async fn a_longer_grace_reaches_grants_that_wait() {
    for house in House::on_each_engine().await {
        let mut sessions = Vec::new();
        for name in ["u", "v", "w"] {
            sessions.push(house.logs_in(name).await);
        }
        let ended = house.logs_in_with("x", |login| login.tokens = None).await;
        house.passes(Duration::from_mins(10)).await;
        house.changes(|settings| settings.grace_seconds = 1_800);
        assert!(house.due_in(&sessions[0]).await > Duration::from_mins(40), "not carried over yet");
        house.carries_timing_over().await;
        for session in &sessions {
            let wait = house.due_in(session).await;
            assert!(wait <= Duration::from_mins(20) && wait >= Duration::from_mins(14), "{wait:?}");
        }
        assert!(house.show(&ended).await.grant.is_none());
        house.passes(Duration::from_mins(21)).await;
        assert_eq!(house.refresh().await, 3);
    }
}

#[tokio::test]
async fn what_failed_waits_as_its_failures_say_and_what_rests_goes_on_resting() {
    use super::pretender::Mode;
    use crate::upstream::Class;
    for house in House::on_each_engine().await {
        let failed = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        house.idp.set(Mode::Fails(Class::Throttled, Some(Duration::from_hours(3))));
        house.refresh().await;
        let wait = house.due_in(&failed).await;
        house.changes(|settings| settings.grace_seconds = 1_800);
        house.carries_timing_over().await;
        assert_eq!(house.due_in(&failed).await, wait);
    }
}

#[tokio::test]
async fn how_many_are_under_way_at_once_follows_the_settings() {
    let house = House::over(sqlite(TABLES).await, Settings { concurrency: 1, ..Settings::default() }).await;
    for number in 0..12 {
        house.logs_in(&format!("u{number}")).await;
    }
    house.passes(Duration::from_mins(59)).await;
    house.refresh().await;
    assert_eq!(house.idp.most_under_way(), 1);
    house.changes(|settings| settings.concurrency = 6);
    house.passes(Duration::from_mins(59)).await;
    house.refresh().await;
    assert_eq!((house.idp.most_under_way(), house.idp.presentations()), (6, 24));
}

#[tokio::test]
async fn which_events_end_logins_follows_the_settings_too() {
    let house = House::new().await;
    let session = house.logs_in("u").await;
    house.passes(Duration::from_mins(1)).await;
    house.changes(|settings| {
        settings.idps = vec![IdpSettings {
            ends_on: vec![crate::rules::EndsOn::PasswordReset],
            ..IdpSettings::new(main_idp())
        }];
    });
    house.happens("u", house.clock.now(), Change::PasswordChange).await;
    assert_eq!(house.shown(&session).await, "live live g0 f0");
}

#[tokio::test]
async fn settings_that_cannot_work_change_nothing() {
    let house = House::new().await;
    let wrong = Settings { cool_off_seconds: 0, grace_seconds: 7, ..Settings::default() };
    assert_eq!(house.sessions.change(wrong).expect_err("they cannot work").key, "cool_off_seconds");
    assert_eq!(house.inner().settings().grace_seconds, 60);
    assert_eq!(*house.inner().respread_from.lock(), None);
}
