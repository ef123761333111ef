use account::{AccountId, Change, Mark, Millis, State};
use futures::future::BoxFuture;
use store::{StoreError, Tx};

/// A committed event, as a consequence sees it: what happened, and where it left the account.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Whose account.
    pub account: AccountId,
    /// The event's number in the account's life.
    pub version: i64,
    /// Its change time.
    pub at: Millis,
    /// What happened.
    pub change: Change,
    /// The mark after it.
    pub mark: Mark,
    /// The state after it.
    pub state: State,
}

/// What a consequence came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is carried out.
    Done,
    /// Inside the ledger's transaction: it is too large for it, and workers do it right after. From a worker: a part of
    /// it is done and kept, and there is more.
    Deferred,
}

/// What account events mean to one capability.
pub trait Consequence: Send + Sync + 'static {
    /// The capability's name, as its effect rows carry it.
    fn capability(&self) -> &'static str;

    /// Carries out what these events mean, in their order; idempotent, and comparing each grant's own birth with the
    /// mark, so that a late or repeated event never ends what was granted after it.
    ///
    /// First called inside the ledger's transaction, under a savepoint of its own: there it must be bounded (≤ 50
    /// rows an event) or answer [`Outcome::Deferred`]. When it fails or defers, workers call it again, an event at a
    /// time, with `inline` false; there it may do its work in parts (≤ 500 rows), answering [`Outcome::Deferred`] until
    /// the last. Each account's events come in their order: a later one waits while an earlier one is owed.
    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        news: &'a [News],
        inline: bool,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>>;
}
