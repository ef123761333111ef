//! Logins by the stand-in identity provider, and a service that lets one or several nodes keep them.

use crate::house::Node;
use crate::http::{self, Answer};
use crate::world::{PATIENCE, World};
use serde_json::{Value, json};
use standins::{Endpoint, LoginClient, LoginTokens, Rotation};
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::wait_until;

/// People log in to `web`, and access tokens are refreshed a second before their end.
pub(crate) const LOGINS: [(&str, &str); 6] = [
    ("IDP__0__LOGIN__CLIENT_ID", "web"),
    ("IDP__0__LOGIN__CLIENT_SECRET", "s3cret"),
    ("SESSIONS__COOL_OFF_SECONDS", "1"),
    ("SESSIONS__GRACE_SECONDS", "1"),
    ("SESSIONS__IDPS__0__ID", "fxa"),
    ("SESSIONS__IDPS__0__ROTATION", "always"),
];
/// A refresh token that was used is still taken for so long; the identity provider is told so by [`Service::with`].
pub(crate) const GRACE: (&str, &str) = ("SESSIONS__IDPS__0__REUSE_GRACE_SECONDS", "60");
/// How long access tokens last.
const LIFE: Duration = Duration::from_secs(4);

/// A service with a token for every route, and for the metrics.
pub(crate) struct Service {
    token: String,
    scraper: String,
}

impl Service {
    /// The identity provider rotates so, and takes so long to answer.
    pub(crate) fn with(world: &World, rotation: Rotation, takes: Duration) -> Self {
        let logins = world.idp.logins();
        logins.register(LoginClient::new("web", "s3cret"));
        logins.rotate(rotation);
        logins.access_tokens_last(LIFE);
        logins.take(Endpoint::Token, takes);
        let token = |words: &[&str]| {
            let made = world.house.run(&[&["--json", "token", "create"], words].concat()).json();
            made["token"].as_str().expect("a token").to_owned()
        };
        let scopes = ["read", "write", "tokens", "watch"].map(|it| format!("sessions:{it}"));
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        let words: Vec<&str> = ["web", "--listener", "service"].into_iter().chain(scopes).collect();
        Self {
            token: token(&words),
            scraper: token(&["prometheus", "--listener", "admin", "--scope", "metrics"]),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn ask(&self, node: &Node, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        http::ask(node.at("service"), method, path, &headers, &body.to_string()).expect("an answer")
    }

    /// So many users log in, each for the first time; their sessions, and what they were given.
    pub(crate) fn log_in(&self, world: &World, node: &Node, count: usize) -> Vec<(String, LoginTokens)> {
        let one = |number| {
            let subject = format!("{number:032x}");
            world.idp.sign_up(&subject);
            let tokens = world.idp.logins().log_in("web", &subject).expect("there is such an account");
            let body = json!({
                "idp": "fxa", "subject": subject, "sid": tokens.sid,
                "tokens": {
                    "access_token": tokens.access_token, "refresh_token": tokens.refresh_token,
                    "expires_in": tokens.expires_in,
                },
            });
            let made = self.ask(node, "POST", "/sessions", &body);
            assert_eq!(made.status, 201, "{made:?}");
            (made.json()["id"].as_str().expect("an id").to_owned(), tokens)
        };
        (0..count).map(one).collect()
    }

    /// All live sessions as a node sees them.
    pub(crate) fn all(&self, node: &Node) -> Vec<Value> {
        let listed = || self.ask(node, "GET", "/sessions?idp=fxa&limit=1000", &Value::Null);
        let mut answer = listed();
        let end = Instant::now() + PATIENCE;
        // Where its store has only just come back it may say once more that it is away.
        while answer.status == 503 && Instant::now() < end {
            sleep(Duration::from_millis(100));
            answer = listed();
        }
        answer.json().as_array().unwrap_or_else(|| panic!("a list, not {answer:?}")).clone()
    }

    /// How often each live session's grant was refreshed; of one that is not refreshed any more, nothing.
    pub(crate) fn generations(&self, node: &Node) -> BTreeMap<String, i64> {
        let grants = self.all(node).into_iter().filter(|view| view["grant"]["state"] != "retired");
        let text = |view: &Value| view["id"].as_str().expect("an id").to_owned();
        grants.map(|view| (text(&view), view["grant"]["generation"].as_i64().unwrap_or(-1))).collect()
    }

    /// Whether each of them that is refreshed at all was since then.
    fn all_went_on(&self, node: &Node, since: &BTreeMap<String, i64>) -> bool {
        let now = self.generations(node);
        since.iter().all(|(id, before)| now.get(id).is_none_or(|now| now > before))
    }

    /// Every session that is refreshed at all is from now on.
    pub(crate) async fn all_go_on(&self, node: &Node) {
        let before = self.generations(node);
        wait_until("all are refreshed", PATIENCE, async || self.all_went_on(node, &before)).await;
    }

    /// The metrics of a node.
    pub(crate) fn scrape(&self, node: &Node) -> String {
        let bearer = format!("Bearer {}", self.scraper);
        let scraped = http::get(node.at("admin"), "/metrics", &[("Authorization", &bearer)]);
        scraped.expect("an answer").body
    }

    /// The sum of a counter's series of that node.
    pub(crate) fn counted(&self, node: &Node, name: &str) -> f64 {
        let scraped = self.scrape(node);
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
        scraped.lines().filter(of_name).filter_map(value).sum()
    }
}
