//! The one writer: queued operations go into one transaction, a savepoint each; each caller is answered after the
//! commit, which is one fsync for them all.

use super::owner::Owner;
use super::views::{self, Views};
use super::{execute, run_caught};
use crate::{Operation, StoreError};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many operations may wait; admission beyond that is asynchronous.
const QUEUE: usize = 4096;
/// A group is closed at this size …
const LARGEST_GROUP: usize = 512;
/// … or after this long, so that the first caller does not wait for the last.
const LONGEST_GROUP: Duration = Duration::from_millis(8);

/// After this long without a job there is time for the log.
const QUIET: Duration = Duration::from_secs(1);

/// A full disk, an I/O error or an interrupt can make SQLite roll the whole transaction back by itself.
const DROPPED: &str = "SQLite rolled the group back";

pub(super) struct Writer {
    /// Closed first when dropped.
    queue: Option<mpsc::Sender<Box<dyn Queued>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Writer {
    /// Waits for the last commit and for the file to be let go. Not when it is the writer itself that drops the last
    /// handle (an abandoned operation held it): it ends by itself, its queue being closed.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take().filter(|it| it.thread().id() != std::thread::current().id())
        {
            drop(thread.join());
        }
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, owner: Owner, views: Arc<Views>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || {
                write_until_closed(connection, jobs, &views);
                drop(owner); // the file is let go when nobody writes to it any more
            })
            .map_err(StoreError::unavailable)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let (caller, answer) = oneshot::channel();
        let job = Job { operation, caller, outcome: None };
        let gone = || StoreError::unavailable("the writer is gone");
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Box::new(job)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// A queued operation, whatever its type.
trait Queued: Send {
    /// Runs it inside the open transaction; whether it succeeded.
    fn run(&mut self, connection: &mut Connection) -> bool;
    /// Tells its caller: its own outcome, unless the group's fate overrules it.
    fn answer(self: Box<Self>, fate: Result<(), StoreError>);
}

struct Job<O: Operation> {
    operation: O,
    caller: oneshot::Sender<Result<O::Output, StoreError>>,
    outcome: Option<Result<O::Output, StoreError>>,
}

impl<O: Operation> Queued for Job<O> {
    fn run(&mut self, connection: &mut Connection) -> bool {
        self.outcome.insert(run_caught(&self.operation, connection)).is_ok()
    }

    fn answer(self: Box<Self>, fate: Result<(), StoreError>) {
        let never_run = || Err(StoreError::NotCommitted { reason: "it was never run".into() });
        let own = self.outcome.unwrap_or_else(never_run);
        // A caller that stopped waiting is nobody to tell.
        drop(self.caller.send(match (own, fate) {
            (Err(own), _) => Err(own),
            (Ok(_), Err(fate)) => Err(fate),
            (own, Ok(())) => own,
        }));
    }
}

/// The writer thread. If it dies, nothing can be committed any more: the process ends, and its supervisor starts
/// it anew.
fn write_until_closed(mut connection: Connection, mut jobs: mpsc::Receiver<Box<dyn Queued>>, views: &Views) {
    let work = std::panic::AssertUnwindSafe(move || {
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let timer = timer.expect("a runtime with nothing but a timer needs nothing of the system");
        while let Some(first) = next_job(&connection, &mut jobs, views, &timer) {
            write_group(&mut connection, first, &mut jobs);
        }
        // Leaves a tidy file behind; what it cannot do now, the next start does.
        views.end();
        drop(connection.execute_batch("pragma optimize; pragma wal_checkpoint(truncate)"));
    });
    if std::panic::catch_unwind(work).is_err() {
        tracing::error!(
            "the SQLite writer died: ending the process, because nothing can be committed any more"
        );
        std::process::abort();
    }
}

/// Waits for the next one. A long log is taken back meanwhile, once there has been nothing to do for a while.
fn next_job(
    connection: &Connection,
    jobs: &mut mpsc::Receiver<Box<dyn Queued>>,
    views: &Views,
    timer: &tokio::runtime::Runtime,
) -> Option<Box<dyn Queued>> {
    if views.is_log_long() {
        let soon = timer.block_on(async { tokio::time::timeout(QUIET, jobs.recv()).await });
        if let Ok(job) = soon {
            return job;
        }
        views::take_log_back(views, connection);
    }
    jobs.blocking_recv()
}

fn write_group(
    connection: &mut Connection,
    first: Box<dyn Queued>,
    jobs: &mut mpsc::Receiver<Box<dyn Queued>>,
) {
    let began = Instant::now();
    if let Err(error) = execute(connection, "begin immediate") {
        return first.answer(Err(not_begun(&error)));
    }
    let (mut group, mut is_begun) = (Vec::new(), false);
    let mut next = Some(first);
    while let Some(mut job) = next {
        let kept =
            if is_begun { run_in_savepoint(connection, &mut *job) } else { run_first(connection, &mut *job) };
        group.push(job);
        match kept {
            Ok(kept) => is_begun |= kept,
            Err(reason) => return rerun_one_by_one(connection, group, &reason),
        }
        let room = group.len() < LARGEST_GROUP && began.elapsed() < LONGEST_GROUP;
        next = if room { jobs.try_recv().ok() } else { None };
    }
    metrics::histogram!("store.group_size").record(u32::try_from(group.len()).unwrap_or(u32::MAX));
    match execute(connection, "commit") {
        Ok(()) => group.into_iter().for_each(|job| job.answer(Ok(()))),
        Err(error) => {
            roll_back(connection);
            rerun_one_by_one(connection, group, &error.to_string());
        }
    }
}

/// Runs a member before which nothing is kept; whether it is. It needs no savepoint: what there is to undo is all there
/// is. (Under a savepoint each page is copied before it is changed.)
fn run_first(connection: &mut Connection, job: &mut dyn Queued) -> Result<bool, String> {
    if job.run(connection) {
        return Ok(true);
    }
    if connection.is_autocommit() {
        return Err(DROPPED.into());
    }
    roll_back(connection);
    execute(connection, "begin immediate").map(|()| false).map_err(|error| error.to_string())
}

/// Runs one member; whether it is kept. A failed one is undone alone; `Err` says that SQLite has dropped the whole group
/// with it.
fn run_in_savepoint(connection: &mut Connection, job: &mut dyn Queued) -> Result<bool, String> {
    execute(connection, "savepoint member").map_err(|error| error.to_string())?;
    let kept = job.run(connection);
    let step = if kept {
        execute(connection, "release member")
    } else if connection.is_autocommit() {
        return Err(DROPPED.into());
    } else {
        execute(connection, "rollback to member").and_then(|()| execute(connection, "release member"))
    };
    step.map(|()| kept).map_err(|error| {
        roll_back(connection);
        error.to_string()
    })
}

/// After a dropped group: every member was not committed; each is run again in a transaction of its own, so that
/// only those fail that cannot succeed.
fn rerun_one_by_one(connection: &mut Connection, group: Vec<Box<dyn Queued>>, reason: &str) {
    tracing::warn!(
        reason,
        members = group.len(),
        "a group was dropped before its commit: running its members one by one"
    );
    metrics::counter!("store.groups_dropped").increment(1);
    for mut job in group {
        let fate = run_alone(connection, &mut *job);
        job.answer(fate);
    }
}

fn run_alone(connection: &mut Connection, job: &mut dyn Queued) -> Result<(), StoreError> {
    execute(connection, "begin immediate").map_err(|error| not_begun(&error))?;
    if !job.run(connection) {
        roll_back(connection);
        return Ok(()); // its own outcome says why
    }
    execute(connection, "commit").map_err(|error| {
        roll_back(connection);
        StoreError::NotCommitted { reason: error.to_string() }
    })
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("rollback")
    {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}

fn not_begun(error: &rusqlite::Error) -> StoreError {
    StoreError::unavailable(format!("no transaction could be begun: {error}"))
}
