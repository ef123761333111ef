use super::*;

const NOW: i64 = START.seconds();
const FORM: &str = "application/x-www-form-urlencoded";

async fn ask(house: &House, kind: &str, body: impl Into<String>) -> Answer {
    let request = Request::post("/introspect").header("content-type", kind).body(Body::from(body.into()));
    house.service(&["introspect"], request.expect("a request")).await
}

#[tokio::test]
async fn a_service_hears_what_a_token_says_in_seconds() {
    for house in House::on_each_engine().await {
        let token = house.token_with(&json!({ "sub": "u1", "iat": NOW - 10, "auth_time": NOW - 20 }));
        let answer = ask(&house, FORM, format!("token_type_hint=access_token&token={token}")).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let expected = json!({
            "active": true, "sub": "u1", "iss": ISSUER, "client_id": "5882386c6d801776", "token_type": "Bearer",
            "scope": format!("profile {SCOPE}"), "iat": NOW - 10, "exp": NOW + 3_600, "auth_time": NOW - 20,
        });
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn of_a_token_that_does_not_count_only_that_is_said() {
    let house = House::new().await;
    house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
    house.happens("u2", Millis::from_seconds(NOW - 50), Change::Disable).await;
    let expired = house.token_with(&json!({ "sub": "u3", "exp": NOW - 3_600 }));
    for token in ["garbage", &expired, &house.token("u1", NOW - 60), &house.token("u2", NOW)] {
        let answer = ask(&house, FORM, format!("token={token}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, r#"{"active":false}"#), "{token}");
    }
}

#[tokio::test]
async fn an_outage_is_not_a_no() {
    let house = House::new().await;
    house.says(ResponseTemplate::new(500)).await;
    let answer = ask(&house, FORM, "token=opaque").await;
    assert_eq!(answer.code(), refused(503, "check_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_form_has_one_token_in_it() {
    let house = House::new().await;
    for (kind, body) in [
        (FORM, ""),
        (FORM, "token="),
        (FORM, "tokens=a"),
        (FORM, "token=a&token=b"),
        ("application/json", r#"{"token":"a"}"#),
        ("", "token=a"),
    ] {
        assert_eq!(ask(&house, kind, body).await.code(), refused(400, "malformed_request"), "{kind} {body}");
    }
    let long = ask(&house, FORM, format!("token={}", "a".repeat(40_000))).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = Request::post("/introspect").body(Body::empty()).expect("a request");
    assert_eq!(house.service(&["verify"], request).await.code(), refused(403, "caller_not_allowed"));
}
