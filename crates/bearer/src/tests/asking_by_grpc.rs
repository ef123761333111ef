//! `Authorization/Check`, asked by a client as others have it, over HTTP/2 without TLS.

use super::*;
use crate::adapters::Identity;
use crate::adapters::grpc::messages::{
    Answered, AttributeContext, AttributeRequest, CheckRequest, CheckResponse, DeniedHttpResponse,
    HeaderValueOption, HttpRequest,
};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use work::Lifecycle;

const NOW: i64 = START.seconds();
const CHECK: PathAndQuery = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");

/// Somebody who asks by gRPC.
struct Asker {
    house: House,
    channel: Channel,
    life: Lifecycle,
}

impl Asker {
    async fn of(house: House, scopes: &[&str]) -> Self {
        let life = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let routes = house.service.clone().layer(Extension(caller(scopes)));
        life.spawn_short(async move { axum::serve(listener, routes).await.expect("it serves") });
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect_lazy();
        Self { house, channel, life }
    }

    async fn new() -> Self {
        Self::of(House::new().await, &["verify"]).await
    }

    async fn asks(&self, request: CheckRequest, path: PathAndQuery) -> Result<CheckResponse, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.expect("it connects");
        let codec = ProstCodec::<CheckRequest, CheckResponse>::default();
        client.unary(tonic::Request::new(request), path, codec).await.map(tonic::Response::into_inner)
    }

    async fn about(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> CheckResponse {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let http =
            HttpRequest { method: method.into(), path: path.into(), headers, ..HttpRequest::default() };
        self.asks(question(http), CHECK).await.expect("an answer")
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.life.stop_now();
    }
}

fn question(http: HttpRequest) -> CheckRequest {
    let request = AttributeRequest { http: Some(http) };
    CheckRequest { attributes: Some(AttributeContext { request: Some(request) }) }
}

fn said<'a>(headers: &'a [HeaderValueOption], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter_map(|it| it.header.as_ref()).filter(|it| it.key == name);
    let one = found.next().map(|it| it.value.as_str());
    assert!(found.next().is_none(), "{name} is there once");
    one
}

fn denied(response: CheckResponse) -> (i32, String, DeniedHttpResponse) {
    let Some(Answered::Denied(denied)) = response.answered else { panic!("it passes: {response:?}") };
    let said: Value = serde_json::from_str(&denied.body).expect("JSON");
    let status = denied.status.as_ref().map_or(0, |it| it.code);
    (status, said["error_code"].as_str().unwrap_or_default().to_owned(), denied)
}

#[tokio::test]
async fn a_good_token_passes_and_says_whose_it_is() {
    for house in House::on_each_engine().await {
        let asker = Asker::of(house, &["verify"]).await;
        let token = format!("Bearer {}", asker.house.token("u1", NOW));
        let response = asker.about("GET", "/a?b=c", &[("authorization", &token)]).await;
        let Some(Answered::Ok(ok)) = response.answered else { panic!("refused: {response:?}") };
        assert_eq!(response.status.expect("a status").code, 0);
        assert_eq!(said(&ok.headers, "x-highwater-subject"), Some("u1"));
        assert_eq!(said(&ok.headers, "x-highwater-acr"), Some(""), "not known, and there");
        for name in Identity::header_names() {
            assert!(said(&ok.headers, name).is_some(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_what_it_is_over_http() {
    let asker = Asker::new().await;
    asker.house.says(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
    let token = format!("Bearer {}", asker.house.token("u1", NOW));
    let spoofed = [("authorization", token.as_str()), ("x-highwater_subject", "root")];
    for (path, headers, status, code) in [
        ("/", &[][..], 401, "no_credentials"),
        ("/", &[("authorization", "Bearer e30.e30.e30")], 401, "token_invalid"),
        ("/", &[("authorization", "Bearer a,Bearer b")], 400, "bad_authorization"),
        ("/", &[("authorization", "Bearer opaque")], 503, "check_unavailable"),
        ("/a/../b", &[("authorization", &token)], 400, "ambiguous_path"),
        ("", &[("authorization", &token)], 400, "ambiguous_path"),
        ("*", &[("authorization", &token)], 400, "ambiguous_path"),
        ("/", &spoofed, 400, "identity_header_in_request"),
    ] {
        let (was, said_code, denied) = denied(asker.about("GET", path, headers).await);
        assert_eq!((was, said_code.as_str()), (status, code), "{path} {headers:?}");
        assert_eq!(said(&denied.headers, "content-type"), Some("application/json"));
        assert_eq!(said(&denied.headers, "retry-after"), (status == 503).then_some("7"));
        let challenge = said(&denied.headers, "www-authenticate").unwrap_or_default();
        let has_one = matches!(status, 400 | 401) && code != "identity_header_in_request";
        assert_eq!(challenge.starts_with("Bearer realm=\"api\""), has_one, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn who_may_not_ask_or_asks_for_something_else_hears_so_by_grpc() {
    let asker = Asker::of(House::new().await, &["introspect"]).await;
    let refused = asker.asks(CheckRequest::default(), CHECK).await.expect_err("no scope");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let asker = Asker::new().await;
    let other = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Guess");
    let unknown = asker.asks(CheckRequest::default(), other).await.expect_err("no such method");
    assert_eq!(unknown.code(), Code::Unimplemented);
    let huge = HttpRequest { method: "GET".into(), path: "/".repeat(300_000), ..HttpRequest::default() };
    let too_long = asker.asks(question(huge), CHECK).await.expect_err("too long");
    assert_eq!(too_long.code(), Code::OutOfRange);
    let (status, code, _) = denied(asker.asks(CheckRequest::default(), CHECK).await.expect("an answer"));
    assert_eq!((status, code.as_str()), (500, "proxy_not_set_up"));
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so() {
    let house = House::new().await;
    for (kind, body, status) in [("application/json", "{}", 415), ("application/grpc", "\u{0}garbage", 200)] {
        let request = Request::post(CHECK.as_str()).header("content-type", kind).body(Body::from(body));
        let answer = house.service(&["verify"], request.expect("a request")).await;
        assert_eq!(answer.status.as_u16(), status, "{kind}");
        if status == 200 {
            assert_ne!(answer.header("grpc-status"), "0", "{:?}", answer.headers);
            assert!(!answer.header("grpc-status").is_empty(), "{:?}", answer.headers);
        }
    }
}

/// An answer that comes after Envoy has given up is none: it says 503 itself, and what was begun goes on.
#[tokio::test]
async fn an_answer_is_there_before_envoy_gives_up() {
    let house = House::new().await;
    let late = json_of(200, json!({ "user": "u1", "scope": ["profile"] })).set_delay(Duration::from_mins(10));
    house.says(late).await;
    let headers = [("authorization".to_owned(), "Bearer opaque".to_owned())].into();
    let http = HttpRequest { method: "GET".into(), path: "/".into(), headers, ..HttpRequest::default() };
    // One frame that is not compressed, and its length.
    let message = question(http).encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let frame = [&[0][..], &length, &message].concat();
    let request = Request::post(CHECK.as_str()).header("content-type", "application/grpc");
    let request = request.header("grpc-timeout", "20m").body(Body::from(frame)).expect("a request");
    let router = house.service.clone().layer(Extension(caller(&["verify"])));
    let answer = router.oneshot(request).await.expect("a router answers").into_body().collect().await;
    let collected = answer.expect("the body is whole");
    let status = collected.trailers().and_then(|it| it.get("grpc-status")).expect("a status");
    assert_eq!(status, "0");
    let response = CheckResponse::decode(&collected.to_bytes()[5..]).expect("a message");
    let (status, code, denied) = denied(response);
    assert_eq!((status, code.as_str()), (503, "check_unavailable"));
    assert_eq!(said(&denied.headers, "retry-after"), Some("1"));
}
