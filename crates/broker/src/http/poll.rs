//! Polling (RFC 8936): a receiver asks for its tokens and acknowledges those it has.

use super::ssf::{Fault, body, no_store, read_rp, receiver};
use crate::capability::Inner;
use crate::format::token;
use crate::receiver_tokens::Scope;
use crate::store::poll::{Acknowledge, FindNamed, Free, Head, ReadHeads};
use crate::token::content;
use crate::{ClientId, Format, RelyingParty, Status, worker};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;

pub(super) const POLL_PATH: &str = "/ssf/poll";
/// How long an answer waits for something to tell.
const LONG: Duration = Duration::from_secs(25);
/// Between two looks without a signal.
const LOOK: Duration = Duration::from_secs(1);
const LARGEST_POLL: u32 = 1_000;
const USUAL_POLL: u32 = 100;
const MOST_NAMED: usize = 10_000;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().route(POLL_PATH, post(poll)).with_state(inner)
}

/// RFC 8936 section 2.2.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Poll {
    max_events: Option<u32>,
    return_immediately: bool,
    ack: Vec<String>,
    set_errs: BTreeMap<String, SetError>,
}

#[derive(Debug, Deserialize)]
struct SetError {
    err: String,
    #[serde(default)]
    description: String,
}

/// RFC 8936 section 2.3.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    sets: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more_available: bool,
}

async fn poll(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let client_id = receiver(&inner, request.headers(), Scope::Read).await?;
    let poll: Poll = body(request).await?;
    let rp = read_rp(&inner, client_id.clone()).await?.rp;
    if rp.config.format != Format::Poll {
        return Err(Fault::invalid("this receiver is told by push; its tokens cannot be polled"));
    }
    acknowledge(&inner, &client_id, &poll).await?;
    let most = poll.max_events.unwrap_or(USUAL_POLL).min(LARGEST_POLL);
    let until = Instant::now() + if poll.return_immediately { Duration::ZERO } else { LONG };
    Ok(no_store(Json(tokens(&inner, &rp, most, until).await?)))
}

/// Ends what the receiver has, or has found wrong (section 2.4). Tokens that are not pending for it mean nothing.
async fn acknowledge(inner: &Inner, client_id: &ClientId, poll: &Poll) -> Result<(), Fault> {
    let tokens: Vec<String> = poll.ack.iter().chain(poll.set_errs.keys()).cloned().collect();
    if tokens.is_empty() {
        return Ok(());
    }
    let cannot_be_ours = |jti: &String| jti.len() > 64 || !jti.bytes().all(|byte| byte.is_ascii_graphic());
    if tokens.len() > MOST_NAMED || tokens.iter().any(cannot_be_ours) {
        return Err(Fault::invalid("over 10000 tokens are named, or one of them cannot be ours"));
    }
    let named = inner.store.scan(FindNamed { client_id: client_id.clone(), tokens }).await?;
    if named.is_empty() {
        return Ok(());
    }
    let errors = poll.set_errs.iter().map(|(jti, error)| (jti.clone(), told(error))).collect();
    let ended = inner.store.run(Acknowledge { named, errors, now: inner.now() }).await?;
    metrics::counter!("broker.acknowledged", "client_id" => client_id.as_str().to_owned())
        .increment(u64::try_from(ended).unwrap_or(u64::MAX));
    Ok(())
}

/// What a receiver found wrong, bounded.
fn told(error: &SetError) -> String {
    let whole = format!("{}: {}", error.err, error.description);
    whole.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// What there is to tell; waits for it until then.
async fn tokens(inner: &Inner, rp: &RelyingParty, most: u32, until: Instant) -> Result<Tokens, Fault> {
    // A receiver that asks for none only acknowledges.
    if most == 0 {
        return Ok(Tokens::default());
    }
    let signals = inner.store.signals();
    let (mut due, mut committed) = (signals.listen(worker::TOPIC), ledger::committed(&inner.store));
    loop {
        due.mark_unchanged();
        committed.mark_unchanged();
        let tokens = read(inner, rp, most).await?;
        if !tokens.sets.is_empty() || Instant::now() >= until || inner.stopping.is_cancelled() {
            return Ok(tokens);
        }
        tokio::select! {
            Ok(()) = due.changed() => {}
            Ok(()) = committed.changed() => {}
            () = inner.stopping.cancelled() => {}
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK)) => {}
        }
    }
}

async fn read(inner: &Inner, rp: &RelyingParty, most: u32) -> Result<Tokens, Fault> {
    let limit = i64::from(most) + 1;
    let mut heads = inner.store.scan(ReadHeads { client_id: rp.client_id.clone(), limit }).await?;
    // What is about the stream itself reaches who is paused, too.
    heads.retain(|it| rp.status == Status::Enabled || it.delivery.event_type.is_control());
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more_available = heads.len() > most;
    heads.truncate(most);
    let claimed: Vec<i64> = heads.iter().filter(|it| it.is_claimed).map(|it| it.delivery.id).collect();
    if !claimed.is_empty() {
        inner.store.run(Free(claimed)).await?;
    }
    let sign = |Head { delivery, .. }: &Head| {
        let claims = content(delivery, Format::Poll, &inner.issuers);
        token(rp, &inner.signer, &claims).map(|token| (delivery.jti.clone(), token)).map_err(|error| {
            tracing::error!(%error, "a token cannot be signed");
            Fault::Unavailable
        })
    };
    let sets = heads.iter().map(sign).collect::<Result<_, _>>()?;
    Ok(Tokens { sets, more_available })
}
