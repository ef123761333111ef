//! What was received before: by its message, and where nothing else can tell, by what it says.

use crate::Received;
use account::{Change, Millis};
use aws_lc_rs::digest;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use store::{RowSet, StoreError, Tx};

/// The source under which a change is remembered by what it says, whichever source told of it.
const MEANING: &str = "=meaning";

store::statements! {
    // Row by row, by the index. A plain join would be planned for the empty table of a fresh PostgreSQL, as a scan, and
    // that plan stays in a connection's cache while the table grows.
    pub(crate) static SEEN = both(
        "select r.at from {each $1: at bigint, source text, message_id text} as r
         where (select 1 from receipts x where x.source = r.source and x.message_id = r.message_id limit 1) = 1");
    static RECEIVE = both(
        "insert into receipts (source, message_id, received_at)
         select r.source, r.message_id, $2 from {each $1: source text, message_id text} as r where true
         on conflict do nothing");
}

/// A name under which an event is remembered.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Receipt {
    source: Arc<str>,
    message_id: String,
}

impl Receipt {
    /// The names of an event: its message, and for a subscription change also what it says, because nothing in the
    /// account tells a repeated one from a new one. Without a change time only the message can: active, inactive and
    /// active again would be taken for one.
    pub(crate) fn all_of(received: &Received) -> Vec<Self> {
        let message = Self { source: received.source.shared(), message_id: bounded(&received.message_id) };
        match &received.event.change {
            Change::SubscriptionChange(subscription) if received.event.at.is_some() => {
                let meaning =
                    serde_json::to_string(&(&received.event.account, received.event.at, subscription));
                let meaning = hash(meaning.expect("a subscription always serialises").as_bytes());
                vec![message, Self { source: Arc::from(MEANING), message_id: meaning }]
            }
            _ => vec![message],
        }
    }
}

/// Which events were seen before, by their receipts.
pub(crate) async fn seen(tx: &mut Tx<'_>, receipts: &[Vec<Receipt>]) -> Result<HashSet<usize>, StoreError> {
    #[derive(Serialize)]
    struct Asked<'a> {
        at: usize,
        #[serde(flatten)]
        receipt: &'a Receipt,
    }
    let asked = receipts
        .iter()
        .enumerate()
        .flat_map(|(at, names)| names.iter().map(move |receipt| Asked { at, receipt }));
    let rows = tx.query(&SEEN, &[(&RowSet::of(asked)).into()], |row| row.int(0)).await?;
    Ok(rows.into_iter().filter_map(|at| usize::try_from(at).ok()).collect())
}

/// Remembers events by their receipts.
pub(crate) async fn receive(
    tx: &mut Tx<'_>,
    receipts: &[Vec<Receipt>],
    now: Millis,
) -> Result<(), StoreError> {
    tx.execute(&RECEIVE, &[(&RowSet::of(receipts.iter().flatten())).into(), now.into()]).await.map(drop)
}

/// A message id that any store can hold; two that differ stay different.
pub(crate) fn bounded(message_id: &str) -> String {
    if message_id.len() <= 200 && !message_id.chars().any(char::is_control) {
        message_id.to_owned()
    } else {
        hash(message_id.as_bytes())
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
