use crate::{RowSet, StoreError};
use account::Millis;
use bytes::BufMut;
use postgres_types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::error::Error;

/// A parameter of a statement, for either engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL's null.
    Null,
    /// Any integer column; refused when it does not fit the column's type.
    Int(i64),
    /// Any text or JSON column.
    Text(&'a str),
    /// A column of bytes.
    Bytes(&'a [u8]),
    /// A truth value (0 or 1 on SQLite).
    Bool(bool),
    /// The rows of the statement's set.
    Rows(&'a RowSet),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Millis> for Value<'_> {
    fn from(value: Millis) -> Self {
        Self::Int(value.get())
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a RowSet> for Value<'a> {
    fn from(value: &'a RowSet) -> Self {
        Self::Rows(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Bool(value) => ValueRef::Integer(i64::from(value)),
            // A set that SQLite takes apart by itself.
            Self::Rows(rows) => return json_text(rows),
        }))
    }
}

fn json_text(rows: &RowSet) -> rusqlite::Result<ToSqlOutput<'static>> {
    let mut json = Vec::new();
    let failed = |error: Box<dyn Error + Send + Sync>| rusqlite::Error::ToSqlConversionFailure(error);
    rows.write_json(&mut json).map_err(|error| failed(error.into()))?;
    Ok(String::from_utf8(json).map_err(|error| failed(error.into()))?.into())
}

type Encoded = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for Value<'_> {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Encoded {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => integer(value, column, out),
            Self::Text(value) => text(value, column, out),
            Self::Bytes(value) if *column == Type::BYTEA => value.to_sql(column, out),
            Self::Bytes(_) => Err(format!("bytes were given for a parameter of type {column}").into()),
            Self::Bool(value) if *column == Type::BOOL => value.to_sql(&Type::BOOL, out),
            Self::Bool(value) => integer(i64::from(value), column, out),
            Self::Rows(rows) if *column == Type::JSON => {
                rows.write_json(&mut out.writer())?;
                Ok(IsNull::No)
            }
            Self::Rows(_) => Err(format!("rows were given for a parameter of type {column}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true // checked value by value above
    }

    to_sql_checked!();
}

/// Everything is sent in binary form: a text for a number's parameter would be taken for the number's bytes.
fn text(value: &str, column: &Type, out: &mut BytesMut) -> Encoded {
    match *column {
        Type::JSONB => out.extend_from_slice(&[1]), // the version byte of jsonb's binary form
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::UNKNOWN => {}
        ref other => return Err(format!("a text was given for a parameter of type {other}").into()),
    }
    value.to_sql(&Type::TEXT, out)
}

fn integer(value: i64, column: &Type, out: &mut BytesMut) -> Encoded {
    match *column {
        Type::INT2 => i16::try_from(value)?.to_sql(column, out),
        Type::INT4 => i32::try_from(value)?.to_sql(column, out),
        Type::INT8 => value.to_sql(column, out),
        ref other => Err(format!("an integer was given for a parameter of type {other}").into()),
    }
}

/// A row of an answer. Columns are counted from 0.
pub struct Row<'a>(Inner<'a>);

enum Inner<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl<'a> Row<'a> {
    pub(crate) fn sqlite(row: &'a rusqlite::Row<'a>) -> Self {
        Self(Inner::Sqlite(row))
    }

    pub(crate) fn postgres(row: &'a tokio_postgres::Row) -> Self {
        Self(Inner::Postgres(row))
    }

    /// An integer column of any width.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.opt_int(column)?.ok_or_else(|| unexpected(column, "an integer"))
    }

    /// An integer column that may be null.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(None),
                ValueRef::Integer(value) => Ok(Some(value)),
                _ => Err(unexpected(column, "an integer")),
            },
            Inner::Postgres(row) => match row.columns().get(column).map(tokio_postgres::Column::type_) {
                Some(&Type::INT8) => Ok(row.try_get(column)?),
                Some(&Type::INT4) => Ok(row.try_get::<_, Option<i32>>(column)?.map(i64::from)),
                Some(&Type::INT2) => Ok(row.try_get::<_, Option<i16>>(column)?.map(i64::from)),
                _ => Err(unexpected(column, "an integer")),
            },
        }
    }

    /// A text column.
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.opt_text(column)?.ok_or_else(|| unexpected(column, "a text"))
    }

    /// A text column that may be null.
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(None),
                ValueRef::Text(text) => {
                    std::str::from_utf8(text).map(Some).map_err(|_| unexpected(column, "UTF-8"))
                }
                _ => Err(unexpected(column, "a text")),
            },
            Inner::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// A column of bytes.
    pub fn bytes(&self, column: usize) -> Result<&[u8], StoreError> {
        match self.0 {
            Inner::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(bytes),
                _ => Err(unexpected(column, "bytes")),
            },
            Inner::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// A truth value; an integer other than 0 is true.
    pub fn bool(&self, column: usize) -> Result<bool, StoreError> {
        match self.0 {
            Inner::Postgres(row) if row.columns().get(column).is_some_and(|c| *c.type_() == Type::BOOL) => {
                Ok(row.try_get(column)?)
            }
            _ => self.int(column).map(|value| value != 0),
        }
    }
}

fn unexpected(column: usize, wanted: &str) -> StoreError {
    StoreError::Statement { reason: format!("column {column} of the answer is not {wanted}") }
}

/// The rows that a [`PointRead`](crate::PointRead) found.
pub struct Rows<'a>(AllRows<'a>);

enum AllRows<'a> {
    Sqlite(rusqlite::Rows<'a>),
    Postgres(&'a [tokio_postgres::Row]),
}

impl<'a> Rows<'a> {
    pub(crate) fn sqlite(rows: rusqlite::Rows<'a>) -> Self {
        Self(AllRows::Sqlite(rows))
    }

    pub(crate) fn postgres(rows: &'a [tokio_postgres::Row]) -> Self {
        Self(AllRows::Postgres(rows))
    }

    /// Hands each row over, in the statement's order.
    pub fn for_each(
        self,
        mut take: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self.0 {
            AllRows::Sqlite(mut rows) => {
                while let Some(row) = rows.next()? {
                    take(&Row::sqlite(row))?;
                }
            }
            AllRows::Postgres(rows) => rows.iter().try_for_each(|row| take(&Row::postgres(row)))?,
        }
        Ok(())
    }

    /// Every row, mapped.
    pub fn map<T>(
        self,
        mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut mapped = Vec::new();
        self.for_each(|row| map(row).map(|value| mapped.push(value)))?;
        Ok(mapped)
    }

    /// The first row, mapped, if there is one.
    pub fn first<T>(
        self,
        map: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match self.0 {
            AllRows::Sqlite(mut rows) => rows.next()?.map(|row| map(&Row::sqlite(row))).transpose(),
            AllRows::Postgres(rows) => rows.first().map(|row| map(&Row::postgres(row))).transpose(),
        }
    }
}
