use super::{ByTag, Tag};
use std::collections::HashMap;
use std::mem;

/// How many accounts with events lately are known one by one, twice over; of those before, only up to where they went.
pub(super) const RECENT: usize = 1 << 15;

/// The positions of the latest events, by account.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) newer: ByTag<i64>,
    pub(super) older: ByTag<i64>,
    /// Of what is kept no longer, the highest.
    floor: i64,
}

impl Default for Recent {
    fn default() -> Self {
        Self { newer: HashMap::default(), older: HashMap::default(), floor: i64::MIN }
    }
}

impl Recent {
    pub(super) fn note(&mut self, tag: Tag, position: i64) {
        if self.newer.len() >= RECENT {
            let oldest = mem::replace(&mut self.older, mem::take(&mut self.newer));
            self.floor = oldest.into_values().fold(self.floor, i64::max);
        }
        let last = self.newer.entry(tag).or_insert(position);
        *last = position.max(*last);
    }

    /// The position of the account's last event, or one that is no lower.
    pub(super) fn last(&self, tag: &Tag) -> i64 {
        [&self.newer, &self.older]
            .iter()
            .filter_map(|events| events.get(tag).copied())
            .fold(self.floor, i64::max)
    }
}
