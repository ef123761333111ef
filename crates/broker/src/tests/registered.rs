//! Relying parties of files.

use super::receiver::Receiver;
use super::*;
use crate::{Absent, registrations};
use http::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A house on the same store, as it is after a start with these files.
async fn started(test: &TestStore, root: &RootKey, folder: &Path, absent: Absent) -> House {
    let settings =
        Settings { relying_parties: vec![folder.to_owned()], absent_relying_parties: absent, ..settings() };
    let house = House::with(settings, test.store.clone(), test.clock.clone(), root);
    house.broker.0.signer.ensure().await.expect("the store answers");
    house.ledger.register_capabilities().await.expect("the store answers");
    house
}

async fn restarted(test: &TestStore, root: &RootKey, folder: &Path, absent: Absent) -> House {
    let house = started(test, root, folder, absent).await;
    registrations::reconcile(house.inner()).await.expect("the store answers");
    house
}

fn folder_of(files: &[(&str, Value)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, json) in files {
        std::fs::write(folder.path().join(name), json.to_string()).expect("written");
    }
    folder
}

fn relay(receiver: &Receiver, name: &str) -> Value {
    json!({
        "client_id": "AAAA",
        "config": {
            "name": name, "webhook": receiver.url(), "allow_private": true, "resource_server": true,
            "algorithm": "EdDSA",
        },
        "secrets": { "headers": { "x-key": "k" } },
    })
}

#[tokio::test]
async fn a_file_says_how_a_relying_party_is_and_operators_whether_it_is_told() {
    for test in engines(TABLES).await {
        let (root, receiver) = (RootKey::generate(), Receiver::start().await);
        let folder = folder_of(&[("relay.json", relay(&receiver, "Relay"))]);
        let house = started(&test, &root, folder.path(), Absent::Keep).await;
        house.happens("u1", 900, Change::PasswordChange).await;
        assert_eq!(
            house.shown().await,
            ["aaaa u1 password-change pending 0"],
            "known before it is in the store"
        );
        registrations::reconcile(house.inner()).await.expect("the store answers");
        house.deliver().await;
        assert_eq!(receiver.got()[0].headers["x-key"], "k");
        let shown = house.ask("GET /rps/aaaa", None).await.json();
        assert_eq!((&shown["origin"], &shown["config"]["name"]), (&json!("file"), &json!("Relay")));
        for (what, body) in
            [("PATCH /rps/aaaa", Some(json!({ "config": { "name": "x" } }))), ("DELETE /rps/aaaa", None)]
        {
            let refused = house.ask(what, body).await.problem();
            assert!(refused.starts_with("409 the relying party aaaa comes from a file"), "{refused}");
        }
        assert_eq!(house.ask("POST /rps/aaaa/pause", None).await.json()["status"], "paused");

        let folder = folder_of(&[("relay.json", relay(&receiver, "Firefox Relay"))]);
        let house = restarted(&test, &root, folder.path(), Absent::Keep).await;
        let shown = house.ask("GET /rps/aaaa", None).await.json();
        assert_eq!((&shown["status"], &shown["config"]["name"]), (&json!("paused"), &json!("Firefox Relay")));
        let house = restarted(&test, &root, folder.path(), Absent::Keep).await;
        assert_eq!(house.ask("GET /rps/aaaa", None).await.json(), shown, "the same files change nothing");
    }
}

#[tokio::test]
async fn who_is_in_no_file_any_more_is_kept_paused_or_removed() {
    for test in engines(TABLES).await {
        let (root, receiver, empty) = (RootKey::generate(), Receiver::start().await, folder_of(&[]));
        let full = folder_of(&[("relay.json", relay(&receiver, "Relay"))]);
        for (absent, origin, status) in [
            (Absent::Keep, json!("operator"), json!("enabled")),
            (Absent::Pause, json!("operator"), json!("paused")),
        ] {
            let house = restarted(&test, &root, full.path(), absent).await;
            assert_eq!(
                house.ask("GET /rps/aaaa", None).await.json()["origin"],
                "file",
                "it is a file's again"
            );
            let house = restarted(&test, &root, empty.path(), absent).await;
            let shown = house.ask("GET /rps/aaaa", None).await.json();
            assert_eq!((&shown["origin"], &shown["status"]), (&origin, &status), "{absent:?}");
            let change = house.ask("PATCH /rps/aaaa", Some(json!({ "config": { "name": "mine" } }))).await;
            assert_eq!(change.status, StatusCode::OK);
        }
        restarted(&test, &root, full.path(), Absent::Remove).await;
        let house = restarted(&test, &root, empty.path(), Absent::Remove).await;
        assert_eq!(house.ask("GET /rps", None).await.json(), json!([]));
    }
}

#[tokio::test]
async fn what_a_relying_party_said_by_its_stream_outlives_a_restart_and_others_are_left_alone() {
    for test in engines(TABLES).await {
        let (root, receiver) = (RootKey::generate(), Receiver::start().await);
        let folder = folder_of(&[("relay.json", relay(&receiver, "Relay"))]);
        let house = restarted(&test, &root, folder.path(), Absent::Remove).await;
        house.add("bbbb", &receiver, |_, _| ()).await;
        let token = house.token_of("aaaa").await;
        let push = json!({ "delivery": {
            "method": "urn:ietf:rfc:8935", "endpoint_url": "https://stream.example/", "authorization_header": "Bearer t",
        } });
        let made = house.receiver_asks(&token, "POST /ssf/streams", Some(push)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);

        let folder = folder_of(&[("relay.json", relay(&receiver, "Renamed"))]);
        let house = restarted(&test, &root, folder.path(), Absent::Remove).await;
        let shown = house.ask("GET /rps/aaaa", None).await.json();
        assert_eq!(
            (&shown["config"]["name"], &shown["config"]["webhook"]),
            (&json!("Renamed"), &json!("https://stream.example/"))
        );
        assert_eq!(shown["secrets"]["authorization"], true);
        assert_eq!(house.ask("GET /rps/bbbb", None).await.json()["origin"], "operator");
    }
}
