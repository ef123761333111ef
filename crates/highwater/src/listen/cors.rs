//! Cross-origin requests on the public listener, as clients of the Tokenserver know them.
//!
//! Any origin is let in by default and echoed back (not `*`); a preflight is answered before routing; a plain
//! `OPTIONS` is no preflight and goes to the routes; every answer says what it varies by. The protocol is the Fetch
//! standard's section 3.3.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tower::ServiceBuilder;

const VARIES: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// The section `listen.cors`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CorsSettings {
    /// The origins let in; `*` is all of them.
    pub(crate) origins: Vec<String>,
    /// The methods a page may use.
    pub(crate) methods: Vec<String>,
    /// The request headers a page may send.
    pub(crate) headers: Vec<String>,
    /// Seconds a browser may remember a preflight's answer.
    pub(crate) max_age: u64,
}

impl Default for CorsSettings {
    fn default() -> Self {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            origins: own(&["*"]),
            methods: own(&["DELETE", "GET", "POST", "PUT"]),
            headers: own(&[
                "Authorization",
                "Content-Type",
                "User-Agent",
                "X-Last-Modified",
                "X-Weave-Timestamp",
                "X-Weave-Next-Offset",
                "X-Weave-Records",
                "X-Weave-Bytes",
                "X-Weave-Total-Records",
                "X-Weave-Total-Bytes",
                "X-Verify-Code",
            ]),
            max_age: 1_728_000,
        }
    }
}

/// The settings, ready to be sent.
pub(crate) struct Cors {
    origins: Vec<String>,
    any_origin: bool,
    methods: Vec<String>,
    headers: Vec<String>,
    allow_methods: HeaderValue,
    allow_headers: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    /// The error names the setting that cannot be sent in a header.
    pub(crate) fn new(settings: &CorsSettings) -> Result<Arc<Self>, String> {
        let value = |name: &str, list: &[String]| {
            HeaderValue::from_str(&list.join(", "))
                .map_err(|_| format!("listen.cors.{name} cannot be sent in a header"))
        };
        Ok(Arc::new(Self {
            any_origin: settings.origins.iter().any(|origin| origin == "*"),
            origins: settings.origins.clone(),
            methods: settings.methods.iter().map(|method| method.to_uppercase()).collect(),
            headers: settings.headers.iter().map(|header| header.to_lowercase()).collect(),
            allow_methods: value("methods", &settings.methods)?,
            allow_headers: value("headers", &settings.headers)?,
            max_age: HeaderValue::from(settings.max_age),
        }))
    }

    /// Puts itself around all routes: inside, the routes would say what they `Allow` on a preflight's answer.
    pub(crate) fn around(self: Arc<Self>, routes: Router) -> Router {
        let service = ServiceBuilder::new().layer(from_fn_with_state(self, Self::apply)).service(routes);
        Router::new().fallback_service(service)
    }

    /// Answers preflights, and says on every other answer which origin may read it.
    async fn apply(State(cors): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let mut answer = if is_preflight(&request) {
            let granted = cors.preflight(request.headers());
            granted.unwrap_or_else(|why| (StatusCode::BAD_REQUEST, why).into_response())
        } else {
            let origin = request.headers().get(ORIGIN).filter(|origin| cors.admits(origin)).cloned();
            let mut answer = next.run(request).await;
            if let Some(origin) = origin {
                answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            }
            answer
        };
        answer.headers_mut().insert(VARY, VARIES);
        answer
    }

    /// What the page may do, or why it may not.
    fn preflight(&self, asked: &HeaderMap) -> Result<Response, &'static str> {
        let origin = asked.get(ORIGIN).ok_or("Request header `Origin` is required but was not provided")?;
        if !self.admits(origin) {
            return Err("Origin is not allowed to make this request");
        }
        if !self.allows_method(asked) {
            return Err("Requested method is not allowed");
        }
        if !self.allows_headers(asked) {
            return Err("One or more headers requested are not allowed");
        }
        let granted = [
            (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
            (ACCESS_CONTROL_ALLOW_METHODS, self.allow_methods.clone()),
            (ACCESS_CONTROL_ALLOW_HEADERS, self.allow_headers.clone()),
            (ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ];
        Ok((StatusCode::OK, granted).into_response())
    }

    fn admits(&self, origin: &HeaderValue) -> bool {
        self.any_origin || self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
    }

    fn allows_method(&self, asked: &HeaderMap) -> bool {
        let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok());
        method.is_some_and(|method| self.methods.iter().any(|known| known == method))
    }

    fn allows_headers(&self, asked: &HeaderMap) -> bool {
        asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().all(|list| {
            let names =
                list.to_str().map(|list| list.split(',').map(str::trim).filter(|name| !name.is_empty()));
            names.is_ok_and(|mut names| names.all(|name| self.headers.contains(&name.to_lowercase())))
        })
    }
}

/// A plain `OPTIONS` asks the route; only one that names the method to come is a preflight.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use std::fmt::Write;
    use tower::ServiceExt;

    async fn answer(settings: &CorsSettings, method: &str, headers: &[(&str, &str)]) -> String {
        let cors = Cors::new(settings).expect("sendable");
        let routes = cors.around(Router::new().route("/", get(async || "hello")));
        let mut request = axum::http::Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            routes.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        let mut text = answer.status().as_u16().to_string();
        for name in
            ["access-control-allow-origin", "access-control-allow-methods", "access-control-max-age", "allow"]
        {
            if let Some(value) = answer.headers().get(name) {
                write!(text, " {name}={}", value.to_str().expect("text"))
                    .expect("a String takes every write");
            }
        }
        assert!(answer.headers().contains_key(VARY));
        text
    }

    #[tokio::test]
    async fn any_origin_is_echoed_and_no_origin_gets_nothing() {
        let default = CorsSettings::default();
        let with = answer(&default, "GET", &[("origin", "https://a.example")]).await;
        assert_eq!(with, "200 access-control-allow-origin=https://a.example");
        assert_eq!(answer(&default, "GET", &[]).await, "200");
    }

    #[tokio::test]
    async fn a_preflight_is_answered_before_the_routes() {
        let asked = [
            ("origin", "https://a.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization, X-Verify-Code"),
        ];
        assert_eq!(
            answer(&CorsSettings::default(), "OPTIONS", &asked).await,
            "200 access-control-allow-origin=https://a.example \
             access-control-allow-methods=DELETE, GET, POST, PUT access-control-max-age=1728000"
        );
    }

    #[tokio::test]
    async fn a_preflight_for_what_is_not_allowed_is_refused() {
        for (name, value) in
            [("access-control-request-method", "PATCH"), ("access-control-request-headers", "x-keyid")]
        {
            let method = if name == "access-control-request-method" { value } else { "GET" };
            let mut asked = vec![("origin", "https://a.example"), ("access-control-request-method", method)];
            asked.push((name, value));
            asked.dedup();
            assert_eq!(answer(&CorsSettings::default(), "OPTIONS", &asked).await, "400", "{value}");
        }
    }

    #[tokio::test]
    async fn a_plain_options_is_the_routes_matter() {
        assert_eq!(answer(&CorsSettings::default(), "OPTIONS", &[]).await, "405 allow=GET,HEAD");
    }

    #[tokio::test]
    async fn with_a_list_of_origins_others_are_not_let_in() {
        let settings = CorsSettings { origins: vec!["https://a.example".into()], ..CorsSettings::default() };
        assert_eq!(answer(&settings, "GET", &[("origin", "https://b.example")]).await, "200");
        let asked = [("origin", "https://b.example"), ("access-control-request-method", "GET")];
        assert_eq!(answer(&settings, "OPTIONS", &asked).await, "400");
    }
}
