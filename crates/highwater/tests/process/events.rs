//! Files of events: once, with and without a process that serves the store, through junk and through `kill -9`.

use crate::house::House;
use crate::http;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;
use testkit::wait_until;

const BEGAN: i64 = 1_700_000_000_000;

/// Password changes of many accounts, each account's times rising.
fn file(house: &House, accounts: usize, changes: usize) -> String {
    let mut text = String::new();
    for change in 0..changes {
        for account in 0..accounts {
            let at = BEGAN + i64::try_from(change).expect("small") * 1_000;
            writeln!(text, r#"{{"event":"passwordChange","uid":"user{account}","timestamp":{at}}}"#)
                .expect("text");
        }
    }
    std::fs::write(house.path("events.ndjson"), text).expect("written");
    "events.ndjson".to_owned()
}

fn versions(house: &House, account: usize) -> Value {
    house.run(&["--json", "account", "show", "fxa", &format!("user{account}")]).json()["version"].clone()
}

fn counts(sum: &Value) -> [u64; 4] {
    ["events", "news", "known", "junk"].map(|name| sum[name].as_u64().expect("a count"))
}

#[test]
fn a_file_is_taken_in_once_with_or_without_a_process_that_serves_the_store() {
    let house = House::new();
    let name = file(&house, 300, 3);
    let ingest = || counts(&house.run(&["--json", "events", "ingest", &name]).json());
    assert_eq!(ingest(), [900, 900, 0, 0], "in process");
    let _node = house.serve(&[]);
    assert_eq!(ingest(), [900, 0, 900, 0], "through the process that owns the file");
    assert_eq!(versions(&house, 7), 3);
}

#[test]
fn events_come_through_a_pipe_and_what_they_say_counts_once() {
    let house = House::new();
    let pipe = |text: &str| {
        let mut child = house
            .command(&["--json", "events", "ingest", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        counts(&serde_json::from_slice(&output.stdout).expect("JSON"))
    };
    let event = json!({"event": "passwordChange", "uid": "user0", "timestamp": BEGAN}).to_string();
    assert_eq!(pipe(&format!("{event}\n\n{event}")), [2, 1, 1, 0]);
    assert_eq!(pipe(&event), [1, 0, 1, 0]);
}

#[test]
fn junk_is_kept_with_its_reason_and_can_be_tried_again() {
    let house = House::new();
    let text = "not json\n[1]\n{\"event\":\"passwordChange\",\"uid\":\"user0\"}\n{\"event\":\"login\",\"uid\":\"user0@other.example\"}\n";
    std::fs::write(house.path("junk.ndjson"), text).expect("written");
    assert_eq!(counts(&house.run(&["--json", "events", "ingest", "junk.ndjson"]).json()), [0, 0, 0, 4]);
    let letters = house.run(&["--json", "events", "dead", "list"]).json();
    let reasons: Vec<&str> =
        letters.as_array().expect("a list").iter().map(|it| it["reason"].as_str().expect("text")).collect();
    assert_eq!(reasons, ["not_json", "not_an_object", "no_time", "foreign"]);
    let id = |at: usize| letters[at]["id"].to_string();
    assert!(house.run(&["events", "dead", "show", &id(0)]).done().contains("not json"));

    assert!(house.run(&["events", "dead", "retry", &id(0)]).refused().contains("still no event"));
    // The other provider is configured now, so its event is no stranger's.
    let other = [
        ("ID", "other"),
        ("ISSUERS", "https://other.example"),
        ("ACCOUNT_DOMAIN", "other.example"),
        ("SERVER_URL", "https://other.example"),
    ];
    let house =
        other.iter().fold(house, |house, (name, value)| house.with(&format!("IDP__1__{name}"), value));
    house.run(&["events", "dead", "retry", &id(3)]).done();
    assert_eq!(house.run(&["--json", "account", "show", "other", "user0"]).json()["version"], 1);

    house.run(&["events", "dead", "drop", &id(0), &id(1), &id(2)]).done();
    assert_eq!(house.run(&["--json", "events", "dead", "list"]).json(), json!([]));
    assert!(house.run(&["events", "dead", "drop", &id(0)]).refused().contains("there is no dead letter"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let house = House::new();
    assert!(
        house
            .run(&["events", "ingest", "nowhere.ndjson"])
            .refused()
            .contains("nowhere.ndjson cannot be read")
    );
}

#[tokio::test]
async fn kill_9_in_the_middle_of_a_file_loses_nothing_and_applies_nothing_twice() {
    let (accounts, changes) = (1_000, 30);
    let house = House::new();
    let name = file(&house, accounts, changes);
    let made = house.run(&["--json", "token", "create", "x", "--listener", "admin"]).json();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let node = house.serve(&[]);
    let mut ingest =
        house.command(&["events", "ingest", &name]).stderr(Stdio::piped()).spawn().expect("it runs");
    let begun = async || {
        let answer = http::get(node.at("admin"), "/accounts/fxa/user0", &[("Authorization", &bearer)]);
        answer.is_ok_and(|answer| answer.status == 200)
    };
    wait_until("some of it is committed", Duration::from_mins(1), begun).await;
    node.kill();
    let ended = ingest.wait().expect("it ends");

    let again = counts(&house.run(&["--json", "events", "ingest", &name]).json());
    let all = u64::try_from(accounts * changes).expect("small");
    assert_eq!((again[0], again[3]), (all, 0));
    assert!(again[2] > 0, "what was committed before the kill is known");
    assert!(!ended.success() || again[1] == 0, "a run that broke off says so");
    for account in [0, 1, accounts / 2, accounts - 1] {
        assert_eq!(versions(&house, account), changes, "every change of user{account}, once");
    }
    assert_eq!(counts(&house.run(&["--json", "events", "ingest", &name]).json()), [all, 0, all, 0]);
}
