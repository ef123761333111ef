//! The bearer token of a request (RFC 6750 section 2.1).

use crate::Refusal;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The token of `Authorization: Bearer <token>`. The scheme's case does not matter (RFC 9110 section 11.1).
///
/// # Errors
/// [`Refusal::NoCredentials`] without the header or with another scheme; [`Refusal::MalformedCredentials`] when the header
/// is there twice, or has none, more than one, or an impossible token.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, further) = (values.next().ok_or(Refusal::NoCredentials)?, values.next());
    let bytes = value.as_bytes();
    let scheme = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    if further.is_some() {
        return Err(Refusal::MalformedCredentials);
    }
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Refusal::NoCredentials);
    }
    let token = bytes[scheme.len()..].trim_ascii();
    std::str::from_utf8(token).ok().filter(|token| is_token68(token)).ok_or(Refusal::MalformedCredentials)
}

/// RFC 9110 section 11.2: the characters of a token, then padding.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&[u8]]) -> Result<String, Refusal> {
        let value = |value: &&[u8]| (AUTHORIZATION, HeaderValue::from_bytes(value).expect("a value"));
        bearer(&values.iter().map(value).collect()).map(str::to_owned)
    }

    #[test]
    fn the_scheme_has_no_case_and_spaces_do_not_count() {
        for value in ["Bearer tok", "bearer tok", "BEARER tok", "Bearer  tok", "Bearer tok "] {
            assert_eq!(read(&[value.as_bytes()]).as_deref(), Ok("tok"), "{value:?}");
        }
        assert_eq!(read(&[b"Bearer a-._~+/9=="]).as_deref(), Ok("a-._~+/9=="));
    }

    #[test]
    fn another_scheme_is_no_credentials_and_a_bearer_that_cannot_be_read_is_malformed() {
        assert_eq!(read(&[]), Err(Refusal::NoCredentials));
        for other in ["Token abc", "Basic YTpi", "Bearertok", "", "Hawk id=\"x\""] {
            assert_eq!(read(&[other.as_bytes()]), Err(Refusal::NoCredentials), "{other:?}");
        }
        for malformed in [
            "Bearer",
            "Bearer ",
            "Bearer tok extra",
            "Bearer \"tok\"",
            "Bearer tok,",
            "Bearer ==",
            "Bearer t=k",
        ] {
            assert_eq!(read(&[malformed.as_bytes()]), Err(Refusal::MalformedCredentials), "{malformed:?}");
        }
        assert_eq!(read(&[b"Bearer t\xf6k"]), Err(Refusal::MalformedCredentials));
        assert_eq!(read(&[b"Bearer tok", b"Bearer tok"]), Err(Refusal::MalformedCredentials));
    }
}
