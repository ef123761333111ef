//! PostgreSQL: a few shared connections for pipelined point reads, an exclusive pool for transactions. No session
//! state, so it works behind a transaction pooler.

mod connect;
mod listen;
mod shared;

pub(crate) use listen::STATEMENTS;

use crate::signal::Signals;
use crate::{Clock, Operation, PointRead, Settings, StoreError, Tx};
use deadpool_postgres::{ClientWrapper, Object, Pool, PoolError};
use futures::FutureExt;
use shared::Shared;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

/// How often a lost race is run again before its caller is told.
const ATTEMPTS: u32 = 10;
/// How long a COMMIT may go unanswered before its outcome counts as unknown; and a ROLLBACK, before its connection is
/// given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const BEGIN_SCAN: &str = "begin isolation level repeatable read, read only";

pub(crate) struct Postgres {
    pool: Pool,
    shared: Shared,
    transaction_timeout: Duration,
    /// How a transaction begins.
    begin: String,
    listen: connect::Address,
}

/// How one attempt failed.
enum Failed {
    /// Before the COMMIT was sent: nothing was changed.
    Before(StoreError),
    /// The COMMIT was sent and never answered, and why.
    Unanswered(String),
}

impl Postgres {
    pub(crate) fn new(settings: &Settings) -> Result<Self, StoreError> {
        let address = connect::Address::parse(&settings.url)?;
        let listen =
            settings.listen_url.as_deref().map_or_else(|| Ok(address.clone()), connect::Address::parse)?;
        let wait = Duration::from_millis(settings.wait_timeout_ms);
        Ok(Self {
            pool: address.pool(settings.pool_size, wait)?,
            shared: Shared::new(
                address.pool(settings.read_connections.max(1), wait)?,
                Duration::from_millis(settings.read_timeout_ms),
                wait,
            ),
            transaction_timeout: Duration::from_millis(settings.transaction_timeout_ms),
            begin: begin(settings.transaction_timeout_ms),
            listen,
        })
    }

    pub(crate) async fn read<R: PointRead>(&self, read: &R) -> Result<R::Output, StoreError> {
        self.shared.read(read).await
    }

    /// Runs an operation until it commits, fails for good, or lost too often.
    pub(crate) async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, StoreError> {
        let outcome = self.run_as(&self.begin, operation).await;
        if let Err(StoreError::ReadOnly { .. }) = outcome {
            self.start_over();
        }
        outcome
    }

    /// Runs an operation that only reads, with one view of everything. One that writes is a defect.
    pub(crate) async fn scan<O: Operation>(&self, operation: &O) -> Result<O::Output, StoreError> {
        self.run_as(BEGIN_SCAN, operation).await.map_err(|error| match error {
            StoreError::ReadOnly { reason } => StoreError::Statement { reason },
            other => other,
        })
    }

    /// Lets every connection go. A server that can only be read has perhaps been replaced: the next connections find
    /// the one that can be written, and nobody reads from the old one what is no longer true.
    fn start_over(&self) {
        self.pool.retain(|_, _| false);
        self.shared.start_over();
    }

    async fn run_as<O: Operation>(&self, begin: &str, operation: &O) -> Result<O::Output, StoreError> {
        let mut unanswered = None;
        let mut attempt = 1;
        loop {
            let (error, again) = match self.attempt(begin, operation).await {
                Ok(output) => return Ok(output),
                Err(Failed::Before(error)) => {
                    let again = is_passing(&error);
                    (error, again)
                }
                Err(Failed::Unanswered(reason)) => {
                    unanswered = Some(reason.clone());
                    (StoreError::Unknown { reason }, O::RESOLVES_UNKNOWN)
                }
            };
            if !again || attempt == ATTEMPTS {
                return Err(told(error, attempt, unanswered));
            }
            if let StoreError::Stale { .. } = error {
                // On every connection: the next attempt may get another one that knows the old schema.
                self.pool.manager().statement_caches.clear();
            }
            metrics::counter!("store.retries", "operation" => O::NAME).increment(1);
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt<O: Operation>(&self, begin: &str, operation: &O) -> Result<O::Output, Failed> {
        let client = Borrowed::from_pool(&self.pool).await.map_err(Failed::Before)?;
        let work =
            tokio::time::timeout(self.transaction_timeout, run_uncommitted(begin, operation, client.get()));
        let output = match work.await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(Failed::Before(client.roll_back(error).await)),
            Err(_) => return Err(Failed::Before(too_slow::<O>(self.transaction_timeout))),
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, client.get().batch_execute("commit")).await {
            Ok(Ok(())) => {
                client.give_back();
                Ok(output)
            }
            // PostgreSQL answered, so it is known that the transaction was rolled back.
            Ok(Err(error)) if error.code().is_some_and(|code| !is_shutdown(code)) => {
                Err(Failed::Before(client.roll_back(error.into()).await))
            }
            Ok(Err(error)) => Err(Failed::Unanswered(StoreError::from(error).to_string())),
            Err(_) => Err(Failed::Unanswered(format!("no answer within {ANSWER_TIMEOUT:?}"))),
        }
    }

    /// Passes signals between processes and follows the server's clock, until `stop`.
    pub(crate) async fn background(&self, clock: &Clock, signals: &Signals, stop: CancellationToken) {
        let work = futures::future::join4(
            Box::pin(listen::pass_on(&self.pool, signals)),
            listen::receive(&self.listen, signals),
            listen::follow_clock(&self.shared, clock),
            listen::gauge_pool(&self.pool),
        );
        stop.run_until_cancelled(work).await;
    }

    #[cfg(feature = "testing")]
    pub(crate) async fn prepare(&self, sql: &crate::Sql) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        client.prepare(sql.for_engine(crate::Engine::Postgres)).await?;
        Ok(())
    }
}

/// A process that stands still in mid-transaction cannot keep its own deadline: the server ends its session, so that
/// nobody waits for its locks any longer than that.
fn begin(timeout_ms: u64) -> String {
    format!(
        "begin isolation level read committed; set local idle_in_transaction_session_timeout = {timeout_ms}"
    )
}

/// Everything up to, and not including, the COMMIT.
async fn run_uncommitted<O: Operation>(
    begin: &str,
    operation: &O,
    client: &ClientWrapper,
) -> Result<O::Output, StoreError> {
    client.batch_execute(begin).await?;
    let mut tx = Tx::postgres(client);
    let run = AssertUnwindSafe(operation.run(&mut tx)).catch_unwind().await;
    let output = run.unwrap_or_else(|panic| Err(StoreError::panicked(O::NAME, &*panic)))?;
    // PostgreSQL answers the COMMIT of a failed transaction with a silent rollback: that must not pass for success.
    tx.take_failure().map_or(Ok(output), Err)
}

/// A connection that goes back to the pool only when it is known to be in no transaction. Dropped anywhere else
/// (a failure, a caller that stopped waiting) it is closed, and the server rolls back.
struct Borrowed(Option<Object>);

impl Borrowed {
    async fn from_pool(pool: &Pool) -> Result<Self, StoreError> {
        let began = Instant::now();
        let client = pool.get().await;
        metrics::histogram!("storage.get_pool").record(began.elapsed());
        if let Err(PoolError::Timeout(_)) = client {
            metrics::counter!("storage.pool.timeout").increment(1);
        }
        Ok(Self(Some(client?)))
    }

    fn get(&self) -> &ClientWrapper {
        self.0.as_ref().expect("it is taken only by those who consume the borrow")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }

    /// Rolls back after a failure, which it hands on.
    async fn roll_back(self, error: StoreError) -> StoreError {
        let rolled_back = tokio::time::timeout(ANSWER_TIMEOUT, self.get().batch_execute("rollback")).await;
        if matches!(rolled_back, Ok(Ok(()))) {
            self.give_back();
        }
        error
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

fn too_slow<O: Operation>(limit: Duration) -> StoreError {
    StoreError::NotCommitted { reason: format!("{} took longer than {limit:?} and was given up", O::NAME) }
}

/// Whether another attempt may fare better, nothing having been changed by this one.
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. } | StoreError::Stale { .. } | StoreError::Lost { .. })
}

/// What the caller is told in the end. Once a COMMIT has gone unanswered, an outage would be half the truth: it says that
/// nothing was changed.
fn told(error: StoreError, attempts: u32, unanswered: Option<String>) -> StoreError {
    match (error, unanswered) {
        (error, Some(reason)) if error.is_outage() => StoreError::Unknown { reason },
        (StoreError::Conflict { reason, .. }, _) => StoreError::Conflict { attempts, reason },
        (error, _) => error,
    }
}

fn is_shutdown(code: &SqlState) -> bool {
    matches!(code.code(), "57P01" | "57P02" | "57P03" | "25P03") || code.code().starts_with("08")
}

/// A short wait that grows, spread out so that those who collided do not collide again.
fn pause(attempt: u32) -> Duration {
    let mut byte = [128];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    Duration::from_micros(500 << attempt.min(7)).mul_f64(0.5 + f64::from(byte[0]) / 255.0)
}
