use serde_json::{Value, json};

/// A client of an [`OpenIdProvider`](super::OpenIdProvider): users can sign in to it, it can refresh, introspect, revoke
/// and get tokens of its own (`client_credentials`).
#[derive(Clone, Debug)]
pub struct OpenIdClient(Value);

impl OpenIdClient {
    /// One that proves itself by its secret in `Authorization: Basic`.
    pub fn basic(client_id: &str, secret: &str) -> Self {
        Self::new(client_id, "client_secret_basic").with("client_secret", secret.into())
    }

    /// One that proves itself by its secret in the form.
    pub fn post(client_id: &str, secret: &str) -> Self {
        Self::new(client_id, "client_secret_post").with("client_secret", secret.into())
    }

    /// One that proves itself by JWTs that are signed with its private key (RFC 7523); the key is a JWK, as JSON, with
    /// `alg`.
    pub fn private_key_jwt(client_id: &str, key: &str) -> Self {
        let key = serde_json::from_str(key).expect("a JWK is JSON");
        Self::new(client_id, "private_key_jwt").with("key", key)
    }

    /// One that proves itself by nothing. It may look into and revoke only its own tokens.
    pub fn public(client_id: &str) -> Self {
        let grants = json!(["authorization_code", "refresh_token"]);
        Self::new(client_id, "none").with("grant_types", grants)
    }

    /// The provider tells it of logouts there (OpenID Connect Back-Channel Logout), on the loopback too.
    #[must_use]
    pub fn told_of_logouts_at(self, url: &str) -> Self {
        self.with("backchannel_logout_uri", url.into())
    }

    /// Any other metadata of OpenID Connect registration.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0[name] = value;
        self
    }

    pub(super) fn metadata(&self) -> &Value {
        &self.0
    }

    fn new(client_id: &str, method: &str) -> Self {
        Self(json!({
            "client_id": client_id,
            "token_endpoint_auth_method": method,
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            // Nobody goes there: what the provider says to a browser is read from the redirect itself.
            "redirect_uris": ["https://client.example/callback"],
            // ID tokens have `sid` then.
            "backchannel_logout_session_required": true,
        }))
    }
}
