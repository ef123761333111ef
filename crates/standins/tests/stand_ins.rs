//! The stand-ins over their real sockets, by a client that knows nothing of them.

use account::Millis;
use serde_json::{Value, json};
use standins::{AccessClaims, Device, Health, Now, StandInIdp, StandInNode, TokenAnswer};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

const AT: i64 = 1_700_000_000;

fn now() -> Now {
    Arc::new(|| Millis::from_seconds(AT))
}

/// One request on a connection of its own: status and body.
async fn ask(method: &str, url: &str, headers: &[(&str, String)], body: &str) -> (u16, Value) {
    let url = Url::parse(url).expect("a URL");
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let host = format!("{}:{}", address.0, address.1);
    let head = format!("{method} {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", url.path());
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{head}{}content-length: {}\r\n\r\n{body}", headers.concat(), body.len());
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn verify(idp: &StandInIdp, token: &str) -> (u16, Value) {
    let body = json!({ "token": token }).to_string();
    let json = [("content-type", "application/json".to_owned())];
    ask("POST", &format!("{}/v1/verify", idp.url()), &json, &body).await
}

#[tokio::test]
async fn a_token_is_verified_until_the_password_changes() {
    let idp = StandInIdp::start(now()).await.expect("it starts");
    assert_eq!(idp.sign_in("nobody"), None);
    idp.sign_up("ada");
    let (jwt, opaque) =
        (idp.sign_in("ada").expect("signed up"), idp.sign_in_opaque("ada").expect("signed up"));
    assert_eq!(jwt.key_id, opaque.key_id);
    for token in [&jwt.access_token, &opaque.access_token] {
        let (status, answer) = verify(&idp, token).await;
        assert_eq!((status, &answer["user"], &answer["generation"]), (200, &json!("ada"), &json!(AT * 1000)));
        assert_eq!(answer["scope"], json!([standins::SYNC_SCOPE]));
    }
    idp.change_password("ada");
    assert_eq!(verify(&idp, &jwt.access_token).await.0, 400);
    assert_eq!(verify(&idp, &opaque.access_token).await.1["errno"], 108);
    assert_eq!(idp.verify_requests(), 4);
}

#[tokio::test]
async fn a_changed_password_keeps_the_keys_and_a_reset_one_does_not() {
    let idp = StandInIdp::start(now()).await.expect("it starts");
    idp.sign_up("ada");
    let key_id = || idp.sign_in("ada").expect("signed up").key_id;
    let first = key_id();
    idp.change_password("ada");
    assert_eq!(key_id(), first);
    idp.reset_password("ada");
    assert_ne!(key_id(), first);
    idp.delete("ada");
    assert_eq!(idp.sign_in("ada"), None);
}

#[tokio::test]
async fn an_outage_is_an_outage_and_passes() {
    let idp = StandInIdp::start(now()).await.expect("it starts");
    let jwks = format!("{}/v1/jwks", idp.url());
    assert_eq!(ask("GET", &jwks, &[], "").await, (200, idp.jwks()));
    idp.set_health(Health::Down);
    assert_eq!(ask("GET", &jwks, &[], "").await.0, 503);
    idp.set_health(Health::Silent);
    let mut asked = pin!(ask("GET", &jwks, &[], ""));
    assert!(timeout(Duration::from_millis(100), &mut asked).await.is_err());
    idp.set_health(Health::Up);
    assert_eq!(asked.await.0, 200);
    assert_eq!(idp.jwks_requests(), 2);
}

#[tokio::test]
async fn a_minted_token_says_what_it_was_told_to() {
    let idp = StandInIdp::start(now()).await.expect("it starts");
    let claims = AccessClaims { generation: None, ..AccessClaims::new("ada", 1, AT) };
    assert_eq!(verify(&idp, &idp.mint(&claims)).await.1.get("generation"), None);
    assert_eq!(verify(&idp, &idp.mint_unremembered(&claims)).await.0, 400);
}

#[tokio::test]
async fn a_node_serves_whom_a_token_names_and_nobody_else() {
    let node = StandInNode::start("secret0", now()).await.expect("it starts");
    // The vector of the Tokenserver's specification, section 5.5, but asked of this node.
    let answer: TokenAnswer = serde_json::from_value(json!({
        "id": "eyJub2RlIjoiaHR0cHM6Ly9leGFtcGxlLmNvbSIsImZ4YV9raWQiOiIwMDAwMDAwMDAxMjM0LXFxbyIsImZ4YV91aWQiOiIwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIsImhhc2hlZF9kZXZpY2VfaWQiOiJjZmE4ZDQ3OGQyMTQ0ZmI0ZGU3Y2M3NzBmOGExNzMzNCIsImhhc2hlZF9meGFfdWlkIjoiZGJmOWU2MmY0ZWQ0OGMxOTM5MjFkZDUxOGYwNDU5ZjMiLCJleHBpcmVzIjoxNzAwMDAzNjAwLCJ1aWQiOjQyLCJ0b2tlbnNlcnZlcl9vcmlnaW4iOiJydXN0Iiwic2FsdCI6ImExYjJjMyJ9gs_3ktUWtt42PDoSki6AI0KQBIUIY89NJ9mkSiyx9uc=",
        "key": "Fw4DpCg2TwrWq8k-dxG9Qty9L9AE4V1pzxPRZnilB88=",
        "uid": 42, "api_endpoint": format!("{}/1.5/42", node.url()), "duration": 3600,
        "hashed_fxa_uid": "", "hashalg": "sha256", "node_type": "mysql",
    }))
    .expect("an answer");
    let url = answer.collections_url();
    let signed = |url: &str| {
        let parsed = Url::parse(url).expect("a URL");
        [("authorization", answer.sign("GET", &parsed, Millis::from_seconds(AT)))]
    };
    assert_eq!(ask("GET", &url, &signed(&url), "").await, (200, json!({})));
    let anothers = url.replace("/42/", "/43/");
    assert_eq!(ask("GET", &anothers, &signed(&anothers), "").await.0, 401);
    assert_eq!(ask("GET", &anothers, &signed(&url), "").await.0, 401);
    assert_eq!(ask("GET", &url, &[], "").await.0, 401);
    assert_eq!((node.served(), node.refused()), (1, 3));
}

#[tokio::test]
async fn a_device_shows_what_it_was_given_at_sign_in() {
    let idp = StandInIdp::start(now()).await.expect("it starts");
    idp.sign_up("ada");
    let sign_in = idp.sign_in("ada").expect("signed up");
    let [(_, authorization), (_, key_id)] = Device::new(sign_in.clone()).credentials();
    assert_eq!(authorization, format!("Bearer {}", sign_in.access_token));
    assert_eq!(key_id, sign_in.key_id);
    assert!(key_id.starts_with("1700000000000-"));
}

#[tokio::test]
async fn an_opaque_token_is_looked_into_in_the_way_of_mozilla_accounts() {
    let seconds = Arc::new(std::sync::atomic::AtomicI64::new(AT));
    let clock = Arc::clone(&seconds);
    let now: Now = Arc::new(move || Millis::from_seconds(clock.load(std::sync::atomic::Ordering::SeqCst)));
    let idp = StandInIdp::start(now).await.expect("it starts");
    let url = format!("{}/v1/introspect", idp.url());
    let introspect = async |token: &str, hint: Option<&str>| {
        let mut body = json!({ "token": token });
        if let Some(hint) = hint {
            body["token_type_hint"] = hint.into();
        }
        ask("POST", &url, &[], &body.to_string()).await
    };
    idp.sign_up("ada");
    let access = idp.sign_in_opaque("ada").expect("signed up").access_token;
    let refresh = idp.sign_in_for_refresh("ada").expect("signed up");
    let (status, answer) = introspect(&access, Some("access_token")).await;
    assert_eq!((status, &answer["active"], &answer["sub"]), (200, &json!(true), &json!("ada")));
    assert_eq!((&answer["iat"], &answer["auth_time"]), (&json!(AT * 1000), &json!(AT)));
    assert_eq!(introspect(&refresh, None).await.1["token_type"], "refresh_token");
    assert_eq!(introspect(&refresh, Some("access_token")).await.1, json!({ "active": false }));
    assert_eq!(introspect("garbage", None).await, (200, json!({ "active": false })));
    assert_eq!(introspect(&access, Some("id_token")).await.0, 400);

    seconds.fetch_add(7 * 60 * 60, std::sync::atomic::Ordering::SeqCst);
    let (_, ended) = introspect(&access, None).await;
    assert_eq!((&ended["active"], &ended["sub"]), (&json!(false), &json!("ada")));
    idp.revoke(&access);
    assert_eq!(introspect(&access, None).await.1, json!({ "active": false }));
    assert_eq!(idp.introspect_requests(), 7);
}

#[tokio::test]
async fn only_a_client_that_is_known_is_told_by_the_standard() {
    let idp = StandInIdp::start(now()).await.expect("it starts");
    idp.sign_up("ada");
    let token = idp.sign_in_opaque("ada").expect("signed up").access_token;
    idp.register_client("me", "s3cret");
    let url = format!("{}/oauth2/introspect", idp.url());
    let introspect = async |proof: &str| ask("POST", &url, &[], &format!("token={token}{proof}")).await;
    assert_eq!(introspect("").await.0, 401);
    assert_eq!(introspect("&client_id=me&client_secret=wrong").await.0, 401);
    let (status, answer) = introspect("&client_id=me&client_secret=s3cret").await;
    assert_eq!((status, &answer["token_type"], &answer["iat"]), (200, &json!("Bearer"), &json!(AT)));
}
