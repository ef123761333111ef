//! What becomes of a row that was replaced long enough ago, and of the data under its id.

/// A replaced row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// Its id.
    pub uid: i64,
    /// Whose it is.
    pub email: String,
    /// The key its data is encrypted under.
    pub key: KeyId,
    /// Its node's id.
    pub node_id: i64,
    /// Its node, as stored, and whether it is out of order; `None` when there is no such node any more.
    pub node: Option<(String, bool)>,
    /// The user's live row, if there is one.
    pub live: Option<Live>,
}

/// The live row of a user of whom another row is purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// The key its data is encrypted under.
    pub key: KeyId,
    /// Its node's id.
    pub node_id: i64,
}

/// What `fxa_kid` says: when the keys changed (or, unless anybody said, the generation), and their fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyId {
    /// The time.
    pub time: i64,
    /// The fingerprint, in hex.
    pub client_state: String,
}

impl KeyId {
    /// By a row's columns; 0 is "nobody said", as null is.
    pub(crate) fn new(generation: i64, keys_changed_at: Option<i64>, client_state: &str) -> Self {
        let time = keys_changed_at.filter(|time| *time != 0).unwrap_or(generation);
        Self { time, client_state: client_state.to_owned() }
    }
}

/// How rows of nodes that are out of order are dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Force {
    /// Their data is deleted all the same.
    pub downed: bool,
    /// It is there now.
    pub at: Option<String>,
}

/// How nodes keep data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptBy {
    /// Under the row's id.
    Uid,
    /// Under the account and the key: what a new row of the same key finds again. So does Spanner.
    Key,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its node is gone: the row goes.
    Nodeless,
    /// The data is deleted on its node, then the row goes.
    Delete(String),
    /// The same for a node that is out of order.
    Force(String),
    /// The live row's data is what the node would delete: only the row goes.
    Shared,
    /// It waits until its node is in order again.
    Wait,
}

/// Decides.
pub(crate) fn fate(row: &Replaced, force: &Force, kept: KeptBy) -> Fate {
    let has_live_twin = row.live.as_ref().is_some_and(|live| live.key == row.key);
    match &row.node {
        None => Fate::Nodeless,
        Some((url, false)) => {
            let on_this_node = row.live.as_ref().is_some_and(|live| live.node_id == row.node_id);
            let shared = kept == KeptBy::Key && has_live_twin && on_this_node;
            if shared { Fate::Shared } else { Fate::Delete(url.clone()) }
        }
        Some((_, true)) if !force.downed => Fate::Wait,
        Some((url, true)) => {
            let at = force.at.as_ref().unwrap_or(url);
            // Data that was carried over to another node is the live row's.
            if at != url && has_live_twin { Fate::Shared } else { Fate::Force(at.clone()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "https://a";
    const OTHER: &str = "https://b";

    fn row(node: Option<(&str, bool)>, live: Option<(i64, &str)>) -> Replaced {
        Replaced {
            uid: 1,
            email: "user@example".to_owned(),
            key: KeyId::new(5, None, "aa"),
            node_id: 7,
            node: node.map(|(url, downed)| (url.to_owned(), downed)),
            live: live.map(|(node_id, state)| Live { key: KeyId::new(5, Some(0), state), node_id }),
        }
    }

    fn plain(row: &Replaced) -> Fate {
        fate(row, &Force::default(), KeptBy::Uid)
    }

    #[test]
    fn data_is_deleted_where_it_is() {
        assert_eq!(plain(&row(Some((NODE, false)), None)), Fate::Delete(NODE.to_owned()));
        assert_eq!(plain(&row(None, None)), Fate::Nodeless);
        assert_eq!(plain(&row(Some((NODE, true)), None)), Fate::Wait);
    }

    #[test]
    fn a_node_that_keeps_data_by_its_key_does_not_lose_that_of_the_live_row() {
        let by_key = |row: &Replaced| fate(row, &Force::default(), KeptBy::Key);
        let twin = row(Some((NODE, false)), Some((7, "aa")));
        assert_eq!(by_key(&twin), Fate::Shared);
        assert_eq!(plain(&twin), Fate::Delete(NODE.to_owned()), "another id, other data");
        assert_eq!(by_key(&row(Some((NODE, false)), Some((7, "bb")))), Fate::Delete(NODE.to_owned()));
        assert_eq!(by_key(&row(Some((NODE, false)), Some((8, "aa")))), Fate::Delete(NODE.to_owned()));
    }

    #[test]
    fn what_is_forced_spares_the_data_that_a_migration_carried_over() {
        let forced = |at: Option<&str>, row: &Replaced| {
            fate(row, &Force { downed: true, at: at.map(str::to_owned) }, KeptBy::Uid)
        };
        let (twin, other) =
            (row(Some((NODE, true)), Some((8, "aa"))), row(Some((NODE, true)), Some((8, "bb"))));
        assert_eq!(forced(None, &twin), Fate::Force(NODE.to_owned()));
        assert_eq!(forced(Some(OTHER), &twin), Fate::Shared);
        assert_eq!(forced(Some(NODE), &twin), Fate::Force(NODE.to_owned()), "it is the row's own node");
        assert_eq!(forced(Some(OTHER), &other), Fate::Force(OTHER.to_owned()), "of an older key");
        assert_eq!(
            forced(Some(OTHER), &row(Some((NODE, false)), Some((8, "aa")))),
            Fate::Delete(NODE.to_owned()),
            "only nodes that are out of order are forced"
        );
    }
}
