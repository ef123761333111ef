//! Commands: what they print, what they leave behind, and their exit codes.

use crate::house::House;
use crate::http;
use std::os::unix::fs::PermissionsExt;
use store::{Clock, Migration, Store};

#[test]
fn init_writes_a_private_file_and_never_replaces_secrets_unasked() {
    let house = House::new();
    let file = house.path("highwater.toml");
    let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read_to_string(&file).expect("readable");
    assert!(!before.contains("{{"), "a blank was left");
    assert!(house.run(&["init"]).refused().contains("--force"));
    assert_eq!(std::fs::read_to_string(&file).expect("readable"), before);
    house.run(&["init", "--force"]).done();
    assert_ne!(std::fs::read_to_string(&file).expect("readable"), before, "fresh secrets");
}

#[test]
fn two_inits_share_no_secret() {
    let secrets = |house: &House| -> Vec<String> {
        let text = std::fs::read_to_string(house.path("highwater.toml")).expect("readable");
        let quoted =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('"').nth(1));
        quoted.filter(|value| value.len() >= 43).map(str::to_owned).collect()
    };
    let (one, other) = (secrets(&House::new()), secrets(&House::new()));
    assert!(!one.is_empty() && one.iter().all(|secret| !other.contains(secret)));
}

#[test]
fn migrate_tells_what_it_would_do_does_it_and_has_nothing_left_to_do() {
    let house = House::new();
    let planned = house.run(&["--json", "migrate", "--dry-run"]).json();
    let done = house.run(&["--json", "migrate"]).json();
    assert_eq!(planned["pending"], done["applied"]);
    assert_eq!(house.run(&["--json", "migrate"]).json()["applied"], serde_json::json!([]));
}

#[test]
fn a_file_is_opened_when_less_is_configured_than_was() {
    let house = House::new();
    house.run(&["migrate"]).done();
    let file = house.path("highwater.toml");
    let text = std::fs::read_to_string(&file).expect("readable");
    assert!(text.contains("\n[broker]"));
    let mut is_left = true;
    let less = text.lines().filter(|line| {
        if line.starts_with('[') {
            is_left = !line.starts_with("[broker")
                && !line.starts_with("[sessions")
                && !line.starts_with("[bearer");
        }
        is_left
    });
    let less = less.collect::<Vec<_>>().join("\n");
    assert_ne!(less, text);
    std::fs::write(&file, less).expect("written");
    house.run(&["migrate"]).done();
    drop(house.serve(&[]));
}

#[tokio::test]
async fn a_file_that_a_later_version_brought_up_to_date_is_not_opened() {
    static LATER: &[Migration] = &[Migration::both("ledger 9999 later", "create table later (id bigint)")];
    let house = House::new();
    house.run(&["migrate"]).done();
    let url = format!("sqlite:{}", house.path("highwater.db").display());
    let store = Store::open(&store::Settings::at(url), Clock::system()).expect("nobody else has it open");
    store.migrate(&[LATER]).await.expect("migrated");
    drop(store);
    for command in [&["migrate"][..], &["serve"], &["rp", "list"]] {
        let said = house.run(command).refused();
        assert!(
            said.contains("a later version of Highwater") && said.contains("ledger 9999 later"),
            "{said}"
        );
    }
}

#[test]
fn a_token_opens_the_admin_listener_until_it_is_revoked() {
    let house = House::new();
    let made = house.run(&["--json", "token", "create", "console", "--listener", "admin"]).json();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let node = house.serve(&[]);
    let status = || {
        let answer = http::get(node.at("admin"), "/tokens", &[("Authorization", &bearer)]);
        answer.expect("an answer").status
    };
    assert_eq!(status(), 200);
    assert_eq!(http::get(node.at("admin"), "/tokens", &[]).expect("an answer").status, 401);
    assert_eq!(
        http::get(node.at("service"), "/", &[("Authorization", &bearer)]).expect("an answer").status,
        401
    );
    // Through the socket of the process that owns the file, and so known to it at once.
    house.run(&["token", "revoke", &made["caller"]["id"].to_string()]).done();
    assert_eq!(status(), 401);
}

#[test]
fn a_command_that_could_not_do_it_says_why_and_ends_with_1() {
    let house = House::new();
    assert!(house.run(&["token", "revoke", "7"]).refused().contains("there is no token 7"));
    let odd = house.run(&["token", "create", "x", "--listener", "admin", "--scope", "everything"]);
    assert!(odd.refused().contains("there are: read, write, metrics"));
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_2() {
    let house = House::new();
    assert_eq!(house.run(&["toekn"]).code(), 2);
    assert!(house.run(&["toekn"]).complaint().contains("token"), "a suggestion");
    assert_eq!(house.run(&[]).code(), 2);
}

#[test]
fn check_ends_with_0_only_when_everything_works() {
    let house = House::new().with("IDP__0__FETCH_KEYS", "false");
    let found = house.run(&["--json", "check"]).json();
    let whats: Vec<&str> =
        found.as_array().expect("a list").iter().map(|it| it["what"].as_str().expect("text")).collect();
    assert_eq!(
        whats,
        [
            "configuration",
            "keys.root",
            "store",
            "listen",
            "idp.fxa",
            "tokenserver",
            "bearer",
            "broker",
            "sessions"
        ]
    );

    let closed = house.run(&[
        "check",
        "--set",
        "idp.0.fetch_keys=true",
        "--set",
        "idp.0.server_url=http://127.0.0.1:1",
    ]);
    assert_eq!(closed.code(), 1);
    assert!(
        closed.out().lines().any(|line| line.starts_with("idp.fxa") && line.contains("down")),
        "{}",
        closed.out()
    );

    let password = house.run(&["check", "--set", "store.url=postgres://u:hunter2@127.0.0.1:1/d"]);
    assert_eq!(password.code(), 1);
    assert!(!(password.out() + &password.complaint()).contains("hunter2"), "a password is not shown");

    let no_secret = house.run(&["check", "--set", "tokenserver.master_secret="]);
    assert!(no_secret.out().contains("master_secret is empty"), "{}", no_secret.out());
    assert_eq!(no_secret.code(), 1);

    let no_issuer = house.run(&["check", "--set", "broker.issuer="]);
    assert!(no_issuer.out().contains("broker.issuer: is needed"), "{}", no_issuer.out());
    assert_eq!(no_issuer.code(), 1);

    for (setting, why) in [
        ("broker.signing_keys.0=nowhere.json", "nowhere.json"),
        ("broker.relying_parties.0=nowhere", "nowhere"),
        ("broker.capability_list.url=nowhere", "broker.capability_list: url is no URL"),
        ("broker.capability_list.url=http://127.0.0.1:1/", "no connection"),
    ] {
        let found = house.run(&["check", "--set", setting]);
        let told = found.out().lines().any(|line| line.starts_with("broker") && line.contains(why));
        assert!(told && found.code() == 1, "{setting}: {}", found.out());
    }
}

#[test]
fn check_knows_a_store_that_a_running_process_serves() {
    let house = House::new().with("IDP__0__FETCH_KEYS", "false");
    let _node = house.serve(&[]);
    assert!(house.run(&["check"]).done().contains("served by a running process"));
}
