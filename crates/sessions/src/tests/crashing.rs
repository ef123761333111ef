//! Processes that die, sleep, or lose the answer of their store, at every point between the claim and the commit.

use super::pretender::Mode;
use super::*;
use crate::rules::Rotation;
use crate::store::claim::{Beat, Claim, Claimed};
use crate::store::reap::ReleaseStrays;
use crate::worker::{attempt, settle};

impl House {
    /// Claims what is due, and goes no further.
    pub(super) async fn claims(&self) -> Vec<Claimed> {
        let (owner, now) = (self.inner().owner.to_string(), self.clock.now());
        let claim = Claim { rooms: vec![(main_idp(), 100)], owner, now };
        self.store.run(claim).await.expect("the store answers")
    }

    /// Nothing is heard of it any more, and others know.
    pub(super) async fn dies(&self) {
        let owner = self.inner().owner.to_string();
        let beat = Beat { owner, alive_until: Millis::ZERO };
        self.store.run(beat).await.expect("the store answers");
    }
}

#[tokio::test]
async fn a_process_that_dies_after_its_claim_loses_no_grant_where_the_token_may_go_again() {
    for settings in [profile(Rotation::Always, 30), profile(Rotation::Never, 0)] {
        for house in House::on_each_engine_with(settings).await {
            let session = house.logs_in("u").await;
            house.passes(Duration::from_mins(59)).await;
            assert_eq!(house.claims().await.len(), 1);
            let other = house.beside().await;
            other.reap().await;
            assert_eq!(house.shown(&session).await, "live live g0 f0", "its owner is alive");
            house.dies().await;
            other.reap().await;
            assert_eq!(house.shown(&session).await, "live suspect g0 f0");
            assert_eq!(other.refresh().await, 1, "at once: its grace runs, and nobody is to be spared");
            assert_eq!(house.shown(&session).await, "live live g1 f0");
        }
    }
}

#[tokio::test]
async fn where_it_may_not_the_grant_is_retired_and_the_session_lives_on() {
    for house in House::on_each_engine_with(profile(Rotation::Always, 0)).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await;
        house.dies().await;
        let other = house.beside().await;
        other.reap().await;
        assert_eq!(house.shown(&session).await, "live retired(lost_reply) g0 f0");
        assert_eq!(other.refresh().await, 0);
        assert_eq!(house.idp.presentations(), 0, "nobody else presents it");
        drop(claimed);
    }
}

#[tokio::test]
async fn the_answer_that_was_given_up_as_lost_is_kept_when_it_comes_after_all() {
    for house in House::on_each_engine_with(profile(Rotation::Always, 0)).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        // It was presented; then this process was not heard of for a while.
        house.dies().await;
        house.beside().await.reap().await;
        assert_eq!(house.shown(&session).await, "live retired(lost_reply) g0 f0");
        let settled = settle(house.inner(), vec![attempted]).await;
        assert_eq!((settled.renewed, settled.late), (0, 1));
        assert_eq!(house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn a_late_answer_for_a_grant_that_another_has_renewed_is_dropped_and_nothing_is_revoked() {
    for house in House::on_each_engine_with(profile(Rotation::Never, 0)).await {
        house.idp.rotates(false);
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        house.dies().await;
        let other = house.beside().await;
        other.reap().await;
        other.passes(Duration::from_secs(20)).await;
        other.refresh().await;
        assert_eq!(house.shown(&session).await, "live live g1 f0");
        let settled = settle(house.inner(), vec![attempted]).await;
        assert_eq!((settled.renewed, settled.late, settled.dropped, settled.orphaned), (0, 0, 1, 0));
        assert_eq!(house.shown(&session).await, "live live g1 f0");
        let (pending, _) = house.store.scan(crate::store::revocations::ReadDepth).await.expect("the store");
        assert_eq!(pending, 0);
    }
}

#[tokio::test]
async fn tokens_that_come_for_a_grant_that_has_ended_meanwhile_are_revoked() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        house.happens("u", house.clock.now(), Change::PasswordChange).await;
        let settled = settle(house.inner(), vec![attempted]).await;
        assert_eq!((settled.renewed, settled.orphaned), (0, 1));
        assert_eq!(house.shown(&session).await, "ended(password_change) ended(password_change) g0 f0");
        while crate::worker::revoke(Arc::clone(house.inner())).await == Tick::More {}
        let revoked = house.idp.revoked();
        assert_eq!(revoked, ["refresh-secret-u.1.0", "refresh-secret-u.1.1"]);
    }
}

#[tokio::test]
async fn a_process_that_slept_beyond_its_lease_presents_nothing_when_it_wakes() {
    for house in House::on_each_engine_with(profile(Rotation::Always, 30)).await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let other = house.beside().await;
        // It sleeps between its claim and the request; the other takes over.
        house.clock.advance(Duration::from_secs(6));
        other.lives().await;
        other.reap().await;
        assert_eq!(house.shown(&session).await, "live suspect g0 f0");
        let attempted = attempt(house.inner(), claimed, false).await;
        assert_eq!(house.idp.presentations(), 0, "it knows that it was not heard of");
        let settled = settle(house.inner(), vec![attempted]).await;
        assert_eq!(settled.renewed + settled.late, 0);
        assert_eq!(house.shown(&session).await, "live suspect g0 f0");
        other.passes(Duration::from_secs(20)).await;
        other.refresh().await;
        assert_eq!((house.idp.presentations(), house.idp.most_of_one()), (1, 1));
        assert_eq!(house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn a_process_that_is_not_heard_of_claims_nothing() {
    let house = House::new().await;
    house.logs_in("u").await;
    house.clock.advance(Duration::from_mins(59));
    assert_eq!(house.refresh().await, 0);
    house.lives().await;
    assert_eq!(house.refresh().await, 1);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_freed_and_nothing_is_in_doubt() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        // It is committed, but whoever claimed never heard of it.
        drop(house.claims().await);
        assert_eq!(house.refresh().await, 0);
        let release = ReleaseStrays { owner: house.inner().owner.to_string(), held: Vec::new() };
        assert_eq!(house.store.run(release).await.expect("the store answers"), 1);
        assert_eq!(house.refresh().await, 1);
        assert_eq!(house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn outcomes_settled_twice_count_once() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("u").await;
        house.passes(Duration::from_mins(59)).await;
        let claimed = house.claims().await.remove(0);
        let attempted = attempt(house.inner(), claimed, false).await;
        let first = settle(house.inner(), vec![attempted.clone()]).await;
        let again = settle(house.inner(), vec![attempted]).await;
        assert_eq!((first.renewed, again.renewed + again.late, again.orphaned), (1, 0, 0));
        assert_eq!(house.shown(&session).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn on_a_file_what_a_former_life_had_claimed_is_noticed_at_once() {
    let house = House::over(sqlite(TABLES).await, profile(Rotation::Always, 30)).await;
    let session = house.logs_in("u").await;
    house.passes(Duration::from_mins(59)).await;
    assert_eq!(house.claims().await.len(), 1);
    // It is killed and started again within a second: its beat would still be believed.
    let next = house.beside().await;
    next.inner().make_ready().await.expect("the store answers");
    next.reap().await;
    assert_eq!(house.shown(&session).await, "live suspect g0 f0");
    next.passes(Duration::from_secs(20)).await;
    next.refresh().await;
    assert_eq!(house.shown(&session).await, "live live g1 f0");
    assert_eq!(house.idp.most_of_one(), 1);
    house.idp.set(Mode::Well);
}
