//! The rows of a set, read from their JSON to be bound one by one.
//!
//! SQLite can take a set apart by itself, but it reads each row three times and looks each column up by its name. Here it
//! is read once, and the prepared statement is run for each row.

use crate::StoreError;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

/// Reads a set of rows: one row after the other, each with its columns in this order. What a row does not have is null.
pub(crate) fn read<'a>(json: &'a str, columns: &[&str]) -> Result<Vec<Cell<'a>>, StoreError> {
    let mut from = serde_json::Deserializer::from_str(json);
    from.deserialize_seq(Set(columns))
        .map_err(|error| StoreError::Statement { reason: format!("a set of rows does not parse: {error}") })
}

struct Set<'c>(&'c [&'c str]);

impl<'de> Visitor<'de> for Set<'_> {
    type Value = Vec<Cell<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut cells = Vec::new();
        while rows.next_element_seed(Row { columns: self.0, cells: &mut cells })?.is_some() {}
        Ok(cells)
    }
}

/// Reads a row to the end of the cells.
struct Row<'c, 'v, 'de> {
    columns: &'c [&'c str],
    cells: &'v mut Vec<Cell<'de>>,
}

impl<'de> DeserializeSeed<'de> for Row<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        let begin = self.cells.len();
        self.cells.resize(begin + self.columns.len(), Cell::Null);
        // Rows are mostly written in the order of their columns: the next one is looked at first.
        let mut next = 0;
        while let Some(name) = row.next_key::<Cow<'de, str>>()? {
            let from_next = self.columns.iter().skip(next).position(|column| **column == *name);
            let at = from_next
                .map(|at| next + at)
                .or_else(|| self.columns.iter().position(|column| **column == *name));
            if let Some(at) = at {
                self.cells[begin + at] = row.next_value_seed(OneCell)?;
                next = at + 1;
            } else {
                row.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct OneCell;

impl<'de> DeserializeSeed<'de> for OneCell {
    type Value = Cell<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cell<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneCell {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, a truth value or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Cell::Int(i64::from(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cell::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        i64::try_from(value).map(Cell::Int).map_err(E::custom)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(value.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_their_columns_names_whatever_their_order() {
        let json = r#"[{"a":1,"b":"x","c":null},{"c":"\n","other":{"a":[2]},"a":-3},{"b":true}]"#;
        let text = |text: &'static str| Cell::Text(Cow::Borrowed(text));
        assert_eq!(
            read(json, &["a", "b", "c"]).expect("rows"),
            [
                [Cell::Int(1), text("x"), Cell::Null],
                [Cell::Int(-3), Cell::Null, text("\n")],
                [Cell::Null, Cell::Int(1), Cell::Null],
            ]
            .concat()
        );
        assert_eq!(read("[]", &["a"]).expect("no rows"), []);
    }

    #[test]
    fn what_no_column_holds_is_refused() {
        for odd in ["{}", "[1]", r#"[{"a":1.5}]"#, r#"[{"a":[]}]"#, r#"[{"a":18446744073709551615}]"#, "[{"] {
            assert!(matches!(read(odd, &["a"]), Err(StoreError::Statement { .. })), "{odd}");
        }
    }
}
