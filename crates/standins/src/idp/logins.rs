//! People log in to clients by it: codes, refresh tokens that rotate, who the user is, logouts; and all that can go wrong.

mod authorize;
mod clients;
mod faults;
mod grants;
mod http;
mod proofs;
mod revoke;
mod token;
mod user;

pub use authorize::Authorization;
pub use clients::{ClientProof, LoginClient};
pub use faults::{Endpoint, Fault, How, When};
pub use grants::Rotation;

pub(super) use clients::by_header;
pub(super) use http::{LoginDesk, router};

use super::StandInIdp;
use super::http::Desk;
use crate::fetch;
use grants::Family;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use token::{Traded, give};

/// Something in its answers that is not as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Odd {
    /// Tokens come without a refresh token. Whoever rotates them loses everybody so.
    NoRefreshToken,
    /// Without an ID token.
    NoIdToken,
    /// Without `expires_in`.
    NoExpiresIn,
    /// With `expires_in` as a text.
    ExpiresInAsText,
    /// With an ID token of another user.
    OtherSubject,
    /// By another issuer.
    OtherIssuer,
    /// For another client.
    OtherAudience,
    /// With a signature that does not fit.
    BadSignature,
    /// Userinfo is about another user.
    UserInfoOfAnother,
    /// Userinfo is a signed JWT.
    UserInfoAsJwt,
    /// Refresh tokens cannot be revoked: `unsupported_token_type`.
    KeepsRefreshTokens,
}

/// What a client has after somebody has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginTokens {
    /// The access token: opaque.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
    /// The ID token, unless answers come without.
    pub id_token: Option<String>,
    /// The session at the identity provider, as logout tokens name it.
    pub sid: String,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
    is_bound: bool,
}

/// The part of a [`StandInIdp`] where people log in to clients. Its endpoints are `/oauth2/authorize`, `/oauth2/token`,
/// `/oauth2/userinfo`, `/oauth2/revoke` and `/oauth2/jwks`, as its discovery document says.
#[derive(Clone, Copy, Debug)]
pub struct Logins<'a>(&'a StandInIdp);

impl StandInIdp {
    /// Where people log in to clients.
    pub fn logins(&self) -> Logins<'_> {
        Logins(self)
    }
}

impl Logins<'_> {
    /// Lets people log in to this client.
    pub fn register(&self, client: LoginClient) {
        self.desk().logins.lock().clients.register(client);
    }

    /// Rotates refresh tokens like this from now on; strictly at first.
    pub fn rotate(&self, rotation: Rotation) {
        self.desk().logins.lock().rotation = rotation;
    }

    /// Access tokens that are given out from now on are good for so long; an hour at first.
    pub fn access_tokens_last(&self, duration: Duration) {
        self.desk().logins.lock().access_tokens_last = Some(duration);
    }

    /// Proofs of possession must have this nonce; whoever lacks it is told (RFC 9449 section 8).
    pub fn want_nonce(&self, nonce: Option<&str>) {
        self.desk().logins.lock().proof_nonce = nonce.map(str::to_owned);
    }

    /// Answers are odd in these ways, and no others, from now on.
    pub fn answer_oddly(&self, odds: impl IntoIterator<Item = Odd>) {
        self.desk().logins.lock().odds = odds.into_iter().collect();
    }

    /// This goes wrong there from now on, every time; with `None` nothing any more.
    pub fn fail(&self, at: Endpoint, fault: Option<Fault>) {
        self.desk().logins.lock().faults.set(at, fault, None);
    }

    /// Its answers take so long from now on, as those of one that is far away.
    pub fn take(&self, at: Endpoint, time: Duration) {
        self.desk().logins.lock().faults.delay(at, time);
    }

    /// This goes wrong there so many times.
    pub fn fail_times(&self, at: Endpoint, fault: Fault, times: u32) {
        self.desk().logins.lock().faults.set(at, (times > 0).then_some(fault), Some(times));
    }

    /// Somebody logs in to a client with the scopes `openid offline_access`, and the client has its tokens. `None` when
    /// there is no such account or client.
    pub fn log_in(&self, client_id: &str, subject: &str) -> Option<LoginTokens> {
        let desk = self.desk();
        desk.accounts.find(subject)?;
        let mut inner = desk.logins.lock();
        inner.clients.find(client_id)?;
        let family = Family::new(client_id, subject, "openid offline_access", desk.seconds());
        let (family, refresh_token) = inner.grants.begin(family);
        Some(give(desk, &mut inner, &Traded { family, refresh_token, nonce: None }))
    }

    /// Somebody logs in and goes back with a code. `None` when there is no such account or client, or the user would be sent
    /// elsewhere.
    pub fn authorize(&self, asked: &Authorization) -> Option<String> {
        authorize::grant(self.desk(), asked.clone())
    }

    /// The user of that session logs out here: what was granted ends, and the client is told. The status it answers with;
    /// `None` if it is not to be told.
    pub async fn log_out(&self, sid: &str) -> io::Result<Option<u16>> {
        let (client_id, subject) = {
            let mut inner = self.desk().logins.lock();
            inner.grants.end(|family| family.sid == sid);
            let whose =
                inner.grants.by_sid(sid).map(|family| (family.client_id.clone(), family.subject.clone()));
            whose.ok_or(io::ErrorKind::NotFound)?
        };
        let token = self.logout_token(&client_id, Some(&subject), Some(sid));
        self.tell_logout(&client_id, &token).await
    }

    /// Sends a logout token to a client, whatever is in it. The status it answers with; `None` if it is not to be told.
    pub async fn tell_logout(&self, client_id: &str, logout_token: &str) -> io::Result<Option<u16>> {
        let uri = self
            .desk()
            .logins
            .lock()
            .clients
            .find(client_id)
            .and_then(|it| it.backchannel_logout_uri.clone());
        let Some(uri) = uri else { return Ok(None) };
        let url = uri.parse().map_err(io::Error::other)?;
        fetch::post_form(&url, &[("logout_token", logout_token)]).await.map(Some)
    }

    /// A logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    pub fn logout_token(&self, client_id: &str, subject: Option<&str>, sid: Option<&str>) -> String {
        self.0.sign("logout+jwt", &self.logout_claims(client_id, subject, sid))
    }

    /// What a logout token claims, to be changed and signed by [`StandInIdp::sign`].
    pub fn logout_claims(&self, client_id: &str, subject: Option<&str>, sid: Option<&str>) -> Value {
        let now = self.desk().seconds();
        let mut claims = json!({
            "iss": self.0.url(), "aud": client_id, "iat": now, "exp": now + 120, "jti": super::random_hex::<16>(),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        for (name, value) in [("sub", subject), ("sid", sid)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        claims
    }

    /// How often this very refresh token was presented, whatever came of it.
    pub fn presentations(&self, refresh_token: &str) -> u64 {
        self.desk().logins.lock().grants.presentations(refresh_token)
    }

    /// How often any one refresh token was presented at most.
    pub fn most_presented(&self) -> u64 {
        self.desk().logins.lock().grants.most_presented()
    }

    /// Every refresh token that was ever given out.
    pub fn refresh_tokens(&self) -> Vec<String> {
        self.desk().logins.lock().grants.refresh_tokens()
    }

    /// How many families ended because a token that was replaced came back.
    pub fn reuses_detected(&self) -> u64 {
        self.desk().logins.lock().grants.reuses()
    }

    /// Whether this refresh token would be taken now.
    pub fn is_live(&self, refresh_token: &str) -> bool {
        self.desk().logins.lock().grants.is_live(refresh_token)
    }

    /// How often an endpoint was asked.
    pub fn requests(&self, at: Endpoint) -> u64 {
        self.desk().logins.lock().faults.requests(at)
    }

    /// How many requests an endpoint has at this moment.
    pub fn at_once(&self, at: Endpoint) -> u64 {
        self.desk().logins.lock().faults.at_once(at)
    }

    /// How many requests an endpoint had at once at most.
    pub fn most_at_once(&self, at: Endpoint) -> u64 {
        self.desk().logins.lock().faults.most_at_once(at)
    }

    fn desk(&self) -> &Desk {
        &self.0.desk
    }
}
