//! What an ID token must say, at a login and ever after.

use crate::Secret;
use crate::issuers::Issuers;
use account::Millis;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use jose::{from_object, to_base64url};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// Clocks may differ by so much.
const LEEWAY: Duration = Duration::from_mins(1);

/// What the ID token that came with tokens is worth. The tokens are good in every case but a [`Mismatch`].
#[derive(Clone, Debug, PartialEq)]
pub enum IdToken {
    /// None came. What the last one said goes on holding.
    Absent,
    /// It is good.
    Verified(Box<IdTokenClaims>),
    /// Its keys cannot be had now: it is set aside, and verified later by [`Login::verify_id_token`](super::Login::verify_id_token).
    NotNow {
        /// When to try again.
        retry_after: Duration,
    },
    /// It is not good, and nothing that it says is used.
    Unusable(Unusable),
    /// It is about somebody or something else, and so are the tokens: none of them is used. A security event.
    Mismatch(Mismatch),
}

/// Which claim is another than it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// `iss` is not the identity provider's, or not the one of the login.
    Issuer,
    /// `sub` is another user.
    Subject,
    /// `aud` does not name us, or no longer all that it named at the login.
    Audience,
    /// `nonce` is not that of the login.
    Nonce,
}

/// Why nothing of an ID token is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// It cannot be read, or lacks what must be there.
    Malformed,
    /// It is signed with an algorithm that is not spoken, or not with this identity provider.
    Algorithm,
    /// Its signature is not of the key it names, or the identity provider has no such key.
    Signature,
    /// It was over when it came, or begins later.
    Time,
    /// `auth_time` has moved (OIDC Core 1.0 section 12.2): a refresh is no login.
    AuthTime,
    /// `at_hash` is not that of the access token beside it.
    AccessToken,
    /// `azp` is another client.
    AuthorizedParty,
}

/// What a good ID token says.
#[derive(Clone, Debug, PartialEq)]
pub struct IdTokenClaims {
    /// `iss`.
    pub issuer: Box<str>,
    /// `sub`.
    pub subject: Box<str>,
    /// `aud`.
    pub audience: Vec<Box<str>>,
    /// `exp`.
    pub expires_at: Millis,
    /// `iat`.
    pub issued_at: Millis,
    /// `auth_time`: when the user was last asked who it is.
    pub auth_time: Option<Millis>,
    /// `sid`: the session at the identity provider, as its logout tokens name it.
    pub sid: Option<Box<str>>,
    /// All claims, those above included.
    pub all: Map<String, Value>,
}

/// What is kept of the login's ID token, to hold those of refreshes against (OIDC Core 1.0 section 12.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// `iss`, if there was an ID token.
    pub issuer: Option<Box<str>>,
    /// `sub`: the user.
    pub subject: Box<str>,
    /// `aud`, if there was an ID token.
    pub audience: Vec<Box<str>>,
    /// `auth_time`, if it had one.
    pub auth_time: Option<Millis>,
}

/// What an ID token is held against.
#[derive(Clone, Copy, Debug)]
pub enum Against<'a> {
    /// The login it is of, with the `nonce` that was sent if one was.
    Login {
        /// The nonce.
        nonce: Option<&'a str>,
    },
    /// What an earlier login said.
    Original(&'a Original),
}

/// What is known of whoever speaks and of us.
pub(crate) struct Parties<'a> {
    pub(crate) issuers: &'a Issuers,
    pub(crate) client_id: &'a str,
}

/// Why an ID token is not good, its signature aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Mismatch(Mismatch),
    Unusable(Unusable),
}

impl IdTokenClaims {
    /// Reads a payload. What must be there is there (OIDC Core 1.0 section 2).
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let all: Map<String, Value> = from_object(payload).ok()?;
        let text = |name: &str| all.get(name)?.as_str().filter(|text| !text.is_empty()).map(Box::from);
        let time = |name: &str| Millis::from_fractional_seconds(all.get(name)?.as_f64()?);
        Some(Self {
            issuer: text("iss")?,
            subject: text("sub")?,
            audience: audience(&all)?,
            expires_at: time("exp")?,
            issued_at: time("iat")?,
            auth_time: time("auth_time"),
            sid: text("sid"),
            all,
        })
    }

    /// What is to be kept of it.
    pub fn original(&self) -> Original {
        Original {
            issuer: Some(self.issuer.clone()),
            subject: self.subject.clone(),
            audience: self.audience.clone(),
            auth_time: self.auth_time,
        }
    }

    /// All that can be judged without keys. Whom it is about comes first: that holds whether it is otherwise good or not.
    pub(crate) fn judge(
        &self,
        parties: &Parties<'_>,
        against: Against<'_>,
        access_token: &Secret,
        now: Millis,
    ) -> Result<(), Flaw> {
        self.identity(parties, against).map_err(Flaw::Mismatch)?;
        self.fitness(parties, against, access_token, now).map_err(Flaw::Unusable)
    }

    fn identity(&self, parties: &Parties<'_>, against: Against<'_>) -> Result<(), Mismatch> {
        let unless = |holds: bool, mismatch| if holds { Ok(()) } else { Err(mismatch) };
        let is_ours = self.audience.iter().any(|audience| &**audience == parties.client_id);
        unless(parties.issuers.hold(&self.issuer), Mismatch::Issuer)?;
        match against {
            Against::Login { nonce } => {
                unless(is_ours, Mismatch::Audience)?;
                let own = self.all.get("nonce").and_then(Value::as_str);
                unless(nonce.is_none() || nonce == own, Mismatch::Nonce)
            }
            Against::Original(original) => {
                let same_issuer = original
                    .issuer
                    .as_deref()
                    .is_none_or(|issuer| issuer.trim_end_matches('/') == self.issuer.trim_end_matches('/'));
                let names_all = original.audience.iter().all(|audience| self.audience.contains(audience));
                unless(same_issuer, Mismatch::Issuer)?;
                unless(original.subject == self.subject, Mismatch::Subject)?;
                unless(is_ours && names_all, Mismatch::Audience)
            }
        }
    }

    fn fitness(
        &self,
        parties: &Parties<'_>,
        against: Against<'_>,
        access_token: &Secret,
        now: Millis,
    ) -> Result<(), Unusable> {
        if self.expires_at.plus(LEEWAY) <= now || self.issued_at > now.plus(LEEWAY) {
            return Err(Unusable::Time);
        }
        let azp = self.all.get("azp").and_then(Value::as_str);
        if azp.is_some_and(|azp| azp != parties.client_id) {
            return Err(Unusable::AuthorizedParty);
        }
        let at_hash = self.all.get("at_hash").and_then(Value::as_str);
        if at_hash.is_some_and(|at_hash| !is_half_hash(at_hash, access_token)) {
            return Err(Unusable::AccessToken);
        }
        match against {
            Against::Original(Original { auth_time: Some(then), .. })
                if self.auth_time.is_some_and(|auth_time| auth_time != *then) =>
            {
                Err(Unusable::AuthTime)
            }
            _ => Ok(()),
        }
    }
}

/// `aud` is a text or several.
pub(super) fn audience(claims: &Map<String, Value>) -> Option<Vec<Box<str>>> {
    match claims.get("aud")? {
        Value::String(one) => Some(vec![Box::from(one.as_str())]),
        Value::Array(several) => several.iter().map(|one| one.as_str().map(Box::from)).collect(),
        _ => None,
    }
}

/// OIDC Core 1.0 section 3.1.3.6: the left half of the hash that the signature's algorithm has in it, which is SHA-256, or
/// SHA-512 in Ed25519. Its length says which.
fn is_half_hash(at_hash: &str, token: &Secret) -> bool {
    [&SHA256, &SHA512].into_iter().any(|algorithm| {
        let hash = digest(algorithm, token.reveal().as_bytes());
        at_hash == to_base64url(&hash.as_ref()[..algorithm.output_len / 2])
    })
}

impl Mismatch {
    /// Its name, for logs, metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::Audience => "audience",
            Self::Nonce => "nonce",
        }
    }
}

impl Unusable {
    /// Its name, for logs, metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Time => "time",
            Self::AuthTime => "auth_time",
            Self::AccessToken => "access_token",
            Self::AuthorizedParty => "authorized_party",
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Flaw> for IdToken {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Mismatch(mismatch) => Self::Mismatch(mismatch),
            Flaw::Unusable(unusable) => Self::Unusable(unusable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Millis = Millis::from_seconds(1_000);

    fn read(change: &Value) -> Option<IdTokenClaims> {
        let mut all = json!({
            "iss": "https://idp.example", "sub": "ada", "aud": "web", "exp": 1_300, "iat": 1_000, "auth_time": 400,
        });
        all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        IdTokenClaims::read(all.to_string().as_bytes())
    }

    fn judged(change: &Value, against: Against<'_>) -> Result<(), Flaw> {
        let issuers = Issuers::new(&["https://idp.example/".to_owned(), "https://alias.example".to_owned()]);
        let parties = Parties { issuers: &issuers, client_id: "web" };
        read(change).expect("readable").judge(&parties, against, &Secret::new("token"), NOW)
    }

    fn original() -> Original {
        read(&json!({ "aud": ["web", "api"] })).expect("readable").original()
    }

    #[test]
    fn what_must_be_there_is_there_or_nothing_is_read() {
        assert!(read(&json!({})).is_some());
        for (name, values) in [
            ("iss", vec![json!(null), json!(""), json!(7)]),
            ("sub", vec![json!(null), json!(""), json!(7)]),
            ("aud", vec![json!(null), json!({}), json!(["web", 7])]),
            ("exp", vec![json!(null), json!("1300")]),
            ("iat", vec![json!(null), json!("1000")]),
        ] {
            for value in values {
                assert_eq!(read(&json!({ name: value })), None, "{name} {value}");
            }
        }
        assert_eq!(IdTokenClaims::read(b"[]"), None);
    }

    #[test]
    fn a_login_is_by_the_identity_provider_for_us_and_answers_our_nonce() {
        let login = |change| judged(&change, Against::Login { nonce: Some("n") });
        assert_eq!(login(json!({ "nonce": "n" })), Ok(()));
        assert_eq!(login(json!({ "nonce": "n", "aud": ["api", "web"], "azp": "web" })), Ok(()));
        for (change, mismatch) in [
            (json!({ "nonce": "n", "iss": "https://other.example" }), Mismatch::Issuer),
            (json!({ "nonce": "n", "aud": "other" }), Mismatch::Audience),
            (json!({ "nonce": "n", "aud": [] }), Mismatch::Audience),
            (json!({ "nonce": "m" }), Mismatch::Nonce),
            (json!({}), Mismatch::Nonce),
        ] {
            assert_eq!(login(change.clone()), Err(Flaw::Mismatch(mismatch)), "{change}");
        }
        assert_eq!(judged(&json!({}), Against::Login { nonce: None }), Ok(()));
    }

    #[test]
    fn a_refresh_is_about_what_the_login_was_about() {
        let original = original();
        let refresh = |change| judged(&change, Against::Original(&original));
        assert_eq!(refresh(json!({ "aud": ["new", "api", "web"], "iss": "https://idp.example/" })), Ok(()));
        for (change, mismatch) in [
            (json!({ "iss": "https://alias.example" }), Mismatch::Issuer),
            (json!({ "iss": "https://other.example" }), Mismatch::Issuer),
            (json!({ "sub": "eve" }), Mismatch::Subject),
            (json!({ "sub": "Ada", "exp": 1 }), Mismatch::Subject),
            (json!({ "aud": "web" }), Mismatch::Audience),
            (json!({ "aud": ["api"] }), Mismatch::Audience),
        ] {
            assert_eq!(refresh(change.clone()), Err(Flaw::Mismatch(mismatch)), "{change}");
        }
    }

    #[test]
    fn a_login_without_an_id_token_still_knows_its_user() {
        let bare = Original { issuer: None, subject: "ada".into(), audience: Vec::new(), auth_time: None };
        assert_eq!(judged(&json!({}), Against::Original(&bare)), Ok(()));
        let eve = judged(&json!({ "sub": "eve" }), Against::Original(&bare));
        assert_eq!(eve, Err(Flaw::Mismatch(Mismatch::Subject)));
    }

    #[test]
    fn what_is_not_fit_is_set_aside() {
        let original = original();
        for (change, unusable) in [
            (json!({ "exp": 940 }), Some(Unusable::Time)),
            (json!({ "exp": 941 }), None),
            (json!({ "iat": 1_061 }), Some(Unusable::Time)),
            (json!({ "iat": 1_060 }), None),
            (json!({ "auth_time": 401 }), Some(Unusable::AuthTime)),
            (json!({ "auth_time": null }), None),
            (json!({ "azp": "other" }), Some(Unusable::AuthorizedParty)),
            (json!({ "at_hash": "PEaenWxYddN6Q_NT1PiOYQ" }), None),
            (json!({ "at_hash": "AAaenWxYddN6Q_NT1PiOYQ" }), Some(Unusable::AccessToken)),
        ] {
            let mut whole = json!({ "aud": ["web", "api"] });
            whole.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            let expected = unusable.map_or(Ok(()), |unusable| Err(Flaw::Unusable(unusable)));
            assert_eq!(judged(&whole, Against::Original(&original)), expected, "{change}");
        }
    }
}
