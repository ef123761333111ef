//! The conformance suite: whether a receiver does what a receiver must.
//!
//! What is tried is a table (`cases`): good tokens in every guise that deliveries can have, and tokens that must be
//! refused. Each is sent once, slowly, one after the other; what came is judged by pure rules (`judging`) and told
//! with a sentence that says what to do. What is forged or deletes is about accounts that nobody has. The one that the
//! caller names gets what changes nothing: empty profile changes, and a change of password a year ago.

mod cases;
mod forging;
mod judging;

use crate::format::CannotMake;
use crate::trial::{Exchange, Trial};
use account::Subject;
use cases::{CASES, Case};
use forging::Forge;
use judging::{Reaction, judged};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a receiver did in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should.
    Pass,
    /// It works, and could be better.
    Warn,
    /// Something will be lost, forged or tried for days.
    Fail,
}

/// What was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseResult {
    /// The case's name: `bad-signature`.
    pub case: String,
    /// What was sent.
    pub sent: String,
    /// What is expected.
    pub expected: String,
    /// What came: `202 in 3 ms`.
    pub came: String,
    /// The status; absent when there was no answer.
    pub status: Option<u16>,
    /// Milliseconds from the request's first byte to the answer's last.
    pub duration_ms: u64,
    /// How it did.
    pub grade: Grade,
    /// What to do about it; absent for a pass.
    pub advice: Option<String>,
    /// The beginning of the answer, without tokens, secrets and addresses.
    pub answer: Option<String>,
}

/// All cases of a receiver's format, in the table's order. When the first brings no answer, it is the only one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conformance {
    /// The worst of the grades.
    pub grade: Grade,
    /// The cases.
    pub cases: Vec<CaseResult>,
}

/// Why the suite cannot be run: nothing could be made to send. Nothing of it is the receiver's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be sent: {0}")]
pub struct CannotTry(String);

impl From<CannotMake> for CannotTry {
    fn from(error: CannotMake) -> Self {
        Self(error.to_string())
    }
}

impl Conformance {
    fn of(cases: Vec<CaseResult>) -> Self {
        let grade = cases.iter().map(|it| it.grade).max().unwrap_or(Grade::Pass);
        Self { grade, cases }
    }
}

/// Runs the suite against the receiver. `known` is an account that it has, best one made for tests, for what it must
/// take; without one that too is about accounts that nobody has.
pub async fn conformance(trial: &Trial, known: Option<&Subject>) -> Result<Conformance, CannotTry> {
    let mut forge = Forge::new(trial, known.cloned()).await?;
    let mut results = Vec::new();
    for case in CASES.iter().filter(|case| case.is_for(trial.rp.config.format)) {
        let result = tried(trial, &mut forge, case).await?;
        let nobody_there = results.is_empty() && result.status.is_none();
        results.push(result);
        if nobody_there {
            break;
        }
    }
    Ok(Conformance::of(results))
}

async fn tried(trial: &Trial, forge: &mut Forge<'_>, case: &Case) -> Result<CaseResult, CannotTry> {
    let exchange = trial.send(forge.request(case.forgery)?).await;
    let reaction = Reaction::of(&exchange);
    let format = trial.rp.config.format;
    let (grade, advice) = judged(case, format, &reaction);
    Ok(CaseResult {
        case: case.name.to_owned(),
        sent: case.sends.to_owned(),
        expected: case.expects.in_words(format),
        came: in_words(&exchange, &reaction),
        status: reaction.status(),
        duration_ms: exchange.milliseconds(),
        grade,
        advice,
        answer: exchange.answer.ok().and_then(|answer| trial.shown(&answer)),
    })
}

fn in_words(exchange: &Exchange, reaction: &Reaction) -> String {
    match reaction {
        Reaction::Answer { status, err, .. } => {
            let err = err.as_ref().map_or_else(String::new, |err| format!(" {err}"));
            format!("{status}{err} in {} ms", exchange.milliseconds())
        }
        Reaction::Nothing { why, .. } => why.clone(),
    }
}
