//! A statement over `{each $1: …} as r`, as SQLite is to run it for one row: the row's columns become parameters.
//!
//! A row set that is joined costs SQLite a table of its own at each run, which is made and thrown away, and an insert
//! from a select takes a detour too. With parameters in their place it is a point read, an update by the index, or an
//! insert of values.

use super::{largest_parameter, names};
use std::fmt::Write;

/// The text with its row set dissolved; one without stays as it is.
///
/// The set is `from {each …} as r`, alone or followed by one `join … on …` whose statement has no `where` of its own.
pub(super) fn dissolved(text: &str) -> String {
    let Some(set) = Set::find(text) else { return text.to_owned() };
    let head = set.with_parameters(set.before);
    let tail = set.with_parameters(set.after);
    let (head, tail) = (head.trim_end(), tail.trim_start());
    if let Some(joined) = tail.strip_prefix("join ") {
        return format!("{head} from {}", joined.replacen(" on ", " where ", 1));
    }
    let rest = tail.strip_prefix("where true").unwrap_or(tail).trim_start();
    let is_insert = text.starts_with("insert") && !rest.starts_with("where");
    let whole = match head.split_once(" select ").filter(|_| is_insert) {
        Some((into, values)) => format!("{} values ({values}) {rest}", into.trim_end()),
        None => format!("{head} {tail}"),
    };
    whole.trim_end().to_owned()
}

/// A row set, and what is around it.
struct Set<'a> {
    before: &'a str,
    columns: Vec<&'a str>,
    alias: &'a str,
    after: &'a str,
    /// The number of the first column's parameter.
    first: usize,
}

impl<'a> Set<'a> {
    fn find(text: &'a str) -> Option<Self> {
        let (before, from) = text.split_once("from {each $")?;
        let (set, after) = from.split_once("} as ")?;
        let end = after.find(|c: char| !is_of_a_name(c)).unwrap_or(after.len());
        let (alias, after) = after.split_at(end);
        let (_, columns) = set.split_once(':')?;
        Some(Self {
            before,
            columns: names(columns).collect(),
            alias,
            after,
            first: largest_parameter(text) + 1,
        })
    }

    /// A part of the text, each column of the set a parameter.
    fn with_parameters(&self, part: &str) -> String {
        let column = format!("{}.", self.alias);
        let mut out = String::with_capacity(part.len());
        let mut rest = part;
        while let Some(at) = rest.find(&column) {
            let (before, from) = rest.split_at(at);
            let name = &from[column.len()..];
            let end = name.find(|c: char| !is_of_a_name(c)).unwrap_or(name.len());
            let place = self.columns.iter().position(|it| *it == &name[..end]);
            out.push_str(before);
            match place.filter(|_| !before.ends_with(is_of_a_name)) {
                Some(place) => {
                    let _ = write!(out, "${}", self.first + place);
                }
                None => out.push_str(&from[..column.len() + end]),
            }
            rest = &name[end..];
        }
        out + rest
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        assert_eq!(dissolved(text), expected);
    }

    #[test]
    fn an_insert_takes_values() {
        becomes(
            "insert into t (a, b) select r.a, $2 from {each $1: a text, b bigint} as r",
            "insert into t (a, b) values ($3, $2)",
        );
        becomes(
            "insert into t (a) select r.a from {each $1: a text} as r where true
             on conflict (a) do update set a = excluded.a returning a",
            "insert into t (a) values ($2) on conflict (a) do update set a = excluded.a returning a",
        );
        becomes(
            "insert into t (a) select r.a from {each $1: a text} as r where r.a <> 'x' on conflict do nothing",
            "insert into t (a) select $2 where $2 <> 'x' on conflict do nothing",
        );
    }

    #[test]
    fn an_update_and_a_read_go_by_the_parameters() {
        becomes(
            "update t set b = r.b from {each $1: a text, b bigint} as r where t.a = r.a and t.c = $2",
            "update t set b = $4 where t.a = $3 and t.c = $2",
        );
        becomes(
            "select t.b from {each $1: a text} as r join t on t.a = r.a order by t.b",
            "select t.b from t where t.a = $2 order by t.b",
        );
        becomes(
            "select r.at from {each $1: at bigint, a text} as r where exists (select 1 from t where t.a = r.a)",
            "select $2 where exists (select 1 from t where t.a = $3)",
        );
    }

    #[test]
    fn only_the_sets_own_columns_are_parameters() {
        becomes(
            "select or.a, r.other, r.a from {each $1: a text} as r where 'r.' <> r.a",
            "select or.a, r.other, $2 where 'r.' <> $2",
        );
        becomes("select 1 from {rows $1: a text} as r", "select 1 from {rows $1: a text} as r");
    }
}
