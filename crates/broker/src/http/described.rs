//! The public routes as they are described (OpenAPI): what relying parties ask for.
//!
//! Their handlers read bodies themselves, after who asks is known, so the shapes are written down here.
#![expect(dead_code, reason = "describes what other files serve")]

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// What a relying party's token is called.
const TOKEN: &str = "receiver_token";

#[derive(OpenApi)]
#[openapi(
    paths(
        keys,
        configuration,
        configuration_of_path,
        risc_configuration,
        create_stream,
        read_streams,
        update_stream,
        replace_stream,
        delete_stream,
        read_status,
        update_status,
        add_subject,
        remove_subject,
        ask_verification,
        poll
    ),
    modifiers(&Token)
)]
pub(super) struct Described;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).build());
        api.components.get_or_insert_default().add_security_scheme(TOKEN, scheme);
    }
}

/// A fault of the stream API (the shape of RFC 8935 section 2.3).
#[derive(Serialize, ToSchema)]
struct StreamFault {
    /// A word for it.
    err: &'static str,
    /// For people.
    description: String,
}

/// What a relying party asks for (SSF 1.0 section 8.1.1). What the transmitter supplies may be sent back unchanged.
#[derive(Serialize, ToSchema)]
struct WantedStream {
    /// Which stream; needed to change one.
    stream_id: Option<String>,
    /// The event types it asks for, by their URIs.
    events_requested: Option<Vec<String>>,
    /// How it is told.
    delivery: Option<StreamDelivery>,
    /// What it calls the stream; at most 1000 bytes.
    description: Option<String>,
}

/// A stream (SSF 1.0 section 8.1.1).
#[derive(Serialize, ToSchema)]
struct StreamConfiguration {
    /// Its id.
    stream_id: String,
    /// The issuer of its tokens.
    iss: String,
    /// The relying party's client id.
    aud: String,
    /// The event types there are.
    events_supported: Vec<String>,
    /// The event types it asked for.
    events_requested: Vec<String>,
    /// The event types it gets.
    events_delivered: Vec<String>,
    /// How it is told.
    delivery: StreamDelivery,
    /// The least seconds between two verification events.
    min_verification_interval: u32,
    /// What the relying party calls it.
    description: Option<String>,
}

/// How a stream is told.
#[derive(Serialize, ToSchema)]
struct StreamDelivery {
    /// `urn:ietf:rfc:8935` (push) or `urn:ietf:rfc:8936` (poll).
    method: String,
    /// Where it is pushed to, or where it polls.
    endpoint_url: Option<String>,
    /// What is sent as `Authorization` when it is pushed. Never shown.
    authorization_header: Option<String>,
}

/// A stream's status (SSF 1.0 section 8.1.2).
#[derive(Serialize, ToSchema)]
struct StreamStatus {
    /// Which stream.
    stream_id: String,
    /// `enabled`, `paused` or `disabled`.
    status: String,
    /// Why.
    reason: Option<String>,
}

/// A subject of a stream (SSF 1.0 section 8.1.3).
#[derive(Serialize, ToSchema)]
struct StreamSubject {
    /// Which stream.
    stream_id: String,
    /// A subject identifier (RFC 9493): `{"format": "iss_sub", "iss", "sub"}`.
    #[schema(value_type = Object)]
    subject: Value,
}

/// What a verification event is to carry (SSF 1.0 section 8.1.4).
#[derive(Serialize, ToSchema)]
struct StreamVerification {
    /// Which stream.
    stream_id: String,
    /// What comes back in the event; at most 1024 bytes.
    state: Option<String>,
}

/// A poll (RFC 8936 section 2.2).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PollRequest {
    /// At most so many tokens; 0 only acknowledges. 100 unless it is said, never over 1000.
    max_events: Option<u32>,
    /// Answers at once, even with nothing; otherwise an answer waits up to 25 seconds for something to tell.
    return_immediately: Option<bool>,
    /// Tokens that were taken, by `jti`.
    ack: Option<Vec<String>>,
    /// Tokens that will never be taken, by `jti`: `{"err", "description"}`.
    #[schema(value_type = Option<Object>)]
    set_errs: Option<Value>,
}

/// The answer to a poll (RFC 8936 section 2.3).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PolledTokens {
    /// The tokens, by `jti`.
    sets: BTreeMap<String, String>,
    /// Whether there are more.
    more_available: Option<bool>,
}

/// The keys that tokens are checked with (RFC 7517)
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "keys", responses(
    (status = 200, content_type = "application/jwk-set+json", body = Object, description = "The key set; hold it for 5 minutes"),
    (status = 503, description = "The keys have not been read yet")))]
fn keys() {}

/// What there is to know of the transmitter (SSF 1.0 section 7)
#[utoipa::path(get, path = "/.well-known/ssf-configuration", tag = "shared signals",
    responses((status = 200, body = Object)))]
fn configuration() {}

/// The same, for an issuer with a path
#[utoipa::path(get, path = "/.well-known/ssf-configuration/{path}", tag = "shared signals",
    params(("path" = String, Path, description = "The issuer's path")),
    responses((status = 200, body = Object), (status = 404, body = StreamFault)))]
fn configuration_of_path() {}

/// The same, where RISC receivers look
#[utoipa::path(get, path = "/.well-known/risc-configuration", tag = "shared signals",
    responses((status = 200, body = Object)))]
fn risc_configuration() {}

/// Make the stream of the relying party that asks; it has one at most
#[utoipa::path(post, path = "/ssf/streams", tag = "shared signals", request_body = WantedStream, security(("receiver_token" = [])),
    responses((status = 201, body = StreamConfiguration), (status = 400, body = StreamFault), (status = 401, body = StreamFault),
        (status = 403, body = StreamFault), (status = 409, description = "It has one", body = StreamFault), (status = 503, body = StreamFault)))]
fn create_stream() {}

/// Read a stream, or without `stream_id` the list of them
#[utoipa::path(get, path = "/ssf/streams", tag = "shared signals", params(("stream_id" = Option<String>, Query)),
    security(("receiver_token" = [])),
    responses((status = 200, body = StreamConfiguration), (status = 401, body = StreamFault), (status = 404, body = StreamFault),
        (status = 503, body = StreamFault)))]
fn read_streams() {}

/// Change a stream: what is absent stays as it is
#[utoipa::path(patch, path = "/ssf/streams", tag = "shared signals", request_body = WantedStream, security(("receiver_token" = [])),
    responses((status = 200, body = StreamConfiguration), (status = 400, body = StreamFault), (status = 401, body = StreamFault),
        (status = 403, body = StreamFault), (status = 404, body = StreamFault), (status = 503, body = StreamFault)))]
fn update_stream() {}

/// Replace a stream: what is absent is as in a new one
#[utoipa::path(put, path = "/ssf/streams", tag = "shared signals", request_body = WantedStream, security(("receiver_token" = [])),
    responses((status = 200, body = StreamConfiguration), (status = 400, body = StreamFault), (status = 401, body = StreamFault),
        (status = 403, body = StreamFault), (status = 404, body = StreamFault), (status = 503, body = StreamFault)))]
fn replace_stream() {}

/// Delete a stream: nothing is told any more
#[utoipa::path(delete, path = "/ssf/streams", tag = "shared signals", params(("stream_id" = String, Query)),
    security(("receiver_token" = [])),
    responses((status = 204), (status = 400, body = StreamFault), (status = 401, body = StreamFault), (status = 403, body = StreamFault),
        (status = 404, body = StreamFault), (status = 503, body = StreamFault)))]
fn delete_stream() {}

/// Read a stream's status
#[utoipa::path(get, path = "/ssf/status", tag = "shared signals", params(("stream_id" = String, Query)),
    security(("receiver_token" = [])),
    responses((status = 200, body = StreamStatus), (status = 400, body = StreamFault), (status = 401, body = StreamFault),
        (status = 404, body = StreamFault), (status = 503, body = StreamFault)))]
fn read_status() {}

/// Set a stream's status
#[utoipa::path(post, path = "/ssf/status", tag = "shared signals", request_body = StreamStatus, security(("receiver_token" = [])),
    responses((status = 200, body = StreamStatus), (status = 400, body = StreamFault), (status = 401, body = StreamFault),
        (status = 403, description = "An operator has disabled it", body = StreamFault), (status = 404, body = StreamFault),
        (status = 503, body = StreamFault)))]
fn update_status() {}

/// Hear of a subject again; whether there is such an account is not told
#[utoipa::path(post, path = "/ssf/subjects/add", tag = "shared signals", request_body = StreamSubject, security(("receiver_token" = [])),
    responses((status = 200), (status = 400, body = StreamFault), (status = 401, body = StreamFault), (status = 403, body = StreamFault),
        (status = 404, body = StreamFault), (status = 503, body = StreamFault)))]
fn add_subject() {}

/// Hear no more of a subject, after a grace
#[utoipa::path(post, path = "/ssf/subjects/remove", tag = "shared signals", request_body = StreamSubject, security(("receiver_token" = [])),
    responses((status = 204), (status = 400, body = StreamFault), (status = 401, body = StreamFault), (status = 403, body = StreamFault),
        (status = 404, body = StreamFault), (status = 503, body = StreamFault)))]
fn remove_subject() {}

/// Ask for a verification event
#[utoipa::path(post, path = "/ssf/verification", tag = "shared signals", request_body = StreamVerification, security(("receiver_token" = [])),
    responses((status = 204), (status = 400, body = StreamFault), (status = 401, body = StreamFault), (status = 403, body = StreamFault),
        (status = 404, body = StreamFault), (status = 429, description = "Too soon; `Retry-After` says when", body = StreamFault),
        (status = 503, body = StreamFault)))]
fn ask_verification() {}

/// Ask for tokens, and acknowledge those that came before (RFC 8936)
#[utoipa::path(post, path = "/ssf/poll", tag = "shared signals", request_body = PollRequest, security(("receiver_token" = [])),
    responses((status = 200, body = PolledTokens), (status = 400, body = StreamFault), (status = 401, body = StreamFault),
        (status = 503, body = StreamFault)))]
fn poll() {}
