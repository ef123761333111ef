use account::Millis;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The one source of the time. `now` is read once per request or tick and passed down, into SQL too.
///
/// On PostgreSQL the system's clock is corrected by its measured offset from the server's, so that all nodes
/// agree. A manual clock stands still until a test moves it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    System { offset: AtomicI64 },
    Manual { now: AtomicI64 },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Kind::System { offset: AtomicI64::new(0) }))
    }

    /// A clock that only tests move.
    pub fn manual(now: Millis) -> Self {
        Self(Arc::new(Kind::Manual { now: AtomicI64::new(now.get()) }))
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        match &*self.0 {
            Kind::System { offset } => {
                Millis::new(system_now().get().saturating_add(offset.load(Ordering::Relaxed)))
            }
            Kind::Manual { now } => Millis::new(now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock on; a system clock is left alone.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().plus(duration));
    }

    /// Sets a manual clock; a system clock is left alone.
    pub fn set(&self, to: Millis) {
        if let Kind::Manual { now } = &*self.0 {
            now.store(to.get(), Ordering::SeqCst);
        }
    }

    /// Follows a server's clock: `server` was read between `before` and `after` of the system's clock.
    pub(crate) fn follow(&self, before: Millis, server: Millis, after: Millis) -> i64 {
        let middle = before.get() + (after.get() - before.get()) / 2;
        let measured = server.get() - middle;
        if let Kind::System { offset } = &*self.0 {
            offset.store(measured, Ordering::Relaxed);
        }
        measured
    }
}

/// The system's clock as it is.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
pub(crate) fn system_now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::ZERO.plus(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved() {
        let clock = Clock::manual(Millis::new(1_000));
        assert_eq!(clock.now(), Millis::new(1_000));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), Millis::new(3_000));
    }

    #[test]
    fn a_clock_follows_the_servers_from_the_middle_of_the_round_trip() {
        let clock = Clock::system();
        assert_eq!(clock.follow(Millis::new(100), Millis::new(5_110), Millis::new(120)), 5_000);
        let ahead = clock.now().since(system_now());
        assert!(ahead > Duration::from_millis(4_900) && ahead <= Duration::from_millis(5_001));
    }
}
