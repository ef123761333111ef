//! The transmitter of OpenID Shared Signals Framework 1.0: metadata, streams, their status, subjects, verification.
//!
//! A stream is how a relying party sets itself up: what it asks for becomes its registration. It has one at most. It
//! authorises itself by a token of its own; another's stream is as good as none.

mod config;
mod metadata;
mod status;
mod streams;
mod subjects;
mod verification;

use super::poll::POLL_PATH;
use crate::capability::Inner;
use crate::receiver_tokens::{Refused, Scope, verify};
use crate::store::change::{By, ChangeRp, Changed};
use crate::store::registry::{KeptRp, TOPIC, find};
use crate::{ClientId, worker};
use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use keys::Cipher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use store::{Operation, StoreError, Tx};
use utoipa_axum::router::OpenApiRouter;

const STREAMS_PATH: &str = "/ssf/streams";
const STATUS_PATH: &str = "/ssf/status";
const ADD_SUBJECT_PATH: &str = "/ssf/subjects/add";
const REMOVE_SUBJECT_PATH: &str = "/ssf/subjects/remove";
const VERIFICATION_PATH: &str = "/ssf/verification";
/// No request of a receiver is larger.
const LARGEST_BODY: usize = 64 * 1024;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .route("/.well-known/ssf-configuration", get(metadata::metadata))
        .route("/.well-known/ssf-configuration/{*path}", get(metadata::metadata_of_path))
        .route("/.well-known/risc-configuration", get(metadata::metadata))
        .route(
            STREAMS_PATH,
            get(streams::read)
                .post(streams::create)
                .patch(streams::update)
                .put(streams::replace)
                .delete(streams::delete),
        )
        .route(STATUS_PATH, get(status::read).post(status::update))
        .route(ADD_SUBJECT_PATH, post(subjects::add))
        .route(REMOVE_SUBJECT_PATH, post(subjects::remove))
        .route(VERIFICATION_PATH, post(verification::verify))
        .with_state(inner)
}

/// What a receiver did wrong, or what cannot be done for it now. The body is RFC 8935's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 400.
    Invalid(String),
    /// 401: no token, or none that is good here.
    Unauthorised,
    /// 403: the token does not allow it, or an operator does not.
    Forbidden(&'static str),
    /// 404: no such stream of this receiver.
    NoStream,
    /// 409: it has one.
    HasStream,
    /// 429: too soon; in so many seconds.
    TooSoon(u64),
    /// 503.
    Unavailable,
    /// 500.
    Defect,
}

impl Fault {
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    fn parts(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::Invalid(why) => (StatusCode::BAD_REQUEST, "invalid_request", why.clone()),
            Self::Unauthorised => {
                (StatusCode::UNAUTHORIZED, "authentication_failed", "a receiver's token is needed".into())
            }
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, "access_denied", (*why).into()),
            Self::NoStream => (StatusCode::NOT_FOUND, "not_found", "there is no such stream".into()),
            Self::HasStream => (
                StatusCode::CONFLICT,
                "conflict",
                "there is a stream already, and there can be one only".into(),
            ),
            Self::TooSoon(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "wait before asking again".into())
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "try again later".into()),
            Self::Defect => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "it failed".into()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if error.is_outage() {
            return Self::Unavailable;
        }
        tracing::error!(%error, "a receiver's request failed");
        Self::Defect
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            err: &'static str,
            description: String,
        }
        let (status, err, description) = self.parts();
        let mut response = no_store((status, Json(Body { err, description })));
        let headers = response.headers_mut();
        match self {
            Self::Unauthorised => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooSoon(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

/// Answers of the stream API are not to be kept by anybody on the way.
pub(super) fn no_store(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Which relying party asks.
pub(super) async fn receiver(inner: &Inner, headers: &HeaderMap, scope: Scope) -> Result<ClientId, Fault> {
    let token = bearer(headers).ok_or(Fault::Unauthorised)?;
    match verify(inner, token, scope).await? {
        Ok(client_id) => Ok(client_id),
        Err(Refused::Unknown) => Err(Fault::Unauthorised),
        Err(Refused::Scope) => Err(Fault::Forbidden("the token does not allow that")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A request's JSON body. The caller has authorised itself by then: what strangers send is not read.
pub(super) async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Fault> {
    let read = Limited::new(request.into_body(), LARGEST_BODY).collect().await;
    let bytes = read.map_err(|_| Fault::invalid("the body is over 64 KiB, or broke off"))?.to_bytes();
    jose::from_object(&bytes).map_err(|error| Fault::invalid(format!("the body: {error}")))
}

/// A relying party as it is now.
pub(super) async fn read_rp(inner: &Inner, client_id: ClientId) -> Result<KeptRp, Fault> {
    let read = ReadRp { client_id, cipher: inner.snapshots.cipher.clone() };
    inner.store.run(read).await?.ok_or(Fault::Unauthorised)
}

struct ReadRp {
    client_id: ClientId,
    cipher: Cipher,
}

impl Operation for ReadRp {
    const NAME: &'static str = "broker.read_rp";
    type Output = Option<KeptRp>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        find(tx, &self.client_id, &self.cipher).await
    }
}

/// The relying party, when it has the stream it names.
fn with_stream<'a>(kept: &'a KeptRp, stream_id: &str) -> Result<&'a KeptRp, Fault> {
    let own = kept.rp.config.stream.as_ref().is_some_and(|stream| stream.id == stream_id);
    if own { Ok(kept) } else { Err(Fault::NoStream) }
}

/// Changes the relying party that asks.
async fn change_rp(
    inner: &Inner,
    client_id: ClientId,
    decide: impl Fn(&mut KeptRp) -> Result<(), Fault> + Send + Sync + 'static,
) -> Result<KeptRp, Fault> {
    let cipher = inner.snapshots.cipher.clone();
    let change = ChangeRp { client_id, cipher, by: By::Receiver, now: inner.now(), decide };
    match inner.store.run(change).await? {
        Changed::Done(kept) => {
            inner.store.signals().send(TOPIC);
            inner.store.signals().send(worker::TOPIC);
            Ok(*kept)
        }
        Changed::Unknown => Err(Fault::Unauthorised),
        Changed::Refused(fault) => Err(fault),
    }
}

/// Where a path of ours is reached from outside.
fn at(inner: &Inner, path: &str) -> String {
    format!("{}{path}", inner.base_url)
}

/// Where a receiver polls.
fn poll_url(inner: &Inner) -> String {
    at(inner, POLL_PATH)
}
