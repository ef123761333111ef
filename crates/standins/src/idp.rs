mod accounts;
mod http;
mod introspect;
mod keys;
mod logins;

pub use introspect::Canned;
pub use logins::{
    Authorization, ClientProof, Endpoint, Fault, How, LoginClient, LoginTokens, Logins, Odd, Rotation, When,
};

use crate::Now;
use crate::running::Running;
use accounts::{Accounts, Grant};
use http::Desk;
use keys::Keyring;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::{fmt, io};

/// The scope that lets a token ask the Tokenserver.
pub const SYNC_SCOPE: &str = "https://identity.mozilla.com/apps/oldsync";

const CLIENT: &str = "5882386c6d801776";
const TOKEN_SECONDS: i64 = 6 * 60 * 60;

/// An identity provider of the shape of Mozilla accounts: `GET /v1/jwks`, `POST /v1/verify`, `POST /v1/introspect`, and
/// behind its back the doings of its users. To clients that it knows it also introspects as the standard has it
/// (RFC 7662): `POST /oauth2/introspect`. People log in to clients by it: see [`StandInIdp::logins`].
///
/// Its access tokens are JWTs (RFC 9068: `typ` is `at+jwt`) signed with RS256, or opaque ones that only `/v1/verify`
/// can tell. It forgets the tokens of an account whose password changes, as the real one does; whoever verifies JWTs
/// alone does not notice.
pub struct StandInIdp {
    running: Running,
    desk: Arc<Desk>,
    now: Now,
}

/// What a device has after signing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The access token.
    pub access_token: String,
    /// What it sends as `X-KeyID`: `<keys_changed_at>-<client state>`.
    pub key_id: String,
}

/// What an access token claims; see [`StandInIdp::mint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The account.
    pub subject: String,
    /// The OAuth client.
    pub client_id: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// `fxa-generation`: when the credentials last changed, milliseconds since the epoch.
    pub generation: Option<i64>,
    /// `iat`, seconds since the epoch.
    pub issued_at: i64,
    /// `exp`, seconds since the epoch.
    pub expires_at: i64,
}

impl AccessClaims {
    /// A browser's token for sync, good for six hours from `issued_at` (seconds since the epoch).
    pub fn new(subject: &str, generation: i64, issued_at: i64) -> Self {
        Self {
            subject: subject.to_owned(),
            client_id: CLIENT.to_owned(),
            scope: SYNC_SCOPE.to_owned(),
            generation: Some(generation),
            issued_at,
            expires_at: issued_at + TOKEN_SECONDS,
        }
    }
}

/// What a Security Event Token tells.
#[derive(Clone, Debug, PartialEq)]
pub enum SecurityEvent {
    /// The password changed or was reset, at this time in milliseconds since the epoch.
    PasswordChange(i64),
    /// The account was deleted.
    DeleteUser,
    /// Any other: the event's URI and what it carries.
    Other(String, Value),
}

impl SecurityEvent {
    fn events(&self) -> Value {
        const BASE: &str = "https://schemas.accounts.firefox.com/event/";
        match self {
            Self::PasswordChange(at) => json!({ (format!("{BASE}password-change")): { "changeTime": at } }),
            Self::DeleteUser => json!({ (format!("{BASE}delete-user")): {} }),
            Self::Other(uri, body) => json!({ (uri): body }),
        }
    }
}

/// How the identity provider is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    #[default]
    Up,
    /// It answers 503 to everything.
    Down,
    /// It takes requests and does not answer them until it is well again.
    Silent,
    /// It makes its answers at once, and sends none until it is well again: they tell how things were.
    Late,
}

impl StandInIdp {
    /// Starts it with one signing key and no accounts. Making the key takes a moment.
    pub async fn start(now: Now) -> io::Result<Self> {
        let desk = Arc::new(Desk::new(Keyring::new(), Accounts::default(), Arc::clone(&now)));
        let running = Running::start(http::router(Arc::clone(&desk))).await?;
        desk.issuer.set(running.url()).expect("it is set once, here");
        Ok(Self { running, desk, now })
    }

    /// Its URL, with no slash at the end; also its issuer.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// The key set that it publishes now.
    pub fn jwks(&self) -> Value {
        self.desk.keys.published()
    }

    /// Signs with a new key from now on; the old ones stay published until [`StandInIdp::withdraw_old_keys`].
    pub fn rotate_keys(&self) {
        self.desk.keys.rotate();
    }

    /// Publishes only the current key: what was signed with others is good no more.
    pub fn withdraw_old_keys(&self) {
        self.desk.keys.withdraw_old();
    }

    /// Makes it ill, or well again.
    pub fn set_health(&self, health: Health) {
        self.desk.health.send_replace(health);
    }

    /// How often its keys were asked for.
    pub fn jwks_requests(&self) -> u64 {
        self.desk.jwks_requests.load(Relaxed)
    }

    /// How often it was asked to verify a token.
    pub fn verify_requests(&self) -> u64 {
        self.desk.verify_requests.load(Relaxed)
    }

    /// How often it was asked to look into a token, in either way.
    pub fn introspect_requests(&self) -> u64 {
        self.desk.introspection.requests.load(Relaxed)
    }

    /// Answers every request to look into a token like this, until told otherwise with `None`.
    pub fn answer_introspection(&self, canned: Option<Canned>) {
        self.desk.introspection.say(canned);
    }

    /// Lets a client ask at `/oauth2/introspect`, by this secret in the header or in the form.
    pub fn register_client(&self, id: &str, secret: &str) {
        self.desk.introspection.register(id, secret);
    }

    /// Makes an account, or makes it anew. Its generation and its keys are as old as this moment.
    pub fn sign_up(&self, subject: &str) {
        self.desk.accounts.sign_up(subject, self.now());
    }

    /// A device signs in: a JWT. `None` when there is no such account.
    pub fn sign_in(&self, subject: &str) -> Option<SignIn> {
        let account = self.desk.accounts.find(subject)?;
        let claims = AccessClaims::new(subject, account.generation, self.seconds());
        Some(SignIn { access_token: self.mint(&claims), key_id: account.key_id() })
    }

    /// A device signs in and gets an opaque token, which only `/v1/verify` can tell.
    pub fn sign_in_opaque(&self, subject: &str) -> Option<SignIn> {
        let account = self.desk.accounts.find(subject)?;
        let claims = AccessClaims::new(subject, account.generation, self.seconds());
        Some(SignIn { access_token: self.mint_opaque(&claims), key_id: account.key_id() })
    }

    /// A device signs in and gets a refresh token, which only introspection tells from an access token.
    pub fn sign_in_for_refresh(&self, subject: &str) -> Option<String> {
        let account = self.desk.accounts.find(subject)?;
        let claims = AccessClaims::new(subject, account.generation, self.seconds());
        let token = random_hex::<32>();
        self.desk.accounts.remember(&token, Grant::of(&claims).without_end());
        Some(token)
    }

    /// The user changes the password; returns when, in milliseconds: the new generation. Keys stay as they are.
    pub fn change_password(&self, subject: &str) -> Option<i64> {
        self.desk.logins.end_all(subject);
        self.desk.accounts.change_password(subject, self.now())
    }

    /// The user, having forgotten it, resets the password; returns when. The keys are new ones.
    pub fn reset_password(&self, subject: &str) -> Option<i64> {
        self.desk.logins.end_all(subject);
        self.desk.accounts.reset_password(subject, self.now())
    }

    /// The account is deleted.
    pub fn delete(&self, subject: &str) {
        self.desk.logins.end_all(subject);
        self.desk.accounts.delete(subject);
    }

    /// An access token of any content, signed with the current key. Unlike a sign-in, it needs no account.
    pub fn mint(&self, claims: &AccessClaims) -> String {
        let token = self.sign("at+jwt", &self.rendered(claims));
        self.desk.accounts.remember(&token, Grant::of(claims));
        token
    }

    /// An opaque access token of any content: 64 hexadecimal digits. Unlike a sign-in, it needs no account.
    pub fn mint_opaque(&self, claims: &AccessClaims) -> String {
        let token = random_hex::<32>();
        self.desk.accounts.remember(&token, Grant::of(claims));
        token
    }

    /// Takes one token back; the account's others stay.
    pub fn revoke(&self, token: &str) {
        self.desk.accounts.forget(token);
    }

    /// As [`StandInIdp::mint`], but `/v1/verify` does not know it: for those who need very many.
    pub fn mint_unremembered(&self, claims: &AccessClaims) -> String {
        self.sign("at+jwt", &self.rendered(claims))
    }

    /// A Security Event Token for `audience`, in the shape of Mozilla's event broker: no `typ`, `sub` at the top, `iat`
    /// with a fraction, no `exp`.
    pub fn security_event(&self, audience: &str, subject: &str, event: &SecurityEvent) -> String {
        let now = self.now();
        let whole = now / 1000;
        let issued_at: serde_json::Number = format!("{whole}.{:03}", now % 1000)
            .parse()
            .expect("digits, a dot and three digits are a number");
        self.desk.keys.sign(
            None,
            &json!({
                "aud": audience, "events": event.events(), "iat": issued_at, "jti": random_hex::<16>(),
                "sub": subject, "iss": self.url(),
            }),
        )
    }

    /// Any claims under any `typ`, signed with the current key.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        self.desk.keys.sign(Some(typ), claims)
    }

    fn rendered(&self, claims: &AccessClaims) -> Value {
        let AccessClaims { subject, client_id, scope, generation, issued_at, expires_at } = claims;
        let mut rendered = json!({
            "iss": self.url(), "aud": client_id, "sub": subject, "client_id": client_id, "scope": scope,
            "iat": issued_at, "exp": expires_at, "jti": random_hex::<32>(),
        });
        if let Some(generation) = generation {
            rendered["fxa-generation"] = (*generation).into();
        }
        rendered
    }

    fn now(&self) -> i64 {
        (self.now)().get()
    }

    fn seconds(&self) -> i64 {
        (self.now)().seconds()
    }
}

impl fmt::Debug for StandInIdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandInIdp").field("running", &self.running).finish_non_exhaustive()
    }
}

fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    hex::encode(bytes)
}
