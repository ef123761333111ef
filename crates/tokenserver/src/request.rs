//! What a token request says, taken from its headers and query: pure parsing, each failure its row of the table.

use crate::{ClientState, Refusal};
use base64_simd::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use url::form_urlencoded;

/// The key the client encrypts under and when its keys changed: `X-KeyID`, `<keys_changed_at>-<client state>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId<'a> {
    /// When the keys changed; 0 on the wire is absent.
    pub keys_changed_at: Option<i64>,
    /// The client state as it came: base64url without padding, canonical.
    pub base64: &'a str,
    /// The client state as it is kept.
    pub client_state: ClientState,
}

/// The access token of `Authorization: Bearer <token>` (RFC 6750 section 2.1). The scheme is matched in any case;
/// only the first space separates, so that a token may have spaces in it.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(AUTHORIZATION).ok_or(Refusal::NoAuthorization)?;
    let (scheme, token) =
        visible(header).and_then(|text| text.split_once(' ')).ok_or(Refusal::NoAuthorization)?;
    match token {
        "" => Err(Refusal::NoAuthorization),
        _ if !scheme.eq_ignore_ascii_case("bearer") => Err(Refusal::UnsupportedScheme),
        token => Ok(token),
    }
}

/// `X-KeyID`, held against `X-Client-State` when the client sends that too.
pub(crate) fn key_id(headers: &HeaderMap) -> Result<KeyId<'_>, Refusal> {
    let header = headers.get("x-keyid").ok_or(Refusal::MissingKeyId)?;
    let text = visible(header).ok_or(Refusal::UnreadableKeyId)?;
    // The first dash only: base64url has dashes of its own.
    let (changed, base64) = text.split_once('-').ok_or(Refusal::MalformedKeyId)?;
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(base64).map_err(|_| Refusal::MalformedKeyId)?;
    // One that the column cannot hold is told so before anything is looked up.
    let client_state = ClientState::from_bytes(&bytes).ok_or(Refusal::InvalidClientState)?;
    agree(headers, client_state)?;
    let changed: i64 = changed.parse().map_err(|_| Refusal::MalformedKeyId)?;
    Ok(KeyId { keys_changed_at: present(Some(changed)), base64, client_state })
}

/// `X-Client-State` is optional, and ignored when it is no visible ASCII; otherwise it must say the same, byte for byte.
fn agree(headers: &HeaderMap, client_state: ClientState) -> Result<(), Refusal> {
    let Some(said) = headers.get("x-client-state").and_then(visible) else { return Ok(()) };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match said {
        "" => Err(Refusal::InvalidClientState),
        odd if odd.len() > 32 || !odd.bytes().all(allowed) => Err(Refusal::InvalidClientState),
        other if other != client_state.as_str() => Err(Refusal::ClientStateMismatch),
        _ => Ok(()),
    }
}

/// How long the token shall count, in seconds: `?duration=` when it is a whole number up to `longest`, else `longest`.
/// A repeated parameter is refused; whatever else there is does not matter.
pub(crate) fn duration(query: Option<&str>, longest: u64) -> Result<u64, Refusal> {
    let Some(query) = query else { return Ok(longest) };
    let mut asked = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "duration");
    let first = asked.next();
    if asked.next().is_some() {
        return Err(Refusal::InvalidQuery);
    }
    let seconds = first.and_then(|(_, value)| value.parse().ok());
    Ok(seconds.filter(|seconds| *seconds <= longest).unwrap_or(longest))
}

/// A number as it counts in the rules: 0 is absent.
pub(crate) fn present(number: Option<i64>) -> Option<i64> {
    number.filter(|number| *number != 0)
}

fn visible(header: &HeaderValue) -> Option<&str> {
    header.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("a name"), value_of(value))).collect()
    }

    fn value_of(bytes: &[u8]) -> HeaderValue {
        HeaderValue::from_bytes(bytes).expect("no control characters")
    }

    fn bearer_of(value: &str) -> Result<String, Refusal> {
        bearer(&headers(&[("authorization", value.as_bytes())])).map(str::to_owned)
    }

    fn key_id_of(value: &str) -> Result<(Option<i64>, String), Refusal> {
        key_id(&headers(&[("x-keyid", value.as_bytes())]))
            .map(|key| (key.keys_changed_at, key.client_state.as_str().to_owned()))
    }

    fn with_client_state(value: &[u8]) -> Result<(), Refusal> {
        key_id(&headers(&[("x-keyid", b"1-qqo"), ("x-client-state", value)])).map(drop)
    }

    #[test]
    fn the_bearer_token_is_what_follows_the_first_space() {
        assert_eq!(bearer_of("Bearer a b  c").as_deref(), Ok("a b  c"));
        assert_eq!(bearer_of("bEARER t").as_deref(), Ok("t"));
    }

    #[test]
    fn anything_but_a_bearer_token_is_refused_by_its_own_row() {
        assert_eq!(bearer(&HeaderMap::new()), Err(Refusal::NoAuthorization));
        assert_eq!(bearer_of("Bearer"), Err(Refusal::NoAuthorization));
        assert_eq!(bearer_of("Bearer "), Err(Refusal::NoAuthorization));
        assert_eq!(bearer_of("Bearer\u{e9} x"), Err(Refusal::NoAuthorization));
        assert_eq!(bearer_of("Hawk id=x"), Err(Refusal::UnsupportedScheme));
    }

    #[test]
    fn the_key_id_is_split_at_its_first_dash() {
        assert_eq!(key_id_of("0000000001234-qqo"), Ok((Some(1234), "aaaa".to_owned())));
        assert_eq!(key_id_of("+5--_8"), Ok((Some(5), "fbff".to_owned())));
        assert_eq!(key_id_of("0-"), Ok((None, String::new())));
    }

    #[test]
    fn a_malformed_key_id_is_refused_by_its_own_row() {
        assert_eq!(key_id(&HeaderMap::new()), Err(Refusal::MissingKeyId));
        assert_eq!(key_id_of("1\u{e9}-qqo"), Err(Refusal::UnreadableKeyId));
        for odd in [
            "", "1234", "1-qq=", "1-qqo=", "1-qqp", "1-q q", "1-q", "1-+/", "x-qqo", "-qqo", "--qqo",
            "1.5-qqo",
        ] {
            assert_eq!(key_id_of(odd), Err(Refusal::MalformedKeyId), "{odd:?}");
        }
        assert_eq!(key_id_of("9223372036854775808-qqo"), Err(Refusal::MalformedKeyId));
    }

    #[test]
    fn a_client_state_that_the_column_cannot_hold_is_refused_as_invalid() {
        assert_eq!(key_id_of(&format!("1-{}", "A".repeat(22))).map(|key| key.1.len()), Ok(32));
        assert_eq!(key_id_of(&format!("1-{}", "A".repeat(23))), Err(Refusal::InvalidClientState));
    }

    #[test]
    fn the_client_state_header_must_say_what_the_key_id_says() {
        assert_eq!(with_client_state(b"aaaa"), Ok(()));
        assert_eq!(with_client_state(b"AAAA"), Err(Refusal::ClientStateMismatch));
        assert_eq!(with_client_state(b"bbbb"), Err(Refusal::ClientStateMismatch));
        assert_eq!(with_client_state(b""), Err(Refusal::InvalidClientState));
        assert_eq!(with_client_state(b"aa aa"), Err(Refusal::InvalidClientState));
        assert_eq!(with_client_state(&[b'a'; 33]), Err(Refusal::InvalidClientState));
        assert_eq!(with_client_state(b"aa\xff"), Ok(()), "what is no ASCII is ignored");
    }

    #[test]
    fn the_client_state_is_judged_before_the_number() {
        let both = headers(&[("x-keyid", b"x-qqo"), ("x-client-state", b"bbbb")]);
        assert_eq!(key_id(&both), Err(Refusal::ClientStateMismatch));
    }

    #[test]
    fn a_duration_is_taken_when_it_is_a_whole_number_up_to_the_longest() {
        for (query, seconds) in [
            (None, 300),
            (Some(""), 300),
            (Some("duration=0"), 0),
            (Some("duration=1"), 1),
            (Some("duration=300"), 300),
            (Some("duration=301"), 300),
            (Some("duration=-1"), 300),
            (Some("duration=1.5"), 300),
            (Some("duration="), 300),
            (Some("duration"), 300),
            (Some("duration=abc"), 300),
            (Some("a=1&duration=7&b=2&b=3"), 7),
            (Some("dur%61tion=%37"), 7),
            (Some("Duration=7"), 300),
            (Some("duration=99999999999999999999"), 300),
        ] {
            assert_eq!(duration(query, 300), Ok(seconds), "{query:?}");
        }
    }

    #[test]
    fn a_repeated_duration_is_refused() {
        assert_eq!(duration(Some("duration=1&duration=1"), 300), Err(Refusal::InvalidQuery));
        assert_eq!(duration(Some("duration=x&dur%61tion"), 300), Err(Refusal::InvalidQuery));
    }

    proptest! {
        #[test]
        fn no_header_and_no_query_upsets_the_parsers(
            authorization in prop::collection::vec(32u8.., 0..80), key in prop::collection::vec(32u8.., 0..80),
            state in prop::collection::vec(32u8.., 0..40), query in any::<String>(), longest in any::<u64>(),
        ) {
            let usable = |bytes: &[u8]| bytes.iter().copied().filter(|byte| *byte != 127).collect::<Vec<_>>();
            let (authorization, key, state) = (usable(&authorization), usable(&key), usable(&state));
            let headers =
                headers(&[("authorization", &authorization), ("x-keyid", &key), ("x-client-state", &state)]);
            for refusal in [bearer(&headers).err(), key_id(&headers).err(), duration(Some(&query), longest).err()] {
                prop_assert!(refusal.is_none_or(|refusal| refusal.status().is_client_error()));
            }
        }

        #[test]
        fn every_key_id_reads_back(changed in 0..=i64::MAX, bytes in prop::collection::vec(any::<u8>(), 0..=16)) {
            let text = format!("{changed:013}-{}", URL_SAFE_NO_PAD.encode_to_string(&bytes));
            let (number, state) = key_id_of(&text).expect("well formed");
            prop_assert_eq!(number, present(Some(changed)));
            prop_assert_eq!(state, hex::encode(&bytes));
        }
    }
}
