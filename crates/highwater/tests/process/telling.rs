//! Relying parties told, looked at and mended, with real receivers that check what they get.

use crate::house::House;
use crate::http;
use crate::world::PATIENCE;
use serde_json::{Value, json};
use standins::{StandInRp, TellWay};
use std::sync::Arc;
use store::Clock;
use testkit::wait_until;

/// The issuer that `init` writes.
const ISSUER: &str = "http://127.0.0.1:8000";
pub(crate) const USER: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const RELAY: &str = "5882386c6d801776";
const NOTES: &str = "98e6508e88680e1a";
const CHANGED: i64 = 1_789_000_000_000;

pub(crate) fn house() -> House {
    House::new().with("IDP__0__FETCH_KEYS", "false")
}

/// A receiver that takes keys from a node.
async fn receiver(way: TellWay, client_id: &str, node: &str) -> StandInRp {
    let clock = Clock::system();
    let jwks = format!("http://{node}/.well-known/jwks.json");
    let started = StandInRp::start(way, client_id, ISSUER, &jwks, Arc::new(move || clock.now())).await;
    started.expect("it starts")
}

/// What happened at the identity provider, taken in from a file.
fn happens(house: &House, events: &[Value]) {
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    let text = lines.join("\n");
    // By what is in it: the same file is taken in once.
    let name =
        format!("events-{}.ndjson", events.iter().map(|it| it["timestamp"].to_string()).collect::<String>());
    std::fs::write(house.path(&name), text).expect("written");
    house.run(&["events", "ingest", &name]).done();
}

fn login(client_id: &str) -> Value {
    json!({"event": "login", "uid": USER, "clientId": client_id, "timestamp": CHANGED - 1_000, "email": "a@example.org", "deviceCount": 1})
}

fn change(event: &str, at: i64) -> Value {
    json!({"event": event, "uid": USER, "timestamp": at})
}

/// The deliveries' states and events, as `deliveries list` has them.
fn deliveries(house: &House, filter: &[&str]) -> Vec<(String, String)> {
    let listed = house.run(&[&["--json", "deliveries", "list"], filter].concat()).json();
    let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
    let row = |row: &Value| {
        let event = text(row, "event_type").rsplit('/').next().unwrap_or_default().to_owned();
        (event, text(row, "state"))
    };
    listed.as_array().expect("a list").iter().map(row).collect()
}

async fn until_delivered(house: &House, count: usize) {
    let delivered = async || deliveries(house, &["--state", "delivered"]).len() == count;
    wait_until("all are delivered", PATIENCE, delivered).await;
}

async fn hears(rp: &StandInRp, event: &str) -> standins::Told {
    let heard = tokio::time::timeout(PATIENCE, rp.hears(event, USER)).await;
    heard.unwrap_or_else(|_| panic!("it never heard of {event}, but of {:?}", rp.told()))
}

#[tokio::test]
async fn a_change_is_told_in_tokens_that_verify_by_the_published_keys() {
    let house = house();
    let node = house.serve(&[]);
    let relay = receiver(TellWay::Header, RELAY, node.at("public")).await;
    let notes = receiver(TellWay::Push, NOTES, node.at("public")).await;
    house.run(&["rp", "add", RELAY, "--webhook", &relay.webhook(), "--allow-private"]).done();
    let by_standards = ["--format", "push", "--vocabulary", "ssf", "--algorithm", "es256"];
    let add = ["rp", "add", NOTES, "--webhook", &notes.webhook(), "--allow-private", "--resource-server"];
    house.run(&[&add[..], &by_standards].concat()).done();
    happens(&house, &[login(RELAY), change("passwordChange", CHANGED)]);
    assert_eq!(hears(&relay, "password-change").await.algorithm, "RS256");
    assert_eq!(hears(&notes, "credential-change").await.algorithm, "ES256");

    // A stranger's change concerns the resource server alone.
    let stranger = json!({"event": "passwordChange", "uid": "f".repeat(32), "timestamp": CHANGED});
    happens(&house, &[stranger, change("delete", CHANGED + 1)]);
    hears(&relay, "delete-user").await;
    hears(&notes, "account-purged").await;
    let told: Vec<String> = relay.told().into_iter().map(|it| it.event).collect();
    assert_eq!(told, ["password-change", "delete-user"]);
}

#[tokio::test]
async fn what_a_command_or_a_node_that_delivers_nothing_takes_in_is_told_by_the_next_that_does() {
    let house = house();
    let closed = "http://127.0.0.1:9/events";
    house.run(&["rp", "add", RELAY, "--webhook", closed, "--allow-private"]).done();
    happens(&house, &[login(RELAY), change("passwordChange", CHANGED)]);
    let ingesting = house.serve(&["--roles", "ingest,admin"]);
    happens(&house, &[change("passwordChange", CHANGED + 1)]);
    let pending = ("password-change".to_owned(), "pending".to_owned());
    assert_eq!(deliveries(&house, &[]), [pending.clone(), pending]);
    assert_eq!(
        http::get(ingesting.at("public"), "/.well-known/jwks.json", &[]).expect("an answer").status,
        404
    );
    ingesting.kill();

    let delivering = house.serve(&["--roles", "deliver"]);
    let relay = receiver(TellWay::Header, RELAY, delivering.at("public")).await;
    house.run(&["rp", "update", RELAY, "--webhook", &relay.webhook()]).done();
    hears(&relay, "password-change").await;
    until_delivered(&house, 2).await;
}

#[tokio::test]
async fn with_postgresql_one_node_takes_in_what_another_tells_and_its_successor_goes_on() {
    let house = house().with("STORE__URL", &testkit::postgres_server().fresh_database().await);
    let telling = house.serve(&["--roles", "deliver"]);
    let ingesting = house.serve(&["--roles", "ingest,admin"]);
    let relay = receiver(TellWay::Header, RELAY, telling.at("public")).await;
    house.run(&["rp", "add", RELAY, "--webhook", &relay.webhook(), "--allow-private"]).done();
    happens(&house, &[login(RELAY), change("passwordChange", CHANGED)]);
    hears(&relay, "password-change").await;
    // What is killed before its outcome is committed is sent again when its lease has ended.
    until_delivered(&house, 1).await;
    telling.kill();
    happens(&house, &[change("delete", CHANGED + 1)]);
    let successor = house.serve(&["--roles", "deliver"]);
    hears(&relay, "delete-user").await;
    until_delivered(&house, 2).await;
    assert!(!ingesting.listens("service") && successor.listens("public"));
}

#[tokio::test]
async fn a_deletion_leaves_receipts_that_say_who_confirmed_it() {
    let house = house();
    let node = house.serve(&[]);
    let relay = receiver(TellWay::Header, RELAY, node.at("public")).await;
    house.run(&["rp", "add", RELAY, "--webhook", &relay.webhook(), "--allow-private"]).done();
    happens(&house, &[login(RELAY)]);
    let logins = house.run(&["--json", "account", "logins", "fxa", USER]).json();
    assert_eq!(logins[0]["client_id"], RELAY);
    house.run(&["rp", "pause", RELAY]).done();
    happens(&house, &[change("delete", CHANGED)]);
    let receipt = ["events", "receipt", "fxa", USER];
    assert!(house.run(&receipt).done().ends_with("0 of 1 confirmed it.\n"));
    house.run(&["rp", "resume", RELAY]).done();
    let told = hears(&relay, "delete-user").await;
    let confirmed = async || house.run(&receipt).done().ends_with("1 of 1 confirmed it.\n");
    wait_until("it is confirmed", PATIENCE, confirmed).await;
    let exported = house.run(&[&["--json"], &receipt[..]].concat()).json();
    assert_eq!((&exported[0]["jti"], &exported[0]["state"]), (&json!(told.jti), &json!("delivered")));
    assert_eq!(house.run(&["--json", "account", "logins", "fxa", USER]).json(), json!([]), "forgotten");
}

#[tokio::test]
async fn what_was_not_taken_is_looked_at_and_sent_again_as_the_same_token() {
    let house = house();
    let node = house.serve(&[]);
    let relay = receiver(TellWay::Header, RELAY, node.at("public")).await;
    let closed = ["--webhook", "http://127.0.0.1:9/", "--allow-private", "--retry", "1"];
    house.run(&[&["rp", "add", RELAY, "--resource-server"], &closed[..]].concat()).done();
    happens(&house, &[change("passwordChange", CHANGED)]);
    let given_up = async || deliveries(&house, &["--state", "exhausted"]).len() == 1;
    wait_until("it is given up", PATIENCE, given_up).await;
    let listed = house.run(&["--json", "deliveries", "list", "--rp", RELAY, "--since", "1h"]).json();
    let id = listed[0]["id"].to_string();
    let shown = house.run(&["--json", "deliveries", "show", &id]).json();
    assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(2));
    assert!(house.run(&["deliveries", "show", &id]).done().contains("no connection"), "the reason is told");

    house.run(&["rp", "update", RELAY, "--webhook", &relay.webhook(), "--unset", "retry"]).done();
    let replayed = house.run(&["--json", "deliveries", "replay", "--rp", RELAY, "--since", "1h"]).json();
    assert_eq!(replayed["deliveries"], 1);
    assert_eq!(hears(&relay, "password-change").await.jti, shown["jti"].as_str().expect("a token's id"));
    until_delivered(&house, 1).await;
    assert_eq!(
        house.run(&["--json", "deliveries", "replay", "--rp", RELAY, "--since", "1h"]).json()["deliveries"],
        0
    );
    house.run(&["deliveries", "retry", &id]).done();
    let again = async || {
        let shown = house.run(&["--json", "deliveries", "show", &id]).json();
        shown["attempts"].as_array().map(Vec::len) == Some(4) && shown["state"] == "delivered"
    };
    wait_until("it is sent once more", PATIENCE, again).await;
    assert_eq!(relay.told().len(), 1, "the receiver knows the token");
}

#[tokio::test]
async fn rotated_keys_are_published_before_they_sign_and_after() {
    let house = house();
    let node = house.serve(&[]);
    let published = || {
        let answer = http::get(node.at("public"), "/.well-known/jwks.json", &[]).expect("an answer");
        let keys = if answer.status == 200 { answer.json()["keys"].clone() } else { Value::Null };
        let kids = keys.as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str());
        kids.map(str::to_owned).collect::<Vec<_>>()
    };
    wait_until("keys are published", PATIENCE, async || published().len() == 6).await;
    let key = |state: &str| {
        let keys = house.run(&["--json", "keys", "list"]).json();
        let is = |key: &&Value| key["algorithm"] == "RS256" && key["state"] == state;
        keys.as_array()
            .expect("a list")
            .iter()
            .find(is)
            .map(|key| key["kid"].as_str().expect("text").to_owned())
    };
    let (current, next) = (key("current").expect("it signs"), key("next").expect("it is published"));
    assert_eq!(key("retired"), None);
    house.run(&["keys", "rotate", "RS256", "--at-once"]).done();
    assert_eq!((key("retired"), key("current")), (Some(current.clone()), Some(next.clone())));
    let kids = published();
    assert!([current, next].iter().all(|kid| kids.contains(kid)) && kids.len() == 7, "{kids:?}");
}

#[test]
fn without_its_section_there_is_no_broker_and_commands_say_so() {
    let house = house();
    let file = house.path("highwater.toml");
    let text = std::fs::read_to_string(&file).expect("readable");
    let (before, after) = text.split_once("\n[broker]\n").expect("a section");
    let after = &after[after.find("\n[ingest]").expect("the next one")..];
    std::fs::write(&file, format!("{before}\n{after}")).expect("written");
    let node = house.serve(&[]);
    assert_eq!(
        http::get(node.at("public"), "/.well-known/ssf-configuration", &[]).expect("an answer").status,
        404
    );
    for line in ["rp list", "deliveries list", "keys list", "account logins fxa u", "events receipt fxa u"] {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(house.run(&words).refused().contains("no broker is configured"), "{line}");
    }
    happens(&house, &[login(RELAY), change("delete", CHANGED)]);
    assert_eq!(house.run(&["--json", "account", "show", "fxa", USER]).json()["state"], "deleted");
}
