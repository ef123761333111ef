use metrics::Counter;

/// What came of looking into one tier. Held handles: a look-up in the recorder would cost more than a remembered check.
pub(crate) struct Lookups {
    /// It was there and good enough.
    pub(crate) hit: Counter,
    /// Nothing was there.
    pub(crate) miss: Counter,
    /// It was there, and too old.
    pub(crate) stale: Counter,
    /// A no was there.
    pub(crate) negative: Counter,
    /// It was waited for together with others.
    pub(crate) coalesced: Counter,
}

/// What happens to the shared tier besides.
pub(super) struct Meters {
    pub(super) lookups: Lookups,
    /// What was there is from before an event of its account.
    pub(super) overtaken: Counter,
    /// What was there cannot be read.
    pub(super) unreadable: Counter,
    /// The tier was not there.
    pub(super) down: Counter,
}

fn counter(tier: &'static str, outcome: &'static str) -> Counter {
    metrics::counter!("verify.lookups", "tier" => tier, "outcome" => outcome)
}

impl Lookups {
    pub(crate) fn of(tier: &'static str) -> Self {
        metrics::describe_counter!(
            "verify.lookups",
            "Look-ups of bearer tokens in what is remembered, by tier and outcome"
        );
        Self {
            hit: counter(tier, "hit"),
            miss: counter(tier, "miss"),
            stale: counter(tier, "stale"),
            negative: counter(tier, "negative"),
            coalesced: counter(tier, "coalesced"),
        }
    }
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            lookups: Lookups::of("shared"),
            overtaken: counter("shared", "overtaken"),
            unreadable: counter("shared", "unreadable"),
            down: counter("shared", "down"),
        }
    }
}
