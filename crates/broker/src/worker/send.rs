//! One attempt: sign, send, judge.

use super::Outcome;
use crate::access_tokens::NoToken;
use crate::capability::Inner;
use crate::delivery::after;
use crate::format::{CannotMake, Outgoing, outgoing};
use crate::handover::Held;
use crate::lanes::Lane;
use crate::meters::Measured;
use crate::redact::kept;
use crate::store::record::Line;
use crate::store::rows::Delivery;
use crate::store::settle::{Attempt, Attempted};
use crate::verdict::{Reply, Verdict, judge};
use account::Millis;
use http::StatusCode;
use http::header::AUTHORIZATION;
use outbound::{Answer, OutboundError};
use std::time::Instant;

/// Sends a delivery once and says what came of it.
pub(super) async fn attempt(inner: &Inner, held: Held) -> Outcome {
    let made = made(inner, &held);
    attempt_with(inner, held, made).await
}

/// The request of one attempt, or why there is none.
pub(super) type Made = Result<Outgoing, String>;

/// Sends what was made of a delivery and says what came of it.
pub(super) async fn attempt_with(inner: &Inner, held: Held, made: Made) -> Outcome {
    let Held { lane, delivery, permit } = held;
    let at = inner.now();
    let began = Instant::now();
    let answer = match made {
        Ok(made) => exchange(inner, &lane, made, at).await,
        Err(why) => Err(Failure::NotMade(why)),
    };
    let duration = began.elapsed();
    let verdict = match &answer {
        Ok(answer) => judge(lane.rp.config.format, &reply(answer)),
        Err(failure) => failure.verdict(),
    };
    // What could not be made was never sent, and says nothing of the receiver.
    if !matches!(answer, Err(Failure::NotMade(_))) {
        lane.note(&verdict, inner.now());
    }
    let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
    let outcome = verdict.as_str();
    lane.meters.ended(&Measured { delivery: &delivery, outcome, status, at, duration });
    let body = answer.ok().and_then(|answer| kept(answer.body(), &lane.rp));
    let body = body.map(|text| inner.access_tokens.struck_out(&delivery.client_id, text));
    if status == Some(StatusCode::UNAUTHORIZED.as_u16()) {
        inner.access_tokens.forget(&delivery.client_id);
    }
    let detail = verdict.why().map(|why| why.chars().take(200).collect());
    let attempt = Attempt { at, duration, status, outcome, detail, answer: body };
    Outcome { attempted: attempted(&lane, delivery, &verdict, attempt), _permit: permit }
}

/// Why there is no answer.
enum Failure {
    /// It could not be made: ours to mend.
    NotMade(String),
    /// Whoever gives access tokens for it gave none: it cannot be called.
    NoToken(NoToken),
    Outbound(OutboundError),
}

impl Failure {
    fn verdict(&self) -> Verdict {
        match self {
            // It says nothing about the receiver.
            Self::NotMade(why) => {
                Verdict::Failed { retry_after: None, strains: false, why: why.clone().into() }
            }
            Self::NoToken(error) => Verdict::unanswered(error.to_string()),
            Self::Outbound(error) => Verdict::unanswered(match error {
                OutboundError::Timeout { .. } => "no answer in time",
                OutboundError::Connect { .. } => "no connection",
                OutboundError::Refused { .. } => "not a public address",
                _ => "the exchange broke off",
            }),
        }
    }
}

pub(super) fn made(inner: &Inner, held: &Held) -> Made {
    let made = outgoing(&held.lane.rp, &held.delivery, &inner.signer, &inner.issuers, inner.now());
    made.map_err(|error: CannotMake| error.to_string())
}

async fn exchange(inner: &Inner, lane: &Lane, made: Outgoing, now: Millis) -> Result<Answer, Failure> {
    let rp = &*lane.rp;
    let url = lane.webhook.as_ref().ok_or_else(|| Failure::NotMade("no endpoint".into()))?;
    let client = inner.clients.towards(rp).map_err(|error| Failure::NotMade(error.to_string()))?;
    let authorization =
        inner.access_tokens.authorization(rp, &client, now).await.map_err(Failure::NoToken)?;
    let request = client.post(url, made.body).deadline(rp.config.deadline());
    let request =
        made.headers.iter().fold(request, |it, (name, value)| it.header(name.clone(), value.clone()));
    let request = authorization.into_iter().fold(request, |it, value| it.header(AUTHORIZATION, value));
    request.glance().await.map_err(Failure::Outbound)
}

fn reply(answer: &Answer) -> Reply<'_> {
    Reply { status: answer.status().as_u16(), retry_after: answer.retry_after(), body: answer.body() }
}

fn attempted(lane: &Lane, delivery: Delivery, verdict: &Verdict, attempt: Attempt) -> Attempted {
    let now = attempt.at.plus(attempt.duration);
    let (next, effects) = after(verdict, delivery.failures, &lane.rp.config.retry, now, seed(&delivery));
    let failed = matches!(verdict, Verdict::Failed { .. });
    Attempted {
        id: delivery.id,
        fence: delivery.fence,
        line: Line { client_id: delivery.client_id, about: delivery.about },
        kind: delivery.kind,
        jti: delivery.jti,
        failures: delivery.failures.saturating_add(u32::from(failed)),
        next,
        effects,
        attempt,
    }
}

/// Spreads the retries of deliveries that failed together.
fn seed(delivery: &Delivery) -> u64 {
    u64::try_from(delivery.id).unwrap_or_default().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
