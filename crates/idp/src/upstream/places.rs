use super::Lane;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The places for questions that are on their way. A quarter is kept for known tokens; of the rest no caller has more than
/// half. Whoever finds none waits, and those who wait in one line are served in their order.
#[derive(Debug)]
pub(crate) struct Places {
    all: Semaphore,
    unknown: Semaphore,
    callers: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
    per_caller: usize,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    _one_of_all: SemaphorePermit<'a>,
    _one_of_unknown: Option<(SemaphorePermit<'a>, OwnedSemaphorePermit)>,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        let unknown = count - count / 4;
        let per_caller = unknown.div_ceil(2);
        let (all, unknown) = (Semaphore::new(count), Semaphore::new(unknown));
        Self { all, unknown, callers: Mutex::default(), per_caller }
    }

    /// Waits for a place. The narrowest line comes first, so that one caller's many stand in no line of the others.
    pub(crate) async fn take(&self, lane: Lane<'_>) -> Place<'_> {
        const OPEN: &str = "the semaphores are never closed";
        let one_of_unknown = match lane {
            Lane::Known => None,
            Lane::Unknown { caller } => {
                let own = self.line_of(caller).acquire_owned().await.expect(OPEN);
                Some((self.unknown.acquire().await.expect(OPEN), own))
            }
        };
        Place { _one_of_all: self.all.acquire().await.expect(OPEN), _one_of_unknown: one_of_unknown }
    }

    /// Lines that nobody stands in any more are forgotten.
    fn line_of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock();
        if let Some(line) = callers.get(caller) {
            return Arc::clone(line);
        }
        callers.retain(|_, line| Arc::strong_count(line) > 1);
        let line = Arc::new(Semaphore::new(self.per_caller));
        callers.insert(Box::from(caller), Arc::clone(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn try_take<'a>(places: &'a Places, lane: Lane<'_>) -> Option<Place<'a>> {
        places.take(lane).now_or_never()
    }

    fn taken<'a>(places: &'a Places, lane: Lane<'_>) -> Vec<Place<'a>> {
        std::iter::from_fn(|| try_take(places, lane)).collect()
    }

    #[test]
    fn one_caller_gets_half_of_what_unknown_tokens_get_and_known_ones_find_a_quarter_free() {
        let places = Places::new(64);
        let mut held = taken(&places, Lane::Unknown { caller: "a" });
        assert_eq!(held.len(), 24);
        held.extend(taken(&places, Lane::Unknown { caller: "b" }));
        assert!(try_take(&places, Lane::Unknown { caller: "c" }).is_none());
        assert_eq!(held.len(), 48);
        assert_eq!(taken(&places, Lane::Known).len(), 16);
        held.pop();
        assert!(try_take(&places, Lane::Unknown { caller: "c" }).is_some());
    }

    #[test]
    fn even_a_single_place_can_be_had_by_everybody() {
        let places = Places::new(1);
        drop(try_take(&places, Lane::Unknown { caller: "a" }).expect("free"));
        let held = try_take(&places, Lane::Known).expect("free again");
        assert!(try_take(&places, Lane::Unknown { caller: "a" }).is_none());
        drop(held);
        assert_eq!(taken(&places, Lane::Known).len(), 1);
    }

    #[test]
    fn callers_who_have_gone_are_forgotten() {
        let places = Places::new(64);
        for i in 0..100 {
            drop(try_take(&places, Lane::Unknown { caller: &i.to_string() }));
        }
        assert_eq!(places.callers.lock().len(), 1);
    }
}
