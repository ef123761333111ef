//! Watching: a replica is what the table is, whatever happens on the way.

use super::*;
use crate::feed::{Cursor, Watcher, Word, place};
use crate::store::changes::ReadHead;
use crate::worker::sweep;
use std::collections::BTreeMap;

/// What somebody who watches knows.
#[derive(Default)]
struct Replica {
    live: BTreeMap<String, i64>,
    place: Option<Cursor>,
    told: usize,
    is_too_old: bool,
}

impl Replica {
    /// Takes in all there is.
    async fn follow(&mut self, house: &House) {
        while place(Arc::clone(house.inner())).await == Tick::More {}
        let mut watcher = Watcher::new(Arc::clone(house.inner()), self.place.clone());
        while !self.is_too_old && !self.is_at_the_end(house).await {
            for word in watcher.next().await.expect("the store answers") {
                match word {
                    Word::Session(view) => self.hear(&watcher.judged(*view)),
                    Word::Bookmark(cursor) => self.place = Some(cursor),
                    Word::TooOld => self.is_too_old = true,
                }
            }
        }
    }

    fn hear(&mut self, view: &SessionView) {
        self.told += 1;
        if view.state == crate::SessionState::Live {
            self.live.insert(view.id.to_string(), view.version);
        } else {
            self.live.remove(view.id.as_str());
        }
    }

    async fn is_at_the_end(&self, house: &House) -> bool {
        let head = house.store.scan(ReadHead).await.expect("the store answers");
        self.place.as_ref().is_some_and(|it| it.epoch == head.epoch && it.position == head.last)
    }
}

async fn table(house: &House) -> BTreeMap<String, i64> {
    let all = house.all().await.into_iter();
    all.filter(|view| view.state == crate::SessionState::Live)
        .map(|view| (view.id.to_string(), view.version))
        .collect()
}

#[tokio::test]
async fn who_was_cut_off_goes_on_where_they_were_and_has_what_the_table_has() {
    for house in House::on_each_engine().await {
        house.logs_in("a").await;
        let mut replica = Replica::default();
        replica.follow(&house).await;
        assert_eq!((replica.live.len(), replica.told), (1, 1));
        for name in ["a", "b", "c"] {
            house.logs_in(name).await;
        }
        house.passes(Duration::from_secs(1)).await;
        house.happens("b", house.clock.now(), Change::PasswordChange).await;
        replica.follow(&house).await;
        assert_eq!(replica.live, table(&house).await);
        assert_eq!(replica.live.len(), 3);
        let told = replica.told;
        replica.follow(&house).await;
        assert_eq!(replica.told, told, "nothing is told again");
    }
}

#[tokio::test]
async fn a_refresh_and_a_touch_are_not_told() {
    for house in House::on_each_engine().await {
        let session = house.logs_in("a").await;
        let mut replica = Replica::default();
        replica.follow(&house).await;
        house.passes(Duration::from_mins(59)).await;
        assert_eq!(house.refresh().await, 1);
        house.inner().touches.touch(&session, house.clock.now());
        crate::touches::flush(Arc::clone(house.inner())).await;
        let told = replica.told;
        replica.follow(&house).await;
        assert_eq!(replica.told, told);
    }
}

#[tokio::test]
async fn who_was_away_for_too_long_is_told_so() {
    for house in House::on_each_engine().await {
        house.logs_in("a").await;
        let mut replica = Replica::default();
        replica.follow(&house).await;
        let old = replica.place.clone();
        house.logs_in("b").await;
        house.logs_in("c").await;
        replica.follow(&house).await;
        house.passes(Duration::from_hours(25)).await;
        while sweep(Arc::clone(house.inner())).await == Tick::More {}
        let mut away = Replica { place: old, ..Replica::default() };
        away.follow(&house).await;
        assert!(away.is_too_old);
        replica.follow(&house).await;
        assert!(!replica.is_too_old, "whoever was there all the time goes on");
        assert_eq!(replica.live, table(&house).await);
        let stranger = Cursor { epoch: "0".repeat(32), position: 0 };
        let mut lost = Replica { place: Some(stranger), ..Replica::default() };
        lost.follow(&house).await;
        assert!(lost.is_too_old);
    }
}
