//! The identity provider of upstream sessions: the stand-in, a process of its own on the load's core. It rotates strictly,
//! counts how often each refresh token is presented, and gives no ID tokens: signing them is not what is measured.

use super::{listener, ready, until_told_to_end};
use anyhow::{Context, Result};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use standins::{Endpoint, LoginClient, Odd, StandInIdp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Clock;
use testkit::data;

/// The client that everybody logs in to, and its secret.
pub(super) const CLIENT: &str = "web";
pub(super) const SECRET: &str = "the bench's client secret";

/// Where it is, and where it is asked what it has seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) issuer: String,
    pub(super) control: SocketAddr,
}

/// Somebody who has logged in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LoggedIn {
    pub(super) subject: String,
    pub(super) sid: String,
    pub(super) access_token: String,
    pub(super) refresh_token: String,
}

/// What it has seen so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    /// How often its token endpoint was asked.
    pub(super) requests: u64,
    /// How often any one refresh token was presented at most.
    pub(super) most_presented: u64,
    /// How often one that was replaced came back.
    pub(super) reuses: u64,
}

/// Serves it until standard input ends.
pub(super) async fn serve() -> Result<()> {
    let clock = Clock::system();
    let idp = Arc::new(StandInIdp::start(Arc::new(move || clock.now())).await?);
    idp.logins().register(LoginClient::new(CLIENT, SECRET));
    idp.logins().answer_oddly([Odd::NoIdToken]);
    let (control, at) = listener().await?;
    let place = Place { issuer: idp.url(), control: at };
    let router = Router::new()
        .route("/logins/{first}/{count}", post(log_in))
        .route("/answers/{life_seconds}/{delay_ms}", post(answer))
        .route("/seen", get(seen))
        .with_state(idp);
    ready(&serde_json::to_string(&place)?)?;
    tokio::select! {
        done = axum::serve(control, router).into_future() => Ok(done?),
        told = until_told_to_end() => told,
    }
}

async fn log_in(
    State(idp): State<Arc<StandInIdp>>,
    Path((first, count)): Path<(u64, u64)>,
) -> Json<Vec<LoggedIn>> {
    let one = |number| {
        let subject = data::uid(number);
        idp.sign_up(&subject);
        let tokens = idp.logins().log_in(CLIENT, &subject).context("it was signed up").ok()?;
        let (access_token, refresh_token) = (tokens.access_token, tokens.refresh_token);
        Some(LoggedIn { subject, sid: tokens.sid, access_token, refresh_token })
    };
    Json((first..first + count).filter_map(one).collect())
}

/// From now on access tokens last so long, and its answers take so long.
async fn answer(State(idp): State<Arc<StandInIdp>>, Path((life_seconds, delay_ms)): Path<(u64, u64)>) {
    idp.logins().access_tokens_last(Duration::from_secs(life_seconds));
    idp.logins().take(Endpoint::Token, Duration::from_millis(delay_ms));
}

async fn seen(State(idp): State<Arc<StandInIdp>>) -> Json<Seen> {
    let logins = idp.logins();
    Json(Seen {
        requests: logins.requests(Endpoint::Token),
        most_presented: logins.most_presented(),
        reuses: logins.reuses_detected(),
    })
}
