use account::{AccountId, Mark, State};
use futures::future::BoxFuture;
use std::sync::Arc;
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

    /// The same, and where in the feed the account's latest event is, both as they are after this was called. Needed where
    /// processes share what they know: without a place, what others learned of the account does not count.
    ///
    /// Position 0 when there was no event. No place when it cannot be told, or not yet.
    fn placed_record<'a>(
        &'a self,
        account: &'a AccountId,
    ) -> BoxFuture<'a, Result<(Record, Option<Place>), NoRecords>> {
        Box::pin(async move { Ok((self.record(account).await?, None)) })
    }
}

/// A place in the feed of account events. Places of two epochs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which life of the feed: a restore from a backup begins another one.
    pub epoch: Arc<str>,
    /// The position, in the order in which events committed.
    pub position: i64,
}

impl Place {
    /// Whether whoever had heard of everything up to this place had heard of that one.
    pub fn covers(&self, other: &Self) -> bool {
        self.epoch == other.epoch && other.position <= self.position
    }
}

/// The records cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is on record of accounts cannot be read now")]
pub struct NoRecords {
    /// When to try again.
    pub retry_after: Duration,
}
