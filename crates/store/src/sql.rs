mod one_row;

use crate::Engine;
use std::fmt::Write;
use std::sync::OnceLock;

/// One SQL statement for both engines, parameters written `$1 … $n`.
///
/// Where the engines differ, a text for both uses these names in braces:
///
/// | name | PostgreSQL | SQLite |
/// |---|---|---|
/// | `{rows $1: a text, b bigint}` | a row set from the [`RowSet`](crate::RowSet) in `$1` | the same |
/// | `from {each $1: a text, b bigint} as r` | the same | nothing: the statement is run for each row, in their order, its columns parameters |
/// | `{for_update}`, `{for_update_skip_locked}` | the row lock | nothing: there is one writer |
/// | `{greatest}`, `{least}` | `greatest`, `least` | `max`, `min` |
/// | `{identity}` | a column that numbers itself, explicit values allowed | `integer primary key autoincrement` |
/// | `{bytes}` | `bytea` | `blob` |
#[derive(Debug)]
pub struct Sql {
    text: Text,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
    each: OnceLock<Option<Each>>,
}

/// The rows that a statement is run for one by one, on SQLite.
#[derive(Debug)]
pub(crate) struct Each {
    /// Which parameter has them, counted from 0.
    pub(crate) parameter: usize,
    /// Their columns, bound after all other parameters.
    pub(crate) columns: Vec<&'static str>,
    /// How many parameters there are besides.
    pub(crate) others: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Text {
    Both(&'static str),
    PerEngine { sqlite: &'static str, postgres: &'static str },
}

impl Sql {
    /// One text that both engines take.
    pub const fn both(text: &'static str) -> Self {
        Self::of(Text::Both(text))
    }

    /// A text for each engine.
    pub const fn per_engine(sqlite: &'static str, postgres: &'static str) -> Self {
        Self::of(Text::PerEngine { sqlite, postgres })
    }

    const fn of(text: Text) -> Self {
        Self { text, sqlite: OnceLock::new(), postgres: OnceLock::new(), each: OnceLock::new() }
    }

    /// The rows that it is run for one by one on SQLite, if it is.
    pub(crate) fn each(&self) -> Option<&Each> {
        let find = || {
            let (Text::Both(text) | Text::PerEngine { sqlite: text, .. }) = self.text;
            let (_, from) = text.split_once("{each $")?;
            let (parameter, columns) = from.split_once('}')?.0.split_once(':')?;
            let parameter = parameter.trim().parse::<usize>().ok()?.checked_sub(1)?;
            Some(Each { parameter, columns: names(columns).collect(), others: largest_parameter(text) })
        };
        self.each.get_or_init(find).as_ref()
    }

    /// The text as that engine takes it.
    pub fn for_engine(&self, engine: Engine) -> &str {
        let cell = match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        };
        cell.get_or_init(|| self.text.for_engine(engine))
    }
}

impl Text {
    /// The text with its names expanded.
    pub(crate) fn for_engine(self, engine: Engine) -> String {
        match (self, engine) {
            (Self::Both(text), _)
            | (Self::PerEngine { sqlite: text, .. }, Engine::Sqlite)
            | (Self::PerEngine { postgres: text, .. }, Engine::Postgres) => expand(text, engine),
        }
    }
}

/// Declares statements and, as `STATEMENTS`, the list of them all.
#[macro_export]
macro_rules! statements {
    ($($(#[$docs:meta])* $visibility:vis static $name:ident = $maker:ident $arguments:tt;)*) => {
        $($(#[$docs])* $visibility static $name: $crate::Sql = $crate::statements!(@ $maker $arguments);)*

        /// Every statement of this file, for the test that prepares each on both engines.
        pub(crate) static STATEMENTS: &[&$crate::Sql] = &[$(&$name),*];
    };
    (@ both ($text:expr)) => { $crate::Sql::both($text) };
    (@ per_engine { sqlite: $sqlite:expr, postgres: $postgres:expr $(,)? }) => { $crate::Sql::per_engine($sqlite, $postgres) };
}

fn expand(text: &str, engine: Engine) -> String {
    let dissolved = (engine == Engine::Sqlite).then(|| one_row::dissolved(text));
    let text = dissolved.as_deref().unwrap_or(text);
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map_or(rest.len(), |at| open + at);
        out.push_str(&rest[..open]);
        expand_name(&rest[open + 1..close], engine, &mut out);
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    if engine == Engine::Sqlite { number_parameters(&out) } else { out }
}

/// SQLite numbers `$1` by first appearance; `?1` means the first parameter wherever it stands. (A `$` before anything
/// but a digit is none of ours: a path in JSON.)
fn number_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let is_parameter = from[1..].starts_with(|c: char| c.is_ascii_digit());
        out.push_str(before);
        out.push(if is_parameter { '?' } else { '$' });
        rest = &from[1..];
    }
    out.push_str(rest);
    out
}

/// The largest number of a parameter `$1 … $n`.
fn largest_parameter(text: &str) -> usize {
    let number = |from: &str| {
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        from[..end].parse::<usize>().ok()
    };
    text.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

/// The names of `a text, b bigint`.
fn names(columns: &str) -> impl Iterator<Item = &str> {
    columns.split(',').map(|column| column.split_whitespace().next().unwrap_or(column))
}

fn expand_name(name: &str, engine: Engine, out: &mut String) {
    let sqlite = engine == Engine::Sqlite;
    match name {
        "for_update" => out.push_str(if sqlite { "" } else { "for update" }),
        "for_update_skip_locked" => out.push_str(if sqlite { "" } else { "for update skip locked" }),
        "greatest" => out.push_str(if sqlite { "max" } else { "greatest" }),
        "least" => out.push_str(if sqlite { "min" } else { "least" }),
        "bytes" => out.push_str(if sqlite { "blob" } else { "bytea" }),
        "identity" => out.push_str(if sqlite {
            "integer primary key autoincrement"
        } else {
            "bigint generated by default as identity primary key"
        }),
        // `{0,32}` and the like are none of ours.
        other => {
            let (word, rest) = other.split_once(' ').unwrap_or((other, ""));
            match (word, rest.split_once(':')) {
                ("rows" | "each", Some((parameter, columns))) => {
                    row_set(parameter.trim(), columns.trim(), sqlite, out);
                }
                _ => {
                    let _ = write!(out, "{{{other}}}");
                }
            }
        }
    }
}

/// A row set from a JSON array of objects.
fn row_set(parameter: &str, columns: &str, sqlite: bool, out: &mut String) {
    if !sqlite {
        let _ = write!(out, "(select * from json_to_recordset({parameter}::json) as given({columns}))");
        return;
    }
    // Each row is read once, into SQLite's own binary form: a column of it is found there without reading it again.
    out.push_str("(with given(v) as materialized (select jsonb(value) from json_each(");
    let _ = write!(out, "{parameter})) select ");
    for (at, name) in names(columns).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(out, "{comma}v ->> '{name}' as {name}");
    }
    out.push_str(" from given)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_run_one_by_one_is_a_row_of_parameters_on_sqlite() {
        static OTHER: Sql = Sql::both("select r.a from {rows $1: a text} as r");
        static SQL: Sql =
            Sql::both("insert into t select r.a, r.b, $2 from {each $1: a text, b bigint} as r where true");
        assert_eq!(SQL.for_engine(Engine::Sqlite), "insert into t values (?3, ?4, ?2)");
        assert!(
            SQL.for_engine(Engine::Postgres)
                .contains("json_to_recordset($1::json) as given(a text, b bigint)")
        );
        let each = SQL.each().expect("rows");
        assert_eq!((each.parameter, &*each.columns, each.others), (0, &["a", "b"][..], 2));
        assert!(OTHER.each().is_none());
    }

    #[test]
    fn the_engines_differences_have_names() {
        let sql = Sql::both("select {greatest}(a, $2) from {rows $1: a bigint, b text} as r {for_update}");
        assert_eq!(
            sql.for_engine(Engine::Postgres),
            "select greatest(a, $2) from (select * from json_to_recordset($1::json) as given(a bigint, b text)) as r for update"
        );
        assert_eq!(
            sql.for_engine(Engine::Sqlite),
            "select max(a, ?2) from (with given(v) as materialized (select jsonb(value) from json_each(?1)) select v ->> 'a' as a, v ->> 'b' as b from given) as r "
        );
    }
}
