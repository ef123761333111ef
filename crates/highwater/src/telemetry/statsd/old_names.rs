//! Names that dashboards of others may still ask by: what the README of fxa-event-broker once called some of its metrics
//! (what are labels now was a part of the name), and what Relay's bearer authentication called its own.

use metrics::{Key, Label};

/// What a sample was called, if it was called anything else.
pub(super) fn old_name(key: &Key) -> Option<Key> {
    let label = |name: &str| key.labels().find(|label| label.key() == name).map(Label::value);
    match key.name() {
        "message.type" => {
            let kind = label("eventType").filter(|it| ["login", "delete", "subscription"].contains(it))?;
            Some(Key::from_name(format!("message.type.{kind}")))
        }
        outcome @ ("proxy.success" | "proxy.fail") => {
            let (client_id, status) = (label("clientId")?, label("statusCode")?);
            Some(Key::from_name(format!("{outcome}.{client_id}.{status}")))
        }
        "idp.introspection" => {
            let result = introspection_result(label("outcome")?);
            Some(Key::from_parts("accounts_introspection_ms", vec![Label::new("result", result)]))
        }
        "bearer.profile" => {
            let result = label("result")?.to_owned();
            Some(Key::from_parts("accounts_profile_ms", vec![Label::new("result", result)]))
        }
        "proxy.sub.eventDelay" => Some(Key::from_static_name("proxy.sub.queueDelay")),
        _ => None,
    }
}

/// Relay's word for what came of a question. What has no word of its own there is what its code would have made of it.
fn introspection_result(outcome: &str) -> &'static str {
    match outcome {
        "active" => "OK",
        "timeout" => "Timeout",
        "unreachable" => "FailedRequest",
        "status" => "NotOK",
        "unreadable" => "NotJson",
        _ => "NotActive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(name: &'static str, labels: &[(&'static str, &'static str)]) -> Option<String> {
        let labels: Vec<Label> = labels.iter().map(|(key, value)| Label::new(*key, *value)).collect();
        old_name(&Key::from_parts(name, labels)).map(|key| key.name().to_owned())
    }

    #[test]
    fn labels_become_a_part_of_the_name_as_they_were() {
        let tags = [("clientId", "5882386c6d801776"), ("statusCode", "200"), ("type", "reset")];
        for (name, labels, expected) in [
            ("message.type", &[("eventType", "login")][..], Some("message.type.login")),
            ("message.type", &[("eventType", "password")], None),
            ("proxy.success", &tags, Some("proxy.success.5882386c6d801776.200")),
            ("proxy.fail", &tags, Some("proxy.fail.5882386c6d801776.200")),
            ("proxy.fail", &[], None),
            ("proxy.sub.eventDelay", &[], Some("proxy.sub.queueDelay")),
            (
                "idp.introspection",
                &[("idp", "fxa"), ("outcome", "active")],
                Some("accounts_introspection_ms"),
            ),
            ("bearer.profile", &[("result", "timeout")], Some("accounts_profile_ms")),
            ("token_creation", &[], None),
        ] {
            assert_eq!(old(name, labels).as_deref(), expected, "{name} {labels:?}");
        }
    }

    #[test]
    fn relays_results_keep_their_words() {
        let result = |outcome: &'static str| {
            let key = Key::from_parts("idp.introspection", vec![Label::new("outcome", outcome)]);
            let old = old_name(&key).expect("it had a name");
            old.labels().next().map(|label| (label.key().to_owned(), label.value().to_owned()))
        };
        for (outcome, expected) in [
            ("active", "OK"),
            ("inactive", "NotActive"),
            ("other_kind", "NotActive"),
            ("timeout", "Timeout"),
            ("unreachable", "FailedRequest"),
            ("status", "NotOK"),
            ("unreadable", "NotJson"),
        ] {
            assert_eq!(result(outcome), Some(("result".to_owned(), expected.to_owned())));
        }
    }
}
