//! The meters of one relying party's attempts, held from the first of each kind on: to look one up by its labels takes
//! ten times as long as to record.

use super::{Measured, event_name};
use crate::ClientId;
use account::Millis;
use metrics::{Histogram, counter, histogram};
use parking_lot::Mutex;
use std::sync::OnceLock;

/// Those of one lane. Times are in seconds.
pub(crate) struct Attempts {
    client_id: String,
    queue_delay: OnceLock<Histogram>,
    arrivals: OnceLock<Arrivals>,
    by_outcome: Mutex<Vec<(&'static str, Histogram)>>,
    /// By status and kind of change.
    successes: Mutex<Vec<(u16, String, Histogram)>>,
}

/// How long tokens are on their way to a relying party.
struct Arrivals {
    delivery_delay: Histogram,
    event_delay: Histogram,
}

impl Arrivals {
    fn at(client_id: &str) -> Self {
        let client_id = client_id.to_owned();
        Self {
            delivery_delay: histogram!("broker.delivery_delay", "client_id" => client_id.clone()),
            event_delay: histogram!("broker.event_delay", "client_id" => client_id),
        }
    }

    /// A token has arrived: how long after it was made, and after what it tells of.
    fn record(&self, created_at: Millis, event_at: Millis, arrived_at: Millis) {
        let since = |at: Millis| arrived_at.since(at).as_secs_f64();
        self.delivery_delay.record(since(created_at));
        self.event_delay.record(since(event_at));
    }
}

/// A relying party has fetched a token.
pub(crate) fn arrived(client_id: &ClientId, created_at: Millis, event_at: Millis, arrived_at: Millis) {
    Arrivals::at(client_id.as_str()).record(created_at, event_at, arrived_at);
}

impl Attempts {
    /// Nothing is measured yet.
    pub(crate) fn of(client_id: &ClientId) -> Self {
        Self {
            client_id: client_id.as_str().to_owned(),
            queue_delay: OnceLock::new(),
            arrivals: OnceLock::new(),
            by_outcome: Mutex::default(),
            successes: Mutex::default(),
        }
    }

    /// An attempt has ended.
    pub(crate) fn ended(&self, measured: &Measured<'_>) {
        let Measured { delivery, outcome, status, at, duration } = *measured;
        self.outcome(outcome).record(duration.as_secs_f64());
        // What follows are answers.
        let Some(status) = status else { return };
        let queue_delay = self.queue_delay.get_or_init(|| histogram!("proxy.queueDelay"));
        queue_delay.record(at.since(delivery.created_at).as_secs_f64());
        if outcome != "delivered" {
            counter!("proxy.fail", &self.tags(status, &delivery.kind)).increment(1);
            return;
        }
        let arrived_at = at.plus(duration);
        self.success(status, &delivery.kind).record(arrived_at.since(delivery.created_at).as_secs_f64());
        if delivery.kind == "subscription_change" {
            histogram!("proxy.sub.eventDelay").record(arrived_at.since(delivery.event_at).as_secs_f64());
        }
        let arrivals = self.arrivals.get_or_init(|| Arrivals::at(&self.client_id));
        arrivals.record(delivery.created_at, delivery.event_at, arrived_at);
    }

    fn outcome(&self, outcome: &'static str) -> Histogram {
        let mut held = self.by_outcome.lock();
        if let Some((_, histogram)) = held.iter().find(|(it, _)| *it == outcome) {
            return histogram.clone();
        }
        let labels = [("client_id", self.client_id.clone()), ("outcome", outcome.to_owned())];
        let histogram = histogram!("broker.attempt", &labels);
        held.push((outcome, histogram.clone()));
        histogram
    }

    fn success(&self, status: u16, kind: &str) -> Histogram {
        let mut held = self.successes.lock();
        if let Some((.., histogram)) = held.iter().find(|(s, k, _)| *s == status && k == kind) {
            return histogram.clone();
        }
        let histogram = histogram!("proxy.success", &self.tags(status, kind));
        held.push((status, kind.to_owned(), histogram.clone()));
        histogram
    }

    fn tags(&self, status: u16, kind: &str) -> [(&'static str, String); 3] {
        [
            ("clientId", self.client_id.clone()),
            ("statusCode", status.to_string()),
            ("type", event_name(kind).to_owned()),
        ]
    }
}
