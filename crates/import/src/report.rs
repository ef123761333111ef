use crate::Refusal;
use serde::Serialize;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// With which table.
    pub table: &'static str,
    /// Rows done.
    pub done: u64,
    /// Rows that there were when it was counted.
    pub total: u64,
}

/// What is done with the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// They are only read.
    Reading,
    /// They are copied.
    Copying,
    /// Both sides are read and compared.
    Comparing,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is here, and was compared.
    Imported,
    /// It was copied and compared, and left open for what may change in the source.
    Ahead,
    /// It was imported before; nothing was done.
    ImportedBefore,
    /// Only the source was read.
    Rehearsed,
}

/// What an import came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What became of it.
    pub outcome: Outcome,
    /// Where from, without a password.
    pub source: String,
    /// Its tables; of a rehearsal, as they are in the source.
    pub tables: Vec<Counted>,
    /// Rows copied by this run.
    pub copied: u64,
    /// Rows that had changed in the source since they were copied, and were copied anew or removed.
    pub mended: u64,
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    /// Columns of the source that the field does not have; they are not copied.
    pub ignored_columns: Vec<String>,
    /// Of a rehearsal: rows that the house cannot hold, the first of them.
    pub refusals: Vec<Refusal>,
    /// Of a rehearsal: how many these are.
    pub refused: u64,
}

/// A table, counted and summed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Which.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 over all of them.
    pub sha256: String,
}
