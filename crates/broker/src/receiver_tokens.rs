//! The tokens by which relying parties authorise themselves here. Shown once, kept as keyed hashes.

use crate::ClientId;
use crate::capability::Inner;
use crate::store::tokens::{AddToken, FindToken, KeptToken};
use account::Millis;
use aws_lc_rs::{hmac, rand};
use jose::to_base64url;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::StoreError;
use utoipa::ToSchema;

/// A token that names itself: whoever finds one in the wrong place knows what it is.
const PREFIX: &str = "hwr_";
const LONGEST: usize = 100;

/// What a token allows (the CAEP interoperability profile names them so).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Reading a stream and its status; polling.
    Read,
    /// Everything.
    Manage,
}

impl Scope {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "ssf.read",
            Self::Manage => "ssf.manage",
        }
    }

    fn is_allowed_by(self, scopes: &str) -> bool {
        let has = |scope: Self| scopes.split(' ').any(|it| it == scope.as_str());
        has(Self::Manage) || (self == Self::Read && has(Self::Read))
    }
}

/// A token to be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewToken {
    /// `ssf.read` and `ssf.manage`, which allows both; absent: `ssf.manage`.
    pub(crate) scopes: Vec<String>,
    /// Seconds it lives; absent: for ever.
    pub(crate) life_seconds: Option<u64>,
}

impl NewToken {
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = [Scope::Read.as_str(), Scope::Manage.as_str()];
        match self.scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
            Some(unknown) => Err(format!("{unknown:?} is no scope; there are ssf.read and ssf.manage")),
            None => Ok(()),
        }
    }
}

/// Makes a token for a relying party; it, and when it ends.
pub(crate) async fn issue(
    inner: &Inner,
    client_id: ClientId,
    new: &NewToken,
) -> Result<(String, Option<Millis>), StoreError> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).expect("the system's random source works");
    let token = format!("{PREFIX}{}", to_base64url(&secret));
    let now = inner.now();
    let expires_at = new.life_seconds.map(|seconds| now.plus(Duration::from_secs(seconds)));
    let scopes = if new.scopes.is_empty() { Scope::Manage.as_str().to_owned() } else { new.scopes.join(" ") };
    let kept = KeptToken { client_id, scopes, expires_at };
    inner.store.run(AddToken { hash: hash(inner, &token), token: kept, now }).await?;
    Ok((token, expires_at))
}

/// Why a token does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Unknown, revoked or ended.
    Unknown,
    /// It does not allow that.
    Scope,
}

/// Whose token it is, if it allows that. The look-up is by a keyed hash, so that timing tells nothing.
pub(crate) async fn verify(
    inner: &Inner,
    token: &str,
    scope: Scope,
) -> Result<Result<ClientId, Refused>, StoreError> {
    if !token.starts_with(PREFIX) || token.len() > LONGEST {
        return Ok(Err(Refused::Unknown));
    }
    let Some(kept) = inner.store.read(&FindToken(&hash(inner, token))).await? else {
        return Ok(Err(Refused::Unknown));
    };
    if kept.expires_at.is_some_and(|expires_at| expires_at <= inner.now()) {
        return Ok(Err(Refused::Unknown));
    }
    Ok(if scope.is_allowed_by(&kept.scopes) { Ok(kept.client_id) } else { Err(Refused::Scope) })
}

fn hash(inner: &Inner, token: &str) -> String {
    hex::encode(hmac::sign(&inner.token_key, token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_manage_may_read_and_not_the_other_way_round() {
        assert!(
            Scope::Read.is_allowed_by("ssf.manage") && Scope::Manage.is_allowed_by("ssf.read ssf.manage")
        );
        assert!(Scope::Read.is_allowed_by("ssf.read") && !Scope::Manage.is_allowed_by("ssf.read"));
        assert!(!Scope::Read.is_allowed_by("") && !Scope::Read.is_allowed_by("ssf.reader"));
        assert!(NewToken { scopes: vec!["ssf.write".into()], life_seconds: None }.check().is_err());
    }
}
