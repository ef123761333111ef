//! Whatever tokens a run has seen, nothing that it leaves behind tells of them: no log line, no metric, no row; neither
//! themselves nor a digest that anybody could make who has one.

use crate::checking::{ROUTE, caller, checked_at};
use crate::http;
use crate::world::World;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use standins::SecurityEvent;
use std::collections::HashMap;
use std::fs;

/// Digests are often shortened: half of the smallest in use is looked for.
const SHORTEST: usize = 8;

/// What must not be found, as bytes, each with what it is.
fn needles(name: &str, token: &str) -> Vec<(String, Vec<u8>)> {
    let mut needles = vec![(name.to_owned(), token.as_bytes().to_vec())];
    // Whoever has the signature of a JWT and guesses the rest has the token.
    needles.extend(
        token.rsplit_once('.').map(|(_, it)| (format!("signature of {name}"), it.as_bytes().to_vec())),
    );
    let whole = [Some(token.as_bytes().to_vec()), hex::decode(token).ok()];
    for bytes in whole.into_iter().flatten() {
        for algorithm in [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256, &SHA384, &SHA512] {
            let digest = digest(algorithm, &bytes);
            let start = &digest.as_ref()[..SHORTEST];
            let forms = [
                start.to_vec(),
                hex::encode(start).into_bytes(),
                hex::encode_upper(start).into_bytes(),
                // The last character is of the next byte, too.
                STANDARD_NO_PAD.encode(start).into_bytes()[..10].to_vec(),
                URL_SAFE_NO_PAD.encode(start).into_bytes()[..10].to_vec(),
            ];
            needles.extend(forms.map(|form| (format!("{algorithm:?} of {name}"), form)));
        }
    }
    needles
}

pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Many needles, looked for all at once: by how they begin.
pub(crate) struct Needles {
    by_begin: HashMap<[u8; SHORTEST], Vec<(String, Vec<u8>)>>,
    /// Whether any begins with these two bytes: most places are passed over by that.
    begins: Vec<bool>,
}

impl Needles {
    pub(crate) fn of<'a>(tokens: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self { by_begin: HashMap::new(), begins: vec![false; 1 << 16] };
        for (what, needle) in tokens.into_iter().flat_map(|(name, token)| needles(name, token)) {
            let begin = *needle.first_chunk().expect("none is shorter");
            all.begins[two(begin)] = true;
            all.by_begin.entry(begin).or_default().push((what, needle));
        }
        all
    }

    /// The first that is found.
    pub(crate) fn found_in(&self, haystack: &[u8]) -> Option<&str> {
        let begins = |(at, begin): (usize, &[u8])| {
            let begin: &[u8; SHORTEST] = begin.first_chunk()?;
            if !self.begins[two(*begin)] {
                return None;
            }
            let longer = self.by_begin.get(begin)?;
            longer
                .iter()
                .find(|(_, needle)| haystack[at..].starts_with(needle))
                .map(|(what, _)| what.as_str())
        };
        haystack.windows(SHORTEST).enumerate().find_map(begins)
    }
}

fn two(begin: [u8; SHORTEST]) -> usize {
    usize::from(begin[0]) << 8 | usize::from(begin[1])
}

#[test]
fn a_digest_is_found_however_it_is_written() {
    let token = "a".repeat(64);
    let bytes = digest(&SHA256, &[0xaa; 32]);
    let written = [
        bytes.as_ref().to_vec(),
        hex::encode(bytes.as_ref()).into_bytes(),
        URL_SAFE_NO_PAD.encode(bytes.as_ref()).into_bytes(),
        token.clone().into_bytes(),
    ];
    for text in written {
        assert!(needles("it", &token).iter().any(|(_, needle)| holds(&text, needle)));
        let among = [b"before ", text.as_slice(), b" after"].concat();
        assert!(Needles::of([("it", token.as_str())]).found_in(&among).is_some());
    }
    assert!(!needles("it", &token).iter().any(|(_, needle)| holds(b"something else", needle)));
    assert_eq!(Needles::of([("it", token.as_str())]).found_in(b"something else"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_no_token_behind_and_no_digest_of_one() {
    let settings = [&ROUTE[..], &[("LOG__FILTER", "debug")]].concat();
    let world = World::new(&settings).await;
    let subject = "a".repeat(32);
    world.idp.sign_up(&subject);
    let signed = world.sign_in(&subject);
    let opaque = world.idp.sign_in_opaque(&subject).expect("an account").access_token;
    let refresh = world.idp.sign_in_for_refresh(&subject).expect("an account");
    let unknown = "b7".repeat(32);
    let proxy = caller(&world, &["verify", "introspect"]);
    let service = world.node.at("service");
    let check = |token: &str| checked_at(service, &proxy, token, "/api/masks?x=1").status;

    assert_eq!(world.exchange(&signed).0, 200);
    for token in [&signed.access_token, &opaque, &signed.access_token, &opaque] {
        assert_eq!(check(token), 200);
    }
    for token in [&refresh, &unknown] {
        assert_eq!(check(token), 401);
    }
    let asks = [
        ("Authorization", &*format!("Bearer {proxy}")),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let told =
        http::ask(service, "POST", "/introspect", &asks, &format!("token={opaque}")).expect("an answer");
    assert_eq!(told.status, 200);
    let at = world.change_password(&subject).await;
    let event = world.idp.security_event("here", &subject, &SecurityEvent::PasswordChange(at));
    let bearer = format!("Bearer {event}");
    let inbound = [("Authorization", &*bearer)];
    let taken = http::ask(world.node.at("public"), "POST", "/1.0/webhooks/fxa/events", &inbound, "");
    assert_eq!(taken.expect("an answer").status, 200);
    let gone = async || check(&opaque) == 401 && check(&signed.access_token) == 401;
    testkit::wait_until("the old tokens are refused", crate::world::PATIENCE, gone).await;

    let made = world
        .house
        .run(&["--json", "token", "create", "prometheus", "--listener", "admin", "--scope", "metrics"])
        .json();
    let scraper = made["token"].as_str().expect("a token").to_owned();
    let scrape = [("Authorization", &*format!("Bearer {scraper}"))];
    let metrics = http::get(world.node.at("admin"), "/metrics", &scrape).expect("an answer");
    assert!(metrics.status == 200 && metrics.body.contains("highwater_verify_checks"), "{metrics:?}");

    let World { house, node, .. } = world;
    let log = node.all_said();
    let stored =
        ["highwater.db", "highwater.db-wal"].map(|name| fs::read(house.path(name)).unwrap_or_default());
    let stored = stored.concat();
    assert!(
        log.contains("\"level\":\"DEBUG\"") && holds(&stored, subject.as_bytes()),
        "there is something to search"
    );
    let secrets = [
        ("the signed token", &signed.access_token),
        ("the opaque token", &opaque),
        ("the refresh token", &refresh),
        ("the unknown token", &unknown),
        ("the proxy's token", &proxy),
        ("the scraper's token", &scraper),
        ("the event's token", &event),
    ];
    let needles = Needles::of(secrets.map(|(name, token)| (name, token.as_str())));
    let places: [(&str, &[u8]); 3] =
        [("the log", log.as_bytes()), ("the metrics", metrics.body.as_bytes()), ("the database", &stored)];
    for (place, text) in places {
        assert_eq!(needles.found_in(text), None, "in {place}");
    }
}
