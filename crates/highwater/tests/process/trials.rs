//! Receivers on trial: the simulator, the conformance suite, and a receiver that prints what it hears.

use crate::house::{House, Node};
use crate::http;
use crate::world::PATIENCE;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use testkit::wait_until;

const ISSUER: &str = "http://127.0.0.1:8000";
const CLIENT: &str = "5882386c6d801776";
/// The key of RFC 8037 appendix A.
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// `rp listen --json`, and what it prints.
struct Listening {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listening {
    fn start(house: &House, arguments: &[&str]) -> Self {
        let arguments = [&["--json", "rp", "listen"], arguments].concat();
        let mut child = house.command(&arguments).stdout(Stdio::piped()).spawn().expect("it can be run");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.next().expect("it goes on").expect("text");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Where it listens: what it says first.
    fn url(&mut self) -> String {
        self.next()["listening"].as_str().expect("a URL").to_owned()
    }

    /// Everything more that it prints, to its end, and its exit code.
    fn ended(mut self) -> (Vec<Value>, Option<i32>) {
        let rest = self.lines.by_ref().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"));
        let rest = rest.collect();
        (rest, self.child.wait().expect("it ends").code())
    }

    fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill` can be run").success());
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn house() -> House {
    House::new().with("IDP__0__FETCH_KEYS", "false")
}

async fn serving(house: &House) -> (Node, String) {
    let node = house.serve(&[]);
    let place = node.at("public").to_owned();
    let published =
        async || http::get(&place, "/.well-known/jwks.json", &[]).is_ok_and(|it| it.status == 200);
    wait_until("keys are published", PATIENCE, published).await;
    (node, format!("http://{place}/.well-known/jwks.json"))
}

fn names(told: &[Value], member: &str) -> Vec<String> {
    let name = |it: &Value| it[member].as_str().and_then(|uri| uri.rsplit('/').next()).map(str::to_owned);
    told.iter().filter_map(name).collect()
}

#[tokio::test]
async fn what_is_simulated_is_heard_and_verified_as_if_it_had_been_delivered() {
    let house = house();
    let (_node, jwks) = serving(&house).await;
    let keys = ["--keys", &jwks, "--issuer", ISSUER, "--client-id", CLIENT, "--at", "127.0.0.1:0"];
    let mut listening = Listening::start(&house, &keys);
    let url = listening.url();
    let told = house.run(&["--json", "simulate", CLIENT, &url, "vpn", "--event", "any"]).json();
    assert_eq!(told["issuer"], ISSUER);
    let told = told["told"].as_array().expect("a list").clone();
    listening.interrupt();
    let (heard, code) = listening.ended();
    assert_eq!(code, Some(0));
    assert!(heard.iter().all(|it| it["refusal"].is_null()), "{heard:?}");
    assert_eq!(names(&heard, "event"), names(&told, "event_type"));
    assert!(names(&heard, "event").contains(&"subscription-state-change".to_owned()));

    let nobody = house.run(&["simulate", CLIENT, &url, "vpn"]);
    assert!(nobody.out().contains("no connection"), "{}", nobody.out());
    assert!(nobody.refused().contains("1 of 1 were not taken"));
}

#[tokio::test]
async fn a_receiver_that_checks_nothing_fails_the_suite_and_one_that_checks_passes() {
    let house = house();
    let (_node, jwks) = serving(&house).await;
    let keys = ["--keys", &jwks, "--issuer", ISSUER, "--client-id", CLIENT, "--at", "127.0.0.1:0"];
    let mut good = Listening::start(&house, &keys);
    let url = good.url();
    house.run(&["rp", "add", CLIENT, "--webhook", &url, "--allow-private"]).done();
    let verified = house.run(&["--json", "rp", "verify", &url]).json();
    assert_ne!(verified["grade"], "fail", "{verified}");

    // One that trusts anybody's tokens for anybody.
    let mut careless = Listening::start(&house, &["--keys", &jwks, "--at", "127.0.0.1:0"]);
    let url = careless.url();
    let failed = house.run(&["rp", "verify", &url, "--client-id", CLIENT]);
    for (grade, case) in [("fail", "wrong-audience"), ("warn", "wrong-issuer")] {
        assert!(
            failed.out().lines().any(|line| line.starts_with(grade) && line.contains(case)),
            "{}",
            failed.out()
        );
    }
    assert!(failed.refused().contains("cases failed"));
    let stranger = house.run(&["rp", "verify", &url]);
    assert!(stranger.refused().contains("give --client-id"));
}

#[test]
fn a_receiver_is_tried_without_a_house_by_a_key_of_ones_own() {
    let house = House::unconfigured();
    let public = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "own", "x": X});
    let mut private = public.clone();
    private["d"] = D.into();
    std::fs::write(house.path("keys.json"), json!({ "keys": [public] }).to_string()).expect("written");
    std::fs::write(house.path("key.json"), private.to_string()).expect("written");
    let mut listening =
        Listening::start(&house, &["--keys", "keys.json", "--at", "127.0.0.1:0", "--count", "1"]);
    let url = listening.url();
    let by_key = ["--key", "key.json", "--issuer", "https://idp.example"];
    let told = house.run(&[&["--json", "simulate", CLIENT, &url, "vpn"], &by_key[..]].concat()).json();
    assert_eq!(told["keys"]["keys"][0]["kid"], "own");
    let (heard, code) = listening.ended();
    assert_eq!((heard.len(), code), (1, Some(0)));
    assert_eq!(heard[0]["kid"], "own");

    for (line, why) in [
        ("simulate a --key key.json", "give the receiver's URL"),
        ("rp verify http://127.0.0.1:9/ --key key.json", "give --client-id"),
        ("simulate a http://127.0.0.1:9/ vpn --key nowhere", "nowhere cannot be read"),
        ("simulate a http://127.0.0.1:9/ vpn --key keys.json", "holds no private key"),
        ("simulate a http://127.0.0.1:9/ vpn --key key.json --event odd", "is no event"),
        ("simulate a http://127.0.0.1:9/ --key key.json", "name at least one"),
        ("simulate a nonsense vpn --key key.json", "is no URL"),
        ("rp listen", "give --keys"),
        ("rp listen --keys nowhere", "nowhere cannot be read"),
        ("rp listen --keys keys.json --webhook-secret x", "whsec_"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let complaint = house.run(&words).refused();
        assert!(complaint.contains(why), "`{line}` said: {complaint}");
    }
    assert_eq!(house.run(&["rp", "listen", "--poll", "http://127.0.0.1:9/"]).code(), 2, "a token is needed");
}

#[tokio::test]
async fn what_cannot_be_sent_is_asked_for_and_acknowledged() {
    let house = house();
    house.run(&["rp", "add", CLIENT, "--format", "poll", "--vocabulary", "ssf", "--resource-server"]).done();
    let made = house.run(&["--json", "rp", "token", "create", CLIENT]).json();
    std::fs::write(house.path("token"), made["token"].as_str().expect("a token")).expect("written");
    let (node, jwks) = serving(&house).await;
    let event = json!({"event": "delete", "uid": "0123456789abcdef", "timestamp": 1_789_000_000_000_i64});
    std::fs::write(house.path("events.ndjson"), event.to_string()).expect("written");
    house.run(&["events", "ingest", "events.ndjson"]).done();
    let poll = format!("http://{}/ssf/poll", node.at("public"));
    let ask = ["--poll", &poll, "--token", "@token", "--keys", &jwks, "--count", "1"];
    let (heard, code) = Listening::start(&house, &ask).ended();
    assert_eq!((names(&heard, "event"), code), (vec!["account-purged".to_owned()], Some(0)));
    let delivered = async || {
        let listed = house.run(&["--json", "deliveries", "list", "--state", "delivered"]).json();
        listed.as_array().map(Vec::len) == Some(1)
    };
    wait_until("it is acknowledged", PATIENCE, delivered).await;

    let refused =
        house.run(&["rp", "listen", "--poll", &poll, "--token", "hwr_x", "--keys", &jwks]).refused();
    assert!(refused.contains("401"), "{refused}");
}
