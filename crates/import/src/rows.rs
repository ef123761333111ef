//! Rows, and which of the field's the house can hold: pure rules.

use crate::tables::{Kind, Table};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::fmt;
use store::RowSet;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

/// A row of a table, in the order of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<Cell>);

/// What the field has in a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    Null,
    /// Wider than any number of either side.
    Int(i128),
    Bytes(Vec<u8>),
    /// A fraction, a date, ….
    Other,
}

/// A row of the field that the house cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Of which table.
    pub table: &'static str,
    /// What its key is called.
    pub key: &'static str,
    /// Its key; `None` when that is what cannot be read.
    pub id: Option<i64>,
    /// Which column.
    pub column: &'static str,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Null, where there must be something.
    Null,
    /// A number that does not fit.
    OutOfRange,
    /// A text of more characters than this.
    TooLong(usize),
    /// A text with a NUL character in it, or one that is no UTF-8.
    NotText,
    /// Something of another kind.
    OtherKind,
}

impl Row {
    /// Its key.
    pub(crate) fn key(&self) -> i64 {
        match self.0.first() {
            Some(Cell::Int(key)) => *key,
            _ => unreachable!("a row begins with its key"),
        }
    }

    /// Takes what was found, column by column.
    pub(crate) fn of(table: &'static Table, found: Vec<Found>) -> Result<Self, Refusal> {
        let id = found.first().and_then(|it| integer(it, Kind::BigInt).ok());
        let mut cells = Vec::with_capacity(found.len());
        for (column, found) in table.columns.iter().zip(found) {
            let refused = |why| Refusal { table: table.name, key: table.key(), id, column: column.name, why };
            cells.push(match (found, column.kind) {
                (Found::Null, _) if column.is_nullable => Cell::Null,
                (Found::Null, _) => return Err(refused(Why::Null)),
                (found, Kind::Text(longest)) => Cell::Text(text(found, longest).map_err(refused)?),
                (found, kind) => Cell::Int(integer(&found, kind).map_err(refused)?),
            });
        }
        Ok(Self(cells))
    }
}

fn integer(found: &Found, kind: Kind) -> Result<i64, Why> {
    let Found::Int(number) = *found else { return Err(Why::OtherKind) };
    match kind {
        Kind::Int => i32::try_from(number).map(i64::from).map_err(|_| Why::OutOfRange),
        _ => i64::try_from(number).map_err(|_| Why::OutOfRange),
    }
}

/// PostgreSQL holds no NUL character.
fn text(found: Found, longest: usize) -> Result<String, Why> {
    let Found::Bytes(bytes) = found else { return Err(Why::OtherKind) };
    let text = String::from_utf8(bytes).map_err(|_| Why::NotText)?;
    if text.contains('\0') {
        return Err(Why::NotText);
    }
    if text.chars().count() > longest {
        return Err(Why::TooLong(longest));
    }
    Ok(text)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, id, column, why } = self;
        match id {
            Some(id) => write!(f, "{table}, {key} {id}: {column} {why}"),
            None => write!(f, "{table}, a row whose {column} {why}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("is null"),
            Self::OutOfRange => f.write_str("is a number that does not fit"),
            Self::TooLong(longest) => write!(f, "has more than {longest} characters"),
            Self::NotText => f.write_str("has a NUL character in it, or is not UTF-8"),
            Self::OtherKind => f.write_str("is of another type than the field's"),
        }
    }
}

/// Rows, as statements take them.
pub(crate) fn set(table: &'static Table, rows: &[Row]) -> RowSet {
    RowSet::of(rows.iter().map(|row| Named(table, row)))
}

struct Named<'a>(&'static Table, &'a Row);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut named = serializer.serialize_map(Some(self.1.0.len()))?;
        for (column, cell) in self.0.columns.iter().zip(&self.1.0) {
            match cell {
                Cell::Null => named.serialize_entry(column.name, &())?,
                Cell::Int(number) => named.serialize_entry(column.name, number)?,
                Cell::Text(text) => named.serialize_entry(column.name, text)?,
            }
        }
        named.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{SERVICES, USERS};
    use serde_json::json;

    fn user(change: impl FnOnce(&mut Vec<Found>)) -> Result<Row, Refusal> {
        let bytes = |text: &str| Found::Bytes(text.as_bytes().to_vec());
        let mut found = vec![
            Found::Int(7),
            Found::Int(1),
            bytes("u@x"),
            Found::Int(i128::from(i64::MAX)),
            bytes(""),
            Found::Int(0),
            Found::Null,
            Found::Int(800),
            Found::Null,
        ];
        change(&mut found);
        Row::of(&USERS, found)
    }

    #[test]
    fn a_row_of_the_field_is_held_as_it_is() {
        let row = user(|_| ()).expect("a good row");
        assert_eq!((row.key(), &row.0[3], &row.0[6]), (7, &Cell::Int(i64::MAX), &Cell::Null));
        let named = serde_json::to_value(Named(&USERS, &row)).expect("it can be written");
        assert_eq!(
            (&named["uid"], &named["email"], &named["replaced_at"]),
            (&json!(7), &json!("u@x"), &json!(null))
        );
    }

    #[test]
    fn what_cannot_be_held_is_named_by_its_key_and_its_column() {
        let said = |change: fn(&mut Vec<Found>)| user(change).expect_err("not held").to_string();
        for (change, expected) in [
            (
                (|row| row[2] = Found::Bytes(vec![b'a'; 256])) as fn(&mut Vec<Found>),
                "users, uid 7: email has more than 255 characters",
            ),
            (
                |row| row[2] = Found::Bytes(b"a\0b".to_vec()),
                "users, uid 7: email has a NUL character in it, or is not UTF-8",
            ),
            (
                |row| row[4] = Found::Bytes(vec![0xff]),
                "users, uid 7: client_state has a NUL character in it, or is not UTF-8",
            ),
            (
                |row| row[3] = Found::Int(i128::from(u64::MAX)),
                "users, uid 7: generation is a number that does not fit",
            ),
            (|row| row[1] = Found::Int(1 << 31), "users, uid 7: service is a number that does not fit"),
            (|row| row[5] = Found::Null, "users, uid 7: created_at is null"),
            (|row| row[5] = Found::Other, "users, uid 7: created_at is of another type than the field's"),
            (|row| row[0] = Found::Null, "users, a row whose uid is null"),
        ] {
            assert_eq!(said(change), expected);
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let of = |service: String| {
            Row::of(&SERVICES, vec![Found::Int(1), Found::Bytes(service.into_bytes()), Found::Null])
        };
        assert!(of("é".repeat(30)).is_ok());
        assert_eq!(of("é".repeat(31)).expect_err("too long").why, Why::TooLong(30));
    }
}
