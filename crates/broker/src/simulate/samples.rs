//! One of everything that can be told. Pure.

use crate::store::rows::About;
use crate::{Config, EventType, Format, Telling, tellings};
use account::{Change, DeleteReason, Login, Millis, Profile, Subscription};
use serde_json::json;

/// Something to tell.
pub(super) struct Sample {
    pub(super) event_type: EventType,
    pub(super) payload: String,
    /// Whom it is about, if not the account of the simulation.
    pub(super) about: Option<About>,
}

/// All that such a receiver can be told, whether it wants it or not, each once: the changes of its vocabulary, what is
/// said of its stream, what operators are told.
pub(super) fn samples(config: &Config, now: Millis, capabilities: &[String]) -> Vec<Sample> {
    let changes = changes(capabilities);
    let told = changes.iter().flat_map(|change| tellings(config.vocabulary, change, now, capabilities));
    let mut once: Vec<Telling> = Vec::new();
    for telling in told {
        if !once.contains(&telling) {
            once.push(telling);
        }
    }
    let told =
        once.into_iter().map(|Telling { event_type, payload }| Sample { event_type, payload, about: None });
    told.chain(of_the_stream(config)).chain([of_the_house()]).collect()
}

/// Changes that between them lead to every event of every vocabulary, the plain form of each first.
fn changes(capabilities: &[String]) -> Vec<Change> {
    let subscription =
        |active| Change::SubscriptionChange(Subscription { active, capabilities: capabilities.to_vec() });
    let profile = |profile| Change::ProfileChange(profile);
    let flags = |on| Profile {
        metrics_enabled: Some(on),
        totp_enabled: Some(on),
        account_locked: Some(on),
        locale: Some("fi".to_owned()),
        ..Profile::default()
    };
    let mut changes = vec![
        Change::Login(Login::default()),
        Change::PasswordChange,
        Change::PasswordReset,
        Change::SignOutEverywhere,
        Change::PrimaryEmailChange { email: Some("somebody@example.org".to_owned()) },
        profile(Profile::default()),
        profile(flags(true)),
        profile(flags(false)),
        Change::Disable,
        Change::Enable,
    ];
    if !capabilities.is_empty() {
        changes.extend([subscription(true), subscription(false)]);
    }
    changes.push(Change::Delete { reason: None });
    changes.push(Change::Delete { reason: Some(DeleteReason::User) });
    changes
}

fn of_the_house() -> Sample {
    let payload = json!({ "client_id": "simulated", "status": "disabled", "reason": "failing" });
    Sample {
        event_type: EventType::RelyingPartyStatus,
        payload: payload.to_string(),
        about: Some(About::Stream("simulated".to_owned())),
    }
}

/// SSF 1.0 sections 8.1.4.1 and 8.1.5: only streams have them, and streams push or are polled.
fn of_the_stream(config: &Config) -> Vec<Sample> {
    if config.format != Format::Push {
        return Vec::new();
    }
    let id = config.stream.as_ref().map_or("simulated", |stream| stream.id.as_str());
    let about = || Some(About::Stream(id.to_owned()));
    vec![
        Sample { event_type: EventType::Verification, payload: "{}".to_owned(), about: about() },
        Sample {
            event_type: EventType::StreamUpdated,
            payload: json!({ "status": "enabled" }).to_string(),
            about: about(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vocabulary;
    use std::collections::BTreeSet;

    fn told(vocabulary: Vocabulary, format: Format, capabilities: &[&str]) -> BTreeSet<EventType> {
        let config = Config { format, vocabulary, ..Config::default() };
        let capabilities: Vec<_> = capabilities.iter().map(|it| (*it).to_owned()).collect();
        let all = samples(&config, Millis::new(1_789_000_000_123), &capabilities);
        all.iter().map(|it| it.event_type).collect()
    }

    #[test]
    fn there_is_a_sample_of_every_event_type() {
        let fxa = told(Vocabulary::Fxa, Format::FxaHeader, &["vpn"]);
        let ssf = told(Vocabulary::Ssf, Format::Push, &["vpn"]);
        assert_eq!(&fxa | &ssf, EventType::ALL.into());
    }

    #[test]
    fn a_subscription_needs_capabilities_and_a_stream_needs_a_push() {
        let without = told(Vocabulary::Fxa, Format::FxaHeader, &[]);
        assert!(!without.contains(&EventType::SubscriptionStateChange));
        assert!(!without.contains(&EventType::Verification));
    }

    #[test]
    fn the_first_subscription_is_one_that_began_and_the_first_deletion_has_no_reason() {
        let all = samples(&Config::default(), Millis::new(1_789_000_000_123), &["vpn".to_owned()]);
        let first =
            |event_type| all.iter().find(|it| it.event_type == event_type).map(|it| it.payload.as_str());
        assert_eq!(
            first(EventType::SubscriptionStateChange),
            Some(r#"{"capabilities":["vpn"],"changeTime":1789000000123,"isActive":true}"#)
        );
        assert_eq!(first(EventType::DeleteUser), Some("{}"));
    }
}
