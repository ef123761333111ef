use crate::OutboundError;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use httpdate::parse_http_date;
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

    /// When the other side wants to be asked again, at most an hour from now: `Retry-After` in seconds, or as a date
    /// (RFC 9110 section 10.2.3). A date is taken by the other side's own clock, its `Date`; without one it says nothing.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.text(&header::RETRY_AFTER)?.trim();
        let wait = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            let (until, now) = (parse_http_date(text).ok()?, self.text(&header::DATE)?);
            until.duration_since(parse_http_date(now).ok()?).unwrap_or_default()
        };
        Some(wait.min(LONGEST_RETRY_AFTER))
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_other_sides_clock() {
        const NOON: &str = "Sun, 06 Nov 1994 12:00:00 GMT";
        for (retry_after, date, expected) in [
            ("7", None, Some(7)),
            (" 7 ", None, Some(7)),
            ("0", None, Some(0)),
            ("99999", None, Some(3_600)),
            ("Sun, 06 Nov 1994 12:00:07 GMT", Some(NOON), Some(7)),
            ("Sun, 06 Nov 1994 11:00:00 GMT", Some(NOON), Some(0)),
            ("Mon, 07 Nov 1994 12:00:00 GMT", Some(NOON), Some(3_600)),
            ("Sun, 06 Nov 1994 12:00:07 GMT", None, None),
            ("Sun, 06 Nov 1994 12:00:07 GMT", Some("noon"), None),
            ("-7", Some(NOON), None),
            ("soon", Some(NOON), None),
            ("", Some(NOON), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, retry_after.parse().expect("a value"));
            if let Some(date) = date {
                headers.insert(header::DATE, date.parse().expect("a value"));
            }
            let answer = Answer {
                to: String::new(),
                status: StatusCode::TOO_MANY_REQUESTS,
                headers,
                body: Bytes::new(),
            };
            assert_eq!(answer.retry_after(), expected.map(Duration::from_secs), "{retry_after} at {date:?}");
        }
    }
}
