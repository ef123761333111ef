use crate::rows::{Cell, Row};
use aws_lc_rs::digest::{Context, SHA256};

/// Counts rows and sums them up: SHA-256 over each value in the order of keys and columns, `00` for null, `01` and eight
/// bytes for a number, `02`, four bytes of length and UTF-8 for a text, numbers with their highest byte first.
#[derive(Clone)]
pub(crate) struct Checksum {
    rows: u64,
    context: Context,
}

impl Checksum {
    pub(crate) fn new() -> Self {
        Self { rows: 0, context: Context::new(&SHA256) }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        for cell in &row.0 {
            match cell {
                Cell::Null => self.context.update(&[0]),
                Cell::Int(number) => {
                    self.context.update(&[1]);
                    self.context.update(&number.to_be_bytes());
                }
                Cell::Text(text) => {
                    let length = u32::try_from(text.len()).expect("a text of a row is short");
                    self.context.update(&[2]);
                    self.context.update(&length.to_be_bytes());
                    self.context.update(text.as_bytes());
                }
            }
        }
    }

    /// How many rows there were.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The sum, in hex.
    pub(crate) fn sum(self) -> String {
        hex::encode(self.context.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[Vec<Cell>]) -> String {
        let mut checksum = Checksum::new();
        for row in rows {
            checksum.add(&Row(row.clone()));
        }
        checksum.sum()
    }

    #[test]
    fn every_value_and_its_place_counts() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let sums = [
            sum(&[]),
            sum(&[vec![Cell::Int(1), text("ab"), text("c")]]),
            sum(&[vec![Cell::Int(1), text("a"), text("bc")]]),
            sum(&[vec![Cell::Int(1), text("c"), text("ab")]]),
            sum(&[vec![Cell::Int(1), text("ab"), Cell::Null]]),
            sum(&[vec![Cell::Int(1), text("ab"), text("")]]),
            sum(&[vec![Cell::Int(2), text("ab"), text("c")]]),
        ];
        let different: std::collections::BTreeSet<_> = sums.iter().collect();
        assert_eq!(different.len(), sums.len());
    }

    #[test]
    fn the_sum_is_the_one_that_is_written_down() {
        // printf '\x01\0\0\0\0\0\0\0\x01\x02\0\0\0\x02ab\0' | sha256sum
        let row = vec![Cell::Int(1), Cell::Text("ab".to_owned()), Cell::Null];
        assert_eq!(sum(&[row]), "8471654fb63d1a78b1fbf67803a164754444213164c8941fd53ba402e8b16124");
    }
}
