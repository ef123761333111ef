//! Which row of a user goes where, when an operator has the user moved.

use super::{History, RETIRED, Row};

/// What moving a user comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moving {
    /// The current row is copied onto the new node, under a new id; whatever else is live is replaced.
    Copy(Row),
    /// The user lives elsewhere, or nowhere: rows that were left live on the node are ended.
    Tidy(Vec<i64>),
}

/// Moves a user away from a node (or from wherever the user lives).
pub(crate) fn moving(rows: Vec<Row>, from: Option<i64>) -> Moving {
    let is_there = |row: &Row| row.replaced_at.is_none() && from.is_none_or(|from| row.node_id == from);
    let left: Vec<_> = rows.iter().filter(|row| is_there(row)).map(|row| row.uid).collect();
    match History::of(rows).map(History::into_current) {
        Some(current) if is_there(&current) && current.generation != RETIRED => Moving::Copy(current),
        _ => Moving::Tidy(left),
    }
}

/// What allocating a user comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allocating {
    /// The user has no rows: the first is made.
    New,
    /// The user has rows and lives nowhere: a copy of the current one is made.
    Anew(Row),
    /// The user lives somewhere.
    Lives(Row),
    /// The account was deleted; its rows wait for the purge.
    Retired,
}

/// Assigns a user who has not come yet, or who was unassigned.
pub(crate) fn allocating(rows: Vec<Row>) -> Allocating {
    match History::of(rows).map(History::into_current) {
        None => Allocating::New,
        Some(row) if row.generation == RETIRED => Allocating::Retired,
        Some(row) if row.replaced_at.is_none() && row.node.is_some() => Allocating::Lives(row),
        Some(row) => Allocating::Anew(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::Millis;

    fn row(uid: i64, node_id: i64, replaced_at: Option<i64>) -> Row {
        Row {
            uid,
            generation: 5,
            client_state: "aa".to_owned(),
            created_at: Millis::new(uid),
            replaced_at: replaced_at.map(Millis::new),
            keys_changed_at: None,
            node_id,
            node: Some(format!("https://{node_id}")),
        }
    }

    #[test]
    fn the_current_row_is_copied_only_from_where_the_user_lives() {
        let rows = vec![row(1, 7, Some(2)), row(2, 7, None)];
        assert_eq!(moving(rows.clone(), Some(7)), Moving::Copy(row(2, 7, None)));
        assert_eq!(moving(rows.clone(), None), Moving::Copy(row(2, 7, None)));
        assert_eq!(moving(rows, Some(8)), Moving::Tidy(vec![]), "lives elsewhere");
        assert_eq!(moving(vec![], None), Moving::Tidy(vec![]));
    }

    #[test]
    fn rows_that_were_left_live_are_ended_and_never_copied() {
        let stray = vec![row(1, 7, None), row(2, 8, None)];
        assert_eq!(moving(stray, Some(7)), Moving::Tidy(vec![1]), "the user lives on node 8");
        let retired = vec![Row { generation: RETIRED, ..row(3, 7, None) }];
        assert_eq!(moving(retired, Some(7)), Moving::Tidy(vec![3]));
    }

    #[test]
    fn who_lives_nowhere_is_allocated() {
        assert_eq!(allocating(vec![]), Allocating::New);
        assert_eq!(allocating(vec![row(1, 7, None)]), Allocating::Lives(row(1, 7, None)));
        assert_eq!(allocating(vec![row(1, 7, Some(2))]), Allocating::Anew(row(1, 7, Some(2))));
        let homeless = Row { node: None, ..row(1, 7, None) };
        assert_eq!(allocating(vec![homeless.clone()]), Allocating::Anew(homeless));
        let retired = Row { generation: RETIRED, ..row(1, 7, Some(2)) };
        assert_eq!(allocating(vec![retired]), Allocating::Retired);
    }
}
