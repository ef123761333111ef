use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How a source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Nothing has come of it yet.
    Starting,
    /// It takes events in.
    Running,
    /// It waits, longer each time, until what stands in its way is gone. Nothing is acknowledged meanwhile.
    BackingOff {
        /// What stands in its way.
        reason: String,
    },
    /// It has ended, or was never started.
    Stopped,
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::BackingOff { reason } => write!(f, "backing off: {reason}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Where a source says how it is doing, and whoever asks can read it. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Slots>>);

/// One slot for each of the source's loops: the trouble of one is not covered up by the luck of another.
type Slots = BTreeMap<usize, SourceState>;

impl Health {
    /// How the source is doing: the worst of its loops.
    pub fn state(&self) -> SourceState {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.values().max_by_key(|state| badness(state)).cloned().unwrap_or(SourceState::Stopped)
    }

    pub(crate) fn report(&self, slot: usize, state: SourceState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(slot, state);
    }
}

fn badness(state: &SourceState) -> u8 {
    match state {
        SourceState::Running => 0,
        SourceState::Stopped => 1,
        SourceState::Starting => 2,
        SourceState::BackingOff { .. } => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_as_well_as_its_worst_loop() {
        let health = Health::default();
        assert_eq!(health.state(), SourceState::Stopped);
        health.report(0, SourceState::Running);
        health.report(1, SourceState::BackingOff { reason: "the store is down".into() });
        assert_eq!(health.state().to_string(), "backing off: the store is down");
        health.report(1, SourceState::Running);
        assert_eq!(health.state(), SourceState::Running);
    }
}
