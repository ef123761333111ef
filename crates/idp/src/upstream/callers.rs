use account::Millis;
use outbound::{Rate, TokenBucket};
use std::collections::HashMap;
use std::time::Duration;

/// Who has not asked for so long needs no share.
const REMEMBERED: Duration = Duration::from_mins(1);
/// At most so many are told apart; all others are one.
const MOST: usize = 1024;
const OTHERS: &str = "";

/// Fair shares among those who ask: with so many of them, each gets that part of the rate and of the burst. Pure.
///
/// Each has a bucket as large as the whole, and pays as much for one question as there are who ask. So a share grows and
/// shrinks with their number at once, and nothing needs to be divided.
#[derive(Debug)]
pub(crate) struct Callers {
    rate: Rate,
    burst: u32,
    seen: HashMap<Box<str>, Caller>,
    swept_at: Millis,
}

#[derive(Debug)]
struct Caller {
    bucket: TokenBucket,
    seen_at: Millis,
}

impl Callers {
    pub(crate) fn new(rate: Rate, burst: u32, now: Millis) -> Self {
        Self { rate, burst, seen: HashMap::new(), swept_at: now }
    }

    /// How long until this one's share allows a question; zero when it does. Asking counts as being there.
    pub(crate) fn wait(&mut self, caller: &str, now: Millis) -> Duration {
        self.sweep(now);
        self.enter(caller, now);
        let price = self.price();
        // Invariant: the price is never above what a bucket holds.
        self.bucket(caller).and_then(|bucket| bucket.wait_for(price, now)).unwrap_or(REMEMBERED)
    }

    /// It asks one.
    pub(crate) fn charge(&mut self, caller: &str, now: Millis) {
        let price = self.price();
        if let Some(bucket) = self.bucket(caller) {
            bucket.take(price, now);
        }
    }

    fn price(&self) -> u32 {
        u32::try_from(self.seen.len()).unwrap_or(u32::MAX).clamp(1, self.burst.max(1))
    }

    fn enter(&mut self, caller: &str, now: Millis) {
        let name = if self.seen.len() < MOST || self.seen.contains_key(caller) { caller } else { OTHERS };
        if let Some(known) = self.seen.get_mut(name) {
            known.seen_at = known.seen_at.max(now);
        } else {
            let bucket = TokenBucket::new(self.rate, self.burst, now);
            self.seen.insert(Box::from(name), Caller { bucket, seen_at: now });
        }
    }

    fn bucket(&mut self, caller: &str) -> Option<&mut TokenBucket> {
        let name = if self.seen.contains_key(caller) { caller } else { OTHERS };
        self.seen.get_mut(name).map(|known| &mut known.bucket)
    }

    fn sweep(&mut self, now: Millis) {
        if now.since(self.swept_at) >= REMEMBERED / 60 {
            self.seen.retain(|_, caller| now.since(caller.seen_at) < REMEMBERED);
            self.swept_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Millis {
        Millis::new(ms)
    }

    fn ask(callers: &mut Callers, caller: &str, now: Millis) -> bool {
        let may = callers.wait(caller, now).is_zero();
        if may {
            callers.charge(caller, now);
        }
        may
    }

    fn asked(callers: &mut Callers, caller: &str, now: Millis) -> usize {
        (0..100).filter(|_| ask(callers, caller, now)).count()
    }

    #[test]
    fn whoever_is_alone_has_everything_and_two_have_half_each() {
        let mut callers = Callers::new(Rate::per_minute(240), 40, at(0));
        assert_eq!(asked(&mut callers, "a", at(0)), 40);
        assert_eq!(asked(&mut callers, "b", at(0)), 20);
        assert_eq!(asked(&mut callers, "a", at(1_000)), 2);
        assert_eq!(asked(&mut callers, "b", at(1_000)), 2);
    }

    #[test]
    fn the_share_of_one_who_has_gone_goes_to_the_others() {
        let mut callers = Callers::new(Rate::per_minute(240), 40, at(0));
        asked(&mut callers, "a", at(0));
        asked(&mut callers, "b", at(0));
        assert_eq!(asked(&mut callers, "a", at(60_000)), 40);
    }

    #[test]
    fn more_than_can_be_told_apart_share_what_is_left_for_others() {
        let mut callers = Callers::new(Rate::per_minute(240), 40, at(0));
        for i in 0..5_000 {
            ask(&mut callers, &i.to_string(), at(0));
        }
        assert_eq!(callers.seen.len(), MOST + 1);
        assert!(!ask(&mut callers, "one more", at(0)));
        assert!(ask(&mut callers, "one more", at(10_000)));
    }
}
