use super::LoginState;
use metrics::{Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::time::Duration;

/// What is measured of keeping logins at one identity provider.
#[derive(Debug)]
pub(super) struct Meters {
    idp: Box<str>,
    breaker: Gauge,
    in_flight: Gauge,
}

impl Meters {
    pub(super) fn new(idp: &str) -> Self {
        describe_counter!("idp.login_requests", "Requests that keep logins, sent or held back");
        describe_histogram!("idp.login_request", "Seconds until a request that keeps logins is answered");
        describe_counter!("idp.id_tokens", "ID tokens that came, or did not, with tokens");
        describe_gauge!("idp.login_in_flight", "Requests that keep logins and are on their way");
        describe_gauge!("idp.login_breaker", "0 closed, 1 half open, 2 open");
        Self {
            breaker: gauge!("idp.login_breaker", "idp" => idp.to_owned()),
            in_flight: gauge!("idp.login_in_flight", "idp" => idp.to_owned()),
            idp: Box::from(idp),
        }
    }

    pub(super) fn came(&self, request: &'static str, outcome: &'static str) {
        let idp = self.idp.to_string();
        counter!("idp.login_requests", "idp" => idp, "request" => request, "outcome" => outcome).increment(1);
    }

    pub(super) fn held_back(&self, request: &'static str) {
        self.came(request, "held_back");
    }

    pub(super) fn timed(&self, request: &'static str, took: Duration) {
        histogram!("idp.login_request", "idp" => self.idp.to_string(), "request" => request)
            .record(took.as_secs_f64());
    }

    pub(super) fn id_token(&self, outcome: &'static str) {
        counter!("idp.id_tokens", "idp" => self.idp.to_string(), "outcome" => outcome).increment(1);
    }

    pub(super) fn show(&self, state: &LoginState) {
        self.breaker.set(match state.breaker {
            "closed" => 0.0,
            "half_open" => 1.0,
            _ => 2.0,
        });
        #[expect(clippy::cast_precision_loss, reason = "there are not so many places")]
        self.in_flight.set(state.in_flight as f64);
    }
}
