//! The check as a [`tower::Layer`], for axum and whatever else speaks `http`.

use crate::gate::{Admission, Open};
use crate::{Answer, Gate, How, Rejection, Request};
use account::Millis;
use futures::future::{BoxFuture, Either};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use std::future::{Ready, ready};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Says, on an answer that was made with stale facts, that it was.
const TOKEN_CHECK: HeaderName = HeaderName::from_static("token-check");

/// Lets requests through to a service as a [`Gate`] has it; the others are answered by it.
///
/// A request that is let through carries the [`Answer`] about its token as an extension; without a token, where that is
/// allowed, it carries none. Put it around the whole router, so that it sees the whole path and is passed before the
/// router looks for a route. What was answered with stale facts has `token-check: stale`.
///
/// Somebody must run [`Verifier::run_errands`](crate::Verifier::run_errands), or facts are never refreshed before they end.
///
/// ```
/// use account::{IdpId, Millis};
/// use axum::{Extension, Router, extract::Request, routing::get};
/// use idp::{IdpConfig, Idps};
/// use std::time::{SystemTime, UNIX_EPOCH};
/// use tower::Layer;
/// use verify::{Answer, Asking, BearerLayer, Gate, Options, Policy, PolicyConfig, RouteConfig, Settings, Verifier};
///
/// async fn masks(Extension(answer): Extension<Answer>) -> String {
///     format!("the masks of {}", answer.facts.subject)
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut idp = IdpConfig::new(IdpId::new("idp")?, "https://accounts.example", "accounts.example");
/// idp.server_url = Some("https://oauth.accounts.example".to_owned());
/// let options = Options { asking: Asking::Introspect, derived_bytes: 0, ..Options::default() };
/// let verifier = Verifier::with(Idps::new(&[idp])?, &Settings::default(), options);
/// tokio::spawn({
///     let verifier = verifier.clone();
///     async move { verifier.run_errands().await }
/// });
///
/// let policy = Policy::new(&PolicyConfig {
///     routes: vec![RouteConfig {
///         path: "/masks".to_owned(),
///         scopes: vec!["https://api.example/masks".to_owned()],
///         max_age_seconds: Some(300),
///         ..RouteConfig::default()
///     }],
///     ..PolicyConfig::default()
/// })?;
/// let now = || Millis::new(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as i64));
/// let app = BearerLayer::new(Gate::new(verifier, policy), now).layer(Router::new().route("/masks", get(masks)));
/// // To be served: `axum::serve(listener, axum::ServiceExt::<Request>::into_make_service(app))`.
///
/// # use tower::ServiceExt;
/// let request = Request::get("/masks").body(axum::body::Body::empty())?;
/// let response = app.oneshot(request).await?;
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"api\"");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(example()).expect("it holds");
/// ```
#[derive(Clone)]
pub struct BearerLayer<C> {
    gate: Arc<Gate>,
    clock: C,
}

/// What [`BearerLayer`] makes of a service.
#[derive(Clone)]
pub struct BearerService<S, C> {
    service: S,
    gate: Arc<Gate>,
    clock: C,
}

/// What is answered once somebody was asked.
type Later<T, E> = BoxFuture<'static, Result<T, E>>;

impl<C> BearerLayer<C> {
    /// With this gate. `clock` says what time it is: it is asked once for each request.
    pub fn new(gate: Gate, clock: C) -> Self {
        Self { gate: Arc::new(gate), clock }
    }
}

impl<S, C: Clone> Layer<S> for BearerLayer<C> {
    type Service = BearerService<S, C>;

    fn layer(&self, service: S) -> Self::Service {
        BearerService { service, gate: Arc::clone(&self.gate), clock: self.clock.clone() }
    }
}

impl<S, C, B, R> Service<http::Request<B>> for BearerService<S, C>
where
    S: Service<http::Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    C: Fn() -> Millis,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future =
        Either<S::Future, Either<Ready<Result<Self::Response, S::Error>>, Later<Self::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    /// What needs no waiting is passed on as it is, on the spot: that is nearly all.
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let now = (self.clock)();
        let asked = Asked::of(request.method(), request.uri(), request.headers());
        match self.gate.admit_at_once(asked.request(), now) {
            Ok(Admission::Passed(pass)) => {
                put_answer(&mut request, pass.answer);
                Either::Left(self.service.call(request))
            }
            Ok(Admission::Open(open)) => Either::Right(Either::Right(self.later(request, open, now))),
            Err(rejection) => {
                let response = rejection.to_response(self.gate.policy().realm());
                Either::Right(Either::Left(ready(Ok(response))))
            }
        }
    }
}

impl<S: Clone, C> BearerService<S, C> {
    /// Finds out about a request, then has it served.
    fn later<B, R>(
        &mut self,
        mut request: http::Request<B>,
        open: Open,
        now: Millis,
    ) -> Later<Response<R>, S::Error>
    where
        S: Service<http::Request<B>, Response = Response<R>> + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        R: From<String>,
    {
        // The one that was made ready is the one to be called.
        let next = self.service.clone();
        let mut service = mem::replace(&mut self.service, next);
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let asked = Asked::of(&parts.method, &parts.uri, &parts.headers);
            let answer = match gate.find_out(asked.request(), open, now).await {
                Ok(pass) => pass.answer,
                Err(rejection) => return Ok(rejection.to_response(gate.policy().realm())),
            };
            let is_stale = answer.as_ref().is_some_and(|answer| answer.how == How::Stale);
            request = http::Request::from_parts(parts, body);
            put_answer(&mut request, answer);
            let mut response = service.call(request).await?;
            if is_stale {
                response.headers_mut().insert(TOKEN_CHECK, HeaderValue::from_static("stale"));
            }
            Ok(response)
        })
    }
}

/// What of a request the gate is asked about. On the stack: every request passes through here.
struct Asked<'r> {
    method: &'r str,
    path: &'r str,
    /// Two are one too many; a third would say no more.
    authorization: [&'r [u8]; 2],
    count: usize,
}

impl<'r> Asked<'r> {
    fn of(method: &'r Method, uri: &'r Uri, headers: &'r HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let (authorization, count) = match (values.next(), values.next()) {
            (None, _) => ([&[][..]; 2], 0),
            (Some(one), None) => ([one, &[]], 1),
            (Some(one), Some(two)) => ([one, two], 2),
        };
        Self { method: method.as_str(), path: uri.path(), authorization, count }
    }

    fn request(&self) -> Request<'_> {
        let Self { method, path, authorization, count } = self;
        Request { method, path, authorization: &authorization[..*count] }
    }
}

/// Nobody before us can have put one there that counts.
fn put_answer<B>(request: &mut http::Request<B>, answer: Option<Answer>) {
    let extensions = request.extensions_mut();
    extensions.remove::<Answer>();
    answer.and_then(|answer| extensions.insert(answer));
}

impl Rejection {
    /// The whole answer, with its headers and a JSON body.
    pub fn to_response<B: From<String>>(&self, realm: &str) -> Response<B> {
        let mut response = Response::new(B::from(self.body()));
        *response.status_mut() =
            StatusCode::from_u16(self.status()).expect("each rejection has a status of HTTP");
        self.write_headers(realm, response.headers_mut());
        response
    }

    fn write_headers(&self, realm: &str, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let challenge = self.challenge(realm).and_then(|challenge| HeaderValue::try_from(challenge).ok());
        challenge.and_then(|challenge| headers.insert(WWW_AUTHENTICATE, challenge));
        self.retry_after().and_then(|seconds| headers.insert(RETRY_AFTER, HeaderValue::from(seconds)));
    }
}
