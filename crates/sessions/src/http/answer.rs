//! How it is said that there is no token, or that a session cannot be.

use crate::NoToken;
use crate::login::LoginError;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use ledger::Problem;
use std::time::Duration;

/// A problem, and when to come again if that may mend it.
pub(super) struct Refused {
    problem: Problem,
    retry_after: Option<Duration>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, retry_after: None }
    }
}

impl From<store::StoreError> for Refused {
    fn from(error: store::StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl From<NoToken> for Refused {
    fn from(no: NoToken) -> Self {
        let detail = no.to_string();
        let problem = |status, title| Problem::new(status, title, detail.clone());
        let problem = match &no {
            NoToken::NotThere => Problem::not_found(detail),
            NoToken::Ended(_) => problem(StatusCode::GONE, "ended"),
            NoToken::NoGrant => problem(StatusCode::CONFLICT, "no tokens"),
            NoToken::LoginNeeded(_) => problem(StatusCode::CONFLICT, "login needed"),
            NoToken::Unavailable { .. } => Problem::unavailable(detail),
        };
        let retry_after = match no {
            NoToken::Unavailable { retry_after } => Some(retry_after),
            _ => None,
        };
        Self { problem, retry_after }
    }
}

impl From<LoginError> for Refused {
    fn from(error: LoginError) -> Self {
        let detail = error.to_string();
        let problem = |status, title| Problem::new(status, title, detail.clone());
        let problem = match &error {
            LoginError::Refused(_) | LoginError::NoSuchGrant => Problem::conflict(detail),
            LoginError::CodeUsed => problem(StatusCode::CONFLICT, "login needed"),
            LoginError::CodeRefused(_) => problem(StatusCode::BAD_REQUEST, "code refused"),
            LoginError::NotProven(_) | LoginError::Contradiction(_) => {
                problem(StatusCode::BAD_REQUEST, "not proven")
            }
            LoginError::NoSubject => Problem::invalid(detail),
            LoginError::NotNow { .. } => Problem::unavailable(detail),
        };
        let retry_after = match error {
            LoginError::NotNow { retry_after, .. } => Some(retry_after),
            _ => None,
        };
        Self { problem, retry_after }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if let Some(wait) = self.retry_after {
            // Rounded up: whoever comes earlier comes in vain.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn an_outage_is_never_a_verdict_and_each_verdict_says_what_to_do() {
        let status = |no: NoToken| Refused::from(no).into_response().status().as_u16();
        assert_eq!(status(NoToken::NotThere), 404);
        assert_eq!(status(NoToken::Ended(Reason::PasswordChange)), 410);
        assert_eq!(status(NoToken::NoGrant), 409);
        assert_eq!(status(NoToken::LoginNeeded(Reason::LostReply)), 409);
        let status = |error: LoginError| Refused::from(error).into_response().status().as_u16();
        assert_eq!(status(LoginError::Refused(Reason::PasswordChange)), 409);
        assert_eq!(status(LoginError::NoSuchGrant), 409);
        assert_eq!(status(LoginError::CodeUsed), 409);
        assert_eq!(status(LoginError::CodeRefused(String::new())), 400);
        assert_eq!(status(LoginError::NotProven(String::new())), 400);
        assert_eq!(status(LoginError::Contradiction("sid")), 400);
        assert_eq!(status(LoginError::NoSubject), 400);
        assert_eq!(status(LoginError::not_now("", Duration::ZERO)), 503);
        let away =
            Refused::from(NoToken::Unavailable { retry_after: Duration::from_millis(1_200) }).into_response();
        assert_eq!((away.status().as_u16(), away.headers()[RETRY_AFTER].to_str().expect("text")), (503, "2"));
    }
}
