//! `serve`: everything that runs, from the first socket to the last drained request.
//!
//! It starts even when the store does not answer: health says so, requests get 503, and it recovers by itself. It stops
//! in two steps: the first signal lets what was begun finish, the second one ends at once. SIGHUP has the configuration read
//! anew.

mod doors;
mod reload;
mod signals;

pub(crate) use reload::{Hot, Origin};
pub(crate) use signals::Signals;

use reload::Hangups;

use crate::admin::health::Health;
use crate::house::{House, Schema, Serving};
use crate::roles::Roles;
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use anyhow::Result;
use doors::Doors;
use ledger::Worker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::StoreError;
use tokio::sync::watch;
use work::{Lifecycle, Pace, Tick, work_through};

/// Between two tries to bring the tables up to date, while the store is down.
const MIGRATION_PACE: Pace = Pace::every(Duration::from_secs(1));

/// Runs until a signal or the death of a task.
pub(crate) async fn serve(settings: &Settings, origin: Origin, roles: &Roles) -> Result<()> {
    let (signals, hangups) = (Signals::listen()?, Hangups::listen()?);
    let telemetry = Telemetry::install(&settings.metrics.statsd)?;
    let running = Running::start(settings, roles, telemetry).await?;
    for (listener, place) in &running.places {
        tracing::info!(listener, place, "listening");
    }
    running.life.spawn("reload", hangups.serve(origin, running.hot.clone(), running.life.stopping()));
    tracing::info!(store = ?running.engine, "serving");
    signals.until_ended(&running.life, running.grace).await?;
    tracing::info!("stopped");
    Ok(())
}

/// A node that runs.
pub(crate) struct Running {
    pub(crate) life: Lifecycle,
    /// The listeners by name, and where each of them is.
    pub(crate) places: Vec<(&'static str, String)>,
    /// Which engine it stands on.
    pub(crate) engine: store::Engine,
    /// How long a soft stop may take.
    pub(crate) grace: Duration,
    /// What can change meanwhile.
    pub(crate) hot: Hot,
}

impl Running {
    /// Binds the sockets, starts what runs, and returns; it goes on until `life` is stopped.
    pub(crate) async fn start(settings: &Settings, roles: &Roles, telemetry: Telemetry) -> Result<Self> {
        let life = Lifecycle::new();
        let mut house = House::open(settings, Some(Serving { life: &life, roles }))?;
        let schema = house.schema();
        schema.refuse_a_later_file().await?;
        let migrated = Arc::new(AtomicBool::new(migrate(&schema).await));
        let workers = workers(&mut house, roles);
        let health = Health {
            store: house.store.clone(),
            ledger: house.ledger.clone(),
            bearer: house.bearer.clone(),
            broker: house.broker.clone(),
            sessions: house.sessions.clone(),
            migrated: migrated.clone(),
            sources: Arc::new(house.sources.clone()),
        };
        let listeners = Doors { settings, roles, health, prometheus: telemetry.prometheus.clone() }
            .open(&mut house)
            .await?;
        let places = listeners.iter().map(|it| (it.name, it.socket.place())).collect();
        for listener in listeners {
            if let Some(tls) = &listener.tls {
                life.spawn("service_tls", Arc::clone(tls).keep_fresh(life.stopping()));
            }
            life.spawn(listener.name, listener.run(life.clone()));
        }
        life.spawn("metrics", telemetry.run(life.stopping()));
        let (engine, hot) = (house.store.engine(), Hot::of(&house));
        life.spawn("store", house.store.clone().background(life.stopping()));
        life.spawn_short(start_workers(schema, workers, migrated, life.clone()));
        let grace = Duration::from_secs(settings.listen.limits.drain_seconds);
        Ok(Self { life, places, engine, grace, hot })
    }
}

fn workers(house: &mut House, roles: &Roles) -> Vec<Worker> {
    let all = house.capabilities.iter_mut().flat_map(|it| std::mem::take(&mut it.workers));
    all.filter(|worker| roles.include(worker.role)).collect()
}

/// Workers begin when the tables are there.
async fn start_workers(schema: Schema, workers: Vec<Worker>, migrated: Arc<AtomicBool>, life: Lifecycle) {
    let arrived = life.stopping().child_token();
    let never = watch::channel(0).1;
    if !migrated.load(Ordering::Relaxed) {
        work_through(arrived.clone(), never, MIGRATION_PACE, async || {
            if !migrate(&schema).await {
                return Tick::Failed;
            }
            migrated.store(true, Ordering::Relaxed);
            arrived.cancel();
            Tick::Idle
        })
        .await;
    }
    if !life.stopping().is_cancelled() {
        for worker in workers {
            life.spawn(worker.name, (worker.run)(life.stopping()));
        }
    }
}

/// Whether the tables are up to date now, and no import fills them.
async fn migrate(schema: &Schema) -> bool {
    let tried = async {
        let report = schema.migrate().await?;
        Ok((report, schema.waits_for_an_import().await?))
    };
    match tried.await {
        Ok((report, waits)) => {
            if !report.applied.is_empty() {
                tracing::info!(steps = ?report.applied, "the tables were brought up to date");
            }
            if waits {
                tracing::warn!("an import is under way; nobody is served until `highwater import` has ended");
            }
            !waits
        }
        Err(error) => {
            report_trouble(&error);
            false
        }
    }
}

fn report_trouble(error: &StoreError) {
    if error.is_outage() {
        tracing::warn!(%error, "the store does not answer; serving without it until it does");
    } else {
        tracing::error!(%error, "the tables could not be brought up to date");
    }
}
