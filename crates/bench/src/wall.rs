use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch: what two processes of one machine agree on.
pub(crate) fn wall_us() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the house's clock has no microseconds, and nothing is decided by this"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
