//! Where two sides of a table differ: pure rules over stretches of it, each in the order of its keys.

use crate::rows::Row;
use std::cmp::Ordering;

/// A stretch of a table that was read on both sides, up to the same key.
pub(crate) struct Stretch {
    pub(crate) theirs: Vec<Row>,
    pub(crate) ours: Vec<Row>,
    /// Its last key; `None` when nothing comes after it on either side.
    pub(crate) until: Option<i64>,
}

/// What is to be done here so that both sides are the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Rows that are not here, or are other ones.
    pub(crate) wanted: Vec<Row>,
    /// Keys of rows that are not there.
    pub(crate) gone: Vec<i64>,
}

impl Stretch {
    /// Of what was read, `most` rows at most from each side: the part that both have reached.
    pub(crate) fn reached(mut theirs: Vec<Row>, mut ours: Vec<Row>, most: usize) -> Self {
        let last = |rows: &[Row]| (rows.len() >= most).then(|| rows.last().map(Row::key)).flatten();
        let until = [last(&theirs), last(&ours)].into_iter().flatten().min();
        if let Some(until) = until {
            theirs.retain(|row| row.key() <= until);
            ours.retain(|row| row.key() <= until);
        }
        Self { theirs, ours, until }
    }

    pub(crate) fn differences(&self) -> Differences {
        let (mut found, mut ours) = (Differences::default(), self.ours.iter().peekable());
        for row in &self.theirs {
            while let Some(extra) = ours.next_if(|it| it.key() < row.key()) {
                found.gone.push(extra.key());
            }
            let same = ours.next_if(|it| it.key().cmp(&row.key()) == Ordering::Equal) == Some(row);
            if !same {
                found.wanted.push(row.clone());
            }
        }
        found.gone.extend(ours.map(Row::key));
        found
    }
}

impl Differences {
    pub(crate) fn count(&self) -> u64 {
        (self.wanted.len() + self.gone.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Cell;

    fn rows(given: &[(i64, i64)]) -> Vec<Row> {
        given.iter().map(|(key, value)| Row(vec![Cell::Int(*key), Cell::Int(*value)])).collect()
    }

    fn differences(theirs: &[(i64, i64)], ours: &[(i64, i64)]) -> Differences {
        Stretch::reached(rows(theirs), rows(ours), 100).differences()
    }

    #[test]
    fn rows_are_missing_changed_or_gone() {
        assert_eq!(differences(&[(1, 1), (5, 5)], &[(1, 1), (5, 5)]), Differences::default());
        let found =
            differences(&[(1, 1), (3, 3), (5, 6), (9, 9)], &[(0, 0), (1, 1), (4, 4), (5, 5), (10, 10)]);
        assert_eq!(found, Differences { wanted: rows(&[(3, 3), (5, 6), (9, 9)]), gone: vec![0, 4, 10] });
        assert_eq!(found.count(), 6);
    }

    #[test]
    fn only_what_both_sides_have_reached_is_compared() {
        let stretch = Stretch::reached(rows(&[(1, 1), (9, 9)]), rows(&[(1, 1), (2, 2)]), 2);
        assert_eq!((stretch.until, stretch.theirs.len(), stretch.ours.len()), (Some(2), 1, 2));
        assert_eq!(stretch.differences().gone, [2]);
        let last = Stretch::reached(rows(&[(9, 9)]), rows(&[(3, 3), (9, 9)]), 2);
        assert_eq!(last.until, Some(9));
        let end = Stretch::reached(rows(&[(9, 9)]), rows(&[]), 2);
        assert_eq!((end.until, end.theirs.len()), (None, 1));
    }
}
