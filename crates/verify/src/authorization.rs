//! Reading the `Authorization` header (RFC 9110 section 11.6.2, RFC 6750 section 2.1).

/// An `Authorization` header that names the scheme `Bearer` and is not well-formed, or is there twice. The request is at
/// fault, not the token: 400 `invalid_request` (RFC 6750 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadAuthorization {
    /// There is more than one header.
    #[error("there is more than one Authorization header")]
    Repeated,
    /// Nothing comes after the scheme.
    #[error("the Authorization header has no token after Bearer")]
    NoToken,
    /// Something comes after the token.
    #[error("the Authorization header has something after the token")]
    MoreThanAToken,
    /// What comes after the scheme has characters that no token has (RFC 6750 section 2.1: `b64token`).
    #[error("the Authorization header has characters that no token has")]
    Characters,
}

/// The token in a request's `Authorization` headers. `None` when there is no header, or one of another scheme: whoever
/// speaks that scheme may take it.
///
/// The scheme has no case; one or more spaces follow it, then the token, then nothing.
///
/// ```
/// use verify::{BadAuthorization, bearer_token};
///
/// assert_eq!(bearer_token([b"bearer  abc".as_slice()]), Ok(Some("abc")));
/// assert_eq!(bearer_token([b"Basic YTpi".as_slice()]), Ok(None));
/// assert_eq!(bearer_token([b"Bearer a b".as_slice()]), Err(BadAuthorization::MoreThanAToken));
/// ```
pub fn bearer_token<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a str>, BadAuthorization> {
    credentials(headers)?.map(|credentials| credentials.token()).transpose()
}

/// What a request's `Authorization` header has after `Bearer` and its spaces.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a>(&'a [u8]);

/// The credentials in a request's `Authorization` headers; as [`bearer_token`], but nobody has looked at them yet.
pub(crate) fn credentials<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Credentials<'a>>, BadAuthorization> {
    let mut headers = headers.into_iter();
    let Some(header) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err(BadAuthorization::Repeated);
    }
    after_scheme(header.trim_ascii()).map(Credentials::after_spaces).transpose()
}

impl<'a> Credentials<'a> {
    fn after_spaces(rest: &'a [u8]) -> Result<Self, BadAuthorization> {
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        if spaces > 0 { Ok(Self(&rest[spaces..])) } else { Err(what_is_wrong(rest)) }
    }

    /// The token, if these are one; something that is none otherwise.
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The token, if these are one (RFC 6750 section 2.1).
    pub(crate) fn token(&self) -> Result<&'a str, BadAuthorization> {
        let name = without_padding(self.0);
        let is_good = !name.is_empty() && name.iter().fold(true, |is_good, byte| is_good & is_b64(*byte));
        match str::from_utf8(self.0) {
            Ok(token) if is_good => Ok(token),
            _ => Err(what_is_wrong(self.0)),
        }
    }
}

/// What comes after `Bearer`; `None` for another scheme.
fn after_scheme(header: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = header.split_at_checked(SCHEME.len())?;
    // `Bearers` is a scheme of its own; what cannot be part of a name ends this one.
    (scheme.eq_ignore_ascii_case(SCHEME) && !rest.first().copied().is_some_and(is_tchar)).then_some(rest)
}

fn what_is_wrong(rest: &[u8]) -> BadAuthorization {
    if rest.is_empty() {
        BadAuthorization::NoToken
    } else if rest.contains(&b' ') && rest.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        BadAuthorization::MoreThanAToken
    } else {
        BadAuthorization::Characters
    }
}

fn without_padding(token: &[u8]) -> &[u8] {
    let end = token.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    &token[..end]
}

/// RFC 6750 section 2.1, without the padding. Arithmetic, not a table: so many bytes are looked at together.
const fn is_b64(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    let is_mark = matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    is_letter || is_digit || is_mark
}

/// RFC 9110 section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read<'a> = Result<Option<&'a str>, BadAuthorization>;

    fn read(header: &[u8]) -> Read<'_> {
        bearer_token([header])
    }

    #[test]
    fn the_header_is_read_as_the_rfcs_have_it() {
        use BadAuthorization::{Characters, MoreThanAToken, NoToken};
        let table: [(&[u8], Read<'_>); 23] = [
            (b"Bearer tok", Ok(Some("tok"))),
            (b"bearer tok", Ok(Some("tok"))),
            (b"BEARER tok", Ok(Some("tok"))),
            (b"Bearer  tok", Ok(Some("tok"))),
            (b" Bearer tok ", Ok(Some("tok"))),
            (b"Bearer a-._~+/9==", Ok(Some("a-._~+/9=="))),
            (b"Bearer", Err(NoToken)),
            (b"Bearer ", Err(NoToken)),
            (b"Bearer tok extra", Err(MoreThanAToken)),
            (b"Bearer tok, Basic YTpi", Err(MoreThanAToken)),
            (b"Bearer\ttok", Err(Characters)),
            (b"Bearer \ttok", Err(Characters)),
            (b"Bearer tok\textra", Err(Characters)),
            (b"Bearer t\xc3\xb6k", Err(Characters)),
            (b"Bearer t\xff", Err(Characters)),
            (b"Bearer \"tok\"", Err(Characters)),
            (b"Bearer =", Err(Characters)),
            (b"Bearer a=b", Err(Characters)),
            (b"Bearer,tok", Err(Characters)),
            (b"Bearer/tok", Err(Characters)),
            (b"Bearers tok", Ok(None)),
            (b"Token abc", Ok(None)),
            (b"", Ok(None)),
        ];
        for (header, read_as) in table {
            assert_eq!(read(header), read_as, "{:?}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn no_header_is_no_credentials_and_two_are_a_mistake() {
        assert_eq!(bearer_token(std::iter::empty()), Ok(None));
        let two: [&[u8]; 2] = [b"Bearer tok", b"Basic YTpi"];
        assert_eq!(bearer_token(two), Err(BadAuthorization::Repeated));
    }

    #[test]
    fn length_is_no_matter_of_the_header() {
        let long = format!("Bearer {}", "x".repeat(20_000));
        assert_eq!(read(long.as_bytes()).map(|token| token.map(str::len)), Ok(Some(20_000)));
    }

    proptest! {
        #[test]
        fn a_token_is_read_whole_whatever_the_case_and_the_spaces(
            scheme in "[Bb][Ee][Aa][Rr][Ee][Rr]", spaces in " {1,5}", token in "[A-Za-z0-9._~+/-]{1,80}={0,3}"
        ) {
            let header = format!("{scheme}{spaces}{token}");
            prop_assert_eq!(read(header.as_bytes()), Ok(Some(token.as_str())));
        }

        #[test]
        fn whatever_the_header_a_token_is_well_formed_and_part_of_it(
            header in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..60),
                "(?i)bearer[ \\t]{0,2}\\PC{0,20}".prop_map(String::into_bytes),
            ]
        ) {
            if let Ok(Some(token)) = read(&header) {
                prop_assert!(!token.is_empty() && !token.contains(char::is_whitespace) && token.is_ascii());
                prop_assert!(header.trim_ascii().ends_with(token.as_bytes()));
            }
        }
    }
}
