//! What fxa-event-broker kept, line by line: `{"path": …, "fields": …}`, one document of its store each. Pure.
//!
//! * `<prefix>users/<uid>`: `{"oauth_clients": {"<client id>": true, …}}`, the logins of an account;
//! * `<prefix>clients/<client id>`: `{"webhookUrl": "https://…", "isResourceServer": true}`, a relying party.

use crate::{ClientId, Config, Secrets};
use account::Subject;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A document, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    /// A relying party.
    Rp(ClientId, Box<Config>),
    /// An account's logins.
    Logins(Subject, Vec<ClientId>),
}

/// Reads one line; the error says what is wrong with it.
pub(crate) fn document(line: &str) -> Result<Document, String> {
    #[derive(Deserialize)]
    struct Raw {
        path: String,
        fields: serde_json::Value,
    }
    let raw: Raw = serde_json::from_str(line).map_err(|error| format!("not a document: {error}"))?;
    // Before the collection there may be anything: a prefix, a project, a database.
    let (collection, name) = raw.path.rsplit_once('/').ok_or("its path names no document")?;
    if collection.ends_with("users") {
        logins(name, raw.fields)
    } else if collection.ends_with("clients") {
        rp(name, raw.fields)
    } else {
        Err(format!(
            "{:?} is neither of users nor of clients",
            raw.path.chars().take(100).collect::<String>()
        ))
    }
}

fn logins(name: &str, fields: serde_json::Value) -> Result<Document, String> {
    #[derive(Deserialize)]
    struct User {
        #[serde(default)]
        oauth_clients: BTreeMap<String, serde_json::Value>,
    }
    let user: User = serde_json::from_value(fields).map_err(|error| error.to_string())?;
    let subject = Subject::new(name).map_err(|error| error.to_string())?;
    let present =
        user.oauth_clients.into_iter().filter(|(_, is_there)| *is_there != serde_json::Value::Bool(false));
    let clients: Result<Vec<_>, _> = present.map(|(client_id, _)| ClientId::new(&client_id)).collect();
    Ok(Document::Logins(subject, clients.map_err(|error| error.to_string())?))
}

fn rp(name: &str, fields: serde_json::Value) -> Result<Document, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Client {
        #[serde(default)]
        webhook_url: Option<String>,
        #[serde(default)]
        is_resource_server: bool,
    }
    let client: Client = serde_json::from_value(fields).map_err(|error| error.to_string())?;
    let client_id = ClientId::new(name).map_err(|error| error.to_string())?;
    let config = Config {
        name: name.to_owned(),
        webhook: client.webhook_url,
        resource_server: client.is_resource_server,
        ..Config::default()
    };
    config.check(&Secrets::default()).map_err(|error| error.to_string())?;
    Ok(Document::Rp(client_id, Box::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn users_and_clients_are_read_whatever_stands_before_their_collection() {
        let user = document(
            r#"{"path":"fxa-eb-users/0f1e","fields":{"oauth_clients":{"AAAA":true,"bbbb":true,"cccc":false}}}"#,
        );
        let client = |name: &str| ClientId::new(name).expect("valid");
        let subject = Subject::new("0f1e").expect("valid");
        assert_eq!(user, Ok(Document::Logins(subject.clone(), vec![client("aaaa"), client("bbbb")])));
        let nobody = document(r#"{"path":"projects/p/databases/d/documents/users/0f1e","fields":{}}"#);
        assert_eq!(nobody, Ok(Document::Logins(subject, vec![])));
        let rp = document(
            r#"{"path":"fxa-eb-clients/AAAA","fields":{"webhookUrl":"https://a.example/","isResourceServer":true}}"#,
        );
        let Ok(Document::Rp(client_id, config)) = rp else { panic!("a relying party: {rp:?}") };
        assert_eq!((client_id, config.webhook.as_deref()), (client("aaaa"), Some("https://a.example/")));
        assert!(config.resource_server);
    }

    #[test]
    fn what_cannot_be_taken_over_says_why() {
        for (line, why) in [
            ("", "not a document"),
            (r#"{"path":"users","fields":{}}"#, "names no document"),
            (r#"{"path":"other/x","fields":{}}"#, "neither of users nor of clients"),
            (r#"{"path":"users/","fields":{}}"#, "empty"),
            (r#"{"path":"users/x","fields":{"oauth_clients":{"a b":true}}}"#, "no client id"),
            (r#"{"path":"clients/x","fields":{"webhookUrl":"http://a.example/"}}"#, "plain http"),
            (r#"{"path":"clients/x","fields":7}"#, "invalid type"),
        ] {
            let error = document(line).expect_err(line);
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "\\PC*", path in "[a-z/]{0,12}", fields in r#"(\{"(oauth_clients|webhookUrl)":(\{\}|7|"x"|null)\}|7|\[\])"#) {
            let _ = document(&line);
            let _ = document(&format!(r#"{{"path":"{path}","fields":{fields}}}"#));
        }
    }
}
