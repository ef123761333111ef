use super::IntrospectionState;
use crate::{Inactive, Introspected, Trouble};
use metrics::{Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::time::Duration;

/// What is measured of introspection at one identity provider.
#[derive(Debug)]
pub(super) struct Meters {
    idp: Box<str>,
    breaker: Gauge,
    known: Gauge,
    unknown: Gauge,
}

impl Meters {
    pub(super) fn new(idp: &str) -> Self {
        describe_counter!("idp.introspections", "Questions to look into a token, asked or held back");
        describe_histogram!(
            "idp.introspection",
            "Seconds until an identity provider has looked into a token"
        );
        describe_gauge!("idp.introspection_budget", "Questions that could be asked at once");
        describe_gauge!("idp.introspection_breaker", "0 closed, 1 half open, 2 open");
        let lane = |lane| gauge!("idp.introspection_budget", "idp" => idp.to_owned(), "lane" => lane);
        Self {
            breaker: gauge!("idp.introspection_breaker", "idp" => idp.to_owned()),
            known: lane("known"),
            unknown: lane("unknown"),
            idp: Box::from(idp),
        }
    }

    /// Counts what came of a question, asked or not.
    pub(super) fn count(&self, told: &Introspected) {
        counter!("idp.introspections", "idp" => self.idp.to_string(), "outcome" => outcome(told))
            .increment(1);
    }

    /// How long one took that was asked.
    pub(super) fn time(&self, told: &Introspected, took: Duration) {
        histogram!("idp.introspection", "idp" => self.idp.to_string(), "outcome" => outcome(told))
            .record(took.as_secs_f64());
    }

    /// How things stand.
    pub(super) fn show(&self, state: &IntrospectionState) {
        self.breaker.set(match state.breaker {
            "closed" => 0.0,
            "half_open" => 1.0,
            _ => 2.0,
        });
        if let Some(left) = state.budget {
            self.known.set(left.known);
            self.unknown.set(left.unknown);
        }
    }
}

fn outcome(told: &Introspected) -> &'static str {
    match told {
        Introspected::Active(_) => "active",
        Introspected::Inactive(inactive) => Inactive::as_str(*inactive),
        Introspected::Unavailable { trouble, .. } => Trouble::as_str(*trouble),
    }
}
