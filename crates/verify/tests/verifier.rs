//! Tokens of every kind before a verifier whose identity providers have good and bad hours.

use account::{Birth, IdpId, Millis};
use idp::{IdpConfig, Idps, OpaqueTokens};
use jose::{Algorithm, JwkSet, SigningKey, to_base64url};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use verify::{CheckError, Facts, Refusal, Settings, Source, Verifier};
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const ISSUER: &str = "https://accounts.example";
const SYNC: &str = "https://identity.mozilla.com/apps/oldsync";
const NOW: i64 = 1_700_000_000;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| key("a"));

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid(kid)
}

fn now() -> Millis {
    Millis::from_seconds(NOW)
}

/// An identity provider that is known by its key alone and never asked.
fn known_by_key() -> IdpConfig {
    let mut config = IdpConfig::new(IdpId::new("fxa").expect("valid"), ISSUER, "accounts.example");
    config.primary_jwk = Some(KEY.jwk().clone());
    config
}

fn at(server: &MockServer) -> IdpConfig {
    let mut config = IdpConfig::new(IdpId::new("fxa").expect("valid"), ISSUER, "accounts.example");
    config.server_url = Some(server.uri());
    config.unknown_key_refetch = Duration::ZERO;
    config
}

fn verifier(configs: &[IdpConfig]) -> Verifier {
    Verifier::new(Idps::new(configs).expect("valid"), &Settings::default())
}

/// Good claims, changed: a null takes a claim away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "0123456789abcdef0123456789abcdef", "aud": "whatever", "client_id": "5882386c6d801776",
        "scope": format!("profile {SYNC}"), "iat": NOW - 10, "exp": NOW + 600, "jti": "j",
        "fxa-generation": 1_699_000_000_123_i64, "fxa-profileChangedAt": 7
    });
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn token(changes: &Value) -> String {
    KEY.sign_claims("at+jwt", &claims(changes)).expect("signed")
}

async fn answer(server: &MockServer, endpoint: &str, answer: ResponseTemplate) {
    Mock::given(path(format!("/v1/{endpoint}"))).respond_with(answer).mount(server).await;
}

fn keys(keys: &[&SigningKey]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(keys.iter().map(|key| key.jwk().clone()).collect::<JwkSet>())
}

async fn asked(server: &MockServer, endpoint: &str) -> usize {
    let requests = server.received_requests().await.expect("recorded");
    requests.iter().filter(|request| request.url.path() == format!("/v1/{endpoint}")).count()
}

fn refused<T>(refusal: Refusal) -> Result<T, CheckError> {
    Err(CheckError::Refused(refusal))
}

#[tokio::test]
async fn a_good_token_tells_its_facts() {
    let facts = verifier(&[known_by_key()]).facts(&token(&json!({})), now()).await.expect("good");
    assert_eq!(facts.account().to_string(), "fxa:0123456789abcdef0123456789abcdef");
    assert!(facts.scopes.grants(SYNC));
    assert_eq!(facts.generation, Some(1_699_000_000_123));
    assert_eq!(facts.birth(), Birth::exactly(Millis::new(1_699_000_000_123)));
    assert_eq!(facts.client_id.as_deref(), Some("5882386c6d801776"));
    assert_eq!(
        (facts.profile_changed_at, facts.expires_at),
        (Some(7), Some(Millis::from_seconds(NOW + 600)))
    );
    assert_eq!(facts.source, Source::Signature(*KEY.jwk().public_key().thumbprint()));
    assert_eq!(facts.learned_at, now());
}

#[tokio::test]
async fn each_claim_is_judged_as_it_should_be() {
    let verifier = verifier(&[known_by_key()]);
    let good = [
        json!({"aud": null}),
        json!({"client_id": null}),
        json!({"iss": null}),
        json!({"iss": "https://accounts.example/"}),
        json!({"fxa-generation": null}),
        json!({"scope": ["a", SYNC]}),
        json!({"scope": null}),
        json!({"exp": NOW - 30}),
        json!({"nbf": NOW + 30}),
    ];
    for changes in good {
        assert!(verifier.facts(&token(&changes), now()).await.is_ok(), "{changes}");
    }
    let bad = [
        (json!({"iss": "https://evil.example"}), Refusal::Issuer),
        (json!({"iss": 5}), Refusal::Claims),
        (json!({"sub": null}), Refusal::Claims),
        (json!({"sub": 5}), Refusal::Claims),
        (json!({"fxa-generation": 1.5}), Refusal::Claims),
        (json!({"fxa-generation": "5"}), Refusal::Claims),
        (json!({"scope": 5}), Refusal::Claims),
        (json!({"exp": NOW - 90}), Refusal::Expired),
        (json!({"exp": null}), Refusal::NoExpiry),
        (json!({"nbf": NOW + 90}), Refusal::NotYetValid),
        (json!({"iat": NOW + 90}), Refusal::NotYetValid),
    ];
    for (changes, refusal) in bad {
        assert_eq!(verifier.facts(&token(&changes), now()).await, refused(refusal), "{changes}");
    }
}

#[tokio::test]
async fn scopes_joined_by_commas_are_one_scope() {
    let facts =
        verifier(&[known_by_key()]).facts(&token(&json!({"scope": format!("profile,{SYNC}")})), now()).await;
    assert!(!facts.expect("good").scopes.grants(SYNC));
}

#[tokio::test]
async fn a_missing_expiry_is_accepted_where_it_is_allowed_and_remembered_only_for_a_while() {
    let verifier = verifier(&[IdpConfig { allow_missing_expiry: true, ..known_by_key() }]);
    let token = token(&json!({"exp": null}));
    assert_eq!(verifier.facts(&token, now()).await.expect("good").learned_at, now());
    let later = |seconds| now().plus(Duration::from_secs(seconds));
    assert_eq!(verifier.facts(&token, later(2_879)).await.expect("good").learned_at, now());
    assert_eq!(verifier.facts(&token, later(3_600)).await.expect("good").learned_at, later(3_600));
}

#[tokio::test]
async fn only_access_tokens_are_accepted() {
    let verifier = verifier(&[known_by_key()]);
    let typed = |typ: &str| KEY.sign_claims(typ, &claims(&json!({}))).expect("signed");
    for typ in ["at+jwt", "at+JWT", "APPLICATION/AT+JWT"] {
        assert!(verifier.facts(&typed(typ), now()).await.is_ok(), "{typ}");
    }
    for typ in ["JWT", "secevent+jwt", "id_token", ""] {
        assert_eq!(verifier.facts(&typed(typ), now()).await, refused(Refusal::Type), "{typ}");
    }
    let untyped =
        KEY.sign_compact(br#"{"alg":"EdDSA","kid":"a"}"#, claims(&json!({})).to_string().as_bytes());
    assert_eq!(verifier.facts(&untyped.expect("signed"), now()).await, refused(Refusal::Type));
}

#[tokio::test]
async fn a_forged_token_is_refused_whatever_it_claims_to_be_signed_with() {
    let verifier = verifier(&[IdpConfig { fetch_keys: false, ..known_by_key() }]);
    let forged = |header: Value| {
        key("a")
            .sign_compact(header.to_string().as_bytes(), claims(&json!({})).to_string().as_bytes())
            .expect("signed")
    };
    let table = [
        (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"}), Refusal::Signature),
        (json!({"alg": "EdDSA", "typ": "at+jwt"}), Refusal::Signature),
        (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "b"}), Refusal::UnknownKey),
        (json!({"alg": "ES256", "typ": "at+jwt", "kid": "a"}), Refusal::Signature),
        (json!({"alg": "RS256", "typ": "at+jwt"}), Refusal::UnknownKey),
        (json!({"alg": "HS256", "typ": "at+jwt", "kid": "a"}), Refusal::Algorithm),
        (json!({"alg": "none", "typ": "at+jwt"}), Refusal::Algorithm),
        (json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a", "crit": ["x"]}), Refusal::Header),
        (json!({"typ": "at+jwt"}), Refusal::Header),
        (json!(["EdDSA"]), Refusal::Header),
    ];
    for (header, refusal) in table {
        assert_eq!(verifier.facts(&forged(header.clone()), now()).await, refused(refusal), "{header}");
    }
    let unsigned = token(&json!({}));
    let unsigned = &unsigned[..=unsigned.rfind('.').expect("a dot")];
    assert_eq!(verifier.facts(unsigned, now()).await, refused(Refusal::Header));
}

#[tokio::test]
async fn the_issuer_says_which_identity_providers_token_it_is() {
    let other = key("b");
    let mut second =
        IdpConfig::new(IdpId::new("other").expect("valid"), "https://other.example", "other.example");
    second.primary_jwk = Some(other.jwk().clone());
    let verifier = verifier(&[known_by_key(), second]);
    let idp = |facts: Result<Arc<Facts>, CheckError>| facts.map(|facts| facts.idp.to_string());
    let sign = |key: &SigningKey, iss: Value| {
        key.sign_claims("at+jwt", &claims(&json!({"iss": iss}))).expect("signed")
    };
    assert_eq!(idp(verifier.facts(&sign(&KEY, json!(ISSUER)), now()).await).as_deref(), Ok("fxa"));
    assert_eq!(idp(verifier.facts(&sign(&KEY, json!(null)), now()).await).as_deref(), Ok("fxa"));
    assert_eq!(
        idp(verifier.facts(&sign(&other, json!("https://other.example")), now()).await).as_deref(),
        Ok("other")
    );
    // One identity provider's key proves nothing about another's accounts.
    for (key, iss) in [(&other, json!(ISSUER)), (&other, json!(null)), (&KEY, json!("https://other.example"))]
    {
        assert_eq!(
            verifier.facts(&sign(key, iss.clone()), now()).await,
            refused(Refusal::UnknownKey),
            "{iss}"
        );
    }
}

#[tokio::test]
async fn remembered_facts_are_not_given_out_past_the_tokens_end() {
    let verifier = verifier(&[known_by_key()]);
    let token = token(&json!({"exp": NOW + 10}));
    let at = |seconds| Millis::from_seconds(NOW + seconds);
    let first = verifier.facts(&token, at(0)).await.expect("good");
    assert!(Arc::ptr_eq(&first, &verifier.facts(&token, at(9)).await.expect("remembered")));
    assert_eq!(verifier.facts(&token, at(10)).await.expect("within the leeway").learned_at, at(10));
    assert_eq!(verifier.facts(&token, at(69)).await.expect("within the leeway").learned_at, at(69));
    assert_eq!(verifier.facts(&token, at(70)).await, refused(Refusal::Expired));
}

#[tokio::test]
async fn a_withdrawn_key_ends_what_it_proved() {
    let (server, new) = (MockServer::start().await, key("new"));
    answer(&server, "jwks", keys(&[&KEY])).await;
    let verifier = verifier(&[IdpConfig { opaque_tokens: OpaqueTokens::Refuse, ..at(&server) }]);
    let old = token(&json!({}));
    assert!(verifier.facts(&old, now()).await.is_ok());

    server.reset().await;
    answer(&server, "jwks", keys(&[&new, &KEY])).await;
    let fresh = |jti: &str| new.sign_claims("at+jwt", &claims(&json!({"jti": jti}))).expect("signed");
    assert!(verifier.facts(&fresh("1"), now()).await.is_ok());
    assert!(verifier.facts(&old, now()).await.is_ok(), "both keys are published");

    server.reset().await;
    answer(&server, "jwks", keys(&[&new])).await;
    assert_eq!(
        verifier.facts(&key("x").sign_claims("at+jwt", &claims(&json!({}))).expect("signed"), now()).await,
        refused(Refusal::UnknownKey)
    );
    assert_eq!(verifier.facts(&old, now()).await, refused(Refusal::UnknownKey));
    assert!(verifier.facts(&fresh("1"), now()).await.is_ok());
}

#[tokio::test]
async fn keys_rotated_under_load_refuse_no_good_token() {
    let (server, new) = (MockServer::start().await, key("new"));
    answer(&server, "jwks", keys(&[&KEY])).await;
    let verifier = verifier(&[at(&server)]);
    assert!(verifier.facts(&token(&json!({})), now()).await.is_ok());
    server.reset().await;
    answer(&server, "jwks", keys(&[&new, &KEY]).set_delay(Duration::from_millis(30))).await;
    let checks = (0..100).map(|i| {
        let signer = if i % 2 == 0 { &new } else { &*KEY };
        let token = signer.sign_claims("at+jwt", &claims(&json!({"jti": i.to_string()}))).expect("signed");
        let verifier = &verifier;
        async move { verifier.facts(&token, now()).await.is_ok() }
    });
    assert!(futures::future::join_all(checks).await.into_iter().all(|good| good));
    assert_eq!(asked(&server, "jwks").await, 1);
}

#[tokio::test]
async fn a_token_that_is_no_jwt_is_asked_about_once_by_all_and_remembered_for_a_while() {
    let server = MockServer::start().await;
    let body = json!({"user": "u", "client_id": "c", "scope": ["profile", SYNC], "generation": 5});
    Mock::given(method("POST"))
        .and(path("/v1/verify"))
        .and(body_json(json!({"token": "{\"a\": \"document\"}"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(body).set_delay(Duration::from_millis(30)))
        .mount(&server)
        .await;
    let verifier = verifier(&[at(&server)]);
    let later = |seconds| now().plus(Duration::from_secs(seconds));
    let check = async |now| verifier.facts("{\"a\": \"document\"}", now).await.expect("good");
    let all = futures::future::join_all((0..32).map(|_| check(now()))).await;
    assert!(all.iter().all(|facts| facts.scopes.grants(SYNC) && facts.generation == Some(5)));
    assert_eq!(asked(&server, "verify").await, 1);
    assert_eq!(check(later(47)).await.learned_at, now());
    assert_eq!(check(later(60)).await.learned_at, later(60));
    assert_eq!(asked(&server, "verify").await, 2);
}

#[tokio::test]
async fn a_question_its_first_asker_gave_up_is_finished_by_the_others() {
    let server = MockServer::start().await;
    let body = json!({"user": "u", "scope": []});
    answer(
        &server,
        "verify",
        ResponseTemplate::new(200).set_body_json(body).set_delay(Duration::from_millis(100)),
    )
    .await;
    let verifier = verifier(&[at(&server)]);
    let (impatient, patient) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(10), verifier.facts("opaque", now())),
        verifier.facts("opaque", now()),
    );
    assert!(impatient.is_err() && patient.is_ok());
    assert_eq!(asked(&server, "verify").await, 1);
    // One that everybody gave up is begun anew.
    let given_up = tokio::time::timeout(Duration::from_millis(10), verifier.facts("another", now())).await;
    assert!(given_up.is_err());
    assert!(verifier.facts("another", now()).await.is_ok());
}

#[tokio::test]
async fn trouble_at_the_identity_provider_is_never_a_refusal() {
    let troubles = [
        ResponseTemplate::new(429),
        ResponseTemplate::new(500),
        ResponseTemplate::new(503),
        ResponseTemplate::new(302).insert_header("location", "/elsewhere"),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({"user": 5, "scope": []})),
        ResponseTemplate::new(200).set_delay(Duration::from_mins(1)),
    ];
    for (i, trouble) in troubles.into_iter().enumerate() {
        let server = MockServer::start().await;
        answer(&server, "verify", trouble.clone()).await;
        answer(&server, "jwks", trouble).await;
        let verifier = verifier(&[IdpConfig { request_timeout: Duration::from_millis(100), ..at(&server) }]);
        for token in ["opaque".to_owned(), token(&json!({}))] {
            let outcome = verifier.facts(&token, now()).await;
            let trouble =
                matches!(outcome, Err(CheckError::Unavailable { .. } | CheckError::TimedOut { .. }));
            assert!(trouble, "{i}: {outcome:?}");
        }
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut config = IdpConfig::new(IdpId::new("fxa").expect("valid"), ISSUER, "accounts.example");
    config.server_url = Some(format!("http://{address}"));
    for token in ["opaque".to_owned(), token(&json!({}))] {
        let outcome = verifier(std::slice::from_ref(&config)).facts(&token, now()).await;
        assert!(matches!(outcome, Err(CheckError::Unavailable { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_outage_hurts_no_token_whose_key_is_known() {
    let server = MockServer::start().await;
    answer(&server, "jwks", keys(&[&KEY])).await;
    let verifier = verifier(&[at(&server)]);
    assert!(verifier.facts(&token(&json!({})), now()).await.is_ok());
    server.reset().await;
    answer(&server, "jwks", ResponseTemplate::new(500)).await;
    assert!(verifier.facts(&token(&json!({"jti": "first seen"})), now()).await.is_ok());
    let rotated = key("rotated").sign_claims("at+jwt", &claims(&json!({}))).expect("signed");
    assert!(matches!(verifier.facts(&rotated, now()).await, Err(CheckError::Unavailable { .. })));
}

#[tokio::test]
async fn without_any_key_the_identity_provider_is_asked_about_a_jwt_too() {
    let server = MockServer::start().await;
    answer(&server, "jwks", ResponseTemplate::new(200).set_body_json(json!({"keys": [{"fake": "RSA key"}]})))
        .await;
    let body = json!({"user": "u", "scope": [SYNC], "generation": 5});
    answer(&server, "verify", ResponseTemplate::new(200).set_body_json(body)).await;
    let facts = verifier(&[at(&server)]).facts(&token(&json!({})), now()).await.expect("good");
    assert_eq!((facts.subject.as_str(), facts.source), ("u", Source::Word));
    assert_eq!(facts.expires_at, Some(Millis::from_seconds(NOW + 600)));
}

#[tokio::test]
async fn garbage_costs_the_identity_provider_nothing() {
    let server = MockServer::start().await;
    answer(&server, "jwks", keys(&[&KEY])).await;
    answer(&server, "verify", ResponseTemplate::new(400)).await;
    let any = verifier(&[at(&server)]);
    let hex64 = verifier(&[IdpConfig { opaque_tokens: OpaqueTokens::Hex64, ..at(&server) }]);
    let none = verifier(&[IdpConfig { opaque_tokens: OpaqueTokens::Refuse, ..at(&server) }]);
    assert_eq!(any.facts("", now()).await, refused(Refusal::Shape));
    assert_eq!(any.facts(&"x y".repeat(1_000), now()).await, refused(Refusal::Shape));
    assert_eq!(any.facts(&"x".repeat(8_193), now()).await, refused(Refusal::TooLong));
    assert_eq!(any.facts("a.b.c", now()).await, refused(Refusal::Header));
    assert_eq!(hex64.facts(&"g".repeat(64), now()).await, refused(Refusal::Shape));
    assert_eq!(hex64.facts(&"a".repeat(63), now()).await, refused(Refusal::Shape));
    assert_eq!(none.facts(&"a".repeat(64), now()).await, refused(Refusal::Shape));
    assert_eq!(server.received_requests().await.expect("recorded").len(), 0);
    assert_eq!(hex64.facts(&"aF".repeat(32), now()).await, refused(Refusal::IdentityProvider));
    assert_eq!(asked(&server, "verify").await, 1);
}

#[tokio::test]
async fn a_grant_of_doubtful_birth_can_be_asked_about_anew() {
    let server = MockServer::start().await;
    answer(&server, "jwks", keys(&[&KEY])).await;
    answer(
        &server,
        "verify",
        ResponseTemplate::new(200)
            .set_body_json(json!({"user": "0123456789abcdef0123456789abcdef", "scope": []})),
    )
    .await;
    let verifier = verifier(&[at(&server)]);
    let token = token(&json!({"fxa-generation": null}));
    assert_eq!(verifier.facts(&token, now()).await.expect("good").birth(), Birth::within_second(NOW - 10));
    let later = now().plus(Duration::from_secs(5));
    let anew = verifier.ask(&token, later).await.expect("still good");
    assert_eq!((anew.source, anew.learned_at), (Source::Word, later));
    assert!(Arc::ptr_eq(&anew, &verifier.facts(&token, later).await.expect("remembered")));
    server.reset().await;
    answer(&server, "verify", ResponseTemplate::new(200).set_body_json(json!({"user": "u", "scope": []})))
        .await;
    assert_eq!(verifier.ask(&token, later).await, refused(Refusal::IdentityProvider), "it is another's");
    let facts = verifier.facts(&token, later).await.expect("good by its signature");
    assert_eq!(facts.subject.as_str(), "0123456789abcdef0123456789abcdef");
    server.reset().await;
    answer(&server, "verify", ResponseTemplate::new(401)).await;
    assert_eq!(verifier.ask(&token, later).await, refused(Refusal::IdentityProvider));
    assert_eq!(
        self::verifier(&[known_by_key()]).ask(&token, later).await,
        refused(Refusal::IdentityProvider)
    );
}

fn blocking(verifier: &Verifier, token: &str) -> Result<Arc<Facts>, CheckError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(verifier.facts(token, now()))
}

static NOT_ASKING: LazyLock<Verifier> =
    LazyLock::new(|| verifier(&[IdpConfig { fetch_keys: false, ..known_by_key() }]));

proptest! {
    #[test]
    fn garbage_is_refused_and_never_an_outage(
        text in "\\PC*",
        parts in "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}",
        header in r#"\{"alg":"(EdDSA|RS256|none)","typ":"(at\+jwt|JWT)","kid":"(a|b)"\}"#,
        payload in "\\PC*"
    ) {
        let built = format!("{}.{}.AAAA", to_base64url(header.as_bytes()), to_base64url(payload.as_bytes()));
        for token in [text, parts, built] {
            let outcome = blocking(&NOT_ASKING, &token);
            prop_assert!(matches!(outcome, Err(CheckError::Refused(_))), "{token}: {outcome:?}");
        }
    }

    #[test]
    fn well_signed_nonsense_gives_facts_or_a_refusal(
        payload in prop_oneof![
            "\\PC*",
            r#"\{"sub":("u"|5)(,"(exp|iat|nbf|auth_time|scope|iss|fxa-generation)":(-?[0-9]{1,25}(\.[0-9]+)?(e[0-9]{1,3})?|null|"x"|\["x"\]|\{\})){0,4}\}"#
        ]
    ) {
        let token = KEY.sign_payload("at+jwt", payload.as_bytes()).expect("signed");
        let outcome = blocking(&NOT_ASKING, &token);
        prop_assert!(!matches!(outcome, Err(CheckError::Unavailable { .. })), "{payload}: {outcome:?}");
    }

    #[test]
    fn no_change_to_a_token_leaves_it_good(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.-]") {
        let token = token(&json!({}));
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != other);
        let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
        let outcome = blocking(&NOT_ASKING, &changed);
        prop_assert!(matches!(outcome, Err(CheckError::Refused(_))), "{at}: {outcome:?}");
    }
}
