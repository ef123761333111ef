//! Receivers written by others accept what is sent, with the real time and without leeway.

use super::receiver::{Got, Receiver};
use super::*;
use crate::{Format, SigningAlgorithm, Vocabulary};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

#[tokio::test]
async fn python_services_accept_them_without_leeway() {
    let (tokens, keys) = tokens().await;
    let mut python = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/receivers.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let (mut told, said) =
        (python.stdin.take().expect("it is piped"), python.stdout.take().expect("it is piped"));
    let mut said = BufReader::new(said).lines();
    let mut ask = |question: Value| -> Value {
        writeln!(told, "{question}").expect("it listens");
        serde_json::from_str(&said.next().expect("an answer").expect("a line")).expect("JSON")
    };
    for (audience, format, got) in tokens {
        let mut require = vec!["iss", "aud", "iat", "jti", "events"];
        require.push(if format == "FxaHeader" { "sub" } else { "sub_id" });
        let question = |audience: &str, issuer: &str| json!({ "token": got.token(), "keys": keys, "audience": audience, "issuer": issuer, "require": require });
        let answer = ask(question(&audience, ISSUER));
        assert_eq!(answer["claims"]["jti"].as_str(), Some(got.jti().as_str()), "{answer}");
        for (audience, issuer) in
            [("somebody-else", ISSUER), (audience.as_str(), "https://accounts.example/")]
        {
            assert!(ask(question(audience, issuer))["error"].is_string(), "it does check");
        }
    }
    drop(told);
    assert!(python.wait().expect("it ends").success());
}

/// The Python of the tests: the one that is told, else the one `./test` installs.
fn python() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    let told = std::env::var_os(testkit::PYTHON).map(PathBuf::from);
    told.into_iter().chain([installed]).find(|path| path.exists()).unwrap_or_else(|| {
        panic!("no Python with PyJWT: run ./test, or name one that has it in {}", testkit::PYTHON)
    })
}
