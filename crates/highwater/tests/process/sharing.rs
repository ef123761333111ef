//! Two nodes on one database, with one Redis: what one was told the other knows, and an event ends it on both.

use crate::house::Node;
use crate::http;
use crate::world::{PATIENCE, World};
use serde_json::Value;
use standins::SecurityEvent;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::{Postgres, Redis, wait_until};

const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";

/// The world with its node, and another node beside it.
struct Pair {
    world: World,
    other: Node,
    caller: String,
    redis: Redis,
    _postgres: Postgres,
}

impl Pair {
    async fn new() -> Self {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        let (store, shared, secret) = (postgres.fresh_database().await, redis.url(), "A".repeat(43));
        let world = World::new(&[
            ("STORE__URL", &store),
            ("IDP__0__OPAQUE_TOKENS", "hex64"),
            ("BEARER__POLICY__ROUTES__0__PATH", "/api/{*rest}"),
            ("BEARER__POLICY__ROUTES__0__SCOPES__0", SCOPE),
            ("BEARER__SHARED__URL", &shared),
            ("BEARER__SHARED__SECRETS__0", &secret),
            ("BEARER__SHARED__RESPONSE_TIMEOUT_MS", "5000"),
        ])
        .await;
        let other = world.house.serve(&[]);
        let words = ["--json", "token", "create", "proxy", "--listener", "service", "--scope", "verify"];
        let caller = world.house.run(&words).json()["token"].as_str().expect("a token").to_owned();
        let pair = Self { world, other, caller, redis, _postgres: postgres };
        for node in pair.nodes() {
            wait_until("it is connected", PATIENCE, async || found(node, "bearer.shared")["status"] == "ok")
                .await;
            wait_until("it reads the feed", PATIENCE, async || found(node, "bearer.feed")["status"] == "ok")
                .await;
        }
        pair
    }

    fn nodes(&self) -> [&Node; 2] {
        [&self.world.node, &self.other]
    }

    fn opaque_token(&self, subject: &str) -> String {
        self.world.idp.sign_in_opaque(subject).expect("an account").access_token
    }

    /// Where the nodes are asked, and by whom.
    fn asking(&self) -> [Asking; 2] {
        self.nodes().map(|node| Asking { place: node.at("service").to_owned(), caller: self.caller.clone() })
    }

    fn statuses(&self, token: &str) -> [u16; 2] {
        self.asking().map(|node| node.status(token))
    }
}

/// A node as its proxy sees it.
struct Asking {
    place: String,
    caller: String,
}

impl Asking {
    fn status(&self, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("X-Highwater-Caller", &*self.caller),
            ("Authorization", &*bearer),
            ("X-Original-Method", "GET"),
            ("X-Original-URI", "/api/x"),
        ];
        http::get(&self.place, "/verify/nginx", &headers).expect("an answer").status
    }
}

fn found(node: &Node, check: &str) -> Value {
    let health = http::get(node.at("admin"), "/health", &[]).expect("an answer").json();
    health["checks"][check].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_ask_once_and_an_event_ends_the_answer_on_both() {
    let mut pair = Pair::new().await;
    let (subject, idp) = ("a".repeat(32), &pair.world.idp);
    idp.sign_up(&subject);
    let token = pair.opaque_token(&subject);
    assert_eq!((pair.statuses(&token), idp.introspect_requests()), ([200, 200], 1));

    // The password is changed while both are asked all the time.
    let over = &AtomicBool::new(false);
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let asking = pair.asking().map(|node| {
                let token = &token;
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let status = node.status(token);
                        assert!([200, 401].contains(&status), "{status}");
                    }
                    // From now on it is refused, every time.
                    assert_eq!([(); 50].map(|()| node.status(token)), [401; 50]);
                })
            });
            tokio::runtime::Handle::current().block_on(async {
                let at = pair.world.change_password(&subject).await;
                pair.world.told_by_token(&subject, &SecurityEvent::PasswordChange(at));
                wait_until("both refuse it", PATIENCE, async || pair.statuses(&token) == [401, 401]).await;
            });
            over.store(true, Ordering::Relaxed);
            for it in asking {
                it.join().expect("never accepted again");
            }
        });
    });

    let fresh = pair.opaque_token(&subject);
    assert_eq!(pair.statuses(&fresh), [200, 200]);
    let checked = pair.world.house.run(&["--json", "check"]);
    let checked: Value = serde_json::from_str(&checked.out()).expect("JSON");
    let shared = checked.as_array().expect("a list").iter().find(|it| it["what"] == "bearer.shared");
    assert_eq!(shared.expect("it is looked at")["status"], "ok", "{checked}");

    tokio::task::block_in_place(|| pair.redis.kill());
    for subject in ["b", "c"].map(|letter| letter.repeat(32)) {
        pair.world.idp.sign_up(&subject);
        assert_eq!(pair.statuses(&pair.opaque_token(&subject)), [200, 200], "each asks for itself");
    }
    for node in pair.nodes() {
        wait_until("it says so", PATIENCE, async || found(node, "bearer.shared")["status"] == "degraded")
            .await;
    }
}
