//! `envoy.service.auth.v3.Authorization/Check`: Envoy asks by gRPC whether a request may pass, and whose it is.

use super::allowed;
use super::answer::{Refused, said_beside};
use super::verify::{CHECKED, how, identity};
use crate::Refusal;
use crate::adapters::grpc::{Asked, CheckRequest, CheckResponse};
use crate::adapters::refuse_spoofed;
use crate::capability::Inner;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use keys::Caller;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use verify::{Pass, Rejection};

/// More than the headers of any request that is let in here or there; a body is not asked for.
const LONGEST_MESSAGE: usize = 256 * 1024;
/// What is kept of the time that Envoy waits, so that our answer is there before it gives up, in twentieths.
const ON_THE_WAY: u32 = 1;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::with_openapi(Described::openapi())
        .route("/envoy.service.auth.v3.Authorization/Check", post(check))
        .with_state(inner)
}

async fn check(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let patience = patience(request.headers());
    let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
    let mut grpc = Grpc::new(codec).max_decoding_message_size(LONGEST_MESSAGE);
    grpc.unary(Checks { inner, caller, patience }, request).await.into_response()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// One question to answer.
struct Checks {
    inner: Arc<Inner>,
    caller: Option<Extension<Caller>>,
    patience: Option<Duration>,
}

impl UnaryService<CheckRequest> for Checks {
    type Response = CheckResponse;
    type Future = BoxFuture<'static, Result<tonic::Response<CheckResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let (inner, caller, patience) = (Arc::clone(&self.inner), self.caller.take(), self.patience);
        async move { answered(&inner, caller, patience, request.into_inner()).await.map(tonic::Response::new) }
            .boxed()
    }
}

/// A caller that may not ask hears so by gRPC; whatever else there is to say, the client of Envoy hears.
async fn answered(
    inner: &Inner,
    caller: Option<Extension<Caller>>,
    patience: Option<Duration>,
    request: CheckRequest,
) -> Result<CheckResponse, Status> {
    let caller =
        allowed(caller, "verify").map_err(|refusal| Status::permission_denied(refusal.to_string()))?;
    let judging = judged(inner, &caller, request);
    let outcome = match patience {
        None => judging.await,
        // What was begun goes on and is remembered.
        Some(patience) => tokio::time::timeout(patience, judging).await.unwrap_or_else(|_| Err(too_late())),
    };
    inner.meters.checked("ext_authz", outcome.as_ref().map(how));
    Ok(match outcome {
        Ok(pass) => {
            let checked = HeaderMap::from_iter([(CHECKED, HeaderValue::from_static(how(&pass)))]);
            CheckResponse::pass(identity(&pass), checked)
        }
        Err(refusal) => refuse(&refusal, inner.realm()),
    })
}

async fn judged(inner: &Inner, caller: &Caller, request: CheckRequest) -> Result<Pass, Refusal> {
    let Asked { original, headers } = request.asked().inspect_err(|refusal| {
        if let Refusal::Proxy(not_told) = refusal {
            tracing::warn!(proxy = "envoy", error = %not_told, "a proxy is not set up right");
        }
    })?;
    refuse_spoofed(&headers).map_err(|spoofed| Refusal::Spoofed(spoofed.name))?;
    inner.admit(caller, &original, &headers, inner.now()).await
}

/// The same answer as over HTTP.
fn refuse(refusal: &Refusal, realm: &str) -> CheckResponse {
    let mut headers = said_beside(refusal, realm);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = serde_json::to_string(&Refused::new(refusal)).expect("texts always serialise");
    CheckResponse::refuse(refusal.wire().status, &headers, body)
}

fn too_late() -> Refusal {
    Rejection::Unavailable { retry_after: Duration::from_secs(1) }.into()
}

/// How long Envoy waits (`grpc-timeout`, gRPC over HTTP/2), less the way back.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u32 = (digits.len() <= 8).then(|| digits.parse().ok())??;
    let one = match unit {
        "H" => Duration::from_hours(1),
        "M" => Duration::from_mins(1),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(one.saturating_mul(amount) / 20 * (20 - ON_THE_WAY))
}

/// The question, as it is described: its messages are Envoy's.
#[derive(OpenApi)]
#[openapi(paths(described))]
struct Described;

/// Ask by gRPC whether a request may pass, as Envoy's `ext_authz` does
#[utoipa::path(
    post,
    path = "/envoy.service.auth.v3.Authorization/Check",
    operation_id = "ext_authz",
    tag = "bearer",
    request_body(content = String, content_type = "application/grpc", description = "A `CheckRequest`"),
    responses(
        (status = 200, description = "A `CheckResponse`; or, in `grpc-status`, why there is none", content_type = "application/grpc", body = String),
        (status = 415, description = "It is no gRPC"),
    ),
    security(("caller" = []))
)]
#[expect(dead_code, reason = "describes `check`")]
fn described() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_and_something_is_left_for_the_way_back() {
        let read = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a value");
            patience(&HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]))
        };
        assert_eq!(read("200m"), Some(Duration::from_millis(190)));
        assert_eq!(read("2S"), Some(Duration::from_millis(1_900)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999) / 20 * 19));
        for odd in ["", "m", "200", "-1m", "1 m", "1x", "999999999S", "1.5S"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(patience(&HeaderMap::new()), None);
    }
}
