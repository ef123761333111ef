//! `POST /events`.

use super::*;

#[tokio::test]
async fn a_pushed_token_is_committed_and_answered_202_and_empty() {
    let node = Node::fresh().await;
    let mut claims =
        claims("https://schemas.openid.net/secevent/risc/event-type/account-disabled", json!({}));
    claims.as_object_mut().expect("an object").remove("sub");
    claims["sub_id"] = json!({"format": "iss_sub", "iss": ISSUER, "sub": "u2"});
    assert_ok_and_empty(node.push(&claims).await, StatusCode::ACCEPTED).await;
    assert_eq!(node.mark("u2").await, Some((1, Mark::at(Millis::new(1_789_000_000_417)))));
    let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    claims["events"] = json!({ verification: {"state": "x"} });
    claims["sub_id"] = json!({"format": "opaque", "id": "stream"});
    assert_ok_and_empty(node.push(&claims).await, StatusCode::ACCEPTED).await;
    assert_eq!(node.ledger.count_dead_letters().await.expect("readable"), 0);
}

#[tokio::test]
async fn every_way_to_push_a_bad_token_has_its_code() {
    let node = Node::fresh().await;
    let with = |name: &str, value: Value| {
        let mut claims = password_change(AT);
        claims[name] = value;
        signed(&node.key, &claims)
    };
    let access_token = node.key.sign_payload("at+jwt", b"{}").expect("signed");
    let mut table = String::new();
    for token in [
        "garbage".to_owned(),
        access_token,
        node.key.sign_payload("JWT", b"[]").expect("signed"),
        with("iss", json!("https://elsewhere.example")),
        with("iss", json!(null)),
        with("aud", json!("x")),
        with("aud", json!(null)),
        signed(&signer("k2"), &password_change(AT)),
        signed(&signer("k1"), &password_change(AT)),
        with("iat", json!(1_789_000_100)),
        with("exp", json!(5)),
        with("iat", json!("now")),
        with("events", json!([])),
    ] {
        let response = push(&node.routes, token).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        table += &(body(response).await + "\n");
    }
    insta::assert_snapshot!(table, @r#"
    {"err":"invalid_request","description":"the token is not three parts of base64url"}
    {"err":"invalid_request","description":"a token of type \"at+jwt\" is no security event token"}
    {"err":"invalid_request","description":"the token's claims are no JSON object"}
    {"err":"invalid_issuer","description":"the issuer is not known here"}
    {"err":"invalid_issuer","description":"the claim `iss` is missing or has another type than it must have"}
    {"err":"invalid_audience","description":"the audience is another one"}
    {"err":"invalid_audience","description":"the claim `aud` is missing or has another type than it must have"}
    {"err":"invalid_key","description":"the key that signed the token is not one of the issuer's"}
    {"err":"authentication_failed","description":"the signature does not fit"}
    {"err":"invalid_request","description":"the token is from the future"}
    {"err":"invalid_request","description":"the token has expired"}
    {"err":"invalid_request","description":"the claim `iat` is missing or has another type than it must have"}
    {"err":"invalid_request","description":"`events` is no object"}
    "#);
    assert_eq!(node.mark("u1").await, None);
}

#[tokio::test]
async fn a_pushed_body_must_say_what_it_is_and_be_no_longer_than_a_token() {
    let node = Node::fresh().await;
    let token = signed(&node.key, &password_change(AT));
    for (content_type, status) in [
        ("application/json", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
        ("APPLICATION/SECEVENT+JWT; charset=utf-8", StatusCode::ACCEPTED),
    ] {
        let request =
            Request::post("/events").header(CONTENT_TYPE, content_type).body(Body::from(token.clone()));
        assert_eq!(send(&node.routes, request.expect("a request")).await.status(), status, "{content_type}");
    }
    let response = push(&node.routes, "x".repeat(jose::MAX_TOKEN + 1)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(body(response).await.starts_with(r#"{"err":"invalid_request","description":"#));
    let request = Request::get("/events").body(Body::empty()).expect("a request");
    assert_eq!(send(&node.routes, request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}
