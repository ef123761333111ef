//! The service listener's routes.

use super::*;
use axum::Extension;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keys::{Caller, Listener};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(super) struct Api(pub(super) Router);

impl Api {
    /// As a caller with these scopes sees it.
    pub(super) fn of(house: &House, scopes: &[&str]) -> Self {
        let caller = Caller {
            id: 1,
            name: "web".into(),
            listener: Listener::Service,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            created_at: Millis::ZERO,
            expires_at: None,
            revoked_at: None,
            certificate: None,
        };
        let routes = crate::http::service_routes(house.inner()).split_for_parts().0;
        Self(routes.layer(Extension(caller)))
    }

    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = self.0.clone().oneshot(request.body(body).expect("a request")).await.expect("an answer");
        let status = answer.status();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

fn login(house: &House, name: &str) -> Value {
    let (access, refresh) = house.idp.log_in(name);
    json!({
        "idp": "main", "subject": name, "sid": format!("sid-{name}"),
        "tokens": { "access_token": access, "refresh_token": refresh, "expires_in": 3600 },
        "claims": { "email": "u@example.com" }, "data": { "theme": "dark", "cart": [1] },
    })
}

#[tokio::test]
async fn a_session_from_its_making_to_its_end() {
    for house in House::on_each_engine().await {
        let api = Api::of(&house, &[]);
        let (status, made) = api.ask("POST", "/sessions", login(&house, "u")).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let path = format!("/sessions/{}", made["id"].as_str().expect("an id"));
        assert_eq!(made["claims"]["login"]["email"], "u@example.com");
        assert_eq!((made["state"].as_str(), made["version"].as_i64()), (Some("live"), Some(1)));

        let change = json!({ "version": 1, "data": { "theme": null, "cart": [1, 2] } });
        let (status, changed) = api.ask("PATCH", &path, change.clone()).await;
        assert_eq!((status, &changed["data"]), (StatusCode::OK, &json!({ "cart": [1, 2] })));
        assert_eq!(api.ask("PATCH", &path, change).await.0, StatusCode::CONFLICT);

        let (status, token) = api.ask("POST", &format!("{path}/access-token"), json!({})).await;
        assert_eq!((status, token["access_token"].as_str()), (StatusCode::OK, Some("access-secret-u.1.0")));
        assert_eq!((&token["token_type"], &token["dpop_proofs"]), (&json!("Bearer"), &Value::Null));
        assert_eq!(api.ask("POST", &format!("{path}/touch"), Value::Null).await.0, StatusCode::ACCEPTED);

        for query in ["idp=main&subject=u", "idp=main&sid=sid-u", "idp=main", "limit=1"] {
            let (status, found) = api.ask("GET", &format!("/sessions?{query}"), Value::Null).await;
            assert_eq!((status, found.as_array().map(Vec::len)), (StatusCode::OK, Some(1)), "{query}");
        }
        let (status, ended) = api.ask("POST", &format!("{path}/end"), Value::Null).await;
        assert_eq!((status, ended["reason"].as_str()), (StatusCode::OK, Some("signed_out")));
        assert_eq!(api.ask("POST", &format!("{path}/access-token"), json!({})).await.0, StatusCode::GONE);
        let (_, left) = api.ask("GET", "/sessions", Value::Null).await;
        assert_eq!(left, json!([]));
    }
}

#[tokio::test]
async fn every_session_of_a_user_ends_at_once() {
    for house in House::on_each_engine().await {
        let api = Api::of(&house, &[]);
        for name in ["u", "u", "v"] {
            api.ask("POST", "/sessions", login(&house, name)).await;
        }
        let (status, ended) = api.ask("POST", "/users/main/u/end", Value::Null).await;
        assert_eq!((status, ended), (StatusCode::OK, json!({ "sessions": 2 })));
        let (_, left) = api.ask("GET", "/sessions", Value::Null).await;
        assert_eq!(left.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn each_scope_opens_its_own_doors() {
    let house = House::new().await;
    let id = house.logs_in("u").await;
    let doors = [
        ("sessions:read", "GET", format!("/sessions/{id}")),
        ("sessions:read", "GET", "/sessions".to_owned()),
        ("sessions:write", "POST", format!("/sessions/{id}/touch")),
        ("sessions:tokens", "POST", format!("/sessions/{id}/access-token")),
        ("sessions:tokens", "POST", format!("/sessions/{id}/refresh")),
        ("sessions:watch", "GET", "/watch?after=nonsense".to_owned()),
        ("sessions:write", "POST", "/users/main/nobody/end".to_owned()),
        ("sessions:write", "POST", format!("/sessions/{id}/end")),
    ];
    for (scope, method, path) in &doors {
        for held in ["sessions:read", "sessions:write", "sessions:tokens", "sessions:watch"] {
            let (status, _) = Api::of(&house, &[held]).ask(method, path, json!({})).await;
            assert_eq!(
                status == StatusCode::FORBIDDEN,
                held != *scope,
                "{method} {path} with {held}: {status}"
            );
        }
    }
}

#[tokio::test]
async fn an_identity_provider_signs_out_one_login_or_all_of_a_users_but_none_of_after() {
    for house in House::on_each_engine().await {
        let first = house.logs_in_with("u", |login| login.sid = Some("s1".into())).await;
        let second = house.logs_in_with("u", |login| login.sid = Some("s2".into())).await;
        let said_at = house.clock.now();
        house.passes(Duration::from_mins(1)).await;
        let third = house.logs_in("u").await;
        let routes = crate::http::public_routes(house.inner()).split_for_parts().0;
        let post = async |path: &str, form: String| {
            let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
            let request = request.body(Body::from(form)).expect("a request");
            routes.clone().oneshot(request).await.expect("an answer")
        };
        let path = "/backchannel-logout/main";
        let answer = post(path, "logout_token=sid+s1".into()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["cache-control"]),
            (200, &"no-store".parse().unwrap())
        );
        assert_eq!(house.shown(&first).await, "ended(back_channel_logout) ended(back_channel_logout) g0 f0");
        assert_eq!(house.shown(&second).await, "live live g0 f0");
        let token = format!("logout_token=user+u+{said_at}");
        for _ in 0..2 {
            assert_eq!(post(path, token.clone()).await.status().as_u16(), 200);
        }
        assert_eq!(house.shown(&second).await, "ended(back_channel_logout) ended(back_channel_logout) g0 f0");
        assert_eq!(house.shown(&third).await, "live live g0 f0", "it is newer than what was said");
        assert_eq!(post(path, "logout_token=nonsense".into()).await.status().as_u16(), 400);
        assert_eq!(post(path, "logout_token=a&logout_token=b".into()).await.status().as_u16(), 400);
        let later = post(path, "logout_token=later".into()).await;
        assert_eq!((later.status().as_u16(), &later.headers()["retry-after"]), (503, &"7".parse().unwrap()));
        assert_eq!(post("/backchannel-logout/other", token).await.status().as_u16(), 404);
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let house = House::new().await;
    let api = Api::of(&house, &[]);
    let (_, made) = api.ask("POST", "/sessions", login(&house, "u")).await;
    let with = |name: &str, value: Value| {
        let mut body = login(&house, "u");
        body[name] = value;
        body
    };
    let grant = &made["grant"]["id"];
    let cases = [
        (with("idp", json!("other")), 400, "no identity provider other"),
        (with("sid", json!("x".repeat(256))), 400, "sid"),
        (with("grant", grant.clone()), 400, "not both"),
        (with("data", json!({ "x": "y".repeat(20_000) })), 400, "data"),
        (with("tokens", json!({ "access_token": "" })), 400, "a token"),
        (with("unknown", json!(1)), 400, "unknown"),
        (json!({ "idp": "main", "subject": "v", "grant": grant }), 409, "no such grant"),
    ];
    for (body, status, word) in cases {
        let (got, problem) = api.ask("POST", "/sessions", body).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(got.as_u16() == status && detail.contains(word), "{got} {problem}: {status} {word}");
    }
    assert_eq!(api.ask("GET", "/sessions/nonsense", Value::Null).await.0, StatusCode::BAD_REQUEST);
    let stranger = format!("/sessions/{}", SessionId::fresh());
    assert_eq!(api.ask("GET", &stranger, Value::Null).await.0, StatusCode::NOT_FOUND);
    assert_eq!(api.ask("GET", "/sessions?limit=0", Value::Null).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(api.ask("GET", "/sessions?subject=u", Value::Null).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_watches_hears_how_everything_is_and_then_where_to_go_on() {
    for house in House::on_each_engine().await {
        let id = house.logs_in("u").await;
        let api = Api::of(&house, &["sessions:watch"]);
        let request = Request::get("/watch").body(Body::empty()).expect("a request");
        let answer = api.0.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut body = answer.into_body();
        let frame = body.frame().await.expect("something").expect("it is whole");
        let text = String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "event: session");
        assert!(lines[1].starts_with("data: {") && lines[1].contains(id.as_str()));
        assert_eq!(lines[3], "event: bookmark");
        assert!(lines[4].starts_with("id: ") && !text.contains("secret"));
    }
}
