use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;
use std::sync::LazyLock;

/// Every identity header. Which one says what is in [`Identity`].
const NAMES: [&str; 6] = [
    "x-highwater-subject",
    "x-highwater-idp",
    "x-highwater-client-id",
    "x-highwater-scope",
    "x-highwater-acr",
    "x-highwater-auth-time",
];

/// Whom a request is from, as the backend behind the proxy hears it. What is not known is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// `X-Highwater-Subject`: the account's subject.
    pub subject: &'a str,
    /// `X-Highwater-Idp`: the configured id of its identity provider.
    pub idp: &'a str,
    /// `X-Highwater-Client-Id`: the OAuth client that the token was given to.
    pub client_id: &'a str,
    /// `X-Highwater-Scope`: the scopes granted, divided by white space; in the header by single spaces.
    pub scope: &'a str,
    /// `X-Highwater-Acr`: how surely the user proved who they are.
    pub acr: &'a str,
    /// `X-Highwater-Auth-Time`: when they did, in seconds since the epoch.
    pub auth_time: Option<i64>,
}

impl Identity<'_> {
    /// The names of all identity headers, in lower case.
    pub const fn header_names() -> &'static [&'static str] {
        &NAMES
    }

    /// Sets every identity header: one that is absent would let the client's own through in some proxies.
    ///
    /// A header cannot carry every text, and proxies trim what they carry. So whatever is not visible ASCII, and the
    /// percent sign, is percent-encoded: two subjects never look the same.
    pub fn set_all(&self, headers: &mut HeaderMap) {
        let auth_time = self.auth_time.map(HeaderValue::from);
        let values = [
            value(self.subject),
            value(self.idp),
            value(self.client_id),
            words(self.scope),
            value(self.acr),
            auth_time.unwrap_or_else(|| HeaderValue::from_static("")),
        ];
        for (name, value) in NAMES.into_iter().zip(values) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// A request came with an identity header of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request has the header {name:?}, which only this server may set")]
pub struct Spoofed {
    /// As it was spelt.
    pub name: HeaderName,
}

/// Refuses a request that brings an identity header, whichever way it is spelt: many servers read `X_Highwater_Subject` as
/// `X-Highwater-Subject`, and a proxy that replaces the one passes the other on. An empty one says nothing and passes.
pub fn refuse_spoofed(headers: &HeaderMap) -> Result<(), Spoofed> {
    let spoofed = |(name, value): &(&HeaderName, &HeaderValue)| {
        !value.as_bytes().trim_ascii().is_empty() && is_identity(name.as_str())
    };
    headers.iter().find(spoofed).map_or(Ok(()), |(name, _)| Err(Spoofed { name: name.clone() }))
}

/// Every identity header as it is misspelt with underscores, in whole or in part: for a proxy that can take headers out.
pub(crate) fn aliases() -> impl Iterator<Item = &'static str> {
    static ALIASES: LazyLock<Vec<String>> =
        LazyLock::new(|| NAMES.iter().flat_map(|name| with_underscores(name)).collect());
    ALIASES.iter().map(String::as_str)
}

/// All ways to put underscores into the place of hyphens, but the one that puts none.
fn with_underscores(name: &str) -> impl Iterator<Item = String> {
    let hyphens = name.matches('-').count();
    (1..1_u32 << hyphens).map(move |chosen| {
        let mut at = 0;
        let mut spelt = |c: char| {
            if c != '-' {
                return c;
            }
            at += 1;
            if chosen >> (at - 1) & 1 == 1 { '_' } else { '-' }
        };
        name.chars().map(&mut spelt).collect()
    })
}

/// CGI and its heirs read whatever is no letter and no digit as one and the same character.
fn is_identity(name: &str) -> bool {
    let same = |spelt: u8, ours: u8| spelt == ours || (ours == b'-' && !spelt.is_ascii_alphanumeric());
    NAMES
        .iter()
        .any(|ours| ours.len() == name.len() && name.bytes().zip(ours.bytes()).all(|(a, b)| same(a, b)))
}

/// A text as a header carries it: most can be as they are.
fn value(text: &str) -> HeaderValue {
    if text.bytes().all(is_plain) {
        return HeaderValue::from_str(text).expect("it is visible ASCII");
    }
    let mut out = String::with_capacity(text.len());
    push_encoded(&mut out, text);
    HeaderValue::try_from(out).expect("what was encoded is visible ASCII")
}

/// Words, divided by single spaces.
fn words(text: &str) -> HeaderValue {
    let mut out = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        push_encoded(&mut out, word);
    }
    HeaderValue::try_from(out).expect("what was encoded is visible ASCII")
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && byte != b'%'
}

fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a text takes whatever is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(identity: &Identity<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        identity.set_all(&mut headers);
        headers
    }

    #[test]
    fn what_is_not_known_is_there_and_empty() {
        let headers = set(&Identity::default());
        assert_eq!(headers.len(), NAMES.len());
        for name in Identity::header_names() {
            assert_eq!(headers.get(*name).map(HeaderValue::as_bytes), Some(b"".as_slice()), "{name}");
        }
    }

    #[test]
    fn an_identity_header_of_the_client_is_refused_in_every_spelling() {
        for name in [
            "x-highwater-subject",
            "X_Highwater_Subject",
            "x-highwater_scope",
            "x_highwater-client_id",
            "x.highwater.acr",
        ] {
            let name = HeaderName::try_from(name).expect("a name");
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("u"))]);
            assert_eq!(refuse_spoofed(&headers), Err(Spoofed { name }));
        }
        for (name, value) in
            [("x-highwater-subject", " "), ("x-highwater-subjects", "u"), ("x-highwater", "u")]
        {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(refuse_spoofed(&headers), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_aliases_are_all_spellings_with_underscores_and_not_the_names_themselves() {
        let all: Vec<&str> = aliases().collect();
        assert_eq!(all.len(), 4 * 3 + 2 * 7);
        for alias in &all {
            assert!(!NAMES.contains(alias) && is_identity(alias), "{alias}");
        }
        for expected in ["x_highwater_subject", "x-highwater_client-id", "x_highwater-auth_time"] {
            assert!(all.contains(&expected), "{expected}");
        }
    }

    proptest! {
        #[test]
        fn every_header_is_set_once_and_cannot_break_out_of_its_line(
            subject in "\\PC{0,20}", client_id in any::<String>(), scope in prop::collection::vec("[^ \\t\\n\\r\\x0c]{1,8}", 0..4)
        ) {
            let words = scope.join("  ");
            let identity =
                Identity { subject: &subject, client_id: &client_id, scope: &words, ..Identity::default() };
            let headers = set(&identity);
            for name in Identity::header_names() {
                prop_assert_eq!(headers.get_all(*name).iter().count(), 1);
                let visible = |byte: &u8| (b' '..=b'~').contains(byte);
                prop_assert!(headers[*name].as_bytes().iter().all(visible));
            }
            prop_assert_eq!(headers["x-highwater-scope"].to_str().expect("ASCII").split_whitespace().count(), scope.len());
        }

        #[test]
        fn two_subjects_never_look_the_same(a in "[ a%2\\tä]{0,4}", b in "[ a%2\\tä]{0,4}") {
            let seen = |subject: &str| {
                let headers = set(&Identity { subject, ..Identity::default() });
                headers["x-highwater-subject"].to_str().expect("ASCII").trim().to_owned()
            };
            prop_assert_eq!(seen(&a) == seen(&b), a == b);
        }

        #[test]
        fn whatever_a_server_behind_may_take_for_ours_is_refused(
            which in 0..NAMES.len(), seed in any::<u64>()
        ) {
            let spelt: String = NAMES[which].chars().enumerate().map(|(at, c)| match c {
                '-' => ['-', '_', '.', '~'][usize::try_from(seed >> (at % 60) & 3).expect("small")],
                c if seed >> (at % 60) & 1 == 1 => c.to_ascii_uppercase(),
                c => c,
            }).collect();
            let name = HeaderName::try_from(spelt.as_str()).expect("a name");
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("u"))]);
            prop_assert!(refuse_spoofed(&headers).is_err(), "{}", spelt);
        }
    }
}
