//! Where an identity provider is asked: configured, or told by itself.

use crate::client_auth::Credentials;
use crate::fetch::{FetchError, Keys};
use crate::flight::{Flights, Pace};
use crate::issuers::Issuers;
use crate::{ClientAuthMethod, ConfigError, IdpConfig, LoginConfig};
use arc_swap::ArcSwapOption;
use futures::FutureExt;
use jose::from_object;
use outbound::{Answer, Client, Manners, OutboundError, StatusCode, Url};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is asked anew where it is asked, and how soon after it could not be.
const PACE: Pace = Pace { floor: Duration::from_secs(5), refresh: Duration::from_hours(1) };

/// The endpoints, as far as they are used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) token: Url,
    pub(crate) userinfo: Option<Url>,
    pub(crate) revocation: Option<Url>,
    pub(crate) authorization: Option<Url>,
}

/// The endpoints of one identity provider, and how to get them.
#[derive(Debug)]
pub(crate) struct Directory {
    known: Arc<Known>,
    source: Option<Source>,
}

#[derive(Debug, Default)]
struct Known {
    endpoints: ArcSwapOption<Endpoints>,
    told_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Source {
    client: Client,
    desk: Arc<Desk>,
    flights: Flights,
}

/// What reading needs.
#[derive(Debug)]
struct Desk {
    idp: Box<str>,
    urls: Vec<Url>,
    issuers: Issuers,
    by_certificate: bool,
    keys: Arc<Keys>,
    /// Whether its keys are where it says; otherwise where they are is configured.
    tells_keys: bool,
    keys_client: Client,
    keys_pace: Pace,
}

impl Directory {
    /// As configured. `client` is for what it tells of itself.
    pub(crate) fn configured(
        config: &IdpConfig,
        login: &LoginConfig,
        keys: &Arc<Keys>,
    ) -> Result<Self, ConfigError> {
        let url =
            |field, text: &Option<String>| text.as_deref().map(|text| config.url(field, text)).transpose();
        if let Some(token) = url("login.token_url", &login.token_url)? {
            let userinfo = url("login.userinfo_url", &login.userinfo_url)?;
            let revocation = url("login.revocation_url", &login.revocation_url)?;
            let endpoints = Endpoints { token, userinfo, revocation, authorization: None };
            let known = Known { endpoints: ArcSwapOption::from_pointee(endpoints), ..Known::default() };
            return Ok(Self { known: Arc::new(known), source: None });
        }
        let urls = match url("login.discovery_url", &login.discovery_url)? {
            Some(url) => vec![url],
            None => well_known(config)?,
        };
        let papers = Credentials::for_logins(config, login).papers()?;
        let client = |max_answer| {
            Client::for_one_operator_address(&config.manners(max_answer)?, &papers).map_err(ConfigError::from)
        };
        let desk = Desk {
            idp: Box::from(config.id.as_str()),
            urls,
            issuers: Issuers::new(&config.issuers),
            by_certificate: login.method() == ClientAuthMethod::Tls,
            keys: Arc::clone(keys),
            tells_keys: config.fetch_keys && config.jwks_endpoint()?.is_none(),
            keys_client: client(jose::MAX_SET)?,
            keys_pace: Pace::of_keys(config),
        };
        let client = client(Manners::default().max_answer)?;
        let source = Source { client, desk: Arc::new(desk), flights: Flights::default() };
        Ok(Self { known: Arc::default(), source: Some(source) })
    }

    /// Where it is asked, as known; if nothing is known yet, it is asked, by one request for all who wait.
    pub(crate) async fn endpoints(&self) -> Result<Arc<Endpoints>, FetchError> {
        if let Some(known) = self.known.endpoints.load_full() {
            return Ok(known);
        }
        self.ask().await?;
        self.known.endpoints.load_full().ok_or(FetchError::Metadata("nothing"))
    }

    /// Asks anew if that is an hour ago. What it told last goes on counting when it cannot be asked.
    pub(crate) async fn refresh(&self) -> Result<(), FetchError> {
        let told_at = *self.known.told_at.lock();
        let is_fresh = told_at.is_some_and(|at| at.elapsed() < PACE.refresh);
        if is_fresh { Ok(()) } else { self.ask().await }
    }

    /// Whether it tells its endpoints itself.
    pub(crate) fn discovers(&self) -> bool {
        self.source.is_some()
    }

    /// Whether it is known where to ask.
    pub(crate) fn is_known(&self) -> bool {
        self.known.endpoints.load().is_some()
    }

    async fn ask(&self) -> Result<(), FetchError> {
        let Some(source) = &self.source else { return Ok(()) };
        let begin = || {
            let (client, desk) = (source.client.clone(), Arc::clone(&source.desk));
            let known = Arc::clone(&self.known);
            async move { desk.learn(&client, &known).await }.boxed()
        };
        source.flights.join(PACE, begin).await
    }
}

impl Desk {
    async fn learn(&self, client: &Client, known: &Known) -> Result<(), FetchError> {
        let told = match self.fetch(client).await {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(idp = %self.idp, %error, "the identity provider does not say where it is asked");
                return Err(error);
            }
        };
        if self.tells_keys
            && let Some(url) = told.jwks
        {
            self.keys.fetch_from(self.keys_client.clone(), url, self.keys_pace, &self.idp);
        }
        known.endpoints.store(Some(Arc::new(told.endpoints)));
        *known.told_at.lock() = Some(Instant::now());
        Ok(())
    }

    async fn fetch(&self, client: &Client) -> Result<Told, FetchError> {
        let mut last = None;
        for url in &self.urls {
            match client.get(url).accept_json().send().await.and_then(Answer::success) {
                Ok(answer) => return read(answer.body(), &self.issuers, self.by_certificate),
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or(FetchError::Metadata("nowhere"), |error: OutboundError| error.into()))
    }
}

/// What it says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    endpoints: Endpoints,
    jwks: Option<Url>,
}

/// OIDC Discovery 1.0 section 4 appends to the issuer; RFC 8414 section 3 puts its own between host and path.
fn well_known(config: &IdpConfig) -> Result<Vec<Url>, ConfigError> {
    let issuer = config.issuers[0].trim_end_matches('/');
    let openid = config.url("issuers", &format!("{issuer}/.well-known/openid-configuration"))?;
    let mut oauth = openid.clone();
    let path = config.url("issuers", issuer)?;
    let path = path.path().trim_end_matches('/');
    oauth.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    Ok(vec![openid, oauth])
}

fn read(body: &[u8], issuers: &Issuers, by_certificate: bool) -> Result<Told, FetchError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Raw {
        issuer: Option<String>,
        #[serde(flatten)]
        endpoints: RawEndpoints,
        authorization_endpoint: Option<String>,
        jwks_uri: Option<String>,
        mtls_endpoint_aliases: RawEndpoints,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct RawEndpoints {
        #[serde(rename = "token_endpoint")]
        token: Option<String>,
        #[serde(rename = "userinfo_endpoint")]
        userinfo: Option<String>,
        #[serde(rename = "revocation_endpoint")]
        revocation: Option<String>,
    }
    let raw: Raw = from_object(body).map_err(|_| FetchError::Metadata("it is no JSON of the right shape"))?;
    // OIDC Discovery 1.0 section 4.3: else one could speak for another.
    let issuer = raw.issuer.filter(|issuer| issuers.hold(issuer));
    let issuer = issuer.ok_or(FetchError::Metadata("its issuer is another"))?;
    let url = |text: Option<String>| text.map(|text| endpoint(&text, &issuer)).transpose();
    // RFC 8705 section 5.
    let alias = if by_certificate { raw.mtls_endpoint_aliases } else { RawEndpoints::default() };
    let own = raw.endpoints;
    let token = url(alias.token.or(own.token))?;
    let endpoints = Endpoints {
        token: token.ok_or(FetchError::Metadata("it has no token endpoint"))?,
        userinfo: url(alias.userinfo.or(own.userinfo))?,
        revocation: url(alias.revocation.or(own.revocation))?,
        authorization: url(raw.authorization_endpoint)?,
    };
    Ok(Told { endpoints, jwks: url(raw.jwks_uri)? })
}

/// Whoever is reached by TLS does not send us where there is none.
fn endpoint(text: &str, issuer: &str) -> Result<Url, FetchError> {
    let url = Url::parse(text).map_err(|_| FetchError::Metadata("an endpoint is no URL"))?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_http = url.scheme() == "http" && !issuer.starts_with("https:");
    if is_plain && (is_http || url.scheme() == "https") {
        Ok(url)
    } else {
        Err(FetchError::Metadata("an endpoint is no https URL, or has credentials in it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::IdpId;
    use serde_json::{Value, json};

    fn told(members: &Value, by_certificate: bool) -> Result<Told, String> {
        let mut whole =
            json!({ "issuer": "https://idp.example", "token_endpoint": "https://idp.example/token" });
        whole.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        let issuers = Issuers::new(&["https://idp.example/".to_owned()]);
        read(whole.to_string().as_bytes(), &issuers, by_certificate).map_err(|error| error.to_string())
    }

    #[test]
    fn what_it_tells_is_read() {
        let read = told(
            &json!({
                "userinfo_endpoint": "https://idp.example/me", "jwks_uri": "https://keys.example/jwks",
                "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.idp.example/token" }, "else": [1],
            }),
            false,
        );
        let read = read.expect("good");
        assert_eq!(read.endpoints.token.as_str(), "https://idp.example/token");
        assert_eq!(read.endpoints.userinfo.expect("told").path(), "/me");
        assert_eq!(read.endpoints.revocation, None);
        assert_eq!(read.jwks.expect("told").host_str(), Some("keys.example"));
    }

    #[test]
    fn whoever_shows_a_certificate_goes_where_it_is_looked_at() {
        let aliases =
            json!({ "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.idp.example/token" } });
        let token = |by_certificate| told(&aliases, by_certificate).expect("good").endpoints.token;
        assert_eq!(token(true).host_str(), Some("mtls.idp.example"));
        assert_eq!(token(false).host_str(), Some("idp.example"));
    }

    #[test]
    fn what_is_of_no_use_is_refused() {
        for (members, why) in [
            (json!({ "issuer": "https://other.example" }), "another"),
            (json!({ "issuer": null }), "another"),
            (json!({ "token_endpoint": null }), "no token endpoint"),
            (json!({ "token_endpoint": "http://idp.example/token" }), "https"),
            (json!({ "token_endpoint": "https://user:pass@idp.example/token" }), "credentials"),
            (json!({ "userinfo_endpoint": "nowhere" }), "no URL"),
            (json!({ "jwks_uri": 7 }), "shape"),
        ] {
            let error = told(&members, false).expect_err("refused");
            assert!(error.contains(why), "{members}: {error}");
        }
    }

    #[test]
    fn it_is_looked_for_where_either_standard_has_it() {
        let config = |issuer| IdpConfig::new(IdpId::new("idp").expect("valid"), issuer, "idp.example");
        let urls = |issuer| {
            well_known(&config(issuer)).expect("URLs").iter().map(Url::to_string).collect::<Vec<_>>()
        };
        let plain = ["openid-configuration", "oauth-authorization-server"]
            .map(|name| format!("https://idp.example/.well-known/{name}"));
        assert_eq!(urls("https://idp.example"), plain);
        let with_path = [
            "https://idp.example/realm/.well-known/openid-configuration",
            "https://idp.example/.well-known/oauth-authorization-server/realm",
        ];
        assert_eq!(urls("https://idp.example/realm/"), with_path);
    }
}
