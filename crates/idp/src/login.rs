//! Logging in by an identity provider, and keeping logins: every call there is.

mod asking;
mod channel;
mod dpop;
mod endpoints;
mod failure;
mod id_token;
mod logout_token;
mod meters;
mod revocation;
mod state;
mod tokens;
mod userinfo;

pub use asking::{CodeExchange, Granted, NotGranted, Refresh};
pub use dpop::{BadDpopKey, DpopKey, Proof as DpopProof};
pub use failure::{Failure, FailureClass};
pub use id_token::{Against, IdToken, IdTokenClaims, Mismatch, Original, Unusable};
pub use logout_token::{LogoutToken, LogoutTokenError};
pub use revocation::{NotRevoked, Revocation, Revoked};
pub use state::{LastError, LoginState};
pub use tokens::Tokens;
pub use userinfo::{UserInfo, UserInfoAsk, UserInfoError};

use crate::client_auth::{ClientAuth, Credentials};
use crate::fetch::{FetchError, Keys};
use crate::issuers::Issuers;
use crate::{ConfigError, IdpConfig, SignatureError};
use channel::Channel;
use dpop::Nonce;
use endpoints::Directory;
use id_token::Parties;
use jose::{Algorithm, Compact, Header};
use meters::Meters;
use outbound::Url;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// One identity provider as those see it who keep logins: tokens for a code, new tokens for a refresh token, who the user is,
/// taking tokens back, and the identity provider's word that somebody signed out.
///
/// Each call sends its request once. Who a client is, is never tried out; a request that may have arrived is never repeated,
/// but where the other side has said that it took nothing and wants a nonce in the proof (RFC 9449 section 8). All calls keep
/// to the manners configured: places, a rate, a time, a breaker for each endpoint that lets one find out whether it is well
/// again, and an ear for `Retry-After`; what must wait is told so ([`HeldBack`]), and nothing was sent then.
#[derive(Debug)]
pub struct Login {
    idp: Box<str>,
    issuers: Issuers,
    client_id: Box<str>,
    redirect_uri: Option<Box<str>>,
    scopes: Vec<String>,
    dpop: bool,
    algorithms: Vec<Algorithm>,
    auth: ClientAuth,
    directory: Directory,
    keys: Arc<Keys>,
    channel: Channel,
    token_nonce: Nonce,
    userinfo_nonce: Nonce,
    last_error: Mutex<Option<LastError>>,
    meters: Meters,
}

/// For whom a request is: when there is not room for all, those that somebody waits for have a quarter kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    Waited,
    /// Nobody does.
    Background,
}

/// A request that was not sent, so as not to be a burden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldBack {
    /// The endpoint fails, or wants to be left alone.
    #[error("the identity provider is spared")]
    Spared {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many requests as may be sent were.
    #[error("the identity provider is asked as often as it may be")]
    Rate {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many requests as may be are on their way.
    #[error("as many requests as may be are on their way to the identity provider")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
}

impl HeldBack {
    /// When to try again.
    pub const fn retry_after(&self) -> Duration {
        match self {
            Self::Spared { retry_after } | Self::Rate { retry_after } | Self::Busy { retry_after } => {
                *retry_after
            }
        }
    }
}

impl Login {
    /// As configured; `None` where nobody logs in. Reads the files of keys and certificates; touches no network.
    pub(crate) fn configured(config: &IdpConfig, keys: &Arc<Keys>) -> Result<Option<Self>, ConfigError> {
        let Some(login) = &config.login else { return Ok(None) };
        let credentials = Credentials::for_logins(config, login);
        Ok(Some(Self {
            idp: Box::from(config.id.as_str()),
            issuers: Issuers::new(&config.issuers),
            client_id: Box::from(login.client_id.as_str()),
            redirect_uri: login.redirect_uri.as_deref().map(Box::from),
            scopes: login.scopes.clone(),
            dpop: login.dpop,
            algorithms: login.algorithms(),
            auth: ClientAuth::of_login(&credentials)?,
            directory: Directory::configured(config, login, keys)?,
            keys: Arc::clone(keys),
            channel: Channel::configured(config, login, &credentials.papers()?)?,
            token_nonce: Nonce::default(),
            userinfo_nonce: Nonce::default(),
            last_error: Mutex::new(None),
            meters: Meters::new(config.id.as_str()),
        }))
    }

    /// The client id it knows us by.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Where it sends people back to, if that is configured.
    pub fn redirect_uri(&self) -> Option<&str> {
        self.redirect_uri.as_deref()
    }

    /// What is asked for when people log in.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether every grant's tokens are bound to a key of its own: then a [`DpopKey`] is made for each login.
    pub fn binds_tokens(&self) -> bool {
        self.dpop
    }

    /// Where people are sent to log in, if it says so.
    pub async fn authorization_endpoint(&self) -> Option<Url> {
        self.directory.endpoints().await.ok()?.authorization.clone()
    }

    /// Whether it tells its endpoints itself.
    pub(crate) fn discovers(&self) -> bool {
        self.directory.discovers()
    }

    /// Asks it anew where it is asked, if that is long ago.
    pub(crate) async fn rediscover(&self) -> Result<(), FetchError> {
        self.directory.refresh().await
    }

    /// Sends at most so many requests a second from now on, `burst` of them at once after a pause; without a number as many
    /// as come.
    pub fn pace(&self, requests_per_second: Option<u32>, burst: Option<u32>) {
        self.channel.pace(requests_per_second, burst);
    }

    fn parties(&self) -> Parties<'_> {
        Parties { issuers: &self.issuers, client_id: &self.client_id }
    }

    /// Verifies a signature, by an algorithm that it may use.
    async fn verify_signature(&self, token: &Compact<'_>, header: &Header) -> Result<(), BadSeal> {
        if !self.algorithms.contains(&header.algorithm) {
            return Err(BadSeal::Algorithm);
        }
        if !self.keys.can_fetch() {
            // Where the keys are is told with the endpoints. If it cannot be asked, that shows just below.
            drop(self.directory.endpoints().await);
        }
        match self.keys.verify_signature(token, header).await {
            Ok(_) => Ok(()),
            Err(SignatureError::BadSignature | SignatureError::UnknownKey) => Err(BadSeal::Signature),
            Err(SignatureError::NoKeys { retry_after } | SignatureError::Unavailable { retry_after }) => {
                Err(BadSeal::NotNow { retry_after })
            }
        }
    }
}

/// Why a signature is not accepted.
enum BadSeal {
    Algorithm,
    Signature,
    NotNow { retry_after: Duration },
}
