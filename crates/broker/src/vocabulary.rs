//! In which words a change is told. Pure: a change goes in, event types and their payloads come out.

mod fxa;
mod ssf;

use crate::{EventType, Vocabulary};
use account::{Change, Millis};
use serde::Serialize;
use serde_json::{Map, Value};

/// One event of a token: its type and what stands under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Its type.
    pub event_type: EventType,
    /// Its payload: the text of a JSON object. A member that is not known is absent, never null.
    pub payload: String,
}

impl Telling {
    fn new(event_type: EventType, payload: &impl Serialize) -> Self {
        let payload =
            serde_json::to_string(payload).expect("texts, numbers and truth values always serialise");
        Self { event_type, payload }
    }
}

/// All that a vocabulary has to say of a change; which of it a relying party wants is for it to say.
///
/// `at` is the change time, `capabilities` are those of a subscription that concern the receiver, in the input's order.
pub fn tellings(
    vocabulary: Vocabulary,
    change: &Change,
    at: Millis,
    capabilities: &[String],
) -> Vec<Telling> {
    match vocabulary {
        Vocabulary::Fxa => fxa::tellings(change, at, capabilities),
        Vocabulary::Ssf => ssf::tellings(change, at, capabilities),
    }
}

/// That what was granted until then has ended, and nothing else: for a change that came too late to be told as it is.
pub(crate) fn ended(vocabulary: Vocabulary, at: Millis) -> Option<Telling> {
    match vocabulary {
        // There is no word for it; see `SignOutEverywhere`.
        Vocabulary::Fxa => None,
        Vocabulary::Ssf => Some(ssf::ended(at)),
    }
}

/// That the account's sessions with the receiver have ended: it has taken its leave there.
pub(crate) fn disconnected(vocabulary: Vocabulary, at: Millis) -> Option<Telling> {
    match vocabulary {
        // There is no word for it; see `SignOutEverywhere`.
        Vocabulary::Fxa => None,
        Vocabulary::Ssf => Some(ssf::disconnected(at)),
    }
}

/// An undelivered payload taken in by a later one of the same type: what the later one does not say is kept. `None` for
/// types that are told one by one.
pub fn merged(event_type: EventType, earlier: &str, later: &str) -> Option<String> {
    if !event_type.coalesces() {
        return None;
    }
    let (mut merged, mut later) = (object(earlier)?, object(later)?);
    if event_type == EventType::TokenClaimsChange {
        let mut claims = match merged.remove("claims") {
            Some(Value::Object(claims)) => claims,
            _ => Map::new(),
        };
        if let Some(Value::Object(new)) = later.remove("claims") {
            claims.extend(new);
        }
        later.insert("claims".into(), Value::Object(claims));
    }
    merged.extend(later);
    Some(Value::Object(merged).to_string())
}

fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// What both vocabularies have no standard word for, or share.
mod shared {
    use super::{EventType, Telling};
    use account::{Millis, Profile, Subscription};
    use serde::Serialize;

    #[derive(Serialize)]
    pub(super) struct Nothing {}

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct SubscriptionState<'a> {
        capabilities: &'a [String],
        change_time: Millis,
        is_active: bool,
    }

    pub(super) fn subscription(subscription: &Subscription, at: Millis, capabilities: &[String]) -> Telling {
        let state = SubscriptionState { capabilities, change_time: at, is_active: subscription.active };
        Telling::new(EventType::SubscriptionStateChange, &state)
    }

    /// Told on its own besides the profile change, to those who list it.
    pub(super) fn metrics(profile: &Profile) -> Option<Telling> {
        let event_type =
            if profile.metrics_enabled? { EventType::MetricsOptIn } else { EventType::MetricsOptOut };
        Some(Telling::new(event_type, &Nothing {}))
    }
}

#[cfg(test)]
mod schemas;
#[cfg(test)]
mod tests;
