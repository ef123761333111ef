//! Services that ask about tokens and verify the signed answers with libraries that others wrote.

use crate::http;
use crate::world::{PATIENCE, World};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::wait_until;

const SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";
/// As `init` configures the broker.
const ISSUER: &str = "http://127.0.0.1:8000";

struct Place {
    world: World,
    caller: String,
    token: String,
}

impl Place {
    async fn new() -> Self {
        let world = World::new(&[("BEARER__POLICY__ROUTES__0__PATH", "/api/{*rest}")]).await;
        let subject = "a".repeat(32);
        world.idp.sign_up(&subject);
        let token = world.sign_in(&subject).access_token;
        let words =
            ["--json", "token", "create", "photos-api", "--listener", "service", "--scope", "introspect"];
        let caller = world.house.run(&words).json()["token"].as_str().expect("a token").to_owned();
        // An RSA key takes a while to find.
        let keys = || http::get(world.node.at("public"), "/.well-known/jwks.json", &[]).expect("an answer");
        wait_until("the keys are there", PATIENCE, async || keys().status == 200).await;
        Self { world, caller, token }
    }

    /// What the guide's program for that language prints of the token.
    fn says(&self, mut program: Command, token: &str) -> Value {
        let (service, public) = (self.world.node.at("service"), self.world.node.at("public"));
        let output = program
            .arg(token)
            .env("HIGHWATER", format!("http://{service}"))
            .env("JWKS_URL", format!("http://{public}/.well-known/jwks.json"))
            .envs([("CALLER", self.caller.as_str()), ("ISSUER", ISSUER), ("NAME", "photos-api")])
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn is_told(&self, program: impl Fn() -> Command) {
        let good = self.says(program(), &self.token);
        assert_eq!((&good["active"], &good["sub"]), (&json!(true), &json!("a".repeat(32))), "{good}");
        assert!(good["scope"].as_str().is_some_and(|scopes| scopes.contains(SCOPE)), "{good}");
        assert_eq!(self.says(program(), "garbage"), json!({ "active": false }));
    }
}

fn guide(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/guides/services").join(name)
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn services_in_python_and_in_node_verify_a_signed_answer() {
    let place = Place::new().await;
    place.is_told(|| {
        let mut python = Command::new(target("test-venv/bin/python"));
        python.arg(guide("introspect.py"));
        python
    });
    // A module finds its libraries beside itself.
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().join("introspect.mjs");
    std::fs::copy(guide("introspect.mjs"), &here).expect("copied");
    let modules = target("test-node/node_modules").canonicalize().expect("jose for Node.js: run ./test");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).expect("linked");
    place.is_told(|| {
        let mut node = Command::new("node");
        node.arg(&here);
        node
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_answer_is_for_its_caller_and_no_access_token() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.caller);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept", "application/token-introspection+jwt"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let service = place.world.node.at("service");
    let answer = http::ask(service, "POST", "/introspect", &headers, &format!("token={}", place.token));
    let answer = answer.expect("an answer");
    assert_eq!(answer.header("content-type"), Some("application/token-introspection+jwt"), "{answer:?}");
    let published =
        http::get(place.world.node.at("public"), "/.well-known/jwks.json", &[]).expect("an answer");
    let keys: JwkSet = serde_json::from_str(&published.body).expect("a JWK set");
    let header = decode_header(&answer.body).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
    let jwk = keys.find(header.kid.as_deref().expect("a kid")).expect("published");
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    let for_audience = |audience: &str| {
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims.clear(); // there is no `exp`
        decode::<Value>(&answer.body, &key, &validation).map(|decoded| decoded.claims)
    };
    let claims = for_audience("photos-api").expect("it verifies");
    assert_eq!(claims["token_introspection"]["active"], true);
    assert!(claims.get("sub").is_none() && claims.get("exp").is_none(), "{claims}");
    for_audience("somebody-else").expect_err("it was made for one caller");
}
