//! Several services beside each other.

use super::admin::{ask, problem};
use super::*;
use crate::ServiceSettings;

fn two() -> Settings {
    let named = |application: &str, version: &str| ServiceSettings {
        application: application.to_owned(),
        version: version.to_owned(),
        ..ServiceSettings::default()
    };
    let notes = ServiceSettings {
        scope: Some("notes".to_owned()),
        pattern: Some("{node}/{version}/u/{uid}/".to_owned()),
        token_duration_seconds: Some(60),
        secrets: vec![Secret::new("of the notes")],
        node_type: Some("postgres".to_owned()),
        ..named("notes", "2")
    };
    Settings { services: vec![named("sync", "1.5"), notes], ..settings() }
}

/// Two services on each engine, each with a node of the same URL.
async fn houses() -> Vec<House> {
    let mut houses = Vec::new();
    for test in store::testing::engines(TABLES).await {
        let house = House::over(test, two()).await;
        assert_eq!(house.json_of("/nodes?service=notes-2").await, json!([]), "it has no row yet");
        let node = json!({ "url": "https://node.example", "capacity": 10 });
        let added = ask(&house, Method::POST, "/nodes?service=notes-2", &node).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
        houses.push(house);
    }
    houses
}

async fn with_scope(house: &House, path: &str, scope: &str) -> Answer {
    let mut claims = claims("user", 100);
    claims["scope"] = json!(scope);
    let token = house.token(&claims);
    house.get(path, &[("authorization", format!("Bearer {token}")), ("x-keyid", KEY_ID.to_owned())]).await
}

#[tokio::test]
async fn each_service_gives_out_tokens_of_its_own() {
    for house in houses().await {
        let sync = with_scope(&house, SYNC, SCOPE).await.json();
        let notes = with_scope(&house, "/1.0/notes/2", "notes").await.json();
        assert_eq!(
            (&sync["api_endpoint"], &sync["duration"]),
            (&json!("https://node.example/1.5/1"), &json!(3600))
        );
        assert_eq!(
            (&notes["api_endpoint"], &notes["duration"]),
            (&json!("https://node.example/2/u/2/"), &json!(60))
        );
        assert_eq!((&sync["node_type"], &notes["node_type"]), (&json!("spanner"), &json!("postgres")));
        let opens = |secret: &str, answer: &Value| {
            standins::TicketKeys::new(secret).open(answer["id"].as_str().expect("a text")).is_ok()
        };
        assert!(opens("secret0", &sync) && !opens("of the notes", &sync));
        assert!(opens("of the notes", &notes) && !opens("secret0", &notes));
        assert_eq!(with_scope(&house, "/1.0/notes/2", "notes").await.uid(), 2, "the second time too");
    }
}

#[tokio::test]
async fn a_grant_of_one_service_is_none_of_another_and_strangers_are_told_nothing() {
    for house in houses().await {
        let refused = async |path, scope| with_scope(&house, path, scope).await.refusal();
        let unauthorized = "401 invalid-credentials | body |  | Unauthorized";
        assert_eq!(refused(SYNC, "notes").await, unauthorized);
        assert_eq!(refused("/1.0/notes/2", SCOPE).await, unauthorized);
        assert_eq!(refused("/1.0/other/1", "profile").await, unauthorized);
        let unknown = "404 error | url | application | Unsupported application";
        assert_eq!(refused("/1.0/other/1", "notes").await, unknown);
        let version = "404 error | url | 1.5 | Unsupported application version";
        assert_eq!(refused("/1.0/notes/1.5", SCOPE).await, version);
        assert_eq!(with_scope(&house, "/1.0/n%6Ftes/2", "notes").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_operator_says_which_service_is_meant() {
    for house in houses().await {
        with_scope(&house, SYNC, SCOPE).await.uid();
        let unsaid = problem(&house, Method::GET, "/nodes", Value::Null).await;
        assert_eq!(
            unsaid,
            "400 there are several services; say which one is meant (`--service`): sync-1.5, notes-2"
        );
        let unknown = problem(&house, Method::GET, "/nodes?service=x", Value::Null).await;
        assert_eq!(unknown, "404 there is no service x; there are: sync-1.5, notes-2");
        let load = async |service: &str| {
            let nodes = house.json_of(&format!("/nodes?service={service}")).await;
            (nodes.as_array().map(Vec::len), nodes[0]["current_load"].clone())
        };
        assert_eq!(
            (load("sync-1.5").await, load("notes-2").await),
            ((Some(1), json!(1)), (Some(1), json!(0)))
        );
        // The node of that URL is another one in each; an id is one service's.
        let cordoned =
            ask(&house, Method::POST, "/nodes/2/cordon?service=notes-2", &Value::Null).await.json();
        assert_eq!((&cordoned["id"], &cordoned["backoff"]), (&json!(2), &json!(true)));
        assert!(
            problem(&house, Method::POST, "/nodes/2/cordon?service=sync-1.5", Value::Null)
                .await
                .starts_with("404")
        );
        assert_eq!(with_scope(&house, "/1.0/notes/2", "notes").await.status, StatusCode::SERVICE_UNAVAILABLE);
        let user = format!("/users/user%40{DOMAIN}");
        assert_eq!(house.json_of(&format!("{user}?service=sync-1.5")).await["rows"][0]["uid"], 1);
        assert!(
            problem(&house, Method::GET, &format!("{user}?service=notes-2"), Value::Null)
                .await
                .starts_with("404")
        );
        let removed = ask(&house, Method::DELETE, "/nodes/2?service=notes-2", &Value::Null).await;
        assert_eq!(removed.status, StatusCode::OK, "{}", removed.body);
        let run = ask(&house, Method::POST, "/purge", &json!({ "options": { "service": "notes-2" } })).await;
        assert_eq!(run.json()["done"], true, "{}", run.body);
        assert!(
            problem(&house, Method::POST, "/purge", json!({})).await.starts_with("400 there are several")
        );
    }
}

#[tokio::test]
async fn services_are_listed_as_they_are_configured() {
    for house in houses().await {
        let listed = house.json_of("/services").await;
        let sync = json!({
            "service": "sync-1.5", "application": "sync", "version": "1.5", "scope": SCOPE,
            "pattern": "{node}/1.5/{uid}", "allocation": "least_loaded", "takes_new_users": true,
            "token_duration_seconds": 3600, "secrets": 1, "nodes": 1,
        });
        assert_eq!(listed[0], sync);
        assert_eq!((&listed[1]["service"], &listed[1]["scope"]), (&json!("notes-2"), &json!("notes")));
        assert_eq!((&listed[1]["token_duration_seconds"], &listed[1]["nodes"]), (&json!(60), &json!(1)));
        assert!(!listed.to_string().contains("of the notes"), "no secret is told");
    }
}
