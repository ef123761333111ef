use super::*;
use std::collections::BTreeMap;

const NOW: i64 = START.seconds();

fn profile(subject: &str) -> ResponseTemplate {
    json_of(
        200,
        json!({ "uid": subject, "email": format!("{subject}@example.com"), "locale": "fi", "more": [1] }),
    )
}

/// The identity provider knows the token and its profile.
async fn welcomes(house: &House, token: &str, subject: &str) {
    house.has_profile(token, profile(subject)).await;
}

async fn with_accounts_on_each_engine() -> Vec<House> {
    let mut houses = Vec::new();
    for test in store::testing::engines(TABLES).await {
        houses.push(House::before(MockServer::start().await, test, needs_accounts).await);
    }
    houses
}

#[tokio::test]
async fn the_first_use_creates_an_account_and_the_next_finds_it() {
    for house in with_accounts_on_each_engine().await {
        let token = house.token("u1", NOW);
        welcomes(&house, &token, "u1").await;
        assert_eq!(house.passes(&token).await.code(), refused(403, "no_account"));
        let first = house.accept_terms(&token).await;
        assert_eq!((first.status, first.body.as_str()), (StatusCode::CREATED, ""));
        assert_eq!(house.accept_terms(&token).await.status, StatusCode::ACCEPTED);
        assert_eq!(house.passes(&token).await.status, StatusCode::OK);
        let kept =
            json!({ "email": "u1@example.com", "locale": "fi", "profile_at": START, "created_at": START });
        assert_eq!(house.local("u1").await.json(), kept);
        assert_eq!(house.local("u2").await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn of_many_at_the_same_time_one_creates_it() {
    for house in with_accounts_on_each_engine().await {
        let token = house.token("u1", NOW);
        welcomes(&house, &token, "u1").await;
        let mut counted: BTreeMap<u16, usize> = BTreeMap::new();
        for answer in futures::future::join_all((0..24).map(|_| house.accept_terms(&token))).await {
            *counted.entry(answer.status.as_u16()).or_default() += 1;
        }
        assert_eq!(counted, BTreeMap::from([(201, 1), (202, 23)]), "{:?}", house.store.engine());
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_asked_and_nothing_is_created() {
    let house = House::with_accounts().await;
    let ask = async |authorization: Option<&str>| {
        let mut request = Request::post("/api/v1/terms-accepted-user/");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        answer(house.public.clone(), request.body(Body::empty()).expect("a request")).await
    };
    assert_eq!(ask(None).await.code(), refused(401, "no_credentials"));
    assert_eq!(ask(Some("Token abc")).await.code(), refused(401, "no_credentials"));
    assert_eq!(ask(Some("Bearer ")).await.code(), refused(400, "bad_authorization"));
    let expired = house.token_with(&json!({ "sub": "u1", "exp": NOW - 3_600 }));
    let answer = house.accept_terms(&expired).await;
    assert_eq!(answer.code(), refused(401, "token_expired"));
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{:?}", answer.headers);
    let elsewhere = house.token_with(&json!({ "sub": "u1", "scope": "profile" }));
    assert_eq!(house.accept_terms(&elsewhere).await.code(), refused(403, "insufficient_scope"));
    assert!(house.upstream.received_requests().await.expect("recorded").is_empty());
    assert_eq!(house.local("u1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_profile_of_somebody_else_or_without_an_address_creates_nobody() {
    for (told, expected) in [
        (json!({ "uid": "u2", "email": "u2@example.com" }), refused(403, "profile_mismatch")),
        (json!({ "uid": "u1", "sub": "u2", "email": "a@b" }), refused(403, "profile_mismatch")),
        (json!({ "email": "u1@example.com" }), refused(403, "insufficient_scope")),
        (json!({ "uid": "u1" }), refused(403, "insufficient_scope")),
        (json!({ "uid": "u1", "email": "nobody" }), refused(403, "insufficient_scope")),
        (json!({ "uid": 1, "email": "a@b" }), refused(503, "check_unavailable")),
        (json!(["u1"]), refused(503, "check_unavailable")),
    ] {
        let house = House::with_accounts().await;
        let token = house.token("u1", NOW);
        house.has_profile(&token, json_of(200, told.clone())).await;
        assert_eq!(house.accept_terms(&token).await.code(), expected, "{told}");
        for subject in ["u1", "u2"] {
            assert_eq!(house.local(subject).await.status, StatusCode::NOT_FOUND, "{told}");
        }
    }
}

#[tokio::test]
async fn trouble_with_the_profile_is_trouble_and_not_the_tokens_fault() {
    for (status, expected) in [
        (401, refused(401, "token_inactive")),
        (403, refused(403, "insufficient_scope")),
        (404, refused(503, "check_unavailable")),
        (429, refused(503, "check_unavailable")),
        (500, refused(503, "check_unavailable")),
        (302, refused(503, "check_unavailable")),
    ] {
        let house = House::with_accounts().await;
        let token = house.token("u1", NOW);
        house.has_profile(&token, ResponseTemplate::new(status).insert_header("retry-after", "17")).await;
        let answer = house.accept_terms(&token).await;
        assert_eq!(answer.code(), expected, "{status}");
        if expected.0 == 503 {
            assert_eq!(answer.header("retry-after"), "17", "{status}");
            assert!(!answer.json()["detail"].as_str().expect("a text").is_empty());
        }
    }
}

#[tokio::test]
async fn an_account_that_may_not_act_gets_none_here() {
    for house in with_accounts_on_each_engine().await {
        let token = house.token("u1", NOW);
        welcomes(&house, &token, "u1").await;
        house.happens("u1", Millis::from_seconds(NOW - 50), Change::Disable).await;
        assert_eq!(house.accept_terms(&token).await.code(), refused(403, "account_disabled"));
        assert_eq!(house.local("u1").await.status, StatusCode::NOT_FOUND);
    }
}

/// The account is gone by the time its profile has come, and this node has not heard of it.
#[tokio::test]
async fn what_happens_while_the_profile_is_asked_for_is_not_missed() {
    for house in with_accounts_on_each_engine().await {
        let token = house.token("u1", NOW);
        let good = house.inner().gate.good(&token, &verify::Freshness::default(), START).await;
        let facts = good.unwrap_or_else(|rejection| panic!("{rejection}")).facts;
        house.happens("u1", Millis::from_seconds(NOW - 50), Change::Delete { reason: None }).await;
        let profile = crate::profile::Profile { email: "u1@example.com".into(), locale: None };
        let created = house.inner().create(facts, profile, START).await;
        let gone = verify::Judgement::Ended(verify::Rejection::AccountDeleted);
        assert_eq!(created, Ok(crate::store::accounts::Created::NotGood(gone)));
    }
}

#[tokio::test]
async fn an_account_keeps_up_with_its_events() {
    for house in with_accounts_on_each_engine().await {
        let token = house.token("u1", NOW);
        welcomes(&house, &token, "u1").await;
        house.accept_terms(&token).await;
        let later = |seconds| Millis::from_seconds(NOW + seconds);
        let locale = account::Profile { locale: Some("sv".into()), ..account::Profile::default() };
        house.happens("u1", later(10), Change::ProfileChange(locale)).await;
        let email = Some("new@example.com".to_owned());
        house.happens("u1", later(20), Change::PrimaryEmailChange { email }).await;
        let late = Some("late@example.com".to_owned());
        house.happens("u1", later(15), Change::PrimaryEmailChange { email: late }).await;
        let kept = house.local("u1").await.json();
        assert_eq!((&kept["email"], &kept["locale"]), (&json!("new@example.com"), &json!("sv")));
        house.happens("u1", later(30), Change::Delete { reason: None }).await;
        assert_eq!(house.local("u1").await.status, StatusCode::NOT_FOUND, "who is gone is forgotten");
    }
}

#[tokio::test]
async fn the_token_is_asked_about_whatever_is_remembered_of_it() {
    let house = House::with(|settings| {
        settings.accounts = Some(AccountSettings {
            scope: SCOPE.to_owned(),
            profile_url: "http://127.0.0.1:9/".to_owned(),
            profile_timeout_seconds: 1,
            required: false,
        });
    })
    .await;
    house.says(json_of(200, json!({ "user": "u1", "scope": [SCOPE] }))).await;
    assert_eq!(house.passes("opaque").await.status, StatusCode::OK);
    let unreachable = house.accept_terms("opaque").await;
    assert_eq!(unreachable.code(), refused(503, "check_unavailable"), "nobody tells the profile");
    house.upstream.reset().await;
    house.says(json_of(400, json!({ "errno": 108 }))).await;
    assert_eq!(house.passes("opaque").await.status, StatusCode::OK, "remembered, for now");
    assert_eq!(house.accept_terms("opaque").await.code(), refused(401, "token_inactive"));
}

#[tokio::test]
async fn without_accounts_the_route_is_not_there() {
    let house = House::new().await;
    assert_eq!(house.accept_terms(&house.token("u1", NOW)).await.status, StatusCode::NOT_FOUND);
}
