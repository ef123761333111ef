use axum::Json;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use store::StoreError;
use utoipa::ToSchema;

/// An error of the admin API: RFC 9457 problem details, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, in a few words; the same for every occurrence.
    pub title: String,
    /// This occurrence: what is wrong and what to do.
    pub detail: String,
}

impl Problem {
    /// Its media type (RFC 9457 section 3).
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem with that status.
    pub fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), title: title.into(), detail: detail.into() }
    }

    /// 400: the request itself is wrong.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid request", detail)
    }

    /// 400: a body or a query that cannot be read, by what the reader says of it.
    pub fn unreadable(said: &str) -> Self {
        Self::invalid(plainly(said))
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// 409: it does not go with what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 503: try again later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }
}

/// What axum says before it comes to the point, and what is said here.
const PREAMBLES: [(&str, &str); 3] = [
    ("Failed to deserialize the JSON body into the target type: ", "the body: "),
    ("Failed to parse the request body as JSON: ", "the body is no JSON: "),
    ("Failed to deserialize query string: ", "the query: "),
];

fn plainly(said: &str) -> String {
    let point = |(before, ours)| said.strip_prefix(before).map(|point| format!("{ours}{point}"));
    PREAMBLES.into_iter().find_map(point).unwrap_or_else(|| said.to_owned())
}

/// What a plain text about an error may be long.
const LONGEST_TEXT: usize = 16 * 1024;

impl Problem {
    /// An answer that the router gave in plain text (a path, a query or a body that does not parse, a method that is
    /// not there), as a problem of the same status; any other answer as it is. For `axum::middleware::map_response`.
    pub async fn in_place_of(answer: Response) -> Response {
        let status = answer.status();
        let said_by_us = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
        if said_by_us || !(status.is_client_error() || status.is_server_error()) {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let text = axum::body::to_bytes(body, LONGEST_TEXT).await.unwrap_or_default();
        let detail = match String::from_utf8_lossy(&text).into_owned() {
            nothing if nothing.is_empty() => status.canonical_reason().unwrap_or_default().to_lowercase(),
            text => plainly(&text),
        };
        let title = match status {
            StatusCode::BAD_REQUEST => "invalid request".to_owned(),
            other => other.canonical_reason().unwrap_or("error").to_lowercase(),
        };
        let mut problem = Self::new(status, &title, detail).into_response();
        let others = parts.headers.iter().filter(|(name, _)| ![CONTENT_TYPE, CONTENT_LENGTH].contains(name));
        problem.headers_mut().extend(others.map(|(name, value)| (name.clone(), value.clone())));
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            outage if outage.is_outage() => Self::unavailable(outage.to_string()),
            StoreError::Duplicate { .. } => Self::conflict(error.to_string()),
            StoreError::Refused { .. } => Self::invalid(error.to_string()),
            defect => {
                tracing::error!(error = %defect, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", defect.to_string())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Self::MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
