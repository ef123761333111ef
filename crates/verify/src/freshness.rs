use std::time::Duration;

/// How fresh facts must be for one call, and how long it may take. The default asks for nothing special: whatever is
/// remembered and counts, nothing stale, and as much patience as the identity provider's client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Facts learned longer ago than this are not good enough. Zero: ask now; whoever asks about the same token at the
    /// same time shares the answer. `None`: for as long as they are remembered.
    pub max_age: Option<Duration>,
    /// For how long beyond their life, or beyond `max_age`, facts are still given out when the identity provider cannot
    /// be asked. Zero: never.
    pub stale_if_error: Duration,
    /// How long this caller waits. The question itself goes on, so that the next one finds the answer.
    pub patience: Option<Duration>,
}

impl Freshness {
    /// Asks now, and takes nothing else.
    pub const NOW: Self =
        Self { max_age: Some(Duration::ZERO), stale_if_error: Duration::ZERO, patience: None };
}
