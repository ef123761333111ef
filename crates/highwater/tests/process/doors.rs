//! What strangers meet at the doors: bounds, shapes of errors, other origins.

use crate::house::House;
use crate::http;

#[test]
fn headers_and_bodies_have_bounds() {
    let house = House::new().with("LISTEN__LIMITS__BODY_BYTES", "1000");
    let node = house.serve(&[]);
    let long = "x".repeat(40_000);
    let answer = http::get(node.at("public"), "/1.0/sync/1.5", &[("X-Long", &long)]).expect("an answer");
    assert_eq!(answer.status, 431, "{answer:?}");
    let body = "x".repeat(2_000);
    let answer = http::ask(node.at("public"), "GET", "/1.0/sync/1.5", &[], &body).expect("an answer");
    assert_eq!(answer.status, 413, "{answer:?}");
}

#[test]
fn every_answer_under_the_tokenservers_path_is_json_that_clients_can_read() {
    let house = House::new();
    let node = house.serve(&[]);
    for (method, path, status) in [
        ("GET", "/1.0/sync/1.5", 401),
        ("POST", "/1.0/sync/1.5", 405),
        ("GET", "/1.0/sync/1.5/", 404),
        ("GET", "/1.0/nothing", 404),
    ] {
        let answer = http::ask(node.at("public"), method, path, &[], "").expect("an answer");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/json")),
            "{method} {path}"
        );
        assert!(answer.json()["errors"][0]["location"].is_string(), "{answer:?}");
    }
}

#[test]
fn pages_of_other_origins_are_answered_as_configured() {
    let house = House::new();
    let node = house.serve(&[]);
    let origin = ("Origin", "https://page.example");
    let answer = http::get(node.at("public"), "/__lbheartbeat__", &[origin]).expect("an answer");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"));
    assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")));
    let asked = [
        origin,
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let answer = http::ask(node.at("public"), "OPTIONS", "/1.0/sync/1.5", &asked, "").expect("an answer");
    assert_eq!((answer.status, answer.header("access-control-max-age")), (200, Some("1728000")));
    assert_eq!(
        http::ask(node.at("public"), "OPTIONS", "/1.0/sync/1.5", &[], "").expect("an answer").status,
        405
    );
}

/// A fresh admin token that may do this, as a header says it.
fn admin_token(house: &House, scope: &str) -> String {
    let made = house.run(&["--json", "token", "create", "x", "--listener", "admin", "--scope", scope]).json();
    format!("Bearer {}", made["token"].as_str().expect("a token"))
}

#[test]
fn every_error_of_the_admin_api_is_a_problem_document() {
    let house = House::new();
    let bearer = admin_token(&house, "write");
    let node = house.serve(&[]);
    let json = ("Content-Type", "application/json");
    for (method, path, body, status) in [
        ("POST", "/tokens", "{", 400),
        ("POST", "/tokens", "{\"name\": 5}", 422),
        ("DELETE", "/tokens/seven", "", 400),
        ("PUT", "/nodes", "", 405),
        ("POST", "/events?origin=x&offset=y", "", 400),
        ("POST", "/events?origin=x&idp=nobody", "", 400),
        ("POST", "/nowhere", "", 404),
    ] {
        let headers = [("Authorization", bearer.as_str()), json];
        let answer = http::ask(node.at("admin"), method, path, &headers, body).expect("an answer");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{method} {path}: {answer:?}"
        );
    }
}

#[test]
fn the_admin_listener_describes_every_listener() {
    let house = House::new();
    let bearer = admin_token(&house, "read");
    let node = house.serve(&[]);
    for (path, route) in
        [("/openapi.json", "/nodes"), ("/openapi/public.json", "/1.0/{application}/{version}")]
    {
        let answer = http::get(node.at("admin"), path, &[("Authorization", &bearer)]).expect("an answer");
        assert!(answer.json()["paths"][route].is_object(), "{path} has no {route}");
    }
}
