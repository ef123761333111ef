//! Hot operations, done a number of times: what instructions are counted over.

use super::house::{ACCOUNT_DOMAIN, House, checking_idps};
use super::ingest::remit;
use super::verify as checks;
use crate::signed::Signed;
use account::Millis;
use anyhow::{Context, Result, anyhow, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use clap::ValueEnum;
use futures::FutureExt;
use ingest::decode::decode;
use jose::{Compact, JwkSet};
use standins::{AccessClaims, Now, StandInIdp};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use store::Clock;
use testkit::data;
use tower::ServiceExt;
use verify::{Gate, Options, Policy, Verifier};

const AT: i64 = 1_700_000_000_000;
/// Tries until the first node is there.
const TRIES: usize = 1_000;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// A token exchange of an existing user on SQLite, facts remembered: from the router to the answer's last byte.
    Exchange,
    /// A request whose token is remembered, let through by the gate.
    Check,
    /// The signature of an RS256 access token.
    VerifyRs256,
    /// A queue message, decoded.
    DecodeEvent,
}

impl Operation {
    pub(super) async fn repeat(self, times: usize) -> Result<()> {
        match self {
            Self::Exchange => Box::pin(exchange(times)).await,
            Self::Check => check(times),
            Self::VerifyRs256 => verify(times).await,
            Self::DecodeEvent => decode_events(times),
        }
    }
}

/// The one function whose instructions are counted: the counter knows it by its name.
#[inline(never)]
fn measured(times: usize, mut operation: impl FnMut() -> Result<()>) -> Result<()> {
    (0..times).try_for_each(|_| operation())
}

async fn exchange(times: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let idp = idp().await?;
    let token = idp.mint(&AccessClaims::new(&data::uid(0), AT, Clock::system().now().seconds()));
    let store = format!("sqlite:{}", folder.path().join("bench.db").display());
    let house = House::open(&store, &idp.url()).await?;
    for _ in 0..TRIES {
        if exchange_once(&house.public, &token).await.is_ok() {
            return measured(times, || {
                let exchanged = exchange_once(&house.public, &token).now_or_never();
                exchanged.context("an exchange of an existing user waits for nobody")?
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("no tokens are given")
}

async fn exchange_once(public: &Router, token: &str) -> Result<()> {
    let request = Request::get("/1.0/sync/1.5")
        .header("authorization", format!("Bearer {token}"))
        .header("x-keyid", data::key_id(AT, &data::client_state(0)))
        .body(Body::empty())?;
    let response = public.clone().oneshot(request).await?;
    ensure!(response.status() == StatusCode::OK, "the status is {}", response.status());
    to_bytes(response.into_body(), usize::MAX).await?;
    Ok(())
}

fn check(times: usize) -> Result<()> {
    let signed = Signed::sign(1)?;
    let verifier = Verifier::with(checking_idps(&signed.key)?, &checks::settings(), Options::default());
    let gate = Gate::new(verifier, Policy::new(&checks::policy()?)?);
    let authorization = format!("Bearer {}", signed.token(0));
    let clock = Clock::system();
    measured(times, || {
        let authorization: &[&[u8]] = &[authorization.as_bytes()];
        let asked = verify::Request { method: "GET", path: "/masks", authorization };
        let admitted = gate.admit(black_box(asked), clock.now()).now_or_never();
        admitted.context("what is remembered waits for nobody")?.map(drop).map_err(|why| anyhow!("{why:?}"))
    })
}

async fn verify(times: usize) -> Result<()> {
    let idp = idp().await?;
    let keys = JwkSet::parse(idp.jwks().to_string().as_bytes())?;
    let key = keys.keys[0].public_key();
    let token = idp.mint(&AccessClaims::new(&data::uid(0), AT, AT / 1000));
    measured(times, || {
        let token = Compact::split(black_box(&token))?;
        Ok(token.verify(&token.header()?, key)?)
    })
}

fn decode_events(times: usize) -> Result<()> {
    let remit = remit()?;
    let body = data::password_change(&format!("{}@{ACCOUNT_DOMAIN}", data::uid(0)), AT);
    measured(times, || {
        let read = decode(black_box(body.as_bytes()), &remit);
        ensure!(black_box(read).is_ok(), "an event is taken for junk");
        Ok(())
    })
}

async fn idp() -> Result<StandInIdp> {
    let clock = Clock::system();
    let now: Now = Arc::new(move || -> Millis { clock.now() });
    Ok(StandInIdp::start(now).await?)
}
