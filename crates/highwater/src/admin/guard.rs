//! Nobody gets an answer on the admin or the service listener without a caller's token, or on the latter a certificate that
//! stands for one; health aside.

use crate::listen::ClientCertificate;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use keys::{Caller, Callers, Listener};
use ledger::Problem;
use store::StoreError;
use tonic::Status;
use tower::ServiceBuilder;

/// Who asks on somebody's behalf.
const CALLER: HeaderName = HeaderName::from_static("x-highwater-caller");

/// What a token may be allowed on each listener.
pub(crate) const fn scopes(listener: Listener) -> &'static [&'static str] {
    match listener {
        Listener::Admin => &["read", "write", "metrics"],
        Listener::Service => {
            &["verify", "introspect", "sessions:read", "sessions:write", "sessions:tokens", "sessions:watch"]
        }
    }
}

/// The scope a request needs on the admin listener (on the service listener the routes know). What changes something needs more than what only looks.
fn needed(request: &Request) -> &'static str {
    match *request.method() {
        Method::GET | Method::HEAD if request.uri().path() == "/metrics" => "metrics",
        Method::GET | Method::HEAD => "read",
        _ => "write",
    }
}

/// Whose tokens are asked for, and where.
#[derive(Clone)]
pub(crate) struct Guard {
    callers: Callers,
    listener: Listener,
}

impl Guard {
    pub(crate) fn new(callers: Callers, listener: Listener) -> Self {
        Self { callers, listener }
    }

    /// Stands before all routes, known ones and unknown ones. The caller is put into the request for the routes.
    pub(crate) fn before(self, routes: Router) -> Router {
        let guarded = ServiceBuilder::new().layer(from_fn_with_state(self, Self::check)).service(routes);
        Router::new().fallback_service(guarded)
    }

    async fn check(State(guard): State<Self>, mut request: Request, next: Next) -> Response {
        let told = guard.told(&mut request);
        match guard.admit(told, needed(&request)).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Err(refused) if is_grpc(request.headers()) => Status::from(refused).into_http::<Body>(),
            Err(refused) => refused.into_response(),
        }
    }

    /// How the caller says who it is. What asks on somebody's behalf (a proxy, with that somebody's `Authorization`) has its
    /// token in a header of its own, on the service listener, and no route gets to see it; or it has a certificate. Only
    /// the connection itself tells of one: no header does.
    fn told(&self, request: &mut Request) -> Told {
        let own = match self.listener {
            Listener::Service => request.headers_mut().remove(CALLER),
            Listener::Admin => None,
        };
        let bearer = || bearer(request.headers()).map(str::to_owned);
        match (own, request.extensions().get::<ClientCertificate>()) {
            (Some(own), _) => Told::Token(own.to_str().ok().map(|token| token.trim().to_owned())),
            (None, Some(shown)) if self.listener == Listener::Service => {
                Told::Certificate(shown.clone(), bearer())
            }
            (None, _) => Told::Token(bearer()),
        }
    }

    async fn admit(&self, told: Told, scope: &'static str) -> Result<Caller, Refused> {
        let caller = match told {
            Told::Token(token) => self.by_token(token).await?,
            Told::Certificate(shown, token) => self.by_certificate(&shown, token).await?,
        };
        if self.listener == Listener::Admin && !caller.may(scope) {
            Err(Refused::Forbidden(scope))
        } else {
            Ok(caller)
        }
    }

    async fn by_token(&self, token: Option<String>) -> Result<Caller, Refused> {
        let token = token.ok_or_else(|| Refused::Unknown("a caller's token is needed".to_owned()))?;
        let known = self.callers.verify(&token, self.listener).await?;
        known.map_err(|unknown| Refused::Unknown(unknown.to_string()))
    }

    /// A certificate that was never taken in says nothing: then it is the token.
    async fn by_certificate(
        &self,
        shown: &ClientCertificate,
        token: Option<String>,
    ) -> Result<Caller, Refused> {
        if !shown.still_counts(self.callers.clock().now()) {
            return Err(Refused::Unknown("the certificate does not count any more".to_owned()));
        }
        match self.callers.verify_certificate(shown.goes_by(), self.listener).await? {
            Ok(known) => known.map_err(|unknown| Refused::Unknown(unknown.to_string())),
            Err(_) if token.is_some() => self.by_token(token).await,
            Err(nobodys) => Err(Refused::Unknown(nobodys.to_string())),
        }
    }
}

/// How a caller says who it is.
enum Told {
    Token(Option<String>),
    /// And, should it be nobody's, a token.
    Certificate(ClientCertificate, Option<String>),
}

/// Why somebody is not let in.
enum Refused {
    /// Nobody knows who it is.
    Unknown(String),
    /// It has no such scope.
    Forbidden(&'static str),
    /// The store cannot say.
    Outage(StoreError),
}

impl From<StoreError> for Refused {
    fn from(outage: StoreError) -> Self {
        Self::Outage(outage)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown(why) => unauthorised(&why),
            Self::Forbidden(scope) => forbidden(scope),
            Self::Outage(outage) => Problem::from(outage).into_response(),
        }
    }
}

/// To who asks by gRPC.
impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(why) => Self::unauthenticated(why),
            Refused::Forbidden(scope) => {
                Self::permission_denied(format!("the caller has no scope `{scope}`"))
            }
            Refused::Outage(outage) if outage.is_outage() => Self::unavailable("the store does not answer"),
            Refused::Outage(defect) => {
                tracing::error!(error = %defect, "a caller could not be looked up");
                Self::internal("something went wrong here")
            }
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1; the scheme's case does not matter).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthorised(detail: &str) -> Response {
    let mut answer = Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", detail).into_response();
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

fn forbidden(scope: &str) -> Response {
    let detail = format!("the caller's token has no scope `{scope}`");
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use keys::{NewCaller, RootKey};
    use tower::ServiceExt;

    async fn callers() -> (store::testing::TestStore, Callers) {
        let test = store::testing::sqlite(&[keys::MIGRATIONS]).await;
        let callers = Callers::new(test.store.clone(), &RootKey::generate());
        (test, callers)
    }

    async fn token(callers: &Callers, listener: Listener, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        callers
            .create(NewCaller { name: "t".into(), listener, scopes, life_seconds: None, certificate: None })
            .await
            .expect("made")
            .0
            .expect("a token")
    }

    fn routes(callers: &Callers) -> Router {
        let routes = Router::new().route("/", get(async || "seen")).route("/do", post(async || "done"));
        Guard::new(callers.clone(), Listener::Admin).before(routes.route("/metrics", get(async || "1")))
    }

    async fn status(callers: &Callers, method: &str, path: &str, token: Option<&str>) -> u16 {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).expect("a request");
        routes(callers).oneshot(request).await.expect("an answer").status().as_u16()
    }

    #[tokio::test]
    async fn nothing_answers_without_a_token_not_even_with_404() {
        let (_store, callers) = callers().await;
        for (method, path) in [("GET", "/"), ("POST", "/do"), ("GET", "/nowhere"), ("DELETE", "/")] {
            assert_eq!(status(&callers, method, path, None).await, 401, "{method} {path}");
            assert_eq!(status(&callers, method, path, Some("hw_wrong")).await, 401, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_token_is_good_on_its_own_listener_only() {
        let (_store, callers) = callers().await;
        let admin = token(&callers, Listener::Admin, &[]).await;
        let service = token(&callers, Listener::Service, &[]).await;
        assert_eq!(status(&callers, "GET", "/", Some(&admin)).await, 200);
        assert_eq!(status(&callers, "GET", "/", Some(&service)).await, 401);
    }

    #[tokio::test]
    async fn a_proxy_says_who_it_is_in_a_header_of_its_own_and_no_route_sees_it() {
        let (_store, callers) = callers().await;
        let service = token(&callers, Listener::Service, &[]).await;
        let seen = get(async |headers: HeaderMap| {
            let said = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default().to_owned());
            assert!(!headers.contains_key(CALLER));
            said.unwrap_or_default()
        });
        let routes = Guard::new(callers, Listener::Service).before(Router::new().route("/", seen));
        let ask = async |caller: &str, authorization: &str| {
            let request = axum::http::Request::get("/").header(CALLER, caller);
            let request = request.header(AUTHORIZATION, authorization).body(Body::empty());
            let answer = routes.clone().oneshot(request.expect("a request")).await.expect("an answer");
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a short body");
            (status, String::from_utf8_lossy(&body).into_owned())
        };
        assert_eq!(ask(&service, "Bearer somebody's").await, (200, "Bearer somebody's".to_owned()));
        assert_eq!(
            ask("hw_wrong", &format!("Bearer {service}")).await.0,
            401,
            "it says who it is, and is not"
        );
    }

    #[tokio::test]
    async fn who_asks_by_grpc_is_refused_by_grpc() {
        let (_store, callers) = callers().await;
        let routes = Guard::new(callers.clone(), Listener::Service).before(Router::new());
        let ask = async |kind: &str| {
            let request = axum::http::Request::post("/envoy.service.auth.v3.Authorization/Check");
            let request = request.header(CONTENT_TYPE, kind).header(CALLER, "hw_wrong").body(Body::empty());
            routes.clone().oneshot(request.expect("a request")).await.expect("an answer")
        };
        for kind in ["application/grpc", "application/grpc+proto"] {
            let answer = ask(kind).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["grpc-status"]),
                (200, &HeaderValue::from(16))
            );
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/grpc");
        }
        assert_eq!(ask("application/json").await.status(), 401);
    }

    #[tokio::test]
    async fn no_header_says_that_there_was_a_certificate() {
        let (_store, callers) = callers().await;
        let new = NewCaller {
            name: "proxy".into(),
            listener: Listener::Service,
            scopes: vec![],
            life_seconds: None,
            certificate: Some("dns:proxy.internal".parse().expect("a name")),
        };
        callers.create(new).await.expect("taken in");
        let routes =
            Guard::new(callers, Listener::Service).before(Router::new().route("/", get(async || "in")));
        let claims = [
            ("x-forwarded-client-cert", "By=x;Hash=y;DNS=proxy.internal"),
            ("x-forwarded-tls-client-cert", "proxy.internal"),
            ("x-client-cert", "proxy.internal"),
            ("client-cert", ":AAAA:"),
            ("x-ssl-client-s-dn", "CN=proxy.internal"),
            ("ssl-client-verify", "SUCCESS"),
            ("x-highwater-caller", "dns:proxy.internal"),
            ("authorization", "Bearer dns:proxy.internal"),
        ];
        for (name, value) in claims {
            let request = axum::http::Request::get("/").header(name, value).body(Body::empty());
            let answer = routes.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(answer.status(), 401, "{name}");
        }
    }

    #[tokio::test]
    async fn a_scope_lets_in_what_it_names() {
        let (_store, callers) = callers().await;
        let reader = token(&callers, Listener::Admin, &["read"]).await;
        let scraper = token(&callers, Listener::Admin, &["metrics"]).await;
        for (method, path, of_reader, of_scraper) in
            [("GET", "/", 200, 403), ("POST", "/do", 403, 403), ("GET", "/metrics", 403, 200)]
        {
            assert_eq!(status(&callers, method, path, Some(&reader)).await, of_reader, "{method} {path}");
            assert_eq!(status(&callers, method, path, Some(&scraper)).await, of_scraper, "{method} {path}");
        }
    }
}
