//! What is asked of identity providers here: one seam, so that whoever asks knows nothing of how.

mod idps;
mod proofs;
mod reading;
mod users;

pub use idps::LoginIdps;
pub(crate) use proofs::{Request, signed};
pub use users::{UserAsk, UserTrouble};

use crate::store::rows::Object;
use account::{AccountId, IdpId, Millis, Subject};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A text that is zeroised when dropped.
pub type Secret = Zeroizing<String>;

/// Those who can be asked.
pub trait Upstream: Send + Sync + 'static {
    /// The identity providers that logins can be of.
    fn idps(&self) -> Vec<IdpId>;

    /// How one of them is: claim no more than there is room for.
    fn standing(&self, idp: &IdpId, now: Millis) -> Standing;

    /// Exchanges a code for tokens, once (RFC 6749 section 4.1.3).
    fn exchange<'a>(&'a self, code: Code<'a>) -> BoxFuture<'a, Result<Given, Trouble>>;

    /// What an ID token is worth that came with a login, or was set aside at a refresh.
    fn prove<'a>(&'a self, ask: Proof<'a>) -> BoxFuture<'a, Proven>;

    /// A fresh key for the tokens of a login, where they are bound to one (RFC 9449); a private JWK.
    fn fresh_key(&self, idp: &IdpId) -> Result<Option<Secret>, Trouble>;

    /// Whether tokens that a service hands over can be used with that key, or without one; else why not, in words.
    fn check_key(&self, idp: &IdpId, key: Option<&str>) -> Result<(), String>;

    /// Presents a refresh token, once (RFC 6749 section 6).
    fn refresh<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<Fresh, Trouble>>;

    /// How many users may be asked about now.
    fn userinfo_room(&self, idp: &IdpId, now: Millis) -> usize;

    /// What it says of a user (OIDC Core 1.0 section 5.3): claims of nobody else's.
    fn userinfo<'a>(&'a self, ask: UserAsk<'a>) -> BoxFuture<'a, Result<Object, UserTrouble>>;

    /// Who signed out there, by a logout token (OIDC Back-Channel Logout 1.0 section 2.6).
    fn signed_out<'a>(
        &'a self,
        idp: &'a IdpId,
        logout_token: &'a str,
        now: Millis,
    ) -> BoxFuture<'a, Result<SignedOut, NotHeard>>;

    /// Takes a grant's tokens back (RFC 7009).
    fn revoke<'a>(&'a self, tokens: ToRevoke<'a>) -> BoxFuture<'a, Result<Revoked, Trouble>>;
}

/// A refresh token to present.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Whose it is: what comes back must be of the same.
    pub account: &'a AccountId,
    /// What the login said, if anything.
    pub original: Option<&'a Original>,
    /// The token.
    pub refresh_token: &'a str,
    /// The key that it is bound to, if it is; a private JWK.
    pub dpop_key: Option<&'a str>,
    /// Whether somebody waits for it.
    pub is_waited_for: bool,
    /// When the caller's tick or request began.
    pub now: Millis,
}

/// A code to present, and what goes with it.
#[derive(Clone, Copy)]
pub struct Code<'a> {
    /// Whose it is.
    pub idp: &'a IdpId,
    /// The authorization code.
    pub code: &'a str,
    /// The `code_verifier` (RFC 7636), if there was a challenge.
    pub code_verifier: Option<&'a str>,
    /// The `redirect_uri` of the authorization request, if another than the configured one.
    pub redirect_uri: Option<&'a str>,
    /// The `nonce` of the authorization request, if it had one.
    pub nonce: Option<&'a str>,
    /// The key that the tokens are to be bound to, if they are; a private JWK.
    pub dpop_key: Option<&'a str>,
    /// When the caller's request began.
    pub now: Millis,
}

/// What came for a code.
pub struct Given {
    /// The tokens.
    pub tokens: Fresh,
    /// The ID token as it came.
    pub id_token: Option<Secret>,
    /// What it is worth.
    pub proven: Proven,
}

/// An ID token.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// Whose it is.
    pub idp: &'a IdpId,
    /// The token.
    pub id_token: &'a str,
    /// The access token that came with it.
    pub access_token: &'a str,
    /// What it is held against.
    pub against: Against<'a>,
    /// When the caller's request or tick began.
    pub now: Millis,
}

/// What an ID token is held against.
#[derive(Clone, Copy)]
pub enum Against<'a> {
    /// The login that it came with.
    Login {
        /// The `nonce` of the authorization request, if it is known.
        nonce: Option<&'a str>,
    },
    /// An earlier login.
    Earlier {
        /// Whose that was.
        account: &'a AccountId,
        /// What it said, if anything.
        original: Option<&'a Original>,
    },
}

/// Whom an ID token is about, as it says.
#[derive(Clone, Debug, PartialEq)]
pub enum Proven {
    /// It says so.
    By(Box<Identity>),
    /// There is none.
    Absent,
    /// It cannot be verified now.
    NotNow {
        /// When to try again.
        retry_after: Duration,
    },
    /// It is not good, or somebody else's: why, in words.
    Not(String),
}

/// What a good ID token says of a login.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Who has logged in.
    pub subject: Subject,
    /// The identity provider's own name of the login.
    pub sid: Option<String>,
    /// When the user proved who they are.
    pub auth_time: Option<Millis>,
    /// What ID tokens of refreshes are held against.
    pub original: Original,
    /// What it says of the user.
    pub claims: Object,
}

/// What is kept of a login's ID token, to hold those of refreshes against (OIDC Core 1.0 section 12.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `auth_time`, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Millis>,
}

/// How an identity provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `closed`: it is asked; `open`: it is spared; `half_open`: one request finds out whether it is back.
    pub breaker: &'static str,
    /// How long it is left alone from now; zero when it may be asked.
    pub spared_for: Duration,
    /// How many refreshes that nobody waits for may begin.
    pub room: usize,
}

/// How an access token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TokenType {
    /// By itself (RFC 6750).
    Bearer,
    /// With a proof that its key is at hand (RFC 9449).
    #[serde(rename = "DPoP")]
    Dpop,
}

impl TokenType {
    /// By its name, whose case does not matter (RFC 6749 section 5.1). What is not spoken here is shown like a bearer token.
    pub fn named(name: &str) -> Self {
        if name.eq_ignore_ascii_case("dpop") { Self::Dpop } else { Self::Bearer }
    }

    /// Its name, as in `Authorization`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// As it is kept with a grant: of one from before that was kept, its key says it.
    pub(crate) fn kept(name: Option<&str>, has_key: bool) -> Self {
        name.map_or(if has_key { Self::Dpop } else { Self::Bearer }, Self::named)
    }
}

/// New tokens.
pub struct Fresh {
    /// The access token.
    pub access_token: Secret,
    /// How it is shown.
    pub token_type: TokenType,
    /// How long it lives, if that is told.
    pub expires_in: Option<Duration>,
    /// Another refresh token, if there is one; the old one goes on otherwise.
    pub refresh_token: Option<Secret>,
    /// What was granted, where it is told.
    pub scope: Option<String>,
    /// What a verified ID token says of the user.
    pub claims: Option<Object>,
    /// An ID token that cannot be verified now.
    pub set_aside: Option<SetAside>,
}

/// An ID token that came with new tokens and whose keys could not be had: they are good all the same.
pub struct SetAside {
    /// The token.
    pub id_token: Secret,
    /// When to try again.
    pub retry_after: Duration,
}

/// Who signed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedOut {
    /// One login, as the identity provider names it (`sid`).
    Login(String),
    /// All of a user's.
    User {
        /// Whose.
        subject: Subject,
        /// When that was said, to the second.
        at: Millis,
    },
}

/// Why a logout token is not heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    /// It is not good.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be verified now.
    #[error("the logout token cannot be verified now")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

/// Tokens that nobody needs any more.
#[derive(Clone, Copy)]
pub struct ToRevoke<'a> {
    /// Whose they are.
    pub idp: &'a IdpId,
    /// With it goes the whole grant.
    pub refresh_token: Option<&'a str>,
    /// For those who take no refresh token back, and where there is none.
    pub access_token: Option<&'a str>,
    /// When the caller's tick began.
    pub now: Millis,
}

/// What an identity provider has taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The refresh token, and with it the grant.
    RefreshToken,
    /// The access token: refresh tokens are not taken back there, or there was none.
    AccessToken,
    /// Nothing: it takes nothing back. What there is ends by itself.
    Nothing,
}

impl Revoked {
    /// Its name, in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
            Self::Nothing => "nothing",
        }
    }
}

/// Of what kind a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The grant is no more.
    Terminal,
    /// What came back is of somebody else.
    Mismatch,
    /// Somebody must mend the configuration.
    Misconfigured,
    /// It is asked too much.
    Throttled,
    /// The token was not taken.
    KnownFailed,
    /// Perhaps it was.
    Ambiguous,
    /// It was not asked, so as not to be a burden.
    NotAsked,
}

/// Why nothing came back that is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Of what kind.
    pub class: Class,
    /// For how long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// In words, with nothing secret in them.
    pub text: String,
}
