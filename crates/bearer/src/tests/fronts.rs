//! A real nginx, a real Caddy and a real Envoy, set up as the guide says, in front of a small backend.

mod envoy;

use super::*;
use axum::Json;
use axum::extract::Request as Asked;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use outbound::{Client, Manners, Url};
use testkit::{Caddy, Envoy, Nginx};
use tokio::net::TcpListener;
use work::Lifecycle;

const NOW: i64 = START.seconds();
const NGINX: &str = include_str!("../../../../docs/src/guides/proxies/nginx.conf");
const CADDY: &str = include_str!("../../../../docs/src/guides/proxies/Caddyfile");
const CALLER: &str = "hw_proxy";

/// What stands in front.
enum Front {
    Nginx(Nginx),
    Caddy(Caddy),
    Envoy(Envoy),
}

impl Front {
    fn endpoint(&self) -> String {
        match self {
            Self::Nginx(nginx) => nginx.endpoint(),
            Self::Caddy(caddy) => caddy.endpoint(),
            Self::Envoy(envoy) => envoy.endpoint(),
        }
    }

    fn log(&self) -> String {
        match self {
            Self::Nginx(nginx) => nginx.log(),
            Self::Caddy(caddy) => caddy.log(),
            Self::Envoy(envoy) => envoy.log(),
        }
    }
}

/// A proxy between a client and a backend.
struct Scene {
    house: House,
    front: Front,
    client: Client,
    life: Lifecycle,
}

impl Scene {
    async fn nginx() -> Self {
        Self::set(|addresses| Front::Nginx(Nginx::start(|port| addresses.put_into(NGINX, port)))).await
    }

    async fn caddy() -> Self {
        Self::set(|addresses| Front::Caddy(Caddy::start(|port| addresses.put_into(CADDY, port)))).await
    }

    async fn set(start: impl FnOnce(&Addresses) -> Front) -> Self {
        let house = House::with(|settings| {
            let routes = json!([
                { "path": "/open", "anonymous": true },
                { "path": "/mail", "methods": ["GET"], "scopes": ["profile"] },
                { "path": "/mail", "methods": ["POST"], "scopes": ["mail"] },
                { "path": "/status/{code}" },
            ]);
            settings.policy.routes = serde_json::from_value(routes).expect("routes");
        })
        .await;
        let life = Lifecycle::new();
        let service = serve(&life, house.service.clone().layer(from_fn(guard))).await;
        let backend = serve(&life, Router::new().fallback(heard)).await;
        let front = start(&Addresses { service, backend });
        let client = Client::for_operator_addresses(&Manners::default()).expect("a client");
        Self { house, front, client, life }
    }

    async fn ask(&self, verb: &str, path: &str, headers: &[(&'static str, &str)]) -> outbound::Answer {
        let url: Url = format!("{}{path}", self.front.endpoint()).parse().expect("a URL");
        let request = match verb {
            "POST" => self.client.post(&url, "a body".into()),
            _ => self.client.get(&url),
        };
        let with = headers.iter().fold(request, |request, (name, value)| {
            let value = HeaderValue::from_str(value).expect("a value");
            request.header(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value)
        });
        with.send().await.unwrap_or_else(|error| panic!("{error}: {}", self.front.log()))
    }
}

/// Who is where.
struct Addresses {
    service: String,
    backend: String,
}

impl Addresses {
    /// The guide's configuration with the addresses of this scene.
    fn put_into(&self, configuration: &str, port: u16) -> String {
        configuration
            .replace("127.0.0.1:8001", &self.service)
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
            .replace("127.0.0.1:8081", &self.backend)
            .replace("the token that `highwater token create` showed", CALLER)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.life.stop_now();
    }
}

async fn serve(life: &Lifecycle, routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    life.spawn_short(async move { axum::serve(listener, routes).await.expect("it serves") });
    address
}

/// As the service listener's guard: who asks says so in a header of its own, since `Authorization` is the client's.
async fn guard(mut request: Asked, next: Next) -> Response {
    if request.headers().get("x-highwater-caller").is_none_or(|it| it != CALLER) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    request.extensions_mut().insert(caller(&["verify"]));
    next.run(request).await
}

/// What the backend heard.
async fn heard(request: Asked) -> Response {
    if let Some(code) = request.uri().path().strip_prefix("/status/") {
        return code.parse::<StatusCode>().expect("a status").into_response();
    }
    let headers: serde_json::Map<String, Value> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    Json(json!({ "method": request.method().as_str(), "headers": headers })).into_response()
}

/// What comes back for these very bytes: the status, or 0 when there is none.
fn raw(endpoint: &str, request: &[u8]) -> u16 {
    use std::io::{Read, Write};
    let address = endpoint.strip_prefix("http://").expect("a URL");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    stream.write_all(request).expect("written");
    let mut bytes = Vec::new();
    // It may be reset after the answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_of_a_client_are_an_error_of_the_server() {
    let good = House::new().await.token("u1", NOW);
    for scene in [Scene::nginx().await, Scene::caddy().await, Scene::envoy_by_grpc().await] {
        for target in
            [&b"/mail/\xff"[..], b"/mail/\xc3\xa4", b"/mail%00", b"/mail/%", b"*", b"/\"<>", b"/a|b^`{}"]
        {
            for verb in [&b"GET"[..], b"PROPFIND", b"OPTIONS"] {
                let token = format!("\r\nAuthorization: Bearer {good}");
                for authorization in [&b""[..], b"\r\nAuthorization: Bearer \xff", token.as_bytes()] {
                    let head =
                        [b" HTTP/1.1\r\nHost: x\r\nConnection: close", authorization, b"\r\n\r\n"].concat();
                    let request = [verb, b" ", target, &head].concat();
                    let status = raw(&scene.front.endpoint(), &request);
                    let what = String::from_utf8_lossy(&request).into_owned();
                    assert!((200..500).contains(&status), "{status}: {what}: {}", scene.front.log());
                }
            }
        }
    }
}

fn text<'a>(answer: &'a outbound::Answer, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn nginx_lets_through_whom_it_is_told_to_and_says_who_it_is() {
    let scene = Scene::nginx().await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    let answer = scene.ask("GET", "/mail?x=/../y", &[("authorization", &token)]).await;
    assert_eq!(answer.status(), 200, "{}", scene.front.log());
    let heard: Value = answer.json().expect("JSON");
    assert_eq!(heard["headers"]["x-highwater-subject"], "u1");
    assert_eq!(heard["headers"]["x-highwater-scope"], format!("profile {SCOPE}"));
    assert_eq!(heard["headers"]["x-highwater-client-id"], "5882386c6d801776");
    assert_eq!(heard["headers"].get("x-highwater-acr"), None, "nothing is known, nothing is sent");
    assert_eq!(heard["headers"].get("x-highwater-caller"), None, "that is between nginx and us");
    assert_eq!(scene.ask("GET", "/open", &[]).await.status(), 200);
}

#[tokio::test]
async fn nginx_tells_each_refusal_as_it_is_meant() {
    let scene = Scene::nginx().await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    scene.house.says(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
    for (verb, path, authorization, status) in [
        ("GET", "/mail", "", 401),
        ("GET", "/mail", "Basic YTpi", 401),
        ("GET", "/mail", "Bearer e30.e30.e30", 401),
        ("POST", "/mail", &token, 403),
        ("GET", "/elsewhere", &token, 403),
        ("GET", "/mail", "Bearer a b", 400),
        ("GET", "/mail", "Bearer opaque", 503),
        ("GET", "/status/403", &token, 403),
        ("GET", "/status/503", &token, 503),
    ] {
        let answer = scene.ask(verb, path, &[("authorization", authorization)]).await;
        let what = format!("{verb} {path} {authorization}");
        assert_eq!(answer.status(), status, "{what}: {}", scene.front.log());
        let challenged = text(&answer, "www-authenticate").starts_with("Bearer realm=\"api\"");
        let is_ours = !path.starts_with("/status/");
        let has_one = matches!(status, 400 | 401) || verb == "POST";
        assert_eq!(challenged, is_ours && has_one, "{what}: {:?}", answer.headers());
        let wait = if is_ours && status == 503 { "7" } else { "" };
        assert_eq!(text(&answer, "retry-after"), wait, "{what}");
    }
}

#[tokio::test]
async fn nobody_gets_a_name_past_nginx() {
    let scene = Scene::nginx().await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    let hyphen = [("authorization", token.as_str()), ("x-highwater-subject", "root")];
    assert_eq!(scene.ask("GET", "/mail", &hyphen).await.status(), 400);
    assert_eq!(
        scene.ask("GET", "/open", &hyphen[1..]).await.status(),
        400,
        "not even where anybody may pass"
    );
    for (name, path) in
        [("x_highwater_subject", "/mail"), ("x-highwater-acr", "/mail"), ("x_highwater-scope", "/open")]
    {
        let answer = scene.ask("GET", path, &[("authorization", &token), (name, "root")]).await;
        let heard = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(answer.status() == 400 || !heard.contains("root"), "{name}: {heard}");
    }
    for path in ["/open//mail", "/open%2f..%2fmail", "/open;/../mail%5c"] {
        let answer = scene.ask("GET", path, &[("authorization", &token)]).await;
        assert_eq!(answer.status(), 400, "{path}: nginx reads it in another way than we might");
    }
    for own in [("x-original-uri", "/open"), ("x-original-method", "GET"), ("x-highwater-caller", "root")] {
        let answer = scene.ask("POST", "/mail", &[("authorization", &token), own]).await;
        assert_eq!(answer.status(), 403, "{own:?} is nginx's to say");
    }
}

#[tokio::test]
async fn a_change_of_the_account_is_felt_through_nginx() {
    let scene = Scene::nginx().await;
    let (house, follower) = (&scene.house, &scene.house.inner().follower);
    let mut tail = follower.begin().await;
    let token = format!("Bearer {}", house.token("u1", NOW - 60));
    assert_eq!(scene.ask("GET", "/mail", &[("authorization", &token)]).await.status(), 200);
    house.happens("u1", Millis::from_seconds(NOW - 50), Change::PasswordChange).await;
    follower.turn(&mut tail).await;
    let answer = scene.ask("GET", "/mail", &[("authorization", &token)]).await;
    assert_eq!(answer.status(), 401);
    assert!(text(&answer, "www-authenticate").contains("error=\"invalid_token\""), "{:?}", answer.headers());
}

#[tokio::test]
async fn caddy_passes_on_what_it_is_told() {
    let scene = Scene::caddy().await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    scene.house.says(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
    let good = scene.ask("GET", "/mail?x", &[("authorization", &token)]).await;
    assert_eq!(good.status(), 200, "{}", scene.front.log());
    let heard: Value = good.json().expect("JSON");
    assert_eq!(heard["headers"]["x-highwater-subject"], "u1");
    assert_eq!(heard["headers"].get("x-highwater-caller"), None);
    assert_eq!(scene.ask("GET", "/open", &[]).await.status(), 200);
    for (verb, path, authorization, status, code) in [
        ("GET", "/mail", "", 401, "no_credentials"),
        ("GET", "/mail", "Bearer e30.e30.e30", 401, "token_invalid"),
        ("POST", "/mail", &token, 403, "insufficient_scope"),
        ("GET", "/mail", "Bearer a b", 400, "bad_authorization"),
        ("GET", "/mail", "Bearer opaque", 503, "check_unavailable"),
    ] {
        let answer = scene.ask(verb, path, &[("authorization", authorization)]).await;
        let said: Value = answer.json().expect("our own words");
        assert_eq!((answer.status().as_u16(), said["error_code"].as_str()), (status, Some(code)));
        assert_eq!(text(&answer, "retry-after"), if status == 503 { "7" } else { "" });
    }
}

#[tokio::test]
async fn nobody_gets_a_name_past_caddy() {
    let scene = Scene::caddy().await;
    let token = format!("Bearer {}", scene.house.token("u1", NOW));
    for name in ["x-highwater-subject", "x_highwater_subject", "x-highwater-acr", "x_highwater-scope"] {
        for path in ["/mail", "/open"] {
            let answer = scene.ask("GET", path, &[("authorization", &token), (name, "root")]).await;
            assert_eq!(answer.status(), 400, "{name} {path}");
        }
    }
    for own in [("x-forwarded-uri", "/open"), ("x-forwarded-method", "GET"), ("x-highwater-caller", "root")] {
        let answer = scene.ask("POST", "/mail", &[("authorization", &token), own]).await;
        assert_eq!(answer.status(), 403, "{own:?} is Caddy's to say");
    }
}
