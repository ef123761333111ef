//! Proving to an identity provider who asks.

use crate::{ClientAuthMethod, ConfigError, IdpConfig, LoginConfig, Secret};
use account::{IdpId, Millis};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jose::SigningKey;
use outbound::header::{self, HeaderValue};
use outbound::{Client, Papers, Request, Url, form_urlencoded};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// A signed proof is good for so many seconds: long enough for a slow connection, too short to be worth stealing.
const ASSERTION_SECONDS: i64 = 60;

/// How we prove who asks, with all it takes.
pub(crate) enum ClientAuth {
    None,
    /// The whole `Authorization`.
    Basic(HeaderValue),
    Post {
        client_id: String,
        client_secret: Zeroizing<String>,
    },
    Assertion(Assertion),
    /// The certificate proves it (RFC 8705 section 2), or nothing does; the form says whom.
    Named {
        client_id: String,
    },
}

/// How we prove who asks, as configured in one section.
pub(crate) struct Credentials<'a> {
    idp: &'a IdpId,
    section: &'static str,
    method: ClientAuthMethod,
    client_id: &'a str,
    client_secret: Option<&'a Secret>,
    client_key: Option<&'a Path>,
    assertion_audience: &'a str,
    client_certificate: Option<&'a Path>,
    certificate_authorities: Option<&'a Path>,
}

/// What is signed to prove who asks (RFC 7523 section 3).
pub(crate) struct Assertion {
    client_id: String,
    audience: String,
    key: SigningKey,
}

impl<'a> Credentials<'a> {
    /// Those for looking into tokens.
    pub(crate) fn for_introspection(config: &'a IdpConfig) -> Self {
        let own = &config.introspection;
        Self {
            idp: &config.id,
            section: "introspection",
            method: own.client_auth,
            client_id: own.client_id.as_deref().unwrap_or_default(),
            client_secret: own.client_secret.as_ref(),
            client_key: own.client_key.as_deref(),
            assertion_audience: own.assertion_audience.as_deref().unwrap_or(&config.issuers[0]),
            client_certificate: own.client_certificate.as_deref(),
            certificate_authorities: own.certificate_authorities.as_deref(),
        }
    }

    /// Those for logins.
    pub(crate) fn for_logins(config: &'a IdpConfig, own: &'a LoginConfig) -> Self {
        Self {
            idp: &config.id,
            section: "login",
            method: own.method(),
            client_id: &own.client_id,
            client_secret: own.client_secret.as_ref(),
            client_key: own.client_key.as_deref(),
            assertion_audience: own.assertion_audience.as_deref().unwrap_or(&config.issuers[0]),
            client_certificate: own.client_certificate.as_deref(),
            certificate_authorities: own.certificate_authorities.as_deref(),
        }
    }

    /// The certificates of the connection. Reads their files.
    pub(crate) fn papers(&self) -> Result<Papers, ConfigError> {
        let mut papers = Papers::default();
        if let Some(path) = self.certificate_authorities {
            let field = "certificate_authorities";
            let pem = self.read(field, path)?;
            papers = papers.believing(&pem).map_err(|error| self.wrong(field, path, &error))?;
        }
        if let Some(path) = self.client_certificate {
            let field = "client_certificate";
            let pem = self.read(field, path)?;
            papers = papers.showing(&pem).map_err(|error| self.wrong(field, path, &error))?;
        }
        Ok(papers)
    }

    fn signing_key(&self) -> Result<SigningKey, ConfigError> {
        const FIELD: &str = "client_key";
        let path = self.client_key.unwrap_or(Path::new(""));
        let json = self.read(FIELD, path)?;
        SigningKey::from_private_jwk(json.as_bytes()).map_err(|error| self.wrong(FIELD, path, &error))
    }

    fn read(&self, field: &'static str, path: &Path) -> Result<Zeroizing<String>, ConfigError> {
        std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| self.wrong(field, path, &error))
    }

    fn wrong(&self, field: &'static str, path: &Path, error: &dyn fmt::Display) -> ConfigError {
        let what = format!("{}: {error}", path.display());
        ConfigError::Section { idp: self.idp.clone(), section: self.section, field, what }
    }
}

impl ClientAuth {
    /// As configured. Reads the file of the private key.
    pub(crate) fn new(own: &Credentials<'_>) -> Result<Self, ConfigError> {
        let client_id = own.client_id.to_owned();
        let secret = own.client_secret.map_or("", Secret::reveal);
        Ok(match own.method {
            ClientAuthMethod::None => Self::None,
            ClientAuthMethod::Basic => Self::Basic(basic(&client_id, secret)),
            ClientAuthMethod::Post => {
                Self::Post { client_id, client_secret: Zeroizing::new(secret.to_owned()) }
            }
            ClientAuthMethod::PrivateKeyJwt => Self::Assertion(Assertion {
                client_id,
                audience: own.assertion_audience.to_owned(),
                key: own.signing_key()?,
            }),
            ClientAuthMethod::Tls => Self::Named { client_id },
        })
    }

    /// As configured; whoever proves nothing at least says who it is, as a public client does.
    pub(crate) fn of_login(own: &Credentials<'_>) -> Result<Self, ConfigError> {
        match Self::new(own)? {
            Self::None => Ok(Self::Named { client_id: own.client_id.to_owned() }),
            proof => Ok(proof),
        }
    }

    /// A form with its proof.
    pub(crate) fn post_form(
        &self,
        client: &Client,
        url: &Url,
        fields: &[(&str, &str)],
        now: Millis,
    ) -> Request {
        let proven = |proof: &[(&str, &str)]| client.post_form(url, &[fields, proof].concat());
        match self {
            Self::None => proven(&[]),
            Self::Basic(authorization) => proven(&[]).header(header::AUTHORIZATION, authorization.clone()),
            Self::Post { client_id, client_secret } => {
                proven(&[("client_id", client_id), ("client_secret", client_secret)])
            }
            Self::Assertion(assertion) => proven(&[
                ("client_id", &assertion.client_id),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", &assertion.signed(now)),
            ]),
            Self::Named { client_id } => proven(&[("client_id", client_id)]),
        }
    }
}

impl Assertion {
    /// A new one each time: the other side may take each only once.
    fn signed(&self, now: Millis) -> String {
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: &'a str,
            sub: &'a str,
            aud: &'a str,
            jti: String,
            iat: i64,
            exp: i64,
        }
        let Self { client_id, audience, key } = self;
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system gives random bytes");
        let (jti, iat, exp) = (hex::encode(random), now.seconds(), now.seconds() + ASSERTION_SECONDS);
        let claims = Claims { iss: client_id, sub: client_id, aud: audience, jti, iat, exp };
        key.sign_claims("JWT", &claims).expect("a key that was read signs, and texts and numbers serialize")
    }
}

/// Id and secret are encoded before they are joined, so that a colon in one does not end it (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &str) -> HeaderValue {
    let encoded =
        |text: &str| Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let joined = Zeroizing::new(format!("{}:{}", *encoded(client_id), *encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*joined)));
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic",
            Self::Post { .. } => "Post",
            Self::Assertion(_) => "Assertion",
            Self::Named { .. } => "Named",
        })
    }
}
