//! Relying parties registered: by commands, by files, by what another broker kept; their tokens and their secrets.

use crate::http;
use crate::telling::{RELAY, USER, house};
use crate::world::PATIENCE;
use serde_json::{Value, json};
use testkit::wait_until;

#[tokio::test]
async fn what_fxa_event_broker_kept_is_taken_over_and_lines_that_cannot_be_are_named() {
    let house = house();
    let text = [
        json!({"path": "fxa-eb-clients/AAAA", "fields": {"webhookUrl": "https://a.example/", "isResourceServer": true}}),
        json!({"path": format!("fxa-eb-users/{USER}"), "fields": {"oauth_clients": {"aaaa": true, "bbbb": true}}}),
        json!({"path": "elsewhere/x", "fields": {}}),
    ];
    let text: Vec<String> = text.iter().map(ToString::to_string).collect();
    std::fs::write(house.path("dump.ndjson"), text.join("\n")).expect("written");
    for _ in 0..2 {
        let ran = house.run(&["rp", "import", "dump.ndjson", "--idp", "fxa"]);
        assert!(ran.out().contains("line 3: "), "{}", ran.out());
        assert!(ran.refused().contains("1 lines were not taken over"));
    }
    std::fs::write(house.path("dump.ndjson"), text[..2].join("\n")).expect("written");
    let done = house.run(&["--json", "rp", "import", "dump.ndjson", "--idp", "fxa"]).json();
    assert_eq!(
        (&done["relying_parties"], &done["logins"], &done["refused"]),
        (&json!(1), &json!(2), &json!(0))
    );
    let shown = house.run(&["--json", "rp", "show", "AAAA"]).json();
    assert_eq!(shown["config"]["resource_server"], true, "client ids know no case");
    house.run(&["account", "disconnect", "fxa", USER, "bbbb"]).done();
    let logins = house.run(&["--json", "account", "logins", "fxa", USER]).json();
    assert_eq!(logins.as_array().map(Vec::len), Some(1));
    assert!(house.run(&["rp", "import", "dump.ndjson", "--idp", "fx"]).refused().contains("there are: fxa"));
    assert!(
        house
            .run(&["rp", "import", "none.ndjson", "--idp", "fxa"])
            .refused()
            .contains("none.ndjson cannot be read")
    );
}

#[test]
fn a_receivers_token_opens_its_stream_until_it_is_revoked() {
    let house = house();
    house.run(&["rp", "add", RELAY, "--format", "poll"]).done();
    let made = house.run(&["--json", "rp", "token", "create", RELAY, "--days", "3"]).json();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let node = house.serve(&[]);
    let streams = || {
        let answer = http::get(node.at("public"), "/ssf/streams", &[("Authorization", &bearer)]);
        answer.expect("an answer").status
    };
    assert_eq!(streams(), 200);
    house.run(&["rp", "token", "revoke", RELAY]).done();
    assert_eq!(streams(), 401);
}

#[test]
fn a_relying_party_is_added_changed_and_removed_and_its_secrets_are_not_shown() {
    let house = house();
    std::fs::write(house.path("secret"), "Bearer hunter2\n").expect("written");
    let add = ["rp", "add", "ABCD", "--webhook", "https://rp.example/set", "--format", "push", "--rate", "5"];
    let more =
        ["--authorization", "@secret", "--header", "X-Key: hunter3", "--event", "delete-user,profile-change"];
    let added = house.run(&[&["--json"], &add[..], &more].concat()).json();
    assert_eq!((&added["client_id"], &added["status"]), (&json!("abcd"), &json!("enabled")));
    assert_eq!(added["secrets"]["headers"], json!(["X-Key"]));
    assert_eq!(added["secrets"]["authorization"], true);
    let shown = house.run(&["rp", "show", "abcd"]).done() + &house.run(&["rp", "list"]).done();
    assert!(shown.contains("https://rp.example/set") && !shown.contains("hunter"), "{shown}");
    let update =
        ["--json", "rp", "update", "abcd", "--name", "App", "--resource-server", "--unset", "rate,events"];
    let config = house.run(&update).json()["config"].clone();
    assert_eq!((&config["name"], &config["resource_server"]), (&json!("App"), &json!(true)));
    assert_eq!((&config["rate"], &config["events"]), (&Value::Null, &Value::Null));
    for (verb, status) in
        [("pause", "paused"), ("resume", "enabled"), ("disable", "disabled"), ("enable", "enabled")]
    {
        assert_eq!(house.run(&["--json", "rp", verb, "abcd"]).json()["status"], status);
    }
    house.run(&["rp", "remove", "abcd"]).done();
    assert_eq!(house.run(&["--json", "rp", "list"]).json(), json!([]));
}

#[test]
fn a_webhook_secret_is_made_shown_once_and_exchanged_without_a_gap() {
    let house = house();
    let add = ["--json", "rp", "add", "abcd", "--webhook", "https://rp.example/", "--format", "webhook-hmac"];
    let first = house.run(&add).json()["check_with"]["secret"].as_str().expect("a secret").to_owned();
    assert!(first.starts_with("whsec_"));
    let renewed = house.run(&["--json", "rp", "renew-secret", "abcd"]).json();
    assert_ne!(renewed["check_with"]["secret"], *first);
    assert_eq!(renewed["secrets"]["webhook"], 2, "both sign");
    house.run(&["rp", "renew-secret", "abcd"]).done();
    let shown = house.run(&["--json", "rp", "show", "abcd"]).json();
    assert_eq!((&shown["secrets"]["webhook"], &shown["check_with"]), (&json!(2), &Value::Null));
    let add = ["rp", "add", "beef", "--webhook", "https://rp.example/", "--format", "webhook-ed25519"];
    assert!(house.run(&add).done().starts_with("whpk_"), "its receiver needs no secret");
}

#[test]
fn what_cannot_be_done_says_why_and_changes_nothing() {
    let house = house();
    house.run(&["rp", "add", RELAY, "--webhook", "https://rp.example/"]).done();
    let before = house.run(&["--json", "rp", "list"]).json();
    for (line, why) in [
        ("rp add 5882386c6d801776", "is there already"),
        ("rp add a --webhook http://rp.example/", "plain http"),
        ("rp add a --webhook nonsense", "is no URL"),
        ("rp add a! --webhook https://rp.example/", "is no client id"),
        ("rp add a --concurrency 0", "concurrency is from 1 to 1000"),
        ("rp update 5882386c6d801776 --format webhook-hmac", "webhook secrets are needed"),
        ("rp renew-secret 5882386c6d801776", "not told by Standard Webhooks"),
        ("rp renew-secret b", "there is no relying party b"),
        ("rp add a --authorization x --webhook https://rp.example/", "in the FxA format"),
        ("rp add a --authorization @nowhere", "nowhere cannot be read"),
        ("rp add a --idp nobody", "no identity provider nobody is configured"),
        ("rp update 5882386c6d801776 --rate 5 --unset rate", "set and unset at once"),
        ("rp update 5882386c6d801776 --header Host:x", "belongs to the exchange itself"),
        ("rp update 5882386c6d801776", "nothing to change is given"),
        ("deliveries replay --rp b --since 3d", "there is no relying party b"),
        ("rp show b", "there is no relying party b"),
        ("rp update b --name x", "there is no relying party b"),
        ("rp pause b", "there is no relying party b"),
        ("rp remove b", "there is no relying party b"),
        ("rp enable b", "there is no relying party b"),
        ("rp token create b", "there is no relying party b"),
        ("rp token create 5882386c6d801776 --scope all", "ssf.read and ssf.manage"),
        ("deliveries show 7", "there is no delivery 7"),
        ("deliveries retry 7", "there is no delivery 7"),
        ("deliveries list --rp a!", "is no client id"),
        ("account disconnect fxa u 5882386c6d801776", "no login of"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let complaint = house.run(&words).refused();
        assert!(complaint.contains(why), "`{line}` said: {complaint}");
    }
    assert_eq!(house.run(&["--json", "rp", "list"]).json(), before);
}

#[test]
fn a_word_that_does_not_exist_ends_with_2_and_the_words_that_do() {
    let house = house();
    for (line, why) in [
        ("rp add a --format set", "webhook-hmac"),
        ("rp add a --vocabulary risc", "ssf"),
        ("rp add a --algorithm HS256", "EdDSA"),
        ("rp add a --event deleted", "delete-user"),
        ("rp add a --header nonsense", "Name: text"),
        ("rp add a --rate many", "invalid digit"),
        ("rp update a --unset format", "webhook-secrets"),
        ("rp add a --oauth-token-url https://as.example/token", "--oauth-client-id"),
        ("rp add a --oauth-scope set", "--oauth-token-url"),
        ("rp import", "--idp"),
        ("deliveries list --state lost", "exhausted"),
        ("deliveries list --limit 0", "1..=1000"),
        ("deliveries replay --rp a --since yesterday", "so long ago"),
        ("deliveries replay --rp a", "--since"),
        ("deliveries retry", "<IDS>"),
        ("keys rotate RS512", "RS256"),
        ("events receipt fxa", "<SUBJECT>"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = house.run(&words);
        assert_eq!(ran.code(), 2, "`{line}`");
        assert!(ran.complaint().contains(why), "`{line}` said: {}", ran.complaint());
    }
}

#[tokio::test]
async fn relying_parties_of_files_are_there_from_the_start_and_are_changed_in_their_files() {
    let house = house().with("BROKER__RELYING_PARTIES", "relying-parties");
    let write = |name: &str| {
        let relay = json!({"client_id": RELAY, "config": {"name": name, "webhook": "https://relay.example.com/events"}});
        std::fs::write(house.path("relying-parties/relay.json"), relay.to_string()).expect("written");
    };
    std::fs::create_dir(house.path("relying-parties")).expect("made");
    let shown = || house.run(&["--json", "rp", "list"]).json();
    for name in ["Relay", "Firefox Relay"] {
        write(name);
        let node = house.serve(&[]);
        let answer = http::get(node.at("public"), "/.well-known/jwks.json", &[]);
        answer.expect("it listens, and commands reach it");
        wait_until("it is as its file says", PATIENCE, async || shown()[0]["config"]["name"] == name).await;
        assert_eq!(shown()[0]["origin"], "file");
        let refused = house.run(&["rp", "update", RELAY, "--name", "mine"]).refused();
        assert!(refused.contains("comes from a file of the configuration"), "{refused}");
        drop(node);
    }
    std::fs::write(house.path("relying-parties/odd.json"), r#"{"client_id":"a","config":{"webhok":"x"}}"#)
        .expect("written");
    let refused = house.run(&["serve"]).refused();
    assert!(refused.contains("odd.json") && refused.contains("webhok"), "{refused}");
}
