use account::{AccountId, Mark, State};
use futures::future::BoxFuture;
use std::time::Duration;

/// What the house has on record of an account: what of its tokens counts, and whether it may act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The number of its latest event. Rises with every one.
    pub version: i64,
    /// Whatever was granted at or below it is refused.
    pub mark: Mark,
    /// Whether it may act.
    pub state: State,
}

/// Who knows what is on record: asked once for every account that something is newly learned of, after the token and
/// never before it.
pub trait Records: Send + Sync + 'static {
    /// The record of an account; the default one when there is none.
    fn record<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Result<Record, NoRecords>>;
}

/// The records cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is on record of accounts cannot be read now")]
pub struct NoRecords {
    /// When to try again.
    pub retry_after: Duration,
}
