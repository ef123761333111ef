//! Nodes and users, run by an operator at the command line: what is done, what is refused and why, and what a kill in
//! between leaves undone.

use crate::house::House;
use crate::world::PATIENCE;
use serde_json::{Value, json};
use standins::StandInNode;
use std::sync::Arc;
use store::Clock;
use testkit::wait_until;

const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn house() -> House {
    House::new().with("IDP__0__FETCH_KEYS", "false").with("TOKENSERVER__MASTER_SECRET", "secret0")
}

fn user(n: usize) -> String {
    format!("{n:032x}@api.accounts.firefox.com")
}

/// Two nodes, and users on the first.
fn with_users(house: &House, users: usize) {
    for node in [A, B] {
        house.run(&["node", "add", node, "--capacity", "1000"]).done();
    }
    for n in 0..users {
        house.run(&["user", "allocate", &user(n), A]).done();
    }
}

#[test]
fn nodes_and_users_are_run_from_the_command_line() {
    let house = house();
    with_users(&house, 2);
    let node = |words: &[&str]| house.run(&[&["--json", "node"], words].concat()).json();
    assert_eq!(node(&["show", "https://A.example/"])["live_rows"], 2);
    assert_eq!(node(&["cordon", A])["backoff"], true);
    assert_eq!(node(&["uncordon", A])["backoff"], false);
    assert_eq!(node(&["update", A, "--downed", "--backoff", "--current-load", "9"])["downed"], true);
    let cleared = node(&["update", A, "--downed=false", "--backoff=false"]);
    assert_eq!((&cleared["downed"], &cleared["backoff"]), (&json!(false), &json!(false)));
    assert_eq!(node(&["recount"])[0]["off_by"], 7);
    let moved = house.run(&["--json", "user", "move", &user(1), B]).json();
    assert_eq!((&moved["replaced_uid"], &moved["node"]), (&json!(2), &json!(B)));
    assert_eq!(node(&["fail", A])["left"], 1);
    assert_eq!(node(&["fail", A, "--report"])["moved"], 0);
    assert_eq!(node(&["fail", A, "--undo"])["failed"], false);
    assert_eq!(node(&["unassign", A])["unassigned"], 1);
    assert_eq!(node(&["remove", A, "--force"])["unassigned"], 0);
    assert_eq!(node(&["list"]).as_array().map(Vec::len), Some(1));
    let shown = house.run(&["user", "show", &user(1)]).done();
    assert!(shown.contains("REPLACED") && shown.contains(B), "{shown}");
}

#[test]
fn each_service_has_nodes_users_and_secrets_of_its_own() {
    let services = [("sync", "1.5", "a,b"), ("notes", "2", "c,d")];
    let house = services.iter().enumerate().fold(house(), |house, (n, (application, version, secrets))| {
        let setting = |name: &str| format!("TOKENSERVER__SERVICES__{n}__{name}");
        house
            .with(&setting("APPLICATION"), application)
            .with(&setting("VERSION"), version)
            .with(&setting("SECRETS"), secrets)
    });
    let unsaid = house.run(&["node", "list"]).refused();
    assert!(
        unsaid.contains("there are several services") && unsaid.contains("sync-1.5, notes-2"),
        "{unsaid}"
    );
    for service in ["sync-1.5", "notes-2"] {
        house.run(&["node", "--service", service, "add", A, "--capacity", "9"]).done();
    }
    let services = house.run(&["--json", "service", "list"]).json();
    assert_eq!(
        (&services[1]["service"], &services[1]["secrets"]),
        (&json!("notes-2"), &json!(2)),
        "{services}"
    );
    let services = house.run(&["service", "list"]).done();
    assert!(services.contains("least_loaded") && services.contains("{node}/1.5/{uid}"), "{services}");
    house.run(&["user", "allocate", &user(1), A, "--service", "notes-2"]).done();
    let load = |service| {
        house.run(&["--json", "node", "list", "--service", service]).json()[0]["current_load"].clone()
    };
    assert_eq!((load("sync-1.5"), load("notes-2")), (json!(0), json!(1)));
    assert!(
        house
            .run(&["user", "show", &user(1), "--service", "sync-1.5"])
            .refused()
            .contains("there is no user")
    );
    let rotated = house.run(&["--json", "keys", "rotate", "--kind", "nodes", "--service", "notes-2"]).json();
    assert_eq!((&rotated[0]["state"], &rotated[1]["state"]), (&json!("retiring"), &json!("signs")));
    let listed = house.run(&["keys", "list", "--kind", "nodes"]).done();
    assert!(listed.contains("sync-1.5") && listed.contains("next"), "{listed}");
    let again = house.run(&["keys", "rotate", "--kind", "nodes", "--service", "notes-2"]).refused();
    assert!(again.contains("notes-2 has no secret after the one that signs"), "{again}");
    assert!(house.run(&["purge", "--service", "notes-2"]).done().starts_with("The data of 0 rows"));
}

#[test]
fn load_is_shed_for_a_time_and_no_longer() {
    let house = house();
    assert_eq!(house.run(&["shed"]).done().trim(), "Nothing is asked of clients.");
    let shed = house.run(&["--json", "shed", "--backoff", "600", "--refuse", "20"]).json();
    assert_eq!((&shed["backoff_seconds"], &shed["refuse_percent"]), (&json!(600), &json!(20)));
    let told = house.run(&["shed"]).done();
    assert!(
        told.starts_with(
            "Clients are asked to stay away for 600 seconds, and 20 of 100 are turned away, until"
        ),
        "{told}"
    );
    house.run(&["shed", "--stop"]).done();
    assert!(house.run(&["shed", "--stop"]).refused().contains("no operator sheds load just now"));
    assert!(house.run(&["shed", "--backoff", "90000"]).refused().contains("it must be from 0 to 86400"));
    assert_eq!(house.run(&["--json", "shed"]).json(), json!({ "backoff_seconds": 0, "refuse_percent": 0 }));
}

#[test]
fn buckets_are_spread_moved_and_weighed_from_the_command_line() {
    let house = house().with("TOKENSERVER__ALLOCATION", "bucketed");
    for node in [A, B] {
        house.run(&["node", "add", node, "--capacity", "1000"]).done();
    }
    house.run(&["bucket", "weigh", B, "3000"]).done();
    let planned = house.run(&["bucket", "spread", "--dry-run"]).done();
    assert!(planned.starts_with("4096 of 4096 buckets would move"), "{planned}");
    assert_eq!(house.run(&["--json", "bucket", "spread"]).json()["moved"], 4096);
    let counts = |listed: &Value| (listed[0]["count"].clone(), listed[1]["count"].clone());
    let listed = house.run(&["--json", "bucket", "list"]).json();
    assert_eq!(counts(&listed), (json!(1024), json!(3072)));
    let belongs = house.run(&["--json", "bucket", "of", &user(1)]).json();
    let other = if belongs["url"] == A { B } else { A };
    let moved = house.run(&["--json", "bucket", "move", &belongs["bucket"].to_string(), other]).json();
    assert_eq!(moved["moved"], 1);
    assert!(house.run(&["bucket", "of", &user(1)]).done().contains(other));
    let lives = house.run(&["--json", "user", "allocate", &user(1)]).json();
    assert_eq!(lives["node"], other);
    let odd = house.run(&["bucket", "move", "9-1", A]).refused();
    assert!(odd.contains("\"9-1\" names no buckets"), "{odd}");
}

#[test]
fn users_are_counted_in_the_form_of_the_fields_script() {
    let house = house();
    with_users(&house, 2);
    let count = ["--json", "user", "count", "--until", "0s", "--append", "counts.jsonl"];
    let line = house.run(&count).json();
    assert_eq!(
        (&line["op"], &line["total_users"], &line["v"]),
        (&json!("sync_count_users"), &json!(2), &json!(0))
    );
    house.run(&count).done();
    let file = std::fs::read_to_string(house.path("counts.jsonl")).expect("written");
    let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut members: Vec<_> = lines[1].as_object().expect("an object").keys().cloned().collect();
    members.sort_unstable();
    assert_eq!(
        (lines.len(), members),
        (2, ["hostname", "op", "pid", "time", "total_users", "v"].map(str::to_owned).to_vec())
    );
    assert!(house.run(&["user", "count"]).done().starts_with("0 users"), "by the last midnight");
}

#[test]
fn what_cannot_be_done_says_why_and_changes_nothing() {
    let house = house();
    with_users(&house, 1);
    let before = house.run(&["--json", "node", "list"]).json();
    let (known, stranger) = (user(0), user(7));
    for (line, why) in [
        ("node add https://a.example/ --capacity 5".to_owned(), "is there already"),
        ("node add a.example --capacity 5".to_owned(), "begins with no scheme"),
        ("node add ftp://a.example --capacity 5".to_owned(), "by http or https"),
        ("node add https://c.example --capacity -5".to_owned(), "capacity is -5"),
        ("node update https://a.example --capacity -1".to_owned(), "capacity is -1"),
        ("node update https://a.example".to_owned(), "nothing to change"),
        ("node update https://c.example --downed".to_owned(), "there is no node https://c.example"),
        ("node show c.example".to_owned(), "begins with no scheme"),
        ("node cordon 77".to_owned(), "there is no node 77"),
        ("node uncordon https://c.example".to_owned(), "there is no node"),
        ("node unassign https://c.example".to_owned(), "there is no node"),
        ("node remove https://c.example".to_owned(), "there is no node"),
        ("node remove https://a.example".to_owned(), "1 users live on"),
        ("node recount https://c.example".to_owned(), "there is no node"),
        ("node drain https://c.example".to_owned(), "there is no node"),
        ("node drain https://a.example --rate 0".to_owned(), "the rate is 0"),
        ("node drain https://a.example --wait".to_owned(), "no process serves here"),
        ("node drain https://a.example --status".to_owned(), "never was"),
        ("node drain https://a.example --stop".to_owned(), "never was"),
        ("node fail https://c.example".to_owned(), "there is no node"),
        ("node fail https://a.example --report".to_owned(), "has never failed"),
        ("node fail https://a.example --undo".to_owned(), "has not failed"),
        ("user show nobody".to_owned(), "subject@domain"),
        (format!("user show {stranger}"), "there is no user"),
        (format!("user move {stranger} https://b.example"), "there is no user"),
        (format!("user move {known} https://c.example"), "there is no node"),
        (format!("user allocate {known} https://b.example"), "lives on https://a.example"),
        ("user allocate 5".to_owned(), "subject@domain"),
        ("purge --force --override-node nowhere".to_owned(), "begins with no scheme"),
        ("purge --above-uid 5 --below-uid 6".to_owned(), "there is no row above"),
        ("node list --set store.url=postgres://u@127.0.0.1:1/d".to_owned(), "the store cannot be reached"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let complaint = house.run(&words).refused();
        assert!(complaint.contains(why), "`{line}` said: {complaint}");
    }
    assert_eq!(house.run(&["--json", "node", "list"]).json(), before);
}

#[test]
fn a_line_that_cannot_be_understood_ends_with_2() {
    let house = house();
    for (line, why) in [
        ("node add https://a.example", "--capacity"),
        ("node drain x --stop --rate 5", "--rate"),
        ("node fail x --report --undo", "--undo"),
        ("node fail x --after 5", "--report"),
        ("purge --override-node https://x", "--force"),
        ("purge --grace-seconds -1", "-1"),
        ("purge --max 0", "0"),
        ("user count --until yesterday", "so long ago"),
        ("user move u --force", "NODE"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = house.run(&words);
        assert_eq!(ran.code(), 2, "`{line}`");
        assert!(ran.complaint().contains(why), "`{line}` said: {}", ran.complaint());
    }
}

#[tokio::test]
async fn a_drain_goes_on_after_a_kill_and_moves_nobody_twice() {
    let house = house();
    with_users(&house, 25);
    let node = house.serve(&[]);
    house.run(&["node", "drain", A, "--rate", "1"]).done();
    let drain = || house.run(&["--json", "node", "drain", A, "--status"]).json();
    wait_until("some have moved", PATIENCE, async || drain()["moved"].as_i64() > Some(0)).await;
    node.kill();
    let at_the_kill = drain();
    assert_eq!(at_the_kill["state"], "running", "{at_the_kill}");
    let node = house.serve(&[]);
    let done = house.run(&["--json", "node", "drain", A, "--rate", "1000", "--wait"]).json();
    assert_eq!((&done["state"], &done["moved"], &done["left"]), (&json!("done"), &json!(25), &json!(0)));
    for n in 0..25 {
        let shown = house.run(&["--json", "user", "show", &user(n)]).json();
        let rows = shown["rows"].as_array().expect("rows");
        let live: Vec<_> = rows.iter().filter(|row| row["replaced_at"].is_null()).collect();
        assert_eq!((rows.len(), live.len(), &live[0]["node"]), (2, 1, &json!(B)), "{shown}");
    }
    let nodes = house.run(&["--json", "node", "recount"]).json();
    assert!(nodes.as_array().expect("nodes").iter().all(|node| node["off_by"] == 0), "{nodes}");
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_killed_is_finished_by_the_next_one() {
    let clock = Clock::system();
    let there = StandInNode::start("secret0", Arc::new(move || clock.now())).await.expect("it starts");
    let house = house();
    house.run(&["node", "add", &there.url(), "--capacity", "1000"]).done();
    house.run(&["node", "add", B, "--capacity", "1000"]).done();
    for n in 0..12 {
        let made = house.run(&["--json", "user", "allocate", &user(n), &there.url()]).json();
        there.put(made["uid"].as_i64().expect("a number"));
    }
    let serving = house.serve(&[]);
    house.run(&["node", "drain", &there.url(), "--rate", "1000", "--wait"]).done();
    let mut purge = house.command(&["purge", "--grace-seconds", "0"]).spawn().expect("it starts");
    wait_until("some is gone", PATIENCE, async || there.deleted() > 0).await;
    purge.kill().expect("it can be killed");
    purge.wait().expect("it ends");
    serving.kill();
    let done = house.run(&["--json", "purge", "--grace-seconds", "0"]).json();
    assert_eq!((&done["failed"], &done["spared"], there.deleted()), (&json!(0), &json!(0), 12), "{done}");
    assert_eq!(house.run(&["--json", "purge", "--grace-seconds", "0"]).json()["fetched"], 0);
    let left = house.run(&["--json", "node", "remove", &there.url()]).json();
    assert_eq!(left["unassigned"], 0, "nothing is on it any more");
    assert_eq!(house.run(&["--json", "node", "show", B]).json()["live_rows"], 12);
}
