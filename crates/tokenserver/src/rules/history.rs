use super::{Home, ROWS_READ};
use account::Millis;
use std::cmp::Reverse;

/// One row of `users`, with its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its id; a node keeps the user's data under it.
    pub uid: i64,
    /// The highest generation seen; 0 when none was.
    pub generation: i64,
    /// The fingerprint of the key, in hex; may be empty.
    pub client_state: String,
    /// When it was made.
    pub created_at: Millis,
    /// When it was replaced; a live row never was.
    pub replaced_at: Option<Millis>,
    /// When the keys changed; null and 0 both mean that nobody said.
    pub keys_changed_at: Option<i64>,
    /// The node's id.
    pub node_id: i64,
    /// The node, as stored; `None` when there is no such node any more.
    pub node: Option<String>,
}

impl Row {
    /// Where the user lives by this row; `None` when the node is gone.
    pub(super) fn into_home(self) -> Option<Home> {
        let Self { uid, created_at, node_id, node, .. } = self;
        node.map(|node| Home { uid, created_at, node_id, node })
    }
}

/// A user's rows, the current one first.
#[derive(Debug)]
pub(crate) struct History(Vec<Row>);

impl History {
    /// Orders the rows: of the newest twenty, the one with the highest generation is current, then the newest, then
    /// the one with the highest id. `None` when there are none.
    pub(crate) fn of(mut rows: Vec<Row>) -> Option<Self> {
        rows.sort_unstable_by_key(|row| Reverse((row.created_at, row.uid)));
        rows.truncate(ROWS_READ);
        rows.sort_unstable_by_key(|row| Reverse((row.generation, row.created_at, row.uid)));
        (!rows.is_empty()).then_some(Self(rows))
    }

    /// The row that counts.
    pub(crate) fn current(&self) -> &Row {
        &self.0[0]
    }

    /// That row alone.
    pub(crate) fn into_current(mut self) -> Row {
        self.0.swap_remove(0)
    }

    /// Whether the user once had this client state and has another one now.
    pub(crate) fn has_left_behind(&self, client_state: &str) -> bool {
        client_state != self.current().client_state
            && self.old().iter().any(|row| row.client_state == client_state)
    }

    /// Whether an older row was left live.
    pub(crate) fn has_strays(&self) -> bool {
        self.old().iter().any(|row| row.replaced_at.is_none())
    }

    /// When the oldest row of these was made.
    pub(crate) fn first_seen_at(&self) -> Millis {
        self.0.last().unwrap_or(self.current()).created_at
    }

    /// When the newest row was made.
    pub(crate) fn newest(&self) -> Millis {
        self.0.iter().map(|row| row.created_at).max().unwrap_or_default()
    }

    fn old(&self) -> &[Row] {
        &self.0[1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uid: i64, generation: i64, created_at: i64) -> Row {
        Row {
            uid,
            generation,
            client_state: format!("{uid:02x}"),
            created_at: Millis::new(created_at),
            replaced_at: None,
            keys_changed_at: None,
            node_id: 1,
            node: Some("https://node".to_owned()),
        }
    }

    fn order(rows: &[(i64, i64, i64)]) -> Vec<i64> {
        let rows =
            rows.iter().map(|&(uid, generation, created_at)| row(uid, generation, created_at)).collect();
        History::of(rows).expect("rows").0.iter().map(|row| row.uid).collect()
    }

    #[test]
    fn the_current_row_has_the_highest_generation_then_is_the_newest_then_has_the_highest_id() {
        assert_eq!(order(&[(1, 5, 10), (2, 9, 1), (3, 5, 11)]), [2, 3, 1]);
        assert_eq!(order(&[(1, 5, 10), (2, 5, 10), (3, 5, 10)]), [3, 2, 1]);
    }

    #[test]
    fn only_the_newest_twenty_count_however_high_an_older_generation_is() {
        let mut rows: Vec<_> = (2..=21).map(|uid| (uid, 1, 100 + uid)).collect();
        rows.insert(0, (1, 999, 5));
        assert_eq!(order(&rows).first(), Some(&21));
        assert_eq!(order(&rows).len(), 20);
    }

    #[test]
    fn a_client_state_is_stale_when_only_older_rows_have_it() {
        let mut rows = vec![row(1, 1, 1), row(2, 2, 2), row(3, 3, 3)];
        rows[0].client_state = rows[2].client_state.clone();
        let history = History::of(rows).expect("rows");
        assert!(history.has_left_behind("02"));
        assert!(
            !history.has_left_behind("03"),
            "the current one is not stale, though an older row has it too"
        );
        assert!(!history.has_left_behind("04"));
    }
}
