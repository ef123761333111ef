use super::connect::Address;
use super::shared::Shared;
use crate::signal::Signals;
use crate::{Clock, Engine, PointRead, Rows, Sql, StoreError, Value};
use account::Millis;
use deadpool_postgres::Pool;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_postgres::{AsyncMessage, Connection};

const CHANNEL: &str = "highwater";
/// The clock's offset from the server's is measured this often …
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);
/// … and worth a warning from here.
const CLOCK_WARNING_MS: i64 = 1_000;

/// The pool is looked at this often.
const GAUGE_INTERVAL: Duration = Duration::from_secs(10);

/// Passes signals on to other processes: one task, after the commits, many at once.
pub(super) async fn pass_on(pool: &Pool, signals: &Signals) {
    loop {
        let topics = signals.outgoing().await;
        let sent = async {
            let client = pool.get().await?;
            let notify = client.prepare_cached(NOTIFY.for_engine(Engine::Postgres)).await?;
            client.execute(&notify, &[&CHANNEL, &topics]).await.map_err(StoreError::from)
        };
        if let Err(error) = sent.await {
            if let StoreError::Stale { .. } = error {
                pool.manager().statement_caches.clear();
            }
            tracing::debug!(%error, "a signal was not passed on; other nodes find out by polling");
        }
    }
}

/// Hears other processes' signals, reconnecting for ever. After each (re)connection everybody looks once, because
/// something may have been missed.
pub(super) async fn receive(address: &Address, signals: &Signals) {
    loop {
        if let Err(error) = receive_until_lost(address, signals).await {
            tracing::debug!(%error, "not listening for signals; polling instead");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn receive_until_lost(address: &Address, signals: &Signals) -> Result<(), StoreError> {
    let (heard, mut hear) = unbounded_channel();
    let (client, connection) = address.listener(heard).await?;
    // Owns the client: when listening fails, the connection ends with it and another is made.
    let listen = async move {
        client.batch_execute(&format!("listen {CHANNEL}")).await?;
        signals.send_all_here();
        while let Some(passed_on) = hear.recv().await {
            signals.hear(&passed_on);
        }
        Ok::<(), StoreError>(())
    };
    let ((), outcome) = futures::future::join(connection, listen).await;
    outcome
}

/// Drives a connection and hands over the notifications it hears, until it is lost.
pub(super) async fn drive<S, T>(mut connection: Connection<S, T>, heard: UnboundedSender<String>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message
            && heard.send(notification.payload().to_owned()).is_err()
        {
            return;
        }
    }
}

/// Follows the server's clock, so that all nodes agree on the time.
pub(super) async fn follow_clock(shared: &Shared, clock: &Clock) {
    loop {
        let before = crate::clock::system_now();
        if let Ok(server) = shared.read(&ServerTime).await {
            let offset = clock.follow(before, server, crate::clock::system_now());
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!("store.clock_offset_seconds").set(offset as f64 / 1000.0);
            if offset.abs() > CLOCK_WARNING_MS {
                tracing::warn!(
                    offset_ms = offset,
                    "this machine's clock differs from the database's; going by the database's"
                );
            }
        }
        tokio::time::sleep(CLOCK_INTERVAL).await;
    }
}

/// Says every ten seconds how many of the pool's connections are at work and how many wait for some.
pub(super) async fn gauge_pool(pool: &Pool) {
    let (active, idle) = (
        metrics::gauge!("storage.pool.connections.active"),
        metrics::gauge!("storage.pool.connections.idle"),
    );
    loop {
        let status = pool.status();
        let count = |connections: usize| f64::from(u32::try_from(connections).unwrap_or(u32::MAX));
        idle.set(count(status.available));
        active.set(count(status.size.saturating_sub(status.available)));
        tokio::time::sleep(GAUGE_INTERVAL).await;
    }
}

struct ServerTime;

crate::statements! {
    static NOTIFY = per_engine { sqlite: "select $1, $2", postgres: "select pg_notify($1, $2)" };
    static SERVER_TIME = per_engine {
        sqlite: "select 0",
        postgres: "select (extract(epoch from clock_timestamp()) * 1000)::bigint",
    };
}

impl PointRead for ServerTime {
    const NAME: &'static str = "server_time";
    type Output = Millis;

    fn sql(&self) -> &'static Sql {
        &SERVER_TIME
    }

    fn params(&self) -> impl AsRef<[Value<'_>]> + Send {
        []
    }

    fn read(&self, rows: Rows<'_>) -> Result<Millis, StoreError> {
        rows.first(|row| row.int(0)).map(|now| Millis::new(now.unwrap_or_default()))
    }
}
