//! What a remembered token really takes. Alone in its file, so that it has a process of its own.
#![cfg(target_os = "linux")]

use account::{IdpId, Millis};
use idp::{IdpConfig, Idps};
use jose::{Algorithm, SigningKey};
use serde_json::json;
use verify::{Options, Settings, Verifier};

const TOKENS: u64 = 40_000;
const NOW: i64 = 1_700_000_000;

/// The pages of this process that are in memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("there is one of every process");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

#[tokio::test]
async fn a_remembered_token_takes_no_more_than_six_hundred_bytes_and_about_what_it_is_taken_to() {
    let key = SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid("a");
    let mut config = IdpConfig::new(IdpId::new("fxa").expect("valid"), "https://idp.example", "idp.example");
    config.primary_jwk = Some(key.jwk().clone());
    let options = Options { derived_bytes: 0, ..Options::default() };
    let verifier = Verifier::with(Idps::new(&[config]).expect("valid"), &Settings::default(), options);
    let learn = async |number: u64| {
        let claims = json!({
            "iss": "https://idp.example", "sub": format!("{number:032x}"), "client_id": "5882386c6d801776",
            "scope": "profile https://identity.mozilla.com/apps/relay", "iat": NOW, "exp": NOW + 3_600,
            "auth_time": NOW, "acr": "AAL2", "jti": number.to_string()
        });
        let token = key.sign_claims("at+jwt", &claims).expect("signed");
        verifier.check(&token, &verify::Freshness::default(), Millis::from_seconds(NOW)).await.expect("good");
    };
    learn(0).await;
    let before = resident();
    for number in 1..=TOKENS {
        learn(number).await;
    }
    let each = (resident() - before) / TOKENS;
    let (tokens, weight) = verifier.remembered();
    println!("{each} bytes for each of {tokens} tokens, taken to weigh {}", weight / tokens as u64);
    assert_eq!(tokens as u64, TOKENS + 1, "all are remembered");
    assert!(each <= 600, "{each} bytes");
    let taken_for = weight / tokens as u64;
    assert!(each * 4 / 5 <= taken_for && taken_for <= each * 5 / 4, "{each} bytes weigh {taken_for}");
}
