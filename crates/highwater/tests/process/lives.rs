//! Lives and deaths: starting without a store, draining, dying by `kill -9`, two processes on one file.

use crate::house::{House, Node};
use crate::http;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::{Postgres, wait_until};

const PATIENCE: Duration = Duration::from_mins(1);

fn health(address: &str, path: &str) -> u16 {
    http::get(address, path, &[]).map_or(0, |answer| answer.status)
}

#[test]
fn health_says_what_it_looked_at() {
    let house = House::new();
    let node = house.serve(&[]);
    let report = http::get(node.at("admin"), "/health", &[]).expect("an answer").json();
    assert_eq!(report["checks"]["store"]["status"], "ok", "{report}");
    for check in ["effects", "feed", "dead_letters"] {
        assert!(report["checks"][check]["detail"].is_string(), "{report}");
    }
    assert_eq!(health(node.at("admin"), "/health/live"), 200);
    assert_eq!(health(node.at("admin"), "/health/ready"), 200);
}

/// A request whose last bytes are still to come. When this returns, its connection was taken.
fn begun_request(node: &Node) -> TcpStream {
    let mut begun = TcpStream::connect(node.at("admin")).expect("it listens");
    begun.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    begun.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").expect("sent");
    assert_eq!(health(node.at("admin"), "/health/live"), 200, "a later connection was taken");
    begun
}

#[test]
fn the_first_signal_lets_a_request_finish() {
    let house = House::new();
    let node = house.serve(&[]);
    let mut begun = begun_request(&node);
    node.signal("TERM");
    node.says("stopping");
    begun.write_all(b"\r\n").expect("sent");
    let mut answer = String::new();
    begun.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(node.ended().success());
    assert!(!house.path("highwater.db.sock").exists(), "the socket went with it");
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let house = House::new().with("LISTEN__LIMITS__HEADER_SECONDS", "600");
    let node = house.serve(&[]);
    let mut begun = begun_request(&node);
    node.signal("INT");
    node.says("stopping");
    node.signal("INT");
    assert!(node.ended().success());
    assert_eq!(begun.read(&mut [0; 1]).unwrap_or(0), 0, "the request was dropped");
}

#[test]
fn what_was_answered_survives_kill_9_and_the_next_start_takes_over() {
    let house = House::new();
    let node = house.serve(&[]);
    let names: Vec<String> = (0..5).map(|number| format!("caller-{number}")).collect();
    for name in &names {
        house.run(&["token", "create", name, "--listener", "service"]).done();
    }
    node.kill();
    assert!(house.path("highwater.db.sock").exists(), "a killed process leaves its socket behind");
    let listed = |house: &House| -> Vec<String> {
        let listed = house.run(&["--json", "token", "list"]).json();
        let rows = listed.as_array().expect("a list").iter();
        rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(listed(&house), names, "read without the process");
    let node = house.serve(&[]);
    assert_eq!(listed(&house), names, "read through it");
    assert_eq!(health(node.at("admin"), "/health/ready"), 200);
}

#[test]
fn a_second_process_on_the_same_file_is_turned_away_and_commands_are_served_by_the_first() {
    let house = House::new();
    let _node = house.serve(&[]);
    assert!(house.run(&["serve"]).refused().contains("in use by another process"));
    house.run(&["token", "create", "x", "--listener", "admin"]).done();
    // With the socket out of the way a command says what stands in its way, and changes nothing.
    std::fs::remove_file(house.path("highwater.db.sock")).expect("it was there");
    let said = house.run(&["token", "list"]).refused();
    assert!(said.contains("highwater.db.sock") && said.contains("in use by another process"), "{said}");
}

#[test]
fn a_node_has_the_doors_of_its_roles() {
    let house = House::new();
    let made = house.run(&["--json", "token", "create", "x", "--listener", "admin"]).json();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let node = house.serve(&["--roles", "token,ingest"]);
    assert!(node.listens("public") && !node.listens("service"));
    assert_eq!(health(node.at("admin"), "/health/ready"), 200);
    let status =
        |path| http::get(node.at("admin"), path, &[("Authorization", &bearer)]).expect("an answer").status;
    assert_eq!((status("/metrics"), status("/tokens")), (200, 404), "metrics, but no API");
    house.run(&["token", "list"]).done();
}

#[test]
fn each_role_brings_its_own_public_routes() {
    let events = ("/1.0/webhooks/fxa/events", "POST");
    let tokens = ("/1.0/sync/1.5", "GET");
    for (role, served, missing) in [("token", tokens, events), ("ingest", events, tokens)] {
        let house = House::new().with("IDP__0__SET_AUDIENCE", "here");
        let node = house.serve(&["--roles", role]);
        let asked = |(path, method)| http::ask(node.at("public"), method, path, &[], "").expect("an answer");
        assert_eq!((asked(served).status, asked(missing).status), (401, 404), "{role}");
        // Sync clients read JSON whatever the status.
        assert!(asked(missing).body.contains(r#""errors":[{"location":"url""#), "{role}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_at_the_start_is_waited_for() {
    let mut postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    postgres.stop();
    let house = House::new().with("STORE__URL", &url);
    let node = house.serve(&[]);
    assert_eq!(health(node.at("admin"), "/health/ready"), 503);
    assert_eq!(health(node.at("admin"), "/health/live"), 200);
    let answer =
        http::get(node.at("admin"), "/tokens", &[("Authorization", "Bearer hw_x")]).expect("an answer");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("5")),
        "an outage is no verdict: {answer:?}"
    );
    postgres.start_again();
    let ready = async || health(node.at("admin"), "/health/ready") == 200;
    wait_until("ready once the store is there", PATIENCE, ready).await;

    postgres.crash();
    wait_until("not ready while it is gone", PATIENCE, async || {
        health(node.at("admin"), "/health/ready") == 503
    })
    .await;
    postgres.start_again();
    wait_until("ready again", PATIENCE, ready).await;
}
