use crate::reach::NotPublic;
use http::StatusCode;
use std::error::Error;
use std::fmt::Write;
use std::time::Duration;
use url::Url;

/// A client cannot be built from what the operator configured.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be built: {detail}")]
pub struct CannotBuild {
    /// What is the matter.
    pub(crate) detail: String,
}

/// How far a request had come when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There was no connection yet: nothing of it can have arrived.
    Connecting,
    /// It may have arrived.
    Asking,
}

/// A request that brought no usable answer. `to` is the other side's scheme, host and port, never more of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Not finished within the deadline, connecting and reading included.
    #[error("{to} gave no answer in time")]
    Timeout {
        /// The other side.
        to: String,
        /// How far it had come.
        stage: Stage,
    },
    /// No connection: no such name, nobody listening, no agreement on TLS.
    #[error("no connection to {to}: {detail}")]
    Connect {
        /// The other side.
        to: String,
        /// What is the matter.
        detail: String,
    },
    /// The address is none that outsiders may send us to.
    #[error("{to} is no public address, and only those are reached")]
    Refused {
        /// The other side.
        to: String,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the exchange with {to} broke off: {detail}")]
    Broken {
        /// The other side.
        to: String,
        /// What is the matter.
        detail: String,
    },
    /// The answer is larger than the caller reads.
    #[error("the answer of {to} has more than {limit} bytes")]
    TooLarge {
        /// The other side.
        to: String,
        /// The most bytes read.
        limit: usize,
    },
    /// An answer, but not one of success. A redirect is one of these: it is never followed.
    #[error("{to} answered {status}")]
    Status {
        /// The other side.
        to: String,
        /// The answer's status.
        status: StatusCode,
        /// When it wants to be asked again, if it said so (RFC 9110 section 10.2.3); at most an hour.
        retry_after: Option<Duration>,
    },
    /// An answer of success whose body is not what was asked for.
    #[error("{to} answered what cannot be read: {detail}")]
    Unreadable {
        /// The other side.
        to: String,
        /// What is the matter with it; never its text.
        detail: String,
    },
    /// The request itself cannot be made (such as a header value with a line break in it).
    #[error("the request to {to} cannot be made: {detail}")]
    Unsendable {
        /// The other side.
        to: String,
        /// What is the matter.
        detail: String,
    },
}

impl OutboundError {
    /// When the other side wants to be asked again, if it said so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status it answered with, when that is what went wrong.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether nothing of the request can have arrived at the other side, so that it can be made again without being made
    /// twice.
    pub const fn never_arrived(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Refused { .. } | Self::Unsendable { .. } => true,
            Self::Timeout { stage, .. } => matches!(stage, Stage::Connecting),
            Self::Broken { .. } | Self::TooLarge { .. } | Self::Status { .. } | Self::Unreadable { .. } => {
                false
            }
        }
    }

    pub(crate) fn from_reqwest(to: String, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let detail = with_causes(&error);
        if is_refused(&error) {
            Self::Refused { to }
        } else if error.is_timeout() {
            let stage = if error.is_connect() { Stage::Connecting } else { Stage::Asking };
            Self::Timeout { to, stage }
        } else if error.is_connect() {
            Self::Connect { to, detail }
        } else if error.is_builder() {
            Self::Unsendable { to, detail }
        } else {
            Self::Broken { to, detail }
        }
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What may be said of a URL: scheme, host and port; no credentials, no path, no query.
pub(crate) fn other_side(url: &Url) -> String {
    url.origin().ascii_serialization()
}

pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
