use super::*;

#[tokio::test]
async fn the_heartbeat_asks_the_store() {
    for house in House::on_each_engine().await {
        let answer = house.get("/__heartbeat__", &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(answer.json(), json!({ "version": version, "database": "Ok", "status": "Ok" }));
    }
}

#[tokio::test]
async fn the_other_fixed_answers_are_as_they_are_in_the_field() {
    let house =
        House::new(Settings { documentation_url: "https://docs.example/".to_owned(), ..settings() }).await;
    let balancer = house.get("/__lbheartbeat__", &[]).await;
    assert_eq!((balancer.status, balancer.body.as_str()), (StatusCode::OK, "{}"));
    let version = house.get("/__version__", &[]).await.json();
    let members: Vec<_> = version.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["build", "commit", "source", "version"]);
    let error = house.get("/__error__", &[]).await.refusal();
    assert_eq!(error, "500 internal-error | internal |  | Test error for Sentry");
    let documentation = house.get("/", &[]).await;
    assert_eq!((documentation.status, documentation.body.as_str()), (StatusCode::FOUND, ""));
    assert_eq!(documentation.header("location"), "https://docs.example/");
}

#[tokio::test]
async fn only_get_is_served() {
    let house = House::new(settings()).await;
    for path in ["/__heartbeat__", "/__lbheartbeat__", "/__version__", "/__error__", "/"] {
        for method in [Method::HEAD, Method::POST, Method::OPTIONS] {
            let answer = house.ask(method, path, &[]).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (StatusCode::METHOD_NOT_ALLOWED, "GET"),
                "{path}"
            );
            assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", ""), "{path}");
        }
    }
}

#[tokio::test]
async fn an_old_client_that_crashes_on_errors_is_sent_away() {
    let house = House::new(settings()).await;
    let agent = "Firefox-iOS-Sync/18.0b1 (iPhone; iPhone OS 13.2.2) (Fennec (synctesting))";
    let mut headers = house.headers("user", 1, KEY_ID);
    headers.push(("user-agent", agent.to_owned()));
    let answer = house.get(SYNC, &headers).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "0"));
    assert_eq!(answer.header("content-type"), "application/json");
}
