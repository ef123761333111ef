//! The answers, byte for byte: bodies written in the field's key order, headers made beforehand.

use crate::exchange::Granted;
use crate::{Refusal, Wire, json};
use account::Millis;
use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const GET: HeaderValue = HeaderValue::from_static("GET");
const X_TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
const X_BACKOFF: HeaderName = HeaderName::from_static("x-backoff");
/// Room for a usual answer, in bytes.
const USUAL_BODY: usize = 1024;

/// With a length, and a date or what a refusal adds.
const TIMED_HEADERS: usize = 6;

/// A JSON answer of the token route: every one says the server's time, in whole seconds.
fn timed(code: StatusCode, body: Vec<u8>, now: Millis) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.reserve(TIMED_HEADERS);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(X_TIMESTAMP, HeaderValue::from(now.seconds()));
    response
}

/// A JSON answer.
pub(super) fn json(code: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The token and what goes with it.
pub(super) fn granted(granted: &Granted<'_>, now: Millis) -> Response {
    timed(StatusCode::OK, granted_body(granted), now)
}

fn granted_body(granted: &Granted<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_BODY);
    let text = |out: &mut Vec<u8>, name: &str, value: &str| {
        out.extend_from_slice(name.as_bytes());
        json::push_string(out, value);
    };
    // Base64 and hex have nothing to escape.
    for part in ["{\"id\":\"", &granted.token.id, "\",\"key\":\"", &granted.token.key, "\",\"uid\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    json::push_integer(&mut out, granted.served.uid);
    text(&mut out, ",\"api_endpoint\":", &granted.served.node);
    // The endpoint goes on where the node ends: back over its closing quote.
    out.pop();
    granted.pattern.push_rest(&mut out, granted.served.uid);
    out.extend_from_slice(b"\",\"duration\":");
    out.extend_from_slice(itoa::Buffer::new().format(granted.duration).as_bytes());
    text(&mut out, ",\"hashed_fxa_uid\":", granted.grant.hashed.fxa_uid());
    text(&mut out, ",\"hashalg\":\"sha256\",\"node_type\":", granted.node_type);
    out.push(b'}');
    out
}

/// A refusal on the token route, in the error shape of the field.
pub(super) fn refused(refusal: &Refusal, now: Millis) -> Response {
    let wire = refusal.wire();
    let mut response = timed(wire.code, error_body(&wire), now);
    if let Some(seconds) = refusal.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if *refusal == Refusal::MethodNotAllowed {
        response.headers_mut().insert(ALLOW, GET);
    }
    response
}

/// Clients heed it on every answer.
pub(super) fn ask_to_stay_away(answer: &mut Response, seconds: u32) {
    answer.headers_mut().insert(X_BACKOFF, HeaderValue::from(seconds));
}

/// An error elsewhere: the same shape, without the time.
pub(super) fn error(refusal: &Refusal) -> Response {
    let wire = refusal.wire();
    let mut response = json(wire.code, error_body(&wire));
    if let Some(seconds) = refusal.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn error_body(wire: &Wire<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    let members = [
        ("{\"status\":", wire.status),
        (",\"errors\":[{\"location\":", wire.location),
        (",\"name\":", wire.name),
        (",\"description\":", wire.description),
    ];
    for (name, value) in members {
        out.extend_from_slice(name.as_bytes());
        json::push_string(&mut out, value);
    }
    out.extend_from_slice(b"}]}");
    out
}

/// Another method on a route outside the token exchange.
pub(super) fn only_get() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, GET);
    response
}

/// What the old client that must be turned away gets.
pub(super) fn turned_away(now: Millis) -> Response {
    timed(StatusCode::SERVICE_UNAVAILABLE, b"0".to_vec(), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Grant;
    use crate::rules::Pattern;
    use crate::store::Served;
    use crate::{Hasher, Secret, Token};
    use account::{AccountId, IdpId, Subject};
    use std::sync::Arc;

    #[test]
    fn the_body_has_the_keys_of_the_field_in_their_order() {
        let served =
            Served { uid: 42, node: "https://\"n".to_owned(), key_time: 0, first_seen_at: Millis::ZERO };
        let grant = Grant {
            account: AccountId::new(
                IdpId::new("idp").expect("valid"),
                Subject::new("test123").expect("valid"),
            ),
            email: None,
            hashed: Hasher::new(&Secret::default()).hash("test123"),
            generation: None,
            birth: None,
            vouched_at: None,
            services: 1,
        };
        let granted = Granted {
            token: Token { id: "ID==".to_owned(), key: "KEY=".to_owned() },
            served,
            duration: u64::MAX,
            grant: Arc::new(grant),
            node_type: "postgres",
            pattern: &Pattern::parse("{node}/1.5/{uid}", "sync", "1.5").expect("a pattern"),
        };
        assert_eq!(
            String::from_utf8(granted_body(&granted)).expect("UTF-8"),
            "{\"id\":\"ID==\",\"key\":\"KEY=\",\"uid\":42,\"api_endpoint\":\"https://\\\"n/1.5/42\",\
             \"duration\":18446744073709551615,\"hashed_fxa_uid\":\"4d00ecae64b98dd7dc7dea68d0dd615d\",\
             \"hashalg\":\"sha256\",\"node_type\":\"postgres\"}"
        );
    }

    #[test]
    fn an_error_body_holds_what_was_sent_safely() {
        let refusal = Refusal::UnsupportedVersion("\"<2>\n".to_owned());
        assert_eq!(
            String::from_utf8(error_body(&refusal.wire())).expect("UTF-8"),
            "{\"status\":\"error\",\"errors\":[{\"location\":\"url\",\"name\":\"\\\"<2>\\u000a\",\
             \"description\":\"Unsupported application version\"}]}"
        );
    }
}
