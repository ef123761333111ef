use crate::ask::{Asking, RETRY_AFTER};
use crate::fetch::Keys;
use crate::flight::Pace;
use crate::introspector::{IntrospectionState, Introspector};
use crate::issuers::Issuers;
use crate::login::Login;
use crate::{AskError, ConfigError, IdpConfig, Inactive, Introspected, KeySet, Lane, OpaqueTokens, Told};
use account::{IdpId, Millis};
use arc_swap::Guard;
use jose::{Compact, Header, Thumbprint};
use outbound::{Client, Manners};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One identity provider.
#[derive(Debug)]
pub struct Idp {
    id: IdpId,
    issuers: Issuers,
    account_domain: Box<str>,
    set_audience: Option<Box<str>>,
    allow_missing_expiry: bool,
    opaque_tokens: OpaqueTokens,
    keys: Arc<Keys>,
    keys_refresh: Duration,
    asking: Option<Asking>,
    introspector: Option<Introspector>,
    login: Option<Login>,
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not of the key it names.
    #[error("the signature does not verify")]
    BadSignature,
    /// It names a key that the identity provider does not have, by a set fetched just now or configured.
    #[error("the token names a key that the identity provider does not have")]
    UnknownKey,
    /// There is no key at all to verify with: none configured, none could be fetched.
    #[error("no key of the identity provider is known")]
    NoKeys {
        /// When to try again.
        retry_after: Duration,
    },
    /// It names a key that is not known, and the keys cannot be fetched now. Never the token's fault.
    #[error("the identity provider's keys cannot be fetched now")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Idp {
    /// From its configuration. Touches no network.
    pub fn new(config: &IdpConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let client = client(config, Manners::default().max_answer)?;
        let keys = Arc::new(keys(config)?);
        Ok(Self {
            id: config.id.clone(),
            issuers: Issuers::new(&config.issuers),
            account_domain: Box::from(config.account_domain.as_str()),
            set_audience: config.set_audience.as_deref().map(Box::from),
            allow_missing_expiry: config.allow_missing_expiry,
            opaque_tokens: config.opaque_tokens,
            login: Login::configured(config, &keys)?,
            keys,
            keys_refresh: config.keys_refresh,
            introspector: Introspector::configured(config, &client)?,
            asking: asking(config, client)?,
        })
    }

    /// The name it has in this house.
    pub fn id(&self) -> &IdpId {
        &self.id
    }

    /// Whether this `iss` is one of its names. Compared byte by byte, but for one trailing slash.
    pub fn goes_by(&self, issuer: &str) -> bool {
        self.issuers.hold(issuer)
    }

    /// Its names, without trailing slashes.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter()
    }

    /// The domain of its accounts, as in `uid@domain`.
    pub fn account_domain(&self) -> &str {
        &self.account_domain
    }

    /// The `aud` its security event tokens must carry, if it may send any.
    pub fn set_audience(&self) -> Option<&str> {
        self.set_audience.as_deref()
    }

    /// Whether its JWTs may come without `exp`.
    pub fn allows_missing_expiry(&self) -> bool {
        self.allow_missing_expiry
    }

    /// Which tokens that are no JWT it may be asked about.
    pub fn opaque_tokens(&self) -> OpaqueTokens {
        let can_tell = self.asking.is_some() || self.introspector.is_some();
        if can_tell { self.opaque_tokens } else { OpaqueTokens::Refuse }
    }

    /// Whether it can be asked about tokens.
    pub fn can_be_asked(&self) -> bool {
        self.asking.is_some()
    }

    /// Its keys as known now. Cheap enough to be called for every request.
    pub fn keys(&self) -> Guard<Arc<KeySet>> {
        self.keys.load()
    }

    /// Verifies the signature of one of its tokens and says which key did it.
    ///
    /// Answers at once when the key the token names is known. Otherwise the keys are fetched, by one request for all
    /// who wait and at most every `unknown_key_refetch_seconds`; a token is called [`SignatureError::UnknownKey`] only
    /// by a set that was fetched within that time.
    pub async fn verify_signature(
        &self,
        token: &Compact<'_>,
        header: &Header,
    ) -> Result<Thumbprint, SignatureError> {
        self.keys.verify_signature(token, header).await
    }

    /// The same, when the key the token names is known; `None` when it is not, or not yet.
    pub fn verify_by_known_key(
        &self,
        token: &Compact<'_>,
        header: &Header,
    ) -> Option<Result<Thumbprint, SignatureError>> {
        self.keys.verify_by_known_key(token, header)
    }

    /// Logging in by it and keeping logins, where it is configured for that.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Asks it what a token means (`POST <server>/v1/verify`). For those that [`Idp::can_be_asked`]; others cannot
    /// tell, which is a refusal.
    pub async fn ask(&self, token: &str) -> Result<Told, AskError> {
        match &self.asking {
            Some(asking) => asking.ask(token).await,
            None => Err(AskError::Refused),
        }
    }

    /// Asks it to look into a token (RFC 7662), in the lane that the token belongs to. It is not asked when it wants to be
    /// left alone, when it fails and is spared, or when the lane has used up its questions; then, as after any other
    /// trouble, the answer is [`Introspected::Unavailable`] and says when to try again.
    ///
    /// For those that [`Idp::can_introspect`]; others can tell nothing, which is a refusal. `now` is when the caller's
    /// request or tick began.
    pub async fn introspect(&self, token: &str, lane: Lane<'_>, now: Millis) -> Introspected {
        match &self.introspector {
            Some(introspector) => introspector.introspect(token, lane, now).await,
            None => Introspected::Inactive(Inactive::NotAsked),
        }
    }

    /// Whether it can be asked to look into tokens.
    pub fn can_introspect(&self) -> bool {
        self.introspector.is_some()
    }

    /// How things stand with asking it to look into tokens, for health and metrics. `None` if it cannot be asked.
    pub fn introspection_state(&self, now: Millis) -> Option<IntrospectionState> {
        self.introspector.as_ref().map(|introspector| introspector.state(now))
    }

    /// Fetches its keys now, where it has any to fetch, and asks where it is asked, for somebody who wants to know whether
    /// that works; says how many keys are known then.
    ///
    /// # Errors
    /// Why they could not be fetched, for people.
    pub async fn probe(&self) -> Result<usize, String> {
        if let Some(login) = &self.login {
            login.rediscover().await.map_err(|error| error.to_string())?;
        }
        if self.keys.can_fetch() {
            self.keys.refetch().await.map_err(|error| error.to_string())?;
        }
        Ok(self.keys.load().keys().len())
    }

    /// Keeps its keys, and the endpoints that it tells, fresh until told to stop: fetches them at once, then every
    /// `keys_refresh_seconds`; sooner after a failure. To be run for as long as the process serves.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        if !self.keys.can_fetch() && !self.login.as_ref().is_some_and(Login::discovers) {
            return stop.cancelled().await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            never = self.refresh_for_ever() => match never {},
        }
    }

    async fn refresh_for_ever(&self) -> Infallible {
        loop {
            let told = match &self.login {
                Some(login) => login.rediscover().await,
                None => Ok(()),
            };
            let pause = match told.and(self.keys.refetch().await) {
                Ok(()) => self.keys_refresh,
                Err(error) => error.retry_after().unwrap_or(RETRY_AFTER).min(self.keys_refresh),
            };
            tokio::time::sleep(pause).await;
        }
    }
}

fn keys(config: &IdpConfig) -> Result<Keys, ConfigError> {
    let keys = Keys::configured(config.configured_keys());
    let Some(url) = config.jwks_endpoint()? else { return Ok(keys) };
    keys.fetch_from(client(config, jose::MAX_SET)?, url, Pace::of_keys(config), config.id.as_str());
    Ok(keys)
}

fn asking(config: &IdpConfig, client: Client) -> Result<Option<Asking>, ConfigError> {
    let Some(url) = config.verify_endpoint()? else { return Ok(None) };
    Ok(Some(Asking::new(client, url, config.request_timeout, config.max_in_flight, config.id.as_str())))
}

fn client(config: &IdpConfig, max_answer: usize) -> Result<Client, ConfigError> {
    Ok(Client::for_operator_addresses(&config.manners(max_answer)?)?)
}
