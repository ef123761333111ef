//! What is told against the schemas that receivers are given (`schemas/events.json`).

use super::tests::any_profile;
use super::*;
use account::{DeleteReason, Login, Subscription};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(include_str!("../../schemas/events.json")).expect("JSON")
}

/// Whether a value is as a schema says, in those words of JSON Schema (2020-12) that the document uses. An unknown word is
/// a panic: nothing is passed over.
fn fits(schema: &Value, value: &Value) -> bool {
    let empty = Map::new();
    let members = value.as_object().unwrap_or(&empty);
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let at_least = |count: &Value, least: usize| count.as_u64().is_some_and(|count| least as u64 >= count);
    schema.as_object().expect("a schema").iter().all(|(word, said)| match word.as_str() {
        "$schema" | "title" | "description" => true,
        "type" => match said.as_str().expect("a type") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("the type {other}"),
        },
        "enum" => said.as_array().expect("values").contains(value),
        "properties" => {
            members.iter().all(|(name, value)| properties.get(name).is_none_or(|it| fits(it, value)))
        }
        "required" => said
            .as_array()
            .expect("names")
            .iter()
            .all(|name| value.get(name.as_str().expect("a name")).is_some()),
        "additionalProperties" => members.keys().all(|name| properties.contains_key(name)),
        "items" => value.as_array().is_some_and(|items| items.iter().all(|item| fits(said, item))),
        "minItems" => value.as_array().is_some_and(|items| at_least(said, items.len())),
        "minProperties" => at_least(said, members.len()),
        "maxProperties" => !at_least(said, members.len()) || said.as_u64() == Some(members.len() as u64),
        other => panic!("the word {other}"),
    })
}

fn events(telling: &Telling) -> Value {
    let payload: Value = serde_json::from_str(&telling.payload).expect("JSON");
    json!({ telling.event_type.uri(): payload })
}

/// Every telling of a change that is not as its schema says.
fn unfit(change: &Change) -> Vec<Value> {
    let (document, capabilities) = (document(), ["x".to_owned(), "y".to_owned()]);
    let told = [Vocabulary::Fxa, Vocabulary::Ssf]
        .into_iter()
        .flat_map(|it| tellings(it, change, Millis::new(1_789_000_000_123), &capabilities));
    told.map(|it| events(&it)).filter(|events| !fits(&document, events)).collect()
}

#[test]
fn every_event_type_has_a_schema_and_no_other_has() {
    let document = document();
    let described: BTreeSet<&str> =
        document["properties"].as_object().expect("events").keys().map(String::as_str).collect();
    assert_eq!(described, EventType::ALL.into_iter().map(EventType::uri).collect());
}

#[test]
fn every_change_is_told_as_the_schemas_say() {
    let reasons = [None, Some(DeleteReason::User), Some(DeleteReason::Admin), Some(DeleteReason::Inactivity)];
    let deletions =
        reasons.into_iter().chain([Some(DeleteReason::Unverified)]).map(|reason| Change::Delete { reason });
    let subscription =
        |active| Change::SubscriptionChange(Subscription { active, capabilities: vec!["x".into()] });
    let others = [
        Change::Login(Login::default()),
        Change::PasswordChange,
        Change::PasswordReset,
        Change::SignOutEverywhere,
        Change::PrimaryEmailChange { email: None },
        Change::PrimaryEmailChange { email: Some("n@e".into()) },
        Change::Disable,
        Change::Enable,
        subscription(true),
        subscription(false),
    ];
    for change in deletions.chain(others) {
        assert_eq!(unfit(&change), Vec::<Value>::new(), "{change:?}");
    }
    for telling in [ended(Vocabulary::Ssf, Millis::new(1)), disconnected(Vocabulary::Ssf, Millis::new(1))] {
        assert!(fits(&document(), &events(&telling.expect("there is a word for it"))));
    }
}

#[test]
fn what_is_not_as_the_schemas_say_is_seen() {
    let document = document();
    for odd in [
        json!({}),
        json!({ EventType::PasswordChange.uri(): {} }),
        json!({ EventType::PasswordChange.uri(): { "changeTime": 1.5 } }),
        json!({ EventType::DeleteUser.uri(): { "reason": "purge" } }),
        json!({ EventType::DeleteUser.uri(): { "reason": null } }),
        json!({ EventType::ProfileChange.uri(): { "uid": "x" } }),
        json!({ EventType::TokenClaimsChange.uri(): { "claims": {}, "event_timestamp": 1 } }),
        json!({ EventType::SubscriptionStateChange.uri(): { "capabilities": [], "changeTime": 1, "isActive": true } }),
        json!({ "https://example.com/other": {} }),
        json!({ EventType::DeleteUser.uri(): {}, EventType::MetricsOptIn.uri(): {} }),
    ] {
        assert!(!fits(&document, &odd), "{odd}");
    }
}

proptest! {
    #[test]
    fn every_profile_is_told_as_the_schemas_say(profile in any_profile()) {
        prop_assert_eq!(unfit(&Change::ProfileChange(profile)), Vec::<Value>::new());
    }
}
