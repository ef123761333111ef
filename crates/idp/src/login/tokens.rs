//! What a token endpoint gives, and reading it.

use crate::Secret;
use jose::from_object;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// Tokens as they were given (RFC 6749 section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access_token: Secret,
    /// How it is shown: `Bearer` where nothing is said, or `DPoP`.
    pub token_type: Box<str>,
    /// How long it is good from the request on. `None`: nothing was said.
    pub expires_in: Option<Duration>,
    /// The refresh token that counts from now on. `None`: the old one goes on counting.
    pub refresh_token: Option<Secret>,
    /// The ID token as it came. What it says is in the [`IdToken`](crate::IdToken) beside.
    pub id_token: Option<Secret>,
    /// What was granted, where it differs from what was asked for.
    pub scope: Option<Box<str>>,
}

/// What the body of an answer is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Tokens(Tokens),
    /// A JSON object with an `error`, and what it says besides, fit to be shown.
    Error {
        error: Box<str>,
        description: Option<Box<str>>,
    },
    /// Neither.
    Neither,
}

/// The longest that a token is said to be good for and believed: no date is beyond all calendars.
const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;

/// Reads an answer, and is not put off by what is odd in it: whatever is lost here is lost for good. Only the access token
/// must be there.
pub(crate) fn read(body: &[u8]) -> Reply {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Raw<'a> {
        #[serde(borrow)]
        access_token: Option<&'a RawValue>,
        #[serde(borrow)]
        token_type: Option<&'a RawValue>,
        #[serde(borrow)]
        expires_in: Option<&'a RawValue>,
        #[serde(borrow)]
        refresh_token: Option<&'a RawValue>,
        #[serde(borrow)]
        id_token: Option<&'a RawValue>,
        #[serde(borrow)]
        scope: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        error_description: Option<&'a RawValue>,
    }
    let Ok(raw) = from_object::<Raw<'_>>(body) else { return Reply::Neither };
    let secret = |raw| text(raw).map(Secret::new);
    if let Some(access_token) = secret(raw.access_token) {
        return Reply::Tokens(Tokens {
            access_token,
            token_type: text(raw.token_type).map_or("Bearer".into(), String::into_boxed_str),
            expires_in: raw.expires_in.and_then(seconds),
            refresh_token: secret(raw.refresh_token),
            id_token: secret(raw.id_token),
            scope: text(raw.scope).map(String::into_boxed_str),
        });
    }
    match text(raw.error) {
        Some(error) => Reply::Error {
            error: code(&error),
            description: text(raw.error_description).map(|text| presentable(&text)),
        },
        None => Reply::Neither,
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok().filter(|text: &String| !text.is_empty())
}

/// A number of seconds, or a text that is one.
fn seconds(raw: &RawValue) -> Option<Duration> {
    let number = match text(Some(raw)) {
        Some(text) => text.trim().parse().ok()?,
        None => serde_json::from_str::<f64>(raw.get()).ok()?,
    };
    Duration::try_from_secs_f64(number.clamp(f64::NEG_INFINITY, LONGEST)).ok()
}

/// An error code as far as it is one (RFC 6749 section 5.2): it comes from outside and goes into logs and metrics.
fn code(text: &str) -> Box<str> {
    let is_fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.chars().filter(is_fit).take(64).collect::<String>().into()
}

/// What it says for people, without control characters, not too long, and without words that could be a token: some
/// repeat what was presented.
fn presentable(text: &str) -> Box<str> {
    const LONGEST_WORD: usize = 24;
    const LONGEST_TEXT: usize = 200;
    let words = text.split_whitespace().map(|word| if word.len() > LONGEST_WORD { "…" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(body: &str) -> Tokens {
        match read(body.as_bytes()) {
            Reply::Tokens(tokens) => tokens,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn a_whole_answer_is_read_whole() {
        let read = tokens(
            r#"{"access_token":"a","token_type":"DPoP","expires_in":3600,"refresh_token":"r","id_token":"i","scope":"x y"}"#,
        );
        let expected = Tokens {
            access_token: Secret::new("a"),
            token_type: "DPoP".into(),
            expires_in: Some(Duration::from_hours(1)),
            refresh_token: Some(Secret::new("r")),
            id_token: Some(Secret::new("i")),
            scope: Some("x y".into()),
        };
        assert_eq!(read, expected);
        assert!(!format!("{read:?}").contains(r#""r""#));
    }

    #[test]
    fn what_is_odd_in_it_does_not_lose_the_tokens() {
        let bare = tokens(r#"{"access_token":"a"}"#);
        assert_eq!((bare.token_type.as_ref(), bare.expires_in, bare.refresh_token), ("Bearer", None, None));
        let odd = tokens(
            r#"{"access_token":"a","token_type":7,"expires_in":{},"refresh_token":null,"id_token":[],"scope":["x"],"error":null}"#,
        );
        assert_eq!(odd, tokens(r#"{"access_token":"a"}"#));
        assert_eq!(tokens(r#"{"access_token":"a","refresh_token":""}"#).refresh_token, None);
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_text_that_is_one() {
        let lifetime =
            |json: &str| tokens(&format!(r#"{{"access_token":"a","expires_in":{json}}}"#)).expires_in;
        for (json, seconds) in [
            ("3600", Some(3600)),
            (r#""3600""#, Some(3600)),
            (r#"" 3600 ""#, Some(3600)),
            ("3600.0", Some(3600)),
            ("0", Some(0)),
            ("-1", None),
            (r#""soon""#, None),
            (r#""""#, None),
            (r#""NaN""#, None),
            ("null", None),
            ("1e300", Some(100 * 365 * 86_400)),
        ] {
            assert_eq!(lifetime(json), seconds.map(Duration::from_secs), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_with_a_token_or_an_error_is_neither() {
        for body in
            ["", "<html>", "[]", "{}", r#"["access_token"]"#, r#"{"access_token":7}"#, r#"{"error":{}}"#]
        {
            assert_eq!(read(body.as_bytes()), Reply::Neither, "{body}");
        }
        assert_eq!(read(br#"{"access_token":"a","token_ty"#), Reply::Neither);
    }

    #[test]
    fn an_error_is_told_without_what_could_be_a_token() {
        let body = r#"{"error":"invalid_grant\n","error_description":"refresh token 0123456789abcdef0123456789 is\u0007 unknown"}"#;
        let Reply::Error { error, description } = read(body.as_bytes()) else { panic!("an error") };
        assert_eq!(error.as_ref(), "invalid_grant");
        assert_eq!(description.as_deref(), Some("refresh token … is unknown"));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200), json in r#"\{"(access_token|error|expires_in)":("a"|1|null|-1e999|"\\u0000"),"(scope|error_description)":("é…"|\[\])\}"#) {
            let _ = (read(&body), read(json.as_bytes()));
        }
    }
}
