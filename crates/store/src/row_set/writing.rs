//! Rows, as they serialise: a row's fields become its cells.

use super::{Cell, RowSet};
use serde::ser::{self, Impossible, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::{self, Display};

impl RowSet {
    /// These rows. A row that is none (its value is no struct or map, a column holds a list or a fraction) is a defect.
    ///
    /// # Panics
    /// On such a defect.
    pub fn of<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Self {
        let mut set = Self::default();
        for row in rows {
            row.serialize(Writer { set: &mut set, is_row: true })
                .expect("a row is a struct of numbers, texts, truth values and nulls");
            set.ends.push(set.cells.len());
        }
        set
    }

    /// The column of that name, if there is one yet. Rows are mostly written in one order: the next one is looked at first.
    fn column(&self, name: &str) -> Option<usize> {
        let next = self.cells.len() - self.ends.last().copied().unwrap_or_default();
        let is_next = self.columns.get(next).is_some_and(|it| it == name);
        if is_next { Some(next) } else { self.columns.iter().position(|it| it == name) }
    }

    fn add_column(&mut self, name: Cow<'static, str>) -> usize {
        self.columns.push(name);
        self.columns.len() - 1
    }

    fn cell<T: Serialize + ?Sized>(&mut self, column: usize, value: &T) -> Result<(), NoCell> {
        let cell = value.serialize(Writer { set: self, is_row: false })?;
        self.cells.push((column, cell));
        Ok(())
    }

    fn text(&mut self, text: &str) -> Cell {
        let from = self.texts.len();
        self.texts.push_str(text);
        Cell::Text { from, to: self.texts.len() }
    }
}

/// Why there is no cell.
#[derive(Debug)]
pub(super) struct NoCell(String);

impl Display for NoCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoCell {}

impl ser::Error for NoCell {
    fn custom<T: Display>(said: T) -> Self {
        Self(said.to_string())
    }
}

fn none<T>(of: &str) -> Result<T, NoCell> {
    Err(NoCell(format!("no column holds {of}")))
}

/// Writes a row, or one of its cells.
struct Writer<'a> {
    set: &'a mut RowSet,
    is_row: bool,
}

impl Writer<'_> {
    fn cell(self, cell: Cell) -> Result<Cell, NoCell> {
        if self.is_row { Err(NoCell("a row has columns".into())) } else { Ok(cell) }
    }
}

/// The fields of a row.
pub(super) struct Fields<'a> {
    set: &'a mut RowSet,
    /// The column of the value that comes next, where its name came first.
    next: usize,
}

macro_rules! integers {
    ($($name:ident: $type:ty),*) => { $(
        fn $name(self, value: $type) -> Result<Cell, NoCell> {
            self.cell(Cell::Int(value.into()))
        }
    )* };
}

impl<'a> Serializer for Writer<'a> {
    type Ok = Cell;
    type Error = NoCell;
    type SerializeSeq = Impossible<Cell, NoCell>;
    type SerializeTuple = Impossible<Cell, NoCell>;
    type SerializeTupleStruct = Impossible<Cell, NoCell>;
    type SerializeTupleVariant = Impossible<Cell, NoCell>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<Cell, NoCell>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32
    }

    fn serialize_u64(self, value: u64) -> Result<Cell, NoCell> {
        let Ok(value) = value.try_into() else { return none("a number so large") };
        self.cell(Cell::Int(value))
    }

    fn serialize_bool(self, value: bool) -> Result<Cell, NoCell> {
        self.cell(Cell::Int(i64::from(value)))
    }

    fn serialize_f32(self, _: f32) -> Result<Cell, NoCell> {
        none("a fraction")
    }

    fn serialize_f64(self, _: f64) -> Result<Cell, NoCell> {
        none("a fraction")
    }

    fn serialize_char(self, value: char) -> Result<Cell, NoCell> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Cell, NoCell> {
        let text = self.set.text(value);
        self.cell(text)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Cell, NoCell> {
        none("bytes")
    }

    fn serialize_none(self) -> Result<Cell, NoCell> {
        self.cell(Cell::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Cell, NoCell> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Cell, NoCell> {
        self.cell(Cell::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Cell, NoCell> {
        self.cell(Cell::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<Cell, NoCell> {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Cell, NoCell> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Cell, NoCell> {
        none("a variant with a value")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, NoCell> {
        none("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoCell> {
        none("a list")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NoCell> {
        none("a list")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoCell> {
        none("a list")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, NoCell> {
        if self.is_row { Ok(Fields { set: self.set, next: 0 }) } else { none("a row of its own") }
    }

    fn serialize_struct(self, _: &'static str, fields: usize) -> Result<Fields<'a>, NoCell> {
        self.serialize_map(Some(fields))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoCell> {
        none("a variant with a value")
    }
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = Cell;
    type Error = NoCell;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), NoCell> {
        let column = self.set.column(name).unwrap_or_else(|| self.set.add_column(Cow::Borrowed(name)));
        self.set.cell(column, value)
    }

    fn end(self) -> Result<Cell, NoCell> {
        Ok(Cell::Null)
    }
}

impl ser::SerializeMap for Fields<'_> {
    type Ok = Cell;
    type Error = NoCell;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), NoCell> {
        let Cell::Text { from, .. } = name.serialize(Writer { set: self.set, is_row: false })? else {
            return none("a name that is no text");
        };
        // It stands at the end of the texts, and goes from there.
        let known = self.set.column(&self.set.texts[from..]);
        self.next = known.unwrap_or_else(|| {
            let name = self.set.texts[from..].to_owned();
            self.set.add_column(Cow::Owned(name))
        });
        self.set.texts.truncate(from);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoCell> {
        self.set.cell(self.next, value)
    }

    fn end(self) -> Result<Cell, NoCell> {
        Ok(Cell::Null)
    }
}
