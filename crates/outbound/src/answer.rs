use crate::OutboundError;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest that somebody may tell us to stay away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A whole answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) to: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Its status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// When the other side wants to be asked again: `Retry-After` in seconds, at most an hour. The form with a date
    /// is not read (RFC 9110 section 10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
    }

    /// Itself if it is one of success (2xx), else its [`Answer::failure`].
    pub fn success(self) -> Result<Self, OutboundError> {
        if self.status.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// The error that says which status came.
    pub fn failure(&self) -> OutboundError {
        OutboundError::Status { to: self.to.clone(), status: self.status, retry_after: self.retry_after() }
    }

    /// The body as JSON of a known shape. The error tells the place, never the text.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, OutboundError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (kind, line, column) = (error.classify(), error.line(), error.column());
            let detail = format!("{kind:?} error in its JSON at line {line}, column {column}");
            OutboundError::Unreadable { to: self.to.clone(), detail }
        })
    }
}
