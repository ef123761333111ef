//! An import from its first look to its end, and its rehearsal.

use crate::checksum::Checksum;
use crate::compare::{Differences, Stretch};
use crate::field::{Field, Looked};
use crate::rows::{Cell, Refusal, Row};
use crate::store::{BEGINNING, Cursors, Finish, IsUnderWay, Mend, ReadAfter, Stand, Standing, Take, Taken};
use crate::tables::{NODES, SERVICES, Table, USERS};
use crate::{Address, Counted, ImportError, Outcome, Progress, Report, Stage};
use store::{Store, StoreError};

/// Rows of a part: what is held at once, and what a transaction writes.
pub(crate) const PART: usize = 1_000;
/// So often both sides are compared; in the last time nothing may differ.
const COMPARISONS: usize = 2;
/// So many refused rows are told of a rehearsal.
const MOST_REFUSALS: usize = 100;
/// The service that the house serves.
const SERVICE: &str = "sync-1.5";

/// Copies the database at that address into the store, from where an earlier run left off, until both sides are the same;
/// `tell` hears how far it is.
///
/// When it fails, what it has copied stays, and the next run goes on from there.
pub async fn import(
    store: &Store,
    address: &Address,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, ImportError> {
    let mut run = match begun(store, address, tell).await? {
        Begun::Now(run) => run,
        Begun::Finished(report) => return Ok(report),
    };
    run.compare_until_same(address).await?;
    Ok(run.left().await)
}

/// The same, but it is not ended, even where both sides are the same: for a source that others still write to.
pub async fn copy_ahead(
    store: &Store,
    address: &Address,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, ImportError> {
    let mut run = match begun(store, address, tell).await? {
        Begun::Now(run) => run,
        Begun::Finished(report) => return Ok(report),
    };
    run.compare(&NODES).await?;
    run.compare(&USERS).await?;
    run.report.outcome = Outcome::Ahead;
    Ok(run.left().await)
}

enum Begun<'a> {
    /// What there was is copied.
    Now(Run<'a>),
    Finished(Report),
}

/// Begins or takes up, and copies what comes after the cursors.
async fn begun<'a>(
    store: &'a Store,
    address: &Address,
    tell: &'a mut (dyn FnMut(Progress) + Send),
) -> Result<Begun<'a>, ImportError> {
    let mut report = empty(Outcome::Imported, address);
    match store.run(Stand { begin: None }).await? {
        Standing::Finished(source, tables) => {
            let outcome = Outcome::ImportedBefore;
            return Ok(Begun::Finished(Report { outcome, source, tables, ..report }));
        }
        Standing::Occupied { users, nodes } => return Err(ImportError::NotEmpty { users, nodes }),
        Standing::UnderWay(_) => report.resumed = true,
        Standing::Empty => {}
    }
    let mut field = Field::connect(address).await?;
    let Looked { ignored } = field.look().await?;
    report.ignored_columns = ignored;
    // What cannot be served is not begun.
    services(&mut field, address).await?;
    let begin = Stand { begin: Some((address.to_string(), store.clock().now())) };
    let Standing::UnderWay(cursors) = store.run(begin).await? else { return Err(ImportError::Another) };
    let mut run = Run { store, field, tell, cursors, report };
    run.copy(&NODES).await?;
    run.copy(&USERS).await?;
    Ok(Begun::Now(run))
}

/// Reads all of the source and writes nothing: what there is, and what could not be held.
pub async fn rehearse(
    store: &Store,
    address: &Address,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Report, ImportError> {
    let mut report = empty(Outcome::Rehearsed, address);
    match store.run(Stand { begin: None }).await? {
        Standing::Finished(source, tables) => {
            return Ok(Report { outcome: Outcome::ImportedBefore, source, tables, ..report });
        }
        Standing::Occupied { users, nodes } => return Err(ImportError::NotEmpty { users, nodes }),
        Standing::UnderWay(_) => report.resumed = true,
        Standing::Empty => {}
    }
    let mut field = Field::connect(address).await?;
    let Looked { ignored } = field.look().await?;
    report.ignored_columns = ignored;
    for table in [&SERVICES, &NODES, &USERS] {
        let counted = read(&mut field, table, &mut report, tell).await?;
        report.tables.push(counted);
    }
    if report.refusals.iter().all(|it| it.table != SERVICES.name) {
        services(&mut field, address).await?;
    }
    field.leave().await;
    Ok(report)
}

/// Whether an import into this store was begun and has not ended. Until then nobody is to be served.
pub async fn is_under_way(store: &Store) -> Result<bool, StoreError> {
    store.run(IsUnderWay).await
}

fn empty(outcome: Outcome, address: &Address) -> Report {
    Report {
        outcome,
        source: address.to_string(),
        tables: Vec::new(),
        copied: 0,
        mended: 0,
        resumed: false,
        ignored_columns: Vec::new(),
        refusals: Vec::new(),
        refused: 0,
    }
}

/// Reads a table from end to end.
async fn read(
    field: &mut Field,
    table: &'static Table,
    report: &mut Report,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Counted, ImportError> {
    let total = field.count(table).await?;
    let (mut checksum, mut done, mut after) = (Checksum::new(), 0, BEGINNING);
    loop {
        let rows = field.after(table, after, PART).await?;
        let Some(last) = rows.last() else { break };
        after = key(last)?;
        done += rows.len() as u64;
        for row in rows {
            match row {
                Ok(row) => checksum.add(&row),
                Err(refusal) => {
                    report.refused += 1;
                    if report.refusals.len() < MOST_REFUSALS {
                        report.refusals.push(refusal);
                    }
                }
            }
        }
        tell(Progress { stage: Stage::Reading, table: table.name, done, total });
    }
    Ok(counted(table, checksum))
}

/// A row whose key cannot be read ends it: nobody knows what comes after it.
fn key(row: &Result<Row, Refusal>) -> Result<i64, ImportError> {
    match row {
        Ok(row) => Ok(row.key()),
        Err(refusal) => refusal.id.ok_or_else(|| ImportError::Rows(vec![refusal.clone()])),
    }
}

/// All of them, or which of them cannot be held.
fn held(rows: Vec<Result<Row, Refusal>>) -> Result<Vec<Row>, ImportError> {
    let (mut held, mut refused) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match row {
            Ok(row) => held.push(row),
            Err(refusal) => refused.push(refusal),
        }
    }
    if refused.is_empty() { Ok(held) } else { Err(ImportError::Rows(refused)) }
}

/// The services: a handful. Among them must be the one that the house serves.
async fn services(field: &mut Field, address: &Address) -> Result<Vec<Row>, ImportError> {
    let rows = held(field.after(&SERVICES, BEGINNING, PART).await?)?;
    let other = |what: String| ImportError::OtherSchema { at: address.to_string(), what };
    if rows.len() >= PART {
        return Err(other(format!("it has {PART} services or more")));
    }
    let is_ours = |row: &Row| row.0.get(1) == Some(&Cell::Text(SERVICE.to_owned()));
    if !rows.iter().any(is_ours) {
        return Err(other(format!(
            "its table `services` has no row `{SERVICE}`; add one with the number that `users.service` has"
        )));
    }
    Ok(rows)
}

fn counted(table: &Table, checksum: Checksum) -> Counted {
    Counted { table: table.name.to_owned(), rows: checksum.rows(), sha256: checksum.sum() }
}

/// An import at work.
struct Run<'a> {
    store: &'a Store,
    field: Field,
    tell: &'a mut (dyn FnMut(Progress) + Send),
    cursors: Cursors,
    report: Report,
}

impl Run<'_> {
    async fn left(self) -> Report {
        self.field.leave().await;
        self.report
    }

    /// Copies what comes after the cursor. The next part is read while one is written.
    async fn copy(&mut self, table: &'static Table) -> Result<(), ImportError> {
        let total = self.field.count(table).await?;
        let (mut after, mut done) = *self.cursor(table);
        let mut rows = held(self.field.after(table, after, PART).await?)?;
        while let Some(last) = rows.last().map(Row::key) {
            let number = rows.len() as u64;
            let take = Take { table, after, rows };
            let (taken, next) = tokio::join!(self.store.run(take), self.field.after(table, last, PART));
            judged(table, taken?)?;
            after = last;
            done += number;
            *self.cursor(table) = (after, done);
            self.report.copied += number;
            (self.tell)(Progress { stage: Stage::Copying, table: table.name, done, total });
            rows = held(next?)?;
        }
        Ok(())
    }

    /// Compares both sides and mends what differs, until a comparison finds nothing; then it is finished.
    async fn compare_until_same(&mut self, address: &Address) -> Result<(), ImportError> {
        let mut differed = 0;
        for _ in 0..COMPARISONS {
            let before = self.report.mended;
            let nodes = self.compare(&NODES).await?;
            let users = self.compare(&USERS).await?;
            differed = self.report.mended - before;
            if differed == 0 {
                return self.finish(address, nodes, users).await;
            }
        }
        Err(ImportError::Moving { at: address.to_string(), rows: differed })
    }

    /// Reads a table on both sides, stretch by stretch, and mends. What it counts holds if nothing differed.
    async fn compare(&mut self, table: &'static Table) -> Result<Counted, ImportError> {
        let total = self.field.count(table).await?;
        let (mut checksum, mut next) = (Checksum::new(), Some(BEGINNING));
        while let Some(key) = next {
            let ours = self.store.scan(ReadAfter { table, key, most: PART });
            let (ours, theirs) = tokio::join!(ours, self.field.after(table, key, PART));
            let stretch = Stretch::reached(held(theirs?)?, ours?, PART);
            for row in &stretch.ours {
                checksum.add(row);
            }
            self.mend(table, stretch.differences()).await?;
            next = stretch.until;
            (self.tell)(Progress {
                stage: Stage::Comparing,
                table: table.name,
                done: checksum.rows(),
                total,
            });
        }
        Ok(counted(table, checksum))
    }

    async fn mend(&mut self, table: &'static Table, found: Differences) -> Result<(), ImportError> {
        let number = found.count();
        if number == 0 {
            return Ok(());
        }
        let (cursor, rows) = *self.cursor(table);
        // What comes after the cursor was brought by no import, and is not ours to remove.
        if let Some(foreign) = found.gone.iter().find(|key| **key > cursor) {
            return Err(foreign_row(table, *foreign));
        }
        let reached = found.wanted.iter().map(Row::key).max().map_or(cursor, |key| key.max(cursor));
        let Differences { wanted, gone } = found;
        judged(table, self.store.run(Mend { table, cursor, wanted, gone }).await?)?;
        *self.cursor(table) = (reached, rows);
        self.report.mended += number;
        Ok(())
    }

    async fn finish(&mut self, address: &Address, nodes: Counted, users: Counted) -> Result<(), ImportError> {
        let services = services(&mut self.field, address).await?;
        let mut checksum = Checksum::new();
        for row in &services {
            checksum.add(row);
        }
        let mut numbers = Vec::new();
        for table in [&SERVICES, &NODES, &USERS] {
            numbers.push((table, self.field.last_number(table).await?));
        }
        let counted = vec![counted(&SERVICES, checksum), nodes, users];
        self.report.tables.clone_from(&counted);
        let now = self.store.clock().now();
        let finish = Finish { cursors: self.cursors, services, numbers, counted, now };
        if self.store.run(finish).await? { Ok(()) } else { Err(ImportError::Another) }
    }

    fn cursor(&mut self, table: &Table) -> &mut (i64, u64) {
        if table.name == NODES.name { &mut self.cursors.nodes } else { &mut self.cursors.users }
    }
}

fn judged(table: &'static Table, taken: Taken) -> Result<(), ImportError> {
    match taken {
        Taken::Here => Ok(()),
        Taken::Moved => Err(ImportError::Another),
        Taken::Foreign(id) => Err(foreign_row(table, id)),
    }
}

fn foreign_row(table: &'static Table, id: i64) -> ImportError {
    ImportError::Foreign { table: table.name, key: table.key(), id }
}
