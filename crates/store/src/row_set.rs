//! The rows of a statement's set.
//!
//! They are kept as what they are, column by column: SQLite is bound each row as it stands, PostgreSQL gets the JSON that it
//! takes apart again (RFC 8259).

mod writing;

use crate::Value;
use std::borrow::Cow;
use std::io::{self, Write};

/// The rows of a `{rows $1: …}` or an `{each $1: …}`: each a struct or a map whose fields are the columns, which are
/// numbers, texts, truth values or null. What a row does not have is null; what no column is called is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSet {
    columns: Vec<Cow<'static, str>>,
    /// The cells of all rows, one row after the other, each with its column.
    cells: Vec<(usize, Cell)>,
    /// Where each row ends among them.
    ends: Vec<usize>,
    /// All texts, one after the other.
    texts: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Null,
    Int(i64),
    /// Where it is among the texts.
    Text {
        from: usize,
        to: usize,
    },
}

impl RowSet {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Hands each row over, in their order, its values in the order of these columns.
    pub(crate) fn for_each<'a, E>(
        &'a self,
        columns: &[&str],
        mut take: impl FnMut(&[Value<'a>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let wanted: Vec<Option<usize>> =
            self.columns.iter().map(|name| columns.iter().position(|wanted| wanted == name)).collect();
        let mut row = vec![Value::Null; columns.len()];
        for cells in self.rows() {
            row.fill(Value::Null);
            for (column, cell) in cells {
                if let Some(at) = wanted[*column] {
                    row[at] = self.value(*cell);
                }
            }
            take(&row)?;
        }
        Ok(())
    }

    /// Writes the rows as a JSON array of objects.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|name| serde_json::to_string(name).map(|name| name + ":"))
            .collect::<Result<_, _>>()?;
        out.write_all(b"[")?;
        for (number, cells) in self.rows().enumerate() {
            out.write_all(if number == 0 { b"{" } else { b",{" })?;
            for (at, (column, cell)) in cells.iter().enumerate() {
                out.write_all(if at == 0 { b"" } else { b"," })?;
                out.write_all(names[*column].as_bytes())?;
                match *cell {
                    Cell::Null => out.write_all(b"null")?,
                    Cell::Int(value) => write!(out, "{value}")?,
                    Cell::Text { from, to } => serde_json::to_writer(&mut *out, &self.texts[from..to])?,
                }
            }
            out.write_all(b"}")?;
        }
        out.write_all(b"]")
    }

    fn rows(&self) -> impl Iterator<Item = &[(usize, Cell)]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(from, to)| &self.cells[from..*to])
    }

    fn value(&self, cell: Cell) -> Value<'_> {
        match cell {
            Cell::Null => Value::Null,
            Cell::Int(value) => Value::Int(value),
            Cell::Text { from, to } => Value::Text(&self.texts[from..to]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde_json::json;

    fn json_of(set: &RowSet) -> serde_json::Value {
        let mut written = Vec::new();
        set.write_json(&mut written).expect("memory takes it");
        serde_json::from_slice(&written).expect("JSON")
    }

    fn rows_of<'a>(set: &'a RowSet, columns: &[&str]) -> Vec<Vec<Value<'a>>> {
        let mut rows = Vec::new();
        let taken = set.for_each(columns, |row| {
            rows.push(row.to_vec());
            Ok::<_, ()>(())
        });
        taken.expect("nothing refuses");
        rows
    }

    #[test]
    fn rows_are_found_by_their_columns_names_whatever_their_order() {
        use Value::{Int, Null, Text};
        let set = RowSet::of([
            json!({ "a": 1, "b": "x", "c": null }),
            json!({ "c": "\n", "other": 2, "a": -3 }),
            json!({ "b": true }),
        ]);
        assert_eq!(
            rows_of(&set, &["a", "b", "c"]),
            [[Int(1), Text("x"), Null], [Int(-3), Null, Text("\n")], [Null, Int(1), Null]]
        );
        assert_eq!(rows_of(&RowSet::of([(); 0]), &["a"]), [[Null; 1]; 0]);
    }

    #[test]
    fn json_says_the_same() {
        #[derive(Serialize)]
        struct Row<'a> {
            n: i64,
            text: &'a str,
            maybe: Option<u16>,
            #[serde(flatten)]
            more: More,
        }
        #[derive(Serialize)]
        struct More {
            name: Name,
        }
        #[derive(Serialize)]
        struct Name(String);

        let row = |n, text, maybe| Row { n, text, maybe, more: More { name: Name("ä".into()) } };
        let rows = [row(i64::MIN, "\"\\\u{1}", None), row(0, "", Some(7))];
        assert_eq!(json_of(&RowSet::of(&rows)), json!(rows));
        assert_eq!(json_of(&RowSet::default()), json!([]));
    }

    #[test]
    fn what_no_column_holds_is_refused() {
        for odd in [
            json!(1),
            json!([]),
            json!({ "a": 1.5 }),
            json!({ "a": [] }),
            json!({ "a": {} }),
            json!({ "a": u64::MAX }),
        ] {
            let made = std::panic::catch_unwind(|| RowSet::of([&odd]));
            assert!(made.is_err(), "{odd}");
        }
    }
}
