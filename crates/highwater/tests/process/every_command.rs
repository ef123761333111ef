//! Every command about services, nodes, buckets and users, gone over one by one: each answers in JSON, finds a node however its
//! URL is written, and says what is wrong with what it was given.

use crate::house::House;
use serde_json::Value;
use std::collections::BTreeSet;

const A: &str = "https://a.example";
const B: &str = "https://b.example";
const USER: &str = "0123456789abcdef0123456789abcdef@api.accounts.firefox.com";

/// A line of each command in each of its forms, in an order in which all of them can be done. `NODE` is a node, `OTHER`
/// another one, `USER` a user who lives on the first.
const LINES: &[&str] = &[
    "service list",
    "node list",
    "node show NODE",
    "node update NODE --capacity 900 --available 900",
    "node cordon NODE",
    "node uncordon NODE",
    "node recount NODE",
    "bucket list",
    "bucket weigh NODE 5",
    "bucket spread",
    "bucket move 0-9 NODE",
    "bucket of USER",
    "user allocate USER NODE",
    "user show USER",
    "user count",
    "user move USER OTHER",
    "user move USER NODE",
    "node drain NODE --rate 5",
    "node drain NODE --status",
    "node drains",
    "node drain NODE --stop",
    "node fail NODE",
    "node fail NODE --report",
    "node fail NODE --undo",
    "node unassign NODE",
    "purge --dry-run",
    "node remove NODE --force",
    "node add NODE --capacity 1000",
    "shed --backoff 5",
    "shed --stop",
    "keys list --kind nodes",
    "keys rotate --kind nodes",
    "migrate --dry-run",
    "import --status",
];

fn house() -> House {
    let house = House::new()
        .with("IDP__0__FETCH_KEYS", "false")
        .with("TOKENSERVER__ALLOCATION", "bucketed")
        .with("TOKENSERVER__SECRETS", "one,two");
    for node in [A, B] {
        house.run(&["node", "add", node, "--capacity", "1000"]).done();
    }
    house
}

/// The words of a line, with this node in it.
fn words<'a>(line: &'a str, node: &'a str) -> Vec<&'a str> {
    let word = |word: &'a str| match word {
        "NODE" => node,
        "OTHER" => B,
        "USER" => USER,
        other => other,
    };
    line.split(' ').map(word).collect()
}

fn lines_with(word: &str) -> impl Iterator<Item = &'static str> {
    LINES.iter().copied().filter(move |line| line.split(' ').any(|it| it == word))
}

/// What stands before the arguments.
fn command(line: &str) -> String {
    let is_name = |word: &&str| word.bytes().all(|letter| letter.is_ascii_lowercase());
    let words: Vec<_> = line.split(' ').take_while(is_name).take(2).collect();
    words.join(" ")
}

#[test]
fn no_command_is_left_out() {
    let page = House::new().run(&["reference", "cli"]).done();
    let named: BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("## highwater ")).map(str::to_owned).collect();
    let is_leaf = |name: &&String| !named.iter().any(|other| other.starts_with(&format!("{name} ")));
    let ours = ["service", "node", "bucket", "user", "purge", "shed", "migrate", "import"];
    let is_ours = |name: &&String| ours.iter().any(|it| name.split(' ').next() == Some(it));
    let there: BTreeSet<_> = named.iter().filter(is_leaf).filter(is_ours).cloned().collect();
    let mut gone_over: BTreeSet<_> = LINES.iter().map(|line| command(line)).collect();
    gone_over.retain(|name| !name.starts_with("keys "));
    assert_eq!(gone_over, there);
}

#[test]
fn each_answers_in_json_and_finds_a_node_by_its_url_in_any_form() {
    let house = house();
    for line in LINES {
        let answer = house.run(&[&["--json"], &*words(line, "https://A.example/")].concat()).json();
        assert!(answer.is_object() || answer.is_array(), "`{line}` said: {answer}");
    }
    let urls = house.run(&["--json", "node", "list"]).json();
    let urls: Vec<_> = urls.as_array().expect("nodes").iter().map(|node| node["url"].clone()).collect();
    assert_eq!(urls, [A, B].map(Value::from), "the slash is not stored");
}

#[test]
fn each_that_takes_a_node_says_what_is_wrong_with_one() {
    let house = house();
    house.run(&["user", "allocate", USER, B]).done();
    let before = house.run(&["--json", "node", "list"]).json();
    for line in lines_with("NODE") {
        let is_new = line.starts_with("node add ");
        for (node, why) in [
            ("https://nowhere.example", "there is no node https://nowhere.example"),
            ("77", "there is no node 77"),
            ("a.example", "begins with no scheme, as in https://"),
            ("ftp://a.example", "by http or https, not by \"ftp\""),
            ("https://a.example?x", "has no query"),
        ] {
            if is_new && why.starts_with("there is no node") {
                continue;
            }
            let said = house.run(&words(line, node)).refused();
            assert!(said.contains(why), "`{line}` with {node} said: {said}");
        }
    }
    for node in [A, "https://A.example/"] {
        let said = house.run(&words("node add NODE --capacity 1000", node)).refused();
        assert!(said.contains("the node https://a.example is there already"), "{said}");
    }
    assert_eq!(house.run(&["--json", "node", "list"]).json(), before, "and nothing was changed");
}

#[test]
fn each_that_takes_a_user_says_what_is_wrong_with_one() {
    let house = house();
    for line in lines_with("USER") {
        let words = words(line, A);
        let with =
            |user| words.iter().map(|word| if *word == USER { user } else { *word }).collect::<Vec<_>>();
        let said = house.run(&with("nobody")).refused();
        assert!(said.contains("subject@domain") && said.contains("\"nobody\""), "`{line}` said: {said}");
        let said = house.run(&with("4711")).refused();
        let why = if line.starts_with("user allocate") { "subject@domain" } else { "there is no user 4711" };
        assert!(said.contains(why), "`{line}` said: {said}");
        if line.starts_with("user show") || line.starts_with("user move") {
            let said = house.run(&words).refused();
            assert!(said.contains("there is no user 0123456789abcdef"), "`{line}` said: {said}");
        }
    }
}

#[test]
fn each_that_is_about_a_service_knows_which_there_are() {
    let house = house();
    for line in LINES {
        let of_all = ["service ", "user count", "node drains", "shed ", "keys list", "migrate ", "import "];
        if of_all.iter().any(|it| line.starts_with(it)) {
            continue;
        }
        let said = house.run(&[&*words(line, A), &["--service", "other-1"]].concat()).refused();
        assert!(said.contains("there is no service other-1; there are: sync-1.5"), "`{line}` said: {said}");
    }
}

#[test]
fn each_says_when_the_store_cannot_be_reached() {
    let house = house().with("STORE__URL", "postgres://u:hunter2@127.0.0.1:1/d");
    for line in LINES {
        let said = house.run(&words(line, A)).refused();
        assert!(said.contains("the store cannot be reached"), "`{line}` said: {said}");
        assert!(!said.contains("hunter2") && said.lines().count() == 1, "`{line}` said: {said}");
    }
}

#[test]
fn numbers_that_cannot_be_are_named_with_what_they_may_be() {
    let house = house();
    for (line, why) in [
        ("node add https://c.example --capacity -5", "capacity is -5; it must be from 0 to 2147483647"),
        ("node add https://c.example --capacity 5 --available -1", "available is -1; it must be from 0"),
        ("node update NODE --capacity -1", "capacity is -1; it must be from 0"),
        ("node update NODE --current-load 3000000000", "current_load is 3000000000; it must be from 0"),
        ("node update NODE", "there is nothing to change"),
        ("node drain NODE --rate 0", "the rate is 0; it must be from 1 to 10000 users a second"),
        ("node drain NODE --rate -3", "the rate is -3"),
        ("bucket weigh NODE -1", "the weight is -1; it must be from 0"),
        ("bucket move 4096 NODE", "\"4096\" names no buckets"),
        ("bucket move 9-1 NODE", "\"9-1\" names no buckets"),
        ("bucket move x NODE", "as in 0-9,12"),
        ("shed --backoff 90000", "backoff_seconds is 90000; it must be from 0 to 86400"),
        ("shed --backoff 5 --for-seconds 0", "for_seconds is 0; it must be from 1"),
        ("purge --above-uid 6 --below-uid 6", "there is no row above"),
    ] {
        let said = house.run(&words(line, A)).refused();
        assert!(said.contains(why), "`{line}` said: {said}");
    }
}
