//! Answers that are signed (RFC 9701): they can be kept, passed on and shown, and say for whom they were made.

use super::Introspected;
use crate::Refusal;
use crate::capability::Inner;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use keys::Caller;
use serde::Serialize;

/// RFC 9701 section 5.
const SIGNED: &str = "application/token-introspection+jwt";

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON, as RFC 7662 has it.
    Plain,
    /// A JWT.
    Signed,
}

impl Form {
    /// What is asked for. Signed is what names it and does not like JSON better (RFC 9110 section 12.5.1); a wildcard means
    /// JSON, and so does whatever we do not know.
    pub(super) fn wanted(headers: &HeaderMap, can_sign: bool) -> Result<Self, Refusal> {
        let ranges: Vec<(&str, f32)> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(range)
            .collect();
        let liking = |names: &[&str]| {
            let named =
                ranges.iter().filter(|(range, _)| names.iter().any(|it| range.eq_ignore_ascii_case(it)));
            named.map(|(_, quality)| *quality).fold(0.0, f32::max)
        };
        let (signed, plain) = (liking(&[SIGNED]), liking(&["application/json", "application/*", "*/*"]));
        match (signed > 0.0 && signed >= plain, can_sign) {
            (false, _) => Ok(Self::Plain),
            (true, true) => Ok(Self::Signed),
            (true, false) if plain > 0.0 => Ok(Self::Plain),
            (true, false) => Err(Refusal::NotSigned),
        }
    }
}

/// One media range and how much it is liked; an odd quality is none.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")));
    let quality = quality.map_or(1.0, |it| it.trim().parse().unwrap_or(0.0));
    (name, if (0.0..=1.0).contains(&quality) { quality } else { 0.0 })
}

/// There is no `sub` and no `exp` beside `token_introspection`: it must never be taken for an access token (section 5).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a Introspected,
}

pub(super) async fn answer(inner: &Inner, caller: &Caller, said: &Introspected) -> Result<Response, Refusal> {
    let signs = inner.signs.get().ok_or(Refusal::NotSigned)?;
    let claims = Claims {
        iss: signs.issuer(),
        aud: &caller.name,
        iat: inner.now().seconds(),
        token_introspection: said,
    };
    let claims = serde_json::to_vec(&claims).expect("texts and numbers always serialise");
    let jwt = signs.introspection(claims).await?;
    Ok(([(CONTENT_TYPE, SIGNED)], jwt).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wanted(accept: &[&str], can_sign: bool) -> Option<Form> {
        let value = |text: &&str| (ACCEPT, HeaderValue::from_str(text).expect("a value"));
        Form::wanted(&accept.iter().map(value).collect(), can_sign).ok()
    }

    #[test]
    fn signed_is_who_asks_for_it() {
        for (accept, form) in [
            (&[][..], Form::Plain),
            (&["*/*"], Form::Plain),
            (&["text/html"], Form::Plain),
            (&["application/json"], Form::Plain),
            (&["application/token-introspection+jwt"], Form::Signed),
            (&["Application/Token-Introspection+JWT; q=0.5"], Form::Signed),
            (&["application/json", "application/token-introspection+jwt"], Form::Signed),
            (&["application/token-introspection+jwt;q=0.5, application/json"], Form::Plain),
            (&["application/token-introspection+jwt, */*;q=0.1"], Form::Signed),
            (&["application/token-introspection+jwt;q=0"], Form::Plain),
            (&["application/token-introspection+jwt;q=NaN"], Form::Plain),
            (&["application/token-introspection+jwt;q=7"], Form::Plain),
            (&["application/token-introspection+jwtx"], Form::Plain),
            (&[",;q=,;;"], Form::Plain),
        ] {
            assert_eq!(wanted(accept, true), Some(form), "{accept:?}");
        }
    }

    #[test]
    fn without_keys_whoever_takes_nothing_else_is_told_so() {
        assert_eq!(wanted(&["application/token-introspection+jwt"], false), None);
        assert_eq!(wanted(&["application/token-introspection+jwt, */*;q=0.1"], false), Some(Form::Plain));
        assert_eq!(wanted(&[], false), Some(Form::Plain));
    }
}
