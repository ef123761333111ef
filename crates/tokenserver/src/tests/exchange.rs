use super::*;

#[tokio::test]
async fn a_device_gets_a_token_its_key_and_its_node() {
    for house in House::on_each_engine().await {
        let answer = house.exchange("0123456789abcdef0123456789abcdef", 100, KEY_ID).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-timestamp"), START.seconds().to_string());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let (_, members) = answer.body.split_once('{').expect("an object");
        let names: Vec<_> =
            members.split(',').filter_map(|member| member.split_once("\":")).map(|it| it.0).collect();
        let order =
            ["id", "key", "uid", "api_endpoint", "duration", "hashed_fxa_uid", "hashalg", "node_type"];
        assert_eq!(names, order.map(|name| format!("\"{name}")));
        let body = answer.json();
        assert_eq!(body["uid"], 1);
        assert_eq!(body["api_endpoint"], "https://node.example/1.5/1");
        assert_eq!(body["duration"], 3600);
        assert_eq!(body["hashed_fxa_uid"].as_str().map(str::len), Some(32));
        assert_eq!((&body["hashalg"], &body["node_type"]), (&json!("sha256"), &json!("spanner")));
    }
}

#[tokio::test]
async fn the_token_says_who_where_until_when_and_under_which_key() {
    let house = House::new(settings()).await;
    let answer = house.exchange("user", 100, KEY_ID).await.json();
    let ticket = standins_free_payload(answer["id"].as_str().expect("a text"));
    assert_eq!(ticket["node"], "https://node.example");
    assert_eq!(ticket["fxa_kid"], KEY_ID);
    assert_eq!(ticket["fxa_uid"], "user");
    assert_eq!(ticket["expires"], START.seconds() + 3600);
    assert_eq!(ticket["uid"], 1);
    assert_eq!(ticket["hashed_fxa_uid"], answer["hashed_fxa_uid"]);
}

/// The payload of a token: all but its last 32 bytes.
fn standins_free_payload(id: &str) -> Value {
    use base64_simd::URL_SAFE;
    let bytes = URL_SAFE.decode_to_vec(id).expect("base64url");
    serde_json::from_slice(&bytes[..bytes.len() - 32]).expect("JSON")
}

#[tokio::test]
async fn the_second_request_is_served_from_the_same_row() {
    for house in House::on_each_engine().await {
        let first = house.exchange("user", 100, KEY_ID).await.uid();
        assert_eq!(house.exchange("user", 100, KEY_ID).await.uid(), first);
        assert_eq!(house.exchange("user", Value::Null, KEY_ID).await.uid(), first);
        assert_ne!(house.exchange("other", 100, KEY_ID).await.uid(), first);
    }
}

#[tokio::test]
async fn the_key_id_says_0_when_the_keys_change_is_0_and_the_generation_when_it_is_null() {
    let house = House::new(settings()).await;
    let kid = |answer: Answer| {
        let id = answer.json()["id"].as_str().expect("a text").to_owned();
        standins_free_payload(&id)["fxa_kid"].as_str().expect("a text").to_owned()
    };
    assert_eq!(kid(house.exchange("a", 55, "0-qqo").await), "0000000000055-qqo");
    assert_eq!(kid(house.exchange("b", Value::Null, "0-").await), "0000000000000-");
    assert_eq!(kid(house.exchange("c", 55, "12345678901234-qqo").await), "12345678901234-qqo");
}

#[tokio::test]
async fn a_shorter_life_can_be_asked_for() {
    let house = House::new(settings()).await;
    let headers = house.headers("user", 100, KEY_ID);
    for (query, duration) in
        [("", 3600), ("?duration=0", 0), ("?duration=60", 60), ("?duration=3601", 3600), ("?x=y", 3600)]
    {
        let answer = house.get(&format!("{SYNC}{query}"), &headers).await.json();
        assert_eq!(answer["duration"], duration, "{query}");
        let ticket = standins_free_payload(answer["id"].as_str().expect("a text"));
        assert_eq!(ticket["expires"], START.seconds() + duration, "{query}");
    }
}

#[tokio::test]
async fn the_path_is_decoded_and_exact() {
    let house = House::new(settings()).await;
    let headers = house.headers("user", 100, KEY_ID);
    assert_eq!(house.get("/1.0/sync/1%2E5", &headers).await.status, StatusCode::OK);
    for path in ["/1.0/sync/1.5/", "/1.0/sync", "/1.0/", "/1.0//", "/1.0/a/b/c"] {
        let answer = house.get(path, &headers).await;
        assert_eq!(answer.refusal(), "404 error | url |  | Not Found", "{path}");
        assert_eq!(answer.header("x-timestamp"), START.seconds().to_string());
    }
    let elsewhere = house.get("/2.0/sync/1.5", &headers).await;
    assert_eq!((elsewhere.status, elsewhere.body.as_str()), (StatusCode::NOT_FOUND, "0"));
    assert_eq!(elsewhere.header("content-type"), "application/json");
}

#[tokio::test]
async fn scopes_are_words_and_a_wider_one_covers_the_needed_one() {
    let house = House::new(settings()).await;
    for (scope, status) in [
        ("profile https://identity.mozilla.com/apps/oldsync", 200),
        ("https://identity.mozilla.com/apps", 200),
        ("profile", 401),
        ("https://identity.mozilla.com/apps/oldsyncs", 401),
    ] {
        let mut claims = claims("user", 100);
        claims["scope"] = json!(scope);
        let token = house.token(&claims);
        let headers = [("authorization", format!("Bearer {token}")), ("x-keyid", KEY_ID.to_owned())];
        assert_eq!(house.get(SYNC, &headers).await.status.as_u16(), status, "{scope}");
    }
}

#[tokio::test]
async fn everybody_can_be_sent_to_one_node() {
    let house = House::new(Settings { spanner_node_id: Some(2), ..settings() }).await;
    assert_eq!(
        house.exchange("user", 1, KEY_ID).await.refusal(),
        "503 internal-error | internal |  | Server error"
    );
    house.add_node("https://spanner.example", 0).await;
    let body = house.exchange("user", 1, KEY_ID).await.json();
    assert_eq!(body["api_endpoint"], "https://spanner.example/1.5/1");
}
