//! Asking the routes, in process.

use super::*;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Back {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Back {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A problem in one line.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        format!("{} {}", self.status.as_u16(), self.json()["detail"].as_str().expect("a text"))
    }

    /// A receiver's error in one line.
    pub(super) fn fault(&self) -> String {
        assert_eq!(self.headers["cache-control"], "no-store", "{}", self.body);
        format!("{} {}", self.status.as_u16(), self.json()["err"].as_str().expect("a text"))
    }
}

async fn send(router: &Router, request: Request<Body>) -> Back {
    let (head, body) = router.clone().oneshot(request).await.expect("a router answers").into_parts();
    let body = body.collect().await.expect("the body is whole").to_bytes();
    Back {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

fn request(method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Request<Body> {
    let mut builder =
        Request::builder().method(Method::from_bytes(method.as_bytes()).expect("a method")).uri(path);
    if let Some(token) = token {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    let Some(body) = body else { return builder.body(Body::empty()).expect("a request") };
    let builder = builder.header("content-type", "application/json");
    builder.body(Body::from(body.to_string())).expect("a request")
}

/// A request to a router that is at hand: for those who have many.
pub(super) async fn ask(router: &Router, token: Option<&str>, what: &str, body: Option<&Value>) -> Back {
    let (method, path) = what.split_once(' ').expect("a method and a path");
    send(router, request(method, path, token, body)).await
}

impl House {
    pub(super) fn admin(&self) -> Router {
        self.broker.capability().admin.split_for_parts().0
    }

    pub(super) fn public(&self) -> Router {
        self.broker.capability().public.split_for_parts().0
    }

    /// An operator's request: `GET /rps`.
    pub(super) async fn ask(&self, what: &str, body: Option<Value>) -> Back {
        let (method, path) = what.split_once(' ').expect("a method and a path");
        send(&self.admin(), request(method, path, None, body.as_ref())).await
    }

    /// A receiver's request.
    pub(super) async fn receiver_asks(&self, token: &str, what: &str, body: Option<Value>) -> Back {
        let (method, path) = what.split_once(' ').expect("a method and a path");
        let token = Some(token).filter(|token| !token.is_empty());
        send(&self.public(), request(method, path, token, body.as_ref())).await
    }

    /// A body as it is, of whatever kind.
    pub(super) async fn receiver_sends(&self, token: &str, path: &str, body: &'static str) -> Back {
        let builder =
            Request::builder().method("POST").uri(path).header("authorization", format!("Bearer {token}"));
        send(&self.public(), builder.body(Body::from(body)).expect("a request")).await
    }

    /// A token of a relying party.
    pub(super) async fn token_of(&self, name: &str) -> String {
        let made = self.ask(&format!("POST /rps/{name}/tokens"), Some(serde_json::json!({}))).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        made.json()["token"].as_str().expect("a token").to_owned()
    }

    /// Takes documents of the old broker over.
    pub(super) async fn import(&self, lines: &'static str) -> Value {
        let request = Request::builder().method("POST").uri("/rps/import?idp=main");
        let back = send(&self.admin(), request.body(Body::from(lines)).expect("a request")).await;
        assert_eq!(back.status, StatusCode::OK, "{}", back.body);
        back.json()
    }
}
