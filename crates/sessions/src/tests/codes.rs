//! Logins by a code, and by tokens with an ID token, at an identity provider on a real socket.

use super::api::Api;
use super::standing_in::World;
use super::*;
use crate::rules::Rotation as Known;
use crate::worker::revoke;
use http::StatusCode;
use serde_json::{Value, json};
use standins::{Authorization, Endpoint, Fault, How, Odd};

/// The verifier and its challenge of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "https://web.example/callback";

impl World {
    /// Somebody comes back from the identity provider: the request that the service makes of it.
    fn comes_back(&self) -> Value {
        let asked = Authorization {
            client_id: "web".to_owned(),
            redirect_uri: BACK.to_owned(),
            subject: "ada".to_owned(),
            scope: "openid offline_access".to_owned(),
            state: None,
            nonce: Some("n-1".to_owned()),
            code_challenge: Some(CHALLENGE.to_owned()),
        };
        let code = self.there.logins().authorize(&asked).expect("a code");
        let code = json!({ "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER, "nonce": "n-1" });
        json!({ "idp": "main", "code": code, "data": { "theme": "dark" } })
    }

    async fn creates(&self, body: &Value) -> (u16, Value) {
        let (status, told) = Api::of(&self.house, &[]).ask("POST", "/sessions", body.clone()).await;
        (status.as_u16(), told)
    }

    /// How many refresh tokens were taken back there.
    async fn revoked(&self) -> u64 {
        while revoke(Arc::clone(self.house.inner())).await == Tick::More {}
        self.there.logins().requests(Endpoint::Revocation)
    }
}

fn id(made: &Value) -> SessionId {
    SessionId::parse(made["id"].as_str().unwrap_or_default()).unwrap_or_else(|_| panic!("{made}"))
}

#[tokio::test]
async fn a_code_becomes_a_session_of_whoever_its_id_token_names() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let logged_in_at = world.house.clock.now().seconds();
        let body = world.comes_back();
        world.house.passes(Duration::from_secs(90)).await;
        let (status, made) = world.creates(&body).await;
        assert_eq!((status, &made["subject"], &made["data"]["theme"]), (201, &json!("ada"), &json!("dark")));
        assert!(made["sid"].is_string(), "{made}");
        assert_eq!(made["authenticated_at"], logged_in_at * 1000, "its auth_time");
        let claims = &made["claims"]["id_token"];
        assert_eq!((&claims["preferred_username"], &claims["exp"]), (&json!("ada"), &Value::Null));
        let session = id(&made);
        for generation in 1..=3 {
            assert_eq!(world.refreshed(&session).await, format!("live live g{generation} f0"));
        }
        let shown = world.house.show(&session).await;
        assert_eq!(shown.version, 1, "ID tokens that say the same of the user change nothing");
        let logins = world.there.logins();
        assert_eq!((logins.most_presented(), logins.reuses_detected()), (1, 0));
    }
}

#[tokio::test]
async fn id_tokens_of_refreshes_are_held_against_that_of_the_login() {
    // Without an original only the user would be held against; with it the time of the login is too.
    let world = World::one().await;
    let (_, made) = world.creates(&world.comes_back()).await;
    world.house.passes(Duration::from_mins(59)).await;
    let inner = world.house.inner();
    let claim = crate::store::claim::Claim {
        rooms: vec![(main_idp(), 1)],
        owner: inner.owner.to_string(),
        now: inner.now(),
    };
    let claimed = world.house.store.run(claim).await.expect("the store answers").remove(0);
    let original = claimed.original.expect("what its ID token said");
    assert_eq!((original.issuer, original.audience), (world.there.url(), vec!["web".to_owned()]));
    assert_eq!(original.auth_time.map(|at| json!(at.get())), Some(made["authenticated_at"].clone()));
}

#[tokio::test]
async fn a_code_that_is_sent_again_is_not_presented_again_and_answers_the_same_session() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let body = world.comes_back();
        let both = futures::future::join(world.creates(&body), world.creates(&body)).await;
        let made = [both.0, both.1].into_iter().find(|(status, _)| *status == 201).expect("one of them").1;
        let (status, again) = world.creates(&body).await;
        assert_eq!((status, id(&again)), (201, id(&made)));
        assert_eq!(world.there.logins().requests(Endpoint::Token), 1);
        assert_eq!(world.house.all().await.len(), 1);
        // Whoever has the code and nothing else gets nothing for it.
        let mut other = body;
        other["code"]["code_verifier"] = "x".repeat(43).into();
        let (status, problem) = world.creates(&other).await;
        assert_eq!((status, &problem["title"]), (409, &json!("login needed")));
        assert_eq!(world.there.logins().requests(Endpoint::Token), 1);
    }
}

#[tokio::test]
async fn a_code_that_is_not_taken_is_a_problem_of_the_request_and_is_not_tried_again() {
    let world = World::one().await;
    let mut body = world.comes_back();
    body["code"]["code_verifier"] = "x".repeat(43).into();
    let (status, problem) = world.creates(&body).await;
    assert_eq!((status, &problem["title"]), (400, &json!("code refused")), "{problem}");
    assert_eq!(world.creates(&body).await.0, 409);
    assert_eq!(world.there.logins().requests(Endpoint::Token), 1);
    assert_eq!(world.house.all().await, []);
}

#[tokio::test]
async fn a_code_that_was_not_taken_in_an_outage_may_come_again() {
    let faults = [
        How::Status(503),
        How::RetryAfter(503, 7),
        How::RetryAfter(429, 7),
        How::Error(401, "invalid_client"),
    ];
    for how in faults {
        let world = World::one().await;
        let body = world.comes_back();
        world.there.logins().fail_times(Endpoint::Token, Fault::before(how.clone()), 1);
        assert_eq!(world.creates(&body).await.0, 503, "{how:?}");
        world.house.passes(Duration::from_mins(5)).await;
        assert_eq!(world.creates(&body).await.0, 201, "{how:?}");
    }
}

#[tokio::test]
async fn an_outage_says_when_to_come_again() {
    let world = World::one().await;
    let body = world.comes_back();
    world.there.logins().fail(Endpoint::Token, Some(Fault::before(How::RetryAfter(503, 7))));
    let request = http::Request::post("/sessions").header("content-type", "application/json");
    let request = request.body(axum::body::Body::from(body.to_string())).expect("a request");
    let routes = Api::of(&world.house, &[]).0;
    let answer = tower::ServiceExt::oneshot(routes, request).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let wait: u64 = answer.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!(wait >= 7, "{wait}");
}

#[tokio::test]
async fn a_code_whose_answer_was_lost_is_never_presented_again() {
    for how in [How::Reset, How::Status(500), How::Hang, How::Truncate] {
        for world in World::on_each_engine(Known::Always, 0).await {
            let body = world.comes_back();
            world.there.logins().fail_times(Endpoint::Token, Fault::after(how.clone()), 1);
            assert_eq!(world.creates(&body).await.0, 503, "{how:?}");
            let (status, problem) = world.creates(&body).await;
            assert_eq!((status, &problem["title"]), (409, &json!("login needed")), "{how:?}");
            assert_eq!(world.there.logins().requests(Endpoint::Token), 1, "{how:?}");
        }
    }
}

#[tokio::test]
async fn tokens_whose_id_token_cannot_be_verified_yet_are_kept_until_it_can() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let body = world.comes_back();
        world.there.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
        for _ in 0..2 {
            assert_eq!(world.creates(&body).await.0, 503);
        }
        assert_eq!(world.house.all().await, []);
        world.there.logins().fail(Endpoint::Jwks, None);
        let (status, made) = world.creates(&body).await;
        assert_eq!((status, &made["subject"]), (201, &json!("ada")), "{made}");
        assert_eq!(world.there.logins().requests(Endpoint::Token), 1, "the code is presented once");
        assert_eq!(world.refreshed(&id(&made)).await, "live live g1 f0");
    }
}

#[tokio::test]
async fn tokens_that_are_kept_and_never_asked_for_are_taken_back() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let body = world.comes_back();
        world.there.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
        assert_eq!(world.creates(&body).await.0, 503);
        world.house.passes(Duration::from_mins(61)).await;
        crate::worker::sweep(Arc::clone(world.house.inner())).await;
        assert_eq!(world.revoked().await, 1);
    }
}

#[tokio::test]
async fn somebody_elses_login_makes_no_session_and_its_tokens_are_taken_back() {
    type Spoil = fn(&World, &mut Value);
    let cases: [(Spoil, &str); 6] = [
        (|_, body| body["code"]["nonce"] = "n-2".into(), "nonce"),
        (|_, body| body["subject"] = "eve".into(), "subject"),
        (|_, body| body["sid"] = "another".into(), "sid"),
        (|world, _| world.there.logins().answer_oddly([Odd::OtherAudience]), "audience"),
        (|world, _| world.there.logins().answer_oddly([Odd::BadSignature]), "signature"),
        (|world, _| world.there.logins().answer_oddly([Odd::NoIdToken]), "openid"),
    ];
    for (spoil, word) in cases {
        let world = World::one().await;
        let mut body = world.comes_back();
        spoil(&world, &mut body);
        let (status, problem) = world.creates(&body).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.contains(word), "{word}: {status} {problem}");
        assert_eq!(world.creates(&body).await.0, 409, "{word}");
        assert_eq!((world.house.all().await, world.revoked().await), (vec![], 1), "{word}");
    }
}

#[tokio::test]
async fn a_password_change_between_the_login_and_its_code_refuses_it() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let body = world.comes_back();
        world.house.passes(Duration::from_mins(1)).await;
        world.house.happens("ada", world.house.clock.now(), Change::PasswordChange).await;
        world.house.passes(Duration::from_mins(1)).await;
        let (status, problem) = world.creates(&body).await;
        assert_eq!(status, 409, "{problem}");
        assert_eq!((world.house.all().await, world.revoked().await), (vec![], 1));
        let (status, made) = world.creates(&world.comes_back()).await;
        assert_eq!(status, 201, "{made}");
    }
}

#[tokio::test]
async fn an_id_token_beside_tokens_says_whose_login_it_is_and_since_when() {
    for world in World::on_each_engine(Known::Always, 0).await {
        let given = world.there.logins().log_in("web", "ada").expect("such an account");
        let logged_in_at = world.house.clock.now();
        world.house.passes(Duration::from_mins(2)).await;
        let tokens = json!({
            "access_token": given.access_token, "refresh_token": given.refresh_token, "expires_in": 3600,
            "id_token": given.id_token,
        });
        let (status, made) = world.creates(&json!({ "idp": "main", "tokens": tokens })).await;
        assert_eq!(
            (status, &made["subject"], &made["sid"]),
            (201, &json!("ada"), &json!(given.sid)),
            "{made}"
        );
        assert_eq!(made["authenticated_at"], logged_in_at.seconds() * 1000);
        // A change after the login and before its session was made ends it.
        let between = logged_in_at.plus(Duration::from_mins(1));
        world.house.happens("ada", between, Change::PasswordChange).await;
        let shown = world.house.shown(&id(&made)).await;
        assert_eq!(shown, "ended(password_change) ended(password_change) g0 f0");
    }
}

#[tokio::test]
async fn an_id_token_that_does_not_go_with_the_request_is_refused() {
    let world = World::one().await;
    let logins = world.there.logins();
    let given = logins.log_in("web", "ada").expect("such an account");
    let other = logins.log_in("web", "ada").expect("such an account");
    let tokens = |access_token: &str| json!({ "access_token": access_token, "refresh_token": given.refresh_token, "id_token": given.id_token });
    let own = given.access_token.as_str();
    let mut with_nonce = tokens(own);
    with_nonce["nonce"] = "n-9".into();
    let cases = [
        (json!({ "idp": "main", "tokens": tokens(&other.access_token) }), "access_token"),
        (json!({ "idp": "main", "tokens": with_nonce }), "nonce"),
        (json!({ "idp": "main", "subject": "eve", "tokens": tokens(own) }), "subject"),
        (json!({ "idp": "main", "tokens": { "access_token": own, "nonce": "n" } }), "nonce"),
        (json!({ "idp": "main", "tokens": { "access_token": own } }), "whose login"),
        (json!({ "idp": "main", "code": { "code": "" } }), "code"),
        (json!({ "idp": "main", "code": { "code": "x" }, "tokens": { "access_token": "y" } }), "one of"),
    ];
    for (body, word) in cases {
        let (status, problem) = world.creates(&body).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.contains(word), "{word}: {status} {problem}");
    }
    let late = json!({ "idp": "main", "tokens": tokens(own) });
    world.there.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
    let fresh = World::one().await;
    fresh.there.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
    let theirs = fresh.there.logins().log_in("web", "ada").expect("such an account");
    let body = json!({ "access_token": theirs.access_token, "id_token": theirs.id_token });
    assert_eq!(
        fresh.creates(&json!({ "idp": "main", "tokens": body })).await.0,
        503,
        "an outage is no verdict"
    );
    world.house.passes(Duration::from_mins(15)).await;
    let (status, problem) = world.creates(&late).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap_or_default().contains("time"), "{problem}");
}

#[tokio::test]
async fn no_code_nor_token_that_is_kept_can_be_read() {
    let world = World::one().await;
    let body = world.comes_back();
    world.there.logins().fail(Endpoint::Jwks, Some(Fault::before(How::Status(503))));
    assert_eq!(world.creates(&body).await.0, 503);
    let code = body["code"]["code"].as_str().expect("a code");
    let kept = super::secrets::files_of(&world.house);
    assert!(super::secrets::holds(&kept, "session_codes"), "the files are looked at");
    for secret in [code, VERIFIER, "eyJ"] {
        assert!(!super::secrets::holds(&kept, secret), "{secret}");
    }
}

/// Where an identity provider binds tokens to a key of each login (RFC 9449).
async fn binding(test: TestStore) -> World {
    World::with(test, profile(Known::Always, 0), |login| login.dpop = true).await
}

#[tokio::test]
async fn tokens_that_are_bound_to_a_key_are_refreshed_and_used_with_it() {
    for test in engines(TABLES).await {
        let is_file = test.engine() == store::Engine::Sqlite;
        let world = binding(test).await;
        let (status, made) = world.creates(&world.comes_back()).await;
        assert_eq!(status, 201, "{made}");
        let session = id(&made);
        for generation in 1..=3 {
            assert_eq!(world.refreshed(&session).await, format!("live live g{generation} f0"));
        }
        let inner = world.house.inner();
        let lane = inner.lanes.get(&main_idp()).expect("its lane");
        crate::worker::look(Arc::clone(inner), Arc::clone(lane)).await;
        assert!(
            world.house.show(&session).await.claims.userinfo.is_some(),
            "its access token is shown with it"
        );
        // The key is sealed anew with the tokens it binds.
        inner.keys.rotate().await.expect("the store answers");
        for _ in 0..4 {
            crate::worker::sweep(Arc::clone(inner)).await;
        }
        assert_eq!(inner.keys.list().len(), 1);
        assert_eq!(world.refreshed(&session).await, "live live g4 f0");
        assert_eq!((world.there.logins().most_presented(), world.there.logins().reuses_detected()), (1, 0));
        assert!(!is_file || !super::secrets::holds(&super::secrets::files_of(&world.house), r#""crv""#));
    }
}

/// Asks a resource server with a token as it was handed out; the status.
async fn asks(url: &str, token: &Value, proof: Option<&Value>) -> u16 {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let client = outbound::Client::for_operator_addresses(&outbound::Manners::default()).expect("a client");
    let authorization = format!("{} {}", text(&token["token_type"]), text(&token["access_token"]));
    let header = |text: String| text.parse::<http::HeaderValue>().expect("a header");
    let request = client.get(&url.parse().expect("a URL"));
    let mut request = request.header(http::header::AUTHORIZATION, header(authorization));
    if let Some(proof) = proof {
        request = request.header(http::HeaderName::from_static("dpop"), header(text(proof)));
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_bound_token_is_handed_out_with_proofs_for_the_requests_that_are_made_with_it_and_without_its_key()
{
    for test in engines(TABLES).await {
        let world = binding(test).await;
        let (_, made) = world.creates(&world.comes_back()).await;
        let path = format!("/sessions/{}/access-token", made["id"].as_str().expect("an id"));
        let (url, elsewhere) = (format!("{}/oauth2/userinfo", world.there.url()), "https://api.example/x?y");
        for generation in 0..2 {
            let wanted = json!({ "proofs": [
                { "method": "GET", "url": url }, { "method": "POST", "url": elsewhere, "nonce": "n" },
            ] });
            let api = Api::of(&world.house, &["sessions:tokens"]);
            let (status, token) = api.ask("POST", &path, wanted).await;
            assert_eq!((status, &token["token_type"]), (StatusCode::OK, &json!("DPoP")), "{generation}");
            let proofs = token["dpop_proofs"].as_array().expect("proofs").clone();
            assert_eq!(proofs.len(), 2);
            assert_eq!(asks(&url, &token, Some(&proofs[0])).await, 200);
            assert_eq!(asks(&url, &token, Some(&proofs[1])).await, 401, "it is for another request");
            assert_eq!(asks(&url, &token, None).await, 401);
            assert!(!token.to_string().contains(r#""d""#), "the key stays here");
            let claims = jose::Compact::split(proofs[1].as_str().expect("text")).expect("a JWT").payload();
            let claims: Value = serde_json::from_slice(&claims.expect("a payload")).expect("JSON");
            assert_eq!((&claims["htm"], &claims["nonce"]), (&json!("POST"), &json!("n")));
            assert_eq!(claims["htu"], "https://api.example/x");
            world.refreshed(&id(&made)).await;
        }
        for odd in [
            json!([{ "method": "GET", "url": "ftp://x" }]),
            json!([{ "method": "GE T", "url": url }]),
            json!([{ "method": "", "url": url }]),
            json!(vec![json!({ "method": "GET", "url": url }); 17]),
        ] {
            let api = Api::of(&world.house, &[]);
            assert_eq!(api.ask("POST", &path, json!({ "proofs": odd })).await.0, StatusCode::BAD_REQUEST);
        }
    }
}

#[tokio::test]
async fn tokens_that_are_handed_over_come_with_the_key_they_are_bound_to() {
    let world = binding(sqlite(TABLES).await).await;
    let given = world.there.logins().log_in("web", "ada").expect("such an account");
    let key = idp::DpopKey::generate().and_then(|key| key.to_secret()).expect("a key");
    let key: Value = serde_json::from_str(key.reveal()).expect("a JWK");
    let mut body = json!({ "idp": "main", "subject": "ada", "tokens": {
        "access_token": given.access_token, "refresh_token": given.refresh_token, "expires_in": 3600,
    } });
    for odd in [Value::Null, json!({ "kty": "EC" })] {
        body["tokens"]["dpop_key"] = odd;
        let (status, problem) = world.creates(&body).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap_or_default().contains("key"), "{problem}");
    }
    body["tokens"]["dpop_key"] = key;
    let (status, made) = world.creates(&body).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(world.refreshed(&id(&made)).await, "live live g1 f0");
    let world = World::one().await;
    let tokens = json!({ "access_token": "x", "token_type": "dpop" });
    let (status, problem) =
        world.creates(&json!({ "idp": "main", "subject": "ada", "tokens": tokens })).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap_or_default().contains("key"), "{problem}");
}
