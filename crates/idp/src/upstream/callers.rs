use account::Millis;
use std::collections::HashMap;
use std::time::Duration;

/// Who has not asked for so long is forgotten.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Who was turned away has a turn kept for so long: time to come back in.
const TURN: Duration = Duration::from_secs(2);
/// Who did not ask for so long is a newcomer, until it is served.
const NEW: Duration = Duration::from_secs(1);
/// At most so many are told apart; all others are one.
const MOST: usize = 1024;
const OTHERS: &str = "";

/// Turns among those who ask. When there is not enough for all, whoever was served longest ago comes first, whether there
/// are two or two hundred; and a few questions are left for newcomers, so that one who asks without end is no reason to
/// turn somebody else away even once. Whoever is alone has nearly everything. Pure; the time is passed in.
#[derive(Debug)]
pub(crate) struct Callers {
    seen: HashMap<Box<str>, Caller>,
    for_newcomers: u32,
    swept_at: Millis,
}

/// When one was last here, was last let through, and was last not.
#[derive(Clone, Copy, Debug, Default)]
struct Caller {
    seen: Millis,
    is_newcomer: bool,
    served: Option<Millis>,
    turned_away: Option<Millis>,
}

impl Callers {
    pub(crate) fn new(for_newcomers: u32, now: Millis) -> Self {
        Self { seen: HashMap::new(), for_newcomers, swept_at: now }
    }

    /// How many questions this one must leave to others, if it asks now.
    pub(crate) fn must_leave(&mut self, caller: &str, now: Millis) -> u32 {
        self.sweep(now);
        let own = *self.entry(caller, now);
        let before = self.seen.values().filter(|other| other.waits(now) && other.served < own.served).count();
        let for_newcomers = if own.is_newcomer { 0 } else { self.for_newcomers };
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(for_newcomers)
    }

    /// It was let through.
    pub(crate) fn served(&mut self, caller: &str, now: Millis) {
        let own = self.entry(caller, now);
        (own.served, own.turned_away, own.is_newcomer) = (Some(now), None, false);
    }

    /// It was not, for want of questions.
    pub(crate) fn turned_away(&mut self, caller: &str, now: Millis) {
        self.entry(caller, now).turned_away = Some(now);
    }

    fn entry(&mut self, caller: &str, now: Millis) -> &mut Caller {
        let name = if self.seen.len() < MOST || self.seen.contains_key(caller) { caller } else { OTHERS };
        if !self.seen.contains_key(name) {
            self.seen.insert(Box::from(name), Caller { seen: now, is_newcomer: true, ..Caller::default() });
        }
        let entry = self.seen.get_mut(name).expect("it was put there when it was not there yet");
        entry.is_newcomer |= now.since(entry.seen) >= NEW;
        entry.seen = entry.seen.max(now);
        entry
    }

    fn sweep(&mut self, now: Millis) {
        if now.since(self.swept_at) >= NEW {
            self.seen.retain(|_, caller| now.since(caller.seen) < REMEMBERED);
            self.swept_at = now;
        }
    }
}

impl Caller {
    fn waits(&self, now: Millis) -> bool {
        self.turned_away.is_some_and(|at| now.since(at) < TURN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Millis {
        Millis::new(ms)
    }

    #[test]
    fn whoever_is_alone_leaves_only_what_is_for_newcomers() {
        let mut callers = Callers::new(4, at(0));
        assert_eq!(callers.must_leave("a", at(0)), 0);
        callers.served("a", at(0));
        assert_eq!([0, 999, 1_998, 2_998, 3_100].map(|ms| callers.must_leave("a", at(ms))), [4, 4, 4, 0, 0]);
        callers.served("a", at(3_100));
        assert_eq!(callers.must_leave("a", at(3_100)), 4);
    }

    #[test]
    fn whoever_was_turned_away_has_its_turn_before_those_who_were_served_later() {
        let mut callers = Callers::new(0, at(0));
        for (at_ms, caller) in [(1, "a"), (2, "b"), (3, "c")] {
            callers.served(caller, at(at_ms));
            callers.turned_away(caller, at(10));
        }
        let left =
            |callers: &mut Callers, now| ["a", "b", "c", "new"].map(|it| callers.must_leave(it, at(now)));
        assert_eq!(left(&mut callers, 11), [0, 1, 2, 0]);
        callers.served("a", at(12));
        assert_eq!(left(&mut callers, 13), [2, 0, 1, 0]);
        assert_eq!(left(&mut callers, 2_010), [0, 0, 0, 0]);
    }

    #[test]
    fn more_than_can_be_told_apart_are_one() {
        let mut callers = Callers::new(0, at(0));
        for i in 0..5_000 {
            callers.served(&i.to_string(), at(0));
        }
        assert_eq!(callers.seen.len(), MOST + 1);
        callers.must_leave("a", at(61_000));
        assert_eq!(callers.seen.len(), 1);
    }
}
