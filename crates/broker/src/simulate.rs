//! The simulator: what a receiver would get, sent to it now.
//!
//! It makes the tokens as deliveries are made, with the same vocabulary, format and signature, sends each once and says
//! what was answered. Nothing is stored, nothing is tried again.

mod samples;

use crate::format::outgoing;
use crate::trial::{Trial, about, unknown_subject};
use crate::{EventType, Reply, judge};
use account::Subject;
use outbound::{Answer, OutboundError};
use samples::{Sample, samples};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which events are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simulated {
    /// Everything the receiver can get by its vocabulary and the events it wants.
    Any,
    /// One event of that type, whether the receiver wants it or not.
    One(EventType),
}

/// No event goes by that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no event: say `any`, or one of {}", .known.join(", "))]
pub struct UnknownEvent {
    given: String,
    known: Vec<&'static str>,
}

impl Simulated {
    /// By a word: `any`, an event type's short name (`password-change`), or its whole URI.
    pub fn from_word(word: &str) -> Result<Self, UnknownEvent> {
        let known = || EventType::ALL.iter().copied();
        match known().find(|it| it.name() == word || it.uri() == word) {
            _ if word == "any" => Ok(Self::Any),
            Some(event_type) => Ok(Self::One(event_type)),
            None => {
                Err(UnknownEvent { given: word.to_owned(), known: known().map(EventType::name).collect() })
            }
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Which events.
    pub event: Simulated,
    /// The capabilities of a simulated subscription: without any, nobody would be told of it.
    pub capabilities: Vec<String>,
    /// The account it is about; without one, an account that nobody has, so that nothing real is touched.
    pub subject: Option<Subject>,
}

/// Why nothing was simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSimulate {
    /// A subscription without capabilities concerns nobody.
    #[error("a subscription is told to those who have a capability of it: name at least one")]
    NoCapabilities,
    /// The receiver's vocabulary has no such event.
    #[error("no change is told as {0}; its vocabulary or its format has no such event")]
    NotTold(&'static str),
}

/// One event that was sent, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SimulatedDelivery {
    /// The event's URI.
    #[schema(value_type = String)]
    pub event_type: EventType,
    /// Its payload.
    #[schema(value_type = Object)]
    pub payload: serde_json::Value,
    /// The token's id, or the webhook's.
    pub jti: String,
    /// The status that was answered; absent when there was no answer.
    pub status: Option<u16>,
    /// Milliseconds from the request's first byte to the answer's last.
    pub duration_ms: u64,
    /// What a delivery would have come to: `delivered`, `failed`, `rejected` or `gone`.
    pub verdict: String,
    /// What went wrong, if something did.
    pub detail: Option<String>,
    /// The beginning of the answer, without tokens, secrets and addresses.
    pub answer: Option<String>,
}

impl SimulatedDelivery {
    /// Whether the receiver took it.
    pub fn is_delivered(&self) -> bool {
        self.verdict == "delivered"
    }
}

/// Sends what is simulated to the receiver, one after the other, and says what came of each.
pub async fn simulate(
    trial: &Trial,
    simulation: &Simulation,
) -> Result<Vec<SimulatedDelivery>, CannotSimulate> {
    let subject = simulation.subject.clone().unwrap_or_else(unknown_subject);
    let chosen = chosen(trial, simulation)?;
    let mut sent = Vec::with_capacity(chosen.len());
    for sample in chosen {
        sent.push(send(trial, &subject, sample).await);
    }
    Ok(sent)
}

fn chosen(trial: &Trial, simulation: &Simulation) -> Result<Vec<Sample>, CannotSimulate> {
    let all = samples(&trial.rp.config, trial.clock.now(), &simulation.capabilities);
    match simulation.event {
        Simulated::Any => Ok(all.into_iter().filter(|it| trial.rp.wants(it.event_type)).collect()),
        Simulated::One(EventType::SubscriptionStateChange) if simulation.capabilities.is_empty() => {
            Err(CannotSimulate::NoCapabilities)
        }
        Simulated::One(event_type) => {
            let one = all.into_iter().find(|it| it.event_type == event_type);
            one.map(|it| vec![it]).ok_or(CannotSimulate::NotTold(event_type.name()))
        }
    }
}

async fn send(trial: &Trial, subject: &Subject, sample: Sample) -> SimulatedDelivery {
    let about = sample.about.unwrap_or_else(|| about(subject));
    let delivery = trial.delivery(about, sample.event_type, sample.payload);
    let mut told = SimulatedDelivery {
        event_type: delivery.event_type,
        payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
        jti: delivery.jti.clone(),
        status: None,
        duration_ms: 0,
        verdict: "failed".to_owned(),
        detail: None,
        answer: None,
    };
    match outgoing(&trial.rp, &delivery, &trial.keys, &trial.issuers, trial.clock.now()) {
        Err(error) => told.detail = Some(error.to_string()),
        Ok(outgoing) => {
            let exchange = trial.send(outgoing).await;
            told.duration_ms = exchange.milliseconds();
            told.heard(trial, exchange.answer);
        }
    }
    told
}

impl SimulatedDelivery {
    fn heard(&mut self, trial: &Trial, answer: Result<Answer, OutboundError>) {
        match answer {
            Err(error) => self.detail = Some(error.to_string()),
            Ok(answer) => {
                let status = answer.status().as_u16();
                let reply = Reply { status, retry_after: answer.retry_after(), body: answer.body() };
                let verdict = judge(trial.rp.config.format, &reply);
                self.status = Some(status);
                self.detail = verdict.why().map(str::to_owned);
                self.verdict = verdict.as_str().into();
                self.answer = trial.shown(&answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_last_word_or_its_uri() {
        let one = Ok(Simulated::One(EventType::DeleteUser));
        assert_eq!(Simulated::from_word("delete-user"), one);
        assert_eq!(Simulated::from_word(EventType::DeleteUser.uri()), one);
        assert_eq!(Simulated::from_word("any"), Ok(Simulated::Any));
        let error = Simulated::from_word("delete").expect_err("no such event").to_string();
        assert!(
            error.starts_with("\"delete\" is no event: say `any`, or one of password-change, "),
            "{error}"
        );
    }
}
