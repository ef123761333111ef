//! Sessions to be kept: some of people who have logged in, by the API, and as many more as are asked for, copied from those,
//! whose time does not come while anything is measured.

use super::Ground;
use super::asked::Provider;
use super::settings;
use crate::serve::house::{House, IDP, Keeping, Staff};
use crate::serve::job::{Done, Job};
use crate::serve::provider::LoggedIn;
use anyhow::{Result, ensure};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::{Extension, Router};
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use keys::{Caller, Listener, NewCaller};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::{Operation, RowSet, StoreError, Tx};
use tower::ServiceExt;

/// How many are created at a time.
const SIDE_BY_SIDE: usize = 64;
/// How many are copied in one transaction.
const CHUNK: usize = 1_000;
/// A copy's time comes this much later than its original's, and up to an hour later still.
const LATER: Duration = Duration::from_hours(1);

/// What to fill a store with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Filling {
    /// Sessions of people who have logged in.
    #[arg(long)]
    live: u64,
    /// All sessions.
    #[arg(long)]
    sessions: u64,
    /// After so many seconds the first is due …
    #[arg(long, default_value_t = 1)]
    due_in: u64,
    /// … and after so many more the last.
    #[arg(long, default_value_t = 1)]
    due_over: u64,
}

store::statements! {
    // As many columns as the table has: a copy is whole, but for its name and its time.
    static COPY_GRANTS = both(
        "insert into grants (id, idp, subject, sid, born_at, state, reason, generation, rotations, access_token,
           refresh_token, scope, claims, original, issued_at, expires_at, next_attempt_at, fence, failures, unknowns, used_at,
           created_at, updated_at)
         select r.copy, g.idp, g.subject, g.sid, g.born_at, g.state, g.reason, g.generation, g.rotations, g.access_token,
           g.refresh_token, g.scope, g.claims, g.original, g.issued_at, g.expires_at + r.later, g.next_attempt_at + r.later,
           g.fence, g.failures, g.unknowns, g.used_at, g.created_at, g.updated_at
         from {rows $1: grant_id text, session_id text, copy text, later bigint} as r join grants g on g.id = r.grant_id");
    static COPY_SESSIONS = both(
        "insert into sessions (id, grant_id, idp, subject, sid, born_at, state, claims, data, version, created_at,
           updated_at, expires_at)
         select r.copy, r.copy, s.idp, s.subject, s.sid, s.born_at, s.state, s.claims, s.data, s.version, s.created_at,
           s.updated_at, s.expires_at
         from {rows $1: grant_id text, session_id text, copy text, later bigint} as r
         join sessions s on s.id = r.session_id");
}

/// Fills the store. The figure is of the sessions that were created.
pub(super) async fn fill(ground: Ground, filling: &Filling) -> Result<Done> {
    let provider = Provider::at(&ground.provider)?;
    let logins = provider.log_in(0, filling.live).await?;
    let upstream = Arc::new(provider.logins(1)?);
    let (store, key) = (&ground.store, &ground.key);
    let keeping = House::of_sessions(store, key, settings()?, upstream, Staff::Nobody).await?;
    let service = keeping.house.service.clone().layer(Extension(caller(&keeping).await?));
    let job = Job::begin()?;
    let created: Vec<Made> = stream::iter(logins.into_iter().zip(0..))
        .map(|(login, number)| create(&service, login, filling.due_in + number % filling.due_over))
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect()
        .await?;
    let done = job.end(u32::try_from(filling.live)?)?;
    copy(&keeping, &created, filling.sessions.saturating_sub(filling.live)).await?;
    Ok(done)
}

async fn caller(keeping: &Keeping) -> Result<Caller> {
    let new = NewCaller {
        name: "bench".into(),
        listener: Listener::Service,
        scopes: vec!["sessions:write".into()],
        life_seconds: None,
        certificate: None,
    };
    Ok(keeping.callers.create(new).await?.1)
}

/// A session that was created, and its grant.
struct Made {
    session: String,
    grant: String,
}

async fn create(service: &Router, login: LoggedIn, expires_in: u64) -> Result<Made> {
    let tokens = json!({ "access_token": login.access_token, "refresh_token": login.refresh_token, "expires_in": expires_in });
    let body = json!({
        "idp": IDP, "subject": login.subject, "sid": login.sid, "tokens": tokens,
        "claims": { "email": format!("{}@mail.example", login.subject) },
    });
    let request = Request::post("/sessions").header("content-type", "application/json");
    let response = service.clone().oneshot(request.body(Body::from(body.to_string()))?).await?;
    let status = response.status();
    let said = to_bytes(response.into_body(), usize::MAX).await?;
    ensure!(status == StatusCode::CREATED, "a login is refused: {}", String::from_utf8_lossy(&said));
    let view: Value = serde_json::from_slice(&said)?;
    let text = |at: &str| view.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Made { session: text("/id"), grant: text("/grant/id") })
}

async fn copy(keeping: &Keeping, originals: &[Made], count: u64) -> Result<()> {
    let hour = i64::try_from(LATER.as_millis())?;
    let mut rows = Vec::new();
    for (original, number) in originals.iter().cycle().zip(0..i64::try_from(count)?) {
        rows.push(Row {
            grant_id: original.grant.clone(),
            session_id: original.session.clone(),
            // The version and the variant that names here have; the rest is its number.
            copy: format!("01900000-0000-7000-8000-{number:012x}"),
            later: hour + number * 7_919 % hour,
        });
        if rows.len() == CHUNK {
            keeping.store.run(Copy(std::mem::take(&mut rows))).await?;
        }
    }
    Ok(keeping.store.run(Copy(rows)).await?)
}

#[derive(Serialize)]
struct Row {
    grant_id: String,
    session_id: String,
    copy: String,
    later: i64,
}

struct Copy(Vec<Row>);

impl Operation for Copy {
    const NAME: &'static str = "bench.copy_sessions";
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let rows = RowSet::of(&self.0);
        tx.execute(&COPY_GRANTS, &[(&rows).into()]).await?;
        tx.execute(&COPY_SESSIONS, &[(&rows).into()]).await.map(drop)
    }
}
