//! Receivers written by others accept what is sent, with the real time and without leeway.

use super::receiver::{Got, Receiver};
use super::*;
use crate::{Format, SigningAlgorithm, Vocabulary};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// One token of each algorithm and profile, as they come over the wire a moment after they were made.
async fn tokens() -> (Vec<(String, String, Got)>, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = store::Settings::at(format!("sqlite:{}", folder.path().join("test.db").display()));
    let store = Store::open(&settings, Clock::system()).expect("the store can be opened");
    store.migrate(TABLES).await.expect("the tables can be made");
    let house = House::on(store, Clock::system(), &RootKey::generate());
    house.broker.0.signer.ensure().await.expect("the store answers");
    house.ledger.register_capabilities().await.expect("the store answers");
    let mut receivers = Vec::new();
    for algorithm in SigningAlgorithm::ALL {
        for format in [Format::FxaHeader, Format::Push] {
            let receiver = Receiver::start().await;
            let name = format!("{format:?}-{algorithm:?}").to_lowercase();
            house
                .add(&name, &receiver, |config, _| {
                    (config.algorithm, config.format, config.resource_server) = (algorithm, format, true);
                    if format == Format::Push {
                        config.vocabulary = Vocabulary::Ssf;
                    }
                })
                .await;
            receivers.push((name, format, receiver));
        }
    }
    for change in [Change::PasswordChange, Change::Disable, Change::Delete { reason: None }] {
        house.happens("u1", house.clock.now().get(), change).await;
        house.deliver().await;
    }
    let got = receivers.iter().flat_map(|(name, format, receiver)| {
        receiver.got().into_iter().map(move |got| (name.clone(), format!("{format:?}"), got))
    });
    let keys = serde_json::from_slice(&house.broker.signer().published()).expect("JSON");
    (got.collect(), keys)
}

#[tokio::test]
async fn rust_services_accept_them_as_the_tokenserver_does() {
    let (tokens, keys) = tokens().await;
    assert!(tokens.len() >= 18);
    let keys: JwkSet = serde_json::from_value(keys).expect("a JWK set");
    for (audience, format, got) in tokens {
        let token = got.token();
        let header = decode_header(&token).expect("a header");
        let jwk = keys.find(header.kid.as_deref().expect("a kid")).expect("published");
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&audience]);
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims.clear(); // there is no `exp`
        validation.leeway = 0;
        validation.validate_nbf = true;
        let key = DecodingKey::from_jwk(jwk).expect("a key");
        let claims = decode::<Value>(&token, &key, &validation).expect("it is accepted").claims;
        assert!(claims["iat"].is_i64() || claims["iat"].is_u64(), "the Tokenserver drops what is no integer");
        if format == "FxaHeader" && claims["events"].to_string().contains("password-change") {
            let event = &claims["events"][crate::EventType::PasswordChange.uri()];
            assert!(event["changeTime"].is_u64(), "{event}");
        }
        for other in [Algorithm::HS256, Algorithm::PS256] {
            assert!(decode::<Value>(&token, &key, &Validation::new(other)).is_err());
        }
    }
}

/// A program that answers a line of JSON with a line of JSON.
struct Asked {
    program: Child,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Asked {
    fn start(command: &mut Command) -> Self {
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let told = program.stdin.take().expect("it is piped");
        let said = BufReader::new(program.stdout.take().expect("it is piped")).lines();
        Self { program, told, said }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.told, "{question}").expect("it listens");
        serde_json::from_str(&self.said.next().expect("an answer").expect("a line")).expect("JSON")
    }

    /// Shows it every token of the house, and each as if it were for somebody else or from somebody else.
    async fn accepts_what_it_should(mut self) {
        let (tokens, keys) = tokens().await;
        for (audience, format, got) in tokens {
            let subject = if format == "FxaHeader" { "sub" } else { "sub_id" };
            let require = ["iss", "aud", "iat", "jti", "events", subject];
            let mut ask = |token: &str, audience: &str, issuer: &str| {
                self.ask(&json!({ "token": token, "keys": keys, "audience": audience, "issuer": issuer, "require": require }))
            };
            let token = got.token();
            let answer = ask(&token, &audience, ISSUER);
            assert_eq!(answer["claims"]["jti"].as_str(), Some(got.jti().as_str()), "{answer}");
            let altered = altered(&token);
            for (token, audience, issuer) in [
                (&token, "somebody-else", ISSUER),
                (&token, audience.as_str(), "https://accounts.example/"),
                (&altered, audience.as_str(), ISSUER),
            ] {
                let answer = ask(token, audience, issuer);
                assert!(answer["error"].is_string(), "it does check: {answer}");
            }
        }
        drop(self.told);
        assert!(self.program.wait().expect("it ends").success());
    }
}

/// The token with another first character in its signature.
fn altered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}

#[tokio::test]
async fn python_services_accept_them_without_leeway() {
    Asked::start(Command::new(python()).arg(beside("receivers.py"))).accepts_what_it_should().await;
}

#[tokio::test]
async fn node_services_accept_them_without_leeway() {
    let mut node = Command::new("node");
    Asked::start(node.arg(beside("receivers.mjs")).arg(node_folder())).accepts_what_it_should().await;
}

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests").join(name)
}

/// Where `./test` installs the packages of Node.js.
pub(super) fn node_folder() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-node");
    assert!(
        installed.join("node_modules/jose").exists(),
        "no jose for Node.js: run ./test, which installs it"
    );
    installed.canonicalize().expect("it is there")
}

/// The Python of the tests: the one that is told, else the one `./test` installs.
pub(super) fn python() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    let told = std::env::var_os(testkit::PYTHON).map(PathBuf::from);
    told.into_iter().chain([installed]).find(|path| path.exists()).unwrap_or_else(|| {
        panic!("no Python with PyJWT: run ./test, or name one that has it in {}", testkit::PYTHON)
    })
}
