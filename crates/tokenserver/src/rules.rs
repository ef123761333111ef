//! The decisions, pure: from what a request presents and what is known to what happens. No clock, no I/O, no SQL.
//!
//! A user has one row per key and assignment. The newest says where the user lives and what is known of the
//! credentials; the checks hold a request against it, in an order that clients rely on; what passes is served as it
//! is, raises the row, replaces it (another key, same node) or is assigned anew. Nothing is written for a request
//! that is refused.

mod bucket;
mod budget;
mod carried;
mod history;
mod ledgered;
mod moving;
mod node;
mod pace;
mod place;
mod purging;
mod rotation;
mod service;

use crate::{ClientState, ClientStateFault, Refusal};
use account::{Birth, Millis};
pub(crate) use bucket::{BUCKETS, Mapped, Weighted, bucket_of, spread};
pub(crate) use budget::{Budget, Whole};
pub(crate) use carried::{Carried, LiveRow, Reach};
pub(crate) use history::{History, Row};
pub(crate) use ledgered::Ledgered;
pub(crate) use moving::{Allocating, Moving, allocating, moving};
pub(crate) use node::NodeName;
pub use node::{InvalidNodeUrl, NodeUrl};
pub(crate) use pace::Pace;
pub(crate) use place::{Room, least_loaded};
pub(crate) use purging::{Fate, Force, KeptBy, KeyId, Live, Replaced, fate};
pub(crate) use rotation::{Rotation, signing};
pub use service::{InvalidPattern, InvalidServiceName};
pub(crate) use service::{Pattern, ServiceName};

/// The generation of a retired user: above every other.
pub(crate) const RETIRED: i64 = i64::MAX;
/// How many of a user's rows are read, newest first.
pub(crate) const ROWS_READ: usize = 20;

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The credentials' generation by the token; never 0.
    pub generation: Option<i64>,
    /// When the keys changed, by the client; never 0.
    pub keys_changed_at: Option<i64>,
    /// The fingerprint of the client's key.
    pub client_state: ClientState,
    /// When the token was granted, as far as it says.
    pub birth: Option<Birth>,
    /// When the identity provider was asked about it and said that it is good.
    pub vouched_at: Option<Millis>,
}

/// Whether users that have no row yet get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewUsers {
    /// They do.
    Welcome,
    /// They are refused.
    Refused,
}

/// What happens to a request that passed the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Which row it is served from.
    pub step: Step,
    /// The row's generation then.
    pub generation: i64,
    /// The row's key change then.
    pub keys_changed_at: Option<i64>,
    /// When the user was first seen, as far back as the rows read go; `None` for a new one.
    pub first_seen_at: Option<Millis>,
    /// When the newest row was made; one that is added is never older.
    pub newest: Millis,
    /// Whether rows that were left live beside the current one have to be replaced.
    pub strays: bool,
}

/// Which row a request is served from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// From the current row, as it is.
    Serve(Home),
    /// From the current row, after its generation or key change were raised.
    Raise(Home),
    /// From a new row on the same node: the client has another key.
    Replace(Home),
    /// From a new row on a node to be chosen: the user is new, was unassigned, or the node is gone.
    Assign,
}

/// Where a user lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    /// The row.
    pub uid: i64,
    /// When it was made.
    pub created_at: Millis,
    /// Its node's id.
    pub node_id: i64,
    /// Its node, as stored.
    pub node: String,
}

impl Decision {
    /// Whether the user was never here.
    pub(crate) fn is_of_a_new_user(&self) -> bool {
        self.step == Step::Assign && self.first_seen_at.is_none()
    }

    /// Whether nothing has to be written: the hot path.
    pub(crate) fn is_as_is(&self) -> bool {
        matches!(self.step, Step::Serve(_)) && !self.strays
    }

    /// The time in the key id: when the keys changed, or the generation of a user whose clients never said.
    pub(crate) fn key_time(&self) -> i64 {
        self.keys_changed_at.unwrap_or(self.generation)
    }
}

/// Decides a request by the user's rows, in any order, and what the ledger knows of the account.
pub(crate) fn decide(
    rows: Vec<Row>,
    ledgered: &Ledgered,
    presented: &Presented,
    new_users: NewUsers,
) -> Result<Decision, Refusal> {
    ledgered.check_state()?;
    match History::of(rows) {
        None => first(ledgered, presented, new_users),
        Some(history) => returning(history, ledgered, presented),
    }
}

fn first(ledgered: &Ledgered, presented: &Presented, new_users: NewUsers) -> Result<Decision, Refusal> {
    if new_users == NewUsers::Refused {
        return Err(Refusal::NewUsersDisabled);
    }
    ledgered.check_birth(presented)?;
    if ledgered.is_above_generation(presented) {
        return Err(Refusal::InvalidGeneration);
    }
    Ok(Decision {
        step: Step::Assign,
        generation: presented.generation.unwrap_or(0),
        keys_changed_at: presented.keys_changed_at,
        first_seen_at: None,
        newest: Millis::ZERO,
        strays: false,
    })
}

fn returning(history: History, ledgered: &Ledgered, presented: &Presented) -> Result<Decision, Refusal> {
    // The stored generation as it will be once every event has been carried into the row.
    let stored = ledgered.effective_generation(history.current());
    let retired = stored == RETIRED;
    if retired && history.current().node.is_none() {
        return Err(Refusal::RetiredWithoutNode);
    }
    check(&history, stored, ledgered, presented)?;
    let (generation, keys_changed_at) = raised(history.current(), stored, presented);
    let (first_seen_at, newest, strays) =
        (Some(history.first_seen_at()), history.newest(), history.has_strays());
    let row = history.into_current();
    let carried_out = retired == (row.generation == RETIRED);
    let step = match row.replaced_at {
        None if carried_out => live(row, presented, generation, keys_changed_at),
        // A retired user that was let through keeps its row, and nothing is written into it.
        _ if retired => row.into_home().map_or(Step::Assign, Step::Serve),
        _ => Step::Assign,
    };
    Ok(Decision { step, generation, keys_changed_at, first_seen_at, newest, strays })
}

fn live(row: Row, presented: &Presented, generation: i64, keys_changed_at: Option<i64>) -> Step {
    let same_key = row.client_state == presented.client_state.as_str();
    let same = row.generation == generation && row.keys_changed_at == keys_changed_at;
    row.into_home().map_or(Step::Assign, |home| match (same_key, same) {
        (true, true) => Step::Serve(home),
        (true, false) => Step::Raise(home),
        (false, _) => Step::Replace(home),
    })
}

/// The checks, in the order of the field; the first that hits refuses.
fn check(history: &History, stored: i64, ledgered: &Ledgered, presented: &Presented) -> Result<(), Refusal> {
    use ClientStateFault as Fault;
    let (g, k) = (presented.generation, presented.keys_changed_at);
    let known_k = history.current().keys_changed_at;
    let (given, known) = (presented.client_state.as_str(), history.current().client_state.as_str());
    let refuse = |fault| Err(Refusal::UnacceptableClientState(fault));
    if both(k, known_k, |k, known| k > known) && both(g, k, |g, k| g < k) {
        return Err(Refusal::InvalidKeysChangedAt);
    }
    if given.is_empty() && !known.is_empty() {
        return refuse(Fault::Empty);
    }
    if history.has_left_behind(given) {
        return refuse(Fault::Stale);
    }
    if given != known && g.is_some_and(|g| g <= stored) {
        return refuse(Fault::NoGenerationChange);
    }
    if given != known && both(k, known_k, |k, known| k <= known) {
        return refuse(Fault::NoKeysChange);
    }
    if g.map_or(stored == RETIRED, |g| g < stored) {
        return Err(Refusal::InvalidGeneration);
    }
    ledgered.check_birth(presented)?;
    if both(k, known_k, |k, known| k < known) || (k.is_none() && known_k.is_some_and(|known| known != 0)) {
        return Err(Refusal::InvalidKeysChangedAt);
    }
    Ok(())
}

/// "Compare if both are present": absent makes the condition false.
fn both(left: Option<i64>, right: Option<i64>, holds: impl Fn(i64, i64) -> bool) -> bool {
    left.zip(right).is_some_and(|(left, right)| holds(left, right))
}

/// What the row's generation and key change are after the request.
fn raised(row: &Row, stored: i64, presented: &Presented) -> (i64, Option<i64>) {
    let known = row.keys_changed_at;
    // An absent key change leaves a null null: only a 0 can be there besides, by the checks.
    let keys_changed_at = presented.keys_changed_at.or(known.map(|_| 0));
    let by_keys = presented.keys_changed_at.filter(|k| *k > stored && known.is_none_or(|known| *k > known));
    (presented.generation.or(by_keys).unwrap_or(row.generation), keys_changed_at)
}

#[cfg(test)]
mod tests;
