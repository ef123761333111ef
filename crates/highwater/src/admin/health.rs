//! Health that checks what it claims: each line of the report is the outcome of asking, bounded in time.
//!
//! * `/health/live`: this process answers.
//! * `/health/ready`: it can do its work now: the store answers and its tables are there. 503 otherwise.
//! * `/health`: everything that was looked at. `degraded` is 200: the node works, and somebody should look.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bearer::Bearer;
use broker::Broker;
use ingest::SourceState;
use ledger::Ledger;
use serde::Serialize;
use sessions::Sessions;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::Store;

/// How long a question may take before its answer is "no".
const PATIENCE: Duration = Duration::from_secs(2);
/// An effect that is due for longer than this is late.
const LATE: Duration = Duration::from_mins(1);
/// A heartbeat of the feed older than this says that the feed stands still.
const STALE: Duration = Duration::from_secs(30);

/// Dead letters that came in for so long are shown, and no more than so many are counted for it.
const RECENT: Duration = Duration::from_hours(24);
const MOST_LETTERS: u32 = 1_000;

/// Who knows how everything is.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) bearer: Option<Bearer>,
    pub(crate) broker: Option<Broker>,
    pub(crate) sessions: Option<Sessions>,
    /// Whether the tables are there; set once they are.
    pub(crate) migrated: Arc<AtomicBool>,
    /// The sources of events that run here, by name.
    pub(crate) sources: Arc<BTreeMap<String, ingest::Health>>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// The node works; somebody should look.
    Degraded,
    /// The node cannot do its work.
    Down,
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) status: Status,
    pub(crate) version: &'static str,
    pub(crate) checks: BTreeMap<String, Finding>,
}

impl Finding {
    pub(crate) fn ok(detail: impl Into<String>) -> Self {
        Self { status: Status::Ok, detail: detail.into() }
    }

    pub(crate) fn degraded(detail: impl Into<String>) -> Self {
        Self { status: Status::Degraded, detail: detail.into() }
    }

    pub(crate) fn down(detail: impl Into<String>) -> Self {
        Self { status: Status::Down, detail: detail.into() }
    }
}

/// The routes; they answer everybody.
pub(crate) fn routes(health: Health) -> Router {
    Router::new()
        .route("/health", get(whole))
        .route("/health/ready", get(ready))
        .route("/health/live", get(async || Json(Finding::ok(""))))
        .with_state(health)
}

async fn whole(State(health): State<Health>) -> Response {
    let report = Box::pin(health.report()).await;
    rendered(report.status, &report)
}

async fn ready(State(health): State<Health>) -> Response {
    let found = health.look_at_store().await;
    rendered(found.status, &found)
}

fn rendered(status: Status, body: &impl Serialize) -> Response {
    let code = if status == Status::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut answer = (code, Json(body)).into_response();
    if status == Status::Down {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    answer
}

impl Health {
    /// Looks at everything, all at once.
    pub(crate) async fn report(&self) -> Report {
        let (store, effects, feed, letters, broker, sessions) = tokio::join!(
            self.look_at_store(),
            self.look_at_effects(),
            self.look_at_feed(),
            self.look_at_letters(),
            self.look_at_broker(),
            self.look_at_sessions()
        );
        let own = [("store", store), ("effects", effects), ("feed", feed), ("dead_letters", letters)];
        let own = own.into_iter().map(|(name, found)| (name.to_owned(), found));
        let sources =
            self.sources.iter().map(|(name, health)| (format!("source.{name}"), source(&health.state())));
        let checks: BTreeMap<String, Finding> =
            own.chain(sources).chain(broker).chain(sessions).chain(self.look_at_bearer()).collect();
        let status = checks.values().map(|found| found.status).max().unwrap_or(Status::Ok);
        Report { status, version: env!("CARGO_PKG_VERSION"), checks }
    }

    async fn look_at_store(&self) -> Finding {
        match patiently(self.store.ping()).await {
            Ok(()) if self.migrated.load(Ordering::Relaxed) => Finding::ok(""),
            Ok(()) => Finding::down("its tables are not up to date yet, or an import is under way"),
            Err(why) => Finding::down(why),
        }
    }

    async fn look_at_effects(&self) -> Finding {
        let now = self.store.clock().now();
        match patiently(self.ledger.pending_effects()).await {
            Err(why) => Finding::degraded(why),
            Ok(pending) => {
                let late =
                    pending.iter().find(|it| now.since(it.first_due_at) > LATE || it.most_attempts > 3);
                let count: i64 = pending.iter().map(|it| it.count).sum();
                match late {
                    Some(late) => Finding::degraded(format!(
                        "{} of {} are late, tried up to {} times",
                        late.count, late.capability, late.most_attempts
                    )),
                    None => Finding::ok(format!("{count} pending")),
                }
            }
        }
    }

    async fn look_at_feed(&self) -> Finding {
        let feed = self.ledger.feed();
        let page = async { feed.after(&feed.head().await?).await };
        match patiently(page).await {
            Err(why) => Finding::degraded(why),
            Ok(page) => {
                let age = self.store.clock().now().since(page.heartbeat_at);
                let said = format!("last proof {:.1} s ago", age.as_secs_f64());
                if age > STALE { Finding::degraded(said) } else { Finding::ok(said) }
            }
        }
    }

    /// What the broker found, each by its name.
    async fn look_at_broker(&self) -> Vec<(String, Finding)> {
        let Some(broker) = &self.broker else { return vec![] };
        let looked = async { Ok::<_, Infallible>(broker.findings().await) };
        let found = match patiently(looked).await {
            Ok(found) => found,
            Err(why) => return vec![("broker".to_owned(), Finding::degraded(why))],
        };
        let named = found.into_iter().map(|broker::Finding { name, is_degraded, detail }| {
            let finding = if is_degraded { Finding::degraded(detail) } else { Finding::ok(detail) };
            (format!("broker.{name}"), finding)
        });
        named.collect()
    }

    /// What was found of upstream sessions, each by its name.
    async fn look_at_sessions(&self) -> Vec<(String, Finding)> {
        let Some(sessions) = &self.sessions else { return vec![] };
        let looked = async { Ok::<_, Infallible>(sessions.findings().await) };
        let found = match patiently(looked).await {
            Ok(found) => found,
            Err(why) => return vec![("sessions".to_owned(), Finding::degraded(why))],
        };
        let named = found.into_iter().map(|sessions::Finding { name, is_degraded, detail }| {
            let finding = if is_degraded { Finding::degraded(detail) } else { Finding::ok(detail) };
            (format!("sessions.{name}"), finding)
        });
        named.collect()
    }

    /// What the token check found: it looks at nothing but itself.
    fn look_at_bearer(&self) -> Vec<(String, Finding)> {
        let found = self.bearer.iter().flat_map(Bearer::findings);
        let named = found.map(|bearer::Finding { name, is_degraded, detail }| {
            let finding = if is_degraded { Finding::degraded(detail) } else { Finding::ok(detail) };
            (format!("bearer.{name}"), finding)
        });
        named.collect()
    }

    async fn look_at_letters(&self) -> Finding {
        let since = self.store.clock().now().minus(RECENT);
        match patiently(self.ledger.recent_dead_letters(since, MOST_LETTERS)).await {
            Err(why) => Finding::degraded(why),
            Ok(0) => Finding::ok("none in the last day"),
            Ok(count) => {
                let or_more = if count >= i64::from(MOST_LETTERS) { " or more" } else { "" };
                Finding::ok(format!("{count}{or_more} in the last day; see `highwater events dead list`"))
            }
        }
    }
}

/// A source that backs off loses nothing; it is late.
fn source(state: &SourceState) -> Finding {
    match state {
        SourceState::Starting | SourceState::Running => Finding::ok(state.to_string()),
        SourceState::BackingOff { .. } | SourceState::Stopped => Finding::degraded(state.to_string()),
    }
}

async fn patiently<T, E: Display>(asked: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
