use crate::{InvalidAddress, Refusal};
use store::StoreError;

/// So many of the rows that cannot be held are named.
const MOST_NAMED: usize = 20;

/// Why an import did not come to its end. What it had copied stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The address.
    #[error("the database's URL: {0}")]
    Address(#[from] InvalidAddress),
    /// Nobody answers there, or it broke off.
    #[error("{at} cannot be reached: {reason}")]
    Unreachable {
        /// The database.
        at: String,
        /// What was tried and what came of it.
        reason: String,
    },
    /// It answers, and refuses.
    #[error(
        "{at} lets nobody in: {reason}; is the password right, may this user come from this machine, and does it want TLS (--tls)?"
    )]
    Denied {
        /// The database.
        at: String,
        /// What it said.
        reason: String,
    },
    /// The database has not the field's tables.
    #[error("{at} is no Tokenserver database of the field: {what}")]
    OtherSchema {
        /// The database.
        at: String,
        /// What is not there.
        what: String,
    },
    /// A statement failed there.
    #[error("{at} refused a statement: {reason}")]
    Source {
        /// The database.
        at: String,
        /// What it said.
        reason: String,
    },
    /// It has rows that the house cannot hold.
    #[error("{} cannot be held here; mend or delete them in the source, then run it again, it goes on from there:\n  {}", so_many(.0.len() as u64), named(.0))]
    Rows(Vec<Refusal>),
    /// There are others here already.
    #[error(
        "the store has {users} rows of users and {nodes} nodes that no import brought; an import needs a Tokenserver without any: set store.url to another file or database, run `highwater migrate`, and import there"
    )]
    NotEmpty {
        /// Rows of users.
        users: u64,
        /// Nodes.
        nodes: u64,
    },
    /// Somebody else wrote here meanwhile.
    #[error(
        "{table}, {key} {id}, was made here while the import was under way: nobody may write to the Tokenserver's tables until it is done; import into another store, or delete that row if it is nobody's"
    )]
    Foreign {
        /// Into which table.
        table: &'static str,
        /// What its key is called.
        key: &'static str,
        /// Its key.
        id: i64,
    },
    /// Another run is at it.
    #[error("another import into this store is under way; this one did nothing to it")]
    Another,
    /// The source is in use.
    #[error("{} had changed in {at} when it was read again, and are caught up with; stop what writes there, then run it once more", so_many(*.rows))]
    Moving {
        /// The database.
        at: String,
        /// Rows that differed.
        rows: u64,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn so_many(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{number} rows") }
}

fn named(refusals: &[Refusal]) -> String {
    let mut lines: Vec<String> = refusals.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if refusals.len() > MOST_NAMED {
        lines.push(format!("and {} more", refusals.len() - MOST_NAMED));
    }
    lines.join("\n  ")
}
