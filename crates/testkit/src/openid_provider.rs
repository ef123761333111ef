//! An OpenID provider that others wrote.

mod client;
mod http;

pub use client::OpenIdClient;

use crate::free_port;
use crate::programs::{node, node_packages};
use crate::supervised::{Plan, Supervised};
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);
const TRIES: usize = 5;
/// What clients may ask for besides `openid`, `offline_access`, `email` and `profile`.
const SCOPES: [&str; 2] = ["read", "write"];

/// npm's `oidc-provider` on a free port of the loopback, with whatever clients a test tells it of.
///
/// It is the provider as its authors have it: discovery, authorization code flow, introspection (RFC 7662), revocation
/// (RFC 7009), userinfo, back-channel logout. Every use of a refresh token gives another one, and a second use of the
/// first ends the whole grant. A token for a resource is a JWT (RFC 9068, ES256), any other is opaque; JWTs are not
/// introspected there. Its clock is the machine's.
///
/// Users need no page and no password: [`OpenIdProvider::sign_in`] walks a browser through the whole flow.
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct OpenIdProvider {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    _server: Supervised,
    home: TempDir,
    port: u16,
}

/// What an [`OpenIdProvider`] starts with.
#[derive(Clone, Debug)]
pub struct OpenIdOptions {
    clients: Vec<OpenIdClient>,
    access_tokens_last: Duration,
}

/// What a client got at the token endpoint when a user signed in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The access token.
    pub access_token: String,
    /// The first refresh token.
    pub refresh_token: String,
    /// The ID token, if `openid` was asked for.
    pub id_token: Option<String>,
    /// The name of the browser's session at the provider, as logout tokens say it; with `openid` only.
    pub sid: Option<String>,
    /// For how long the access token is good, in seconds.
    pub expires_in: u64,
    browser: u64,
}

impl OpenIdProvider {
    /// With these clients, and access tokens that last an hour.
    pub fn start(clients: impl IntoIterator<Item = OpenIdClient>) -> Self {
        Self::options().clients(clients).start()
    }

    /// To be started otherwise.
    pub fn options() -> OpenIdOptions {
        OpenIdOptions { clients: Vec::new(), access_tokens_last: Duration::from_hours(1) }
    }

    /// Its name: `http://127.0.0.1:PORT`.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where tokens are given out and refreshed.
    pub fn token_endpoint(&self) -> String {
        self.issuer() + "/token"
    }

    /// Where tokens are looked into.
    pub fn introspection_endpoint(&self) -> String {
        self.issuer() + "/token/introspection"
    }

    /// Where tokens are revoked: a refresh token with all of its grant, an access token alone.
    pub fn revocation_endpoint(&self) -> String {
        self.issuer() + "/token/revocation"
    }

    /// Where it says whose an access token is: `sub`, and with the scopes `email` and `profile` `<account>@mail.example`,
    /// `Called <account>`, `en-GB`. Only for opaque tokens with the scope `openid`.
    pub fn userinfo_endpoint(&self) -> String {
        self.issuer() + "/me"
    }

    /// Where its keys are.
    pub fn jwks_endpoint(&self) -> String {
        self.issuer() + "/jwks"
    }

    /// Has a user sign in to a client, at a browser of their own, and consent to everything. `scope` is as in RFC 6749
    /// section 3.3, of `openid offline_access email profile read write`. The access token is opaque.
    pub async fn sign_in(&self, client_id: &str, account: &str, scope: &str) -> Login {
        let wanted = json!({ "client_id": client_id, "account": account, "scope": scope });
        Login::read(&self.control("sign-in", wanted).await)
    }

    /// The same, for a resource (RFC 8707), which is an absolute URL: the access token is a JWT with it as its audience.
    pub async fn sign_in_for(&self, client_id: &str, account: &str, scope: &str, resource: &str) -> Login {
        let wanted =
            json!({ "client_id": client_id, "account": account, "scope": scope, "resource": resource });
        Login::read(&self.control("sign-in", wanted).await)
    }

    /// Has the user sign out in the browser of that login. When it returns, the clients that want to be told of logouts
    /// were told, or could not be, and what was granted without `offline_access` has ended.
    pub async fn sign_out(&self, login: &Login) {
        self.control("sign-out", json!({ "browser": login.browser })).await;
    }

    /// Ends whatever was granted in the name of an account, as a change of its password does. Nobody is told.
    pub async fn end_grants(&self, account: &str) {
        self.control("end-grants", json!({ "account": account })).await;
    }

    /// How often an endpoint was asked, the requests of sign-ins among it; `path` is such as `/token/introspection`.
    pub async fn asked(&self, path: &str) -> u64 {
        let said = self.control("asked", json!({ "path": path })).await;
        said["times"].as_u64().expect("a number")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        log(self.home.path())
    }

    async fn control(&self, name: &str, words: Value) -> Value {
        match http::post(self.port, &format!("/test/{name}"), &words.to_string()).await {
            Ok((200, body)) => serde_json::from_str(&body).expect("it answers with JSON"),
            Ok((_, body)) => panic!("{name}: {body}"),
            Err(error) => panic!("{name}: {error}; {}", self.log()),
        }
    }
}

impl OpenIdOptions {
    /// Clients it knows.
    #[must_use]
    pub fn clients(mut self, clients: impl IntoIterator<Item = OpenIdClient>) -> Self {
        self.clients.extend(clients);
        self
    }

    /// How long access tokens are good, in whole seconds.
    #[must_use]
    pub fn access_tokens_last(mut self, life: Duration) -> Self {
        self.access_tokens_last = life;
        self
    }

    /// Starts it.
    pub fn start(&self) -> OpenIdProvider {
        let mut said = String::new();
        for _ in 0..TRIES {
            match self.launch() {
                Ok(started) => return started,
                Err(log) => said = log,
            }
        }
        panic!("oidc-provider did not start: {said}")
    }

    /// The error is what it has said.
    fn launch(&self) -> Result<OpenIdProvider, String> {
        let home = tempfile::Builder::new().prefix("testkit-openid-").tempdir();
        let home = home.expect("a temporary folder can be made");
        let port = free_port();
        let settings = home.path().join("settings.json");
        fs::write(&settings, self.settings(port).to_string()).expect("the folder is ours");
        let command = [node(), script(), node_packages(), settings].map(|path| path.display().to_string());
        let plan = Plan { command: &command, folder: home.path(), user: None, last: "KILL" };
        let mut server = Supervised::start(&plan);
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        match server.wait_ready(PATIENCE, listens) {
            Ok(()) => Ok(OpenIdProvider { _server: server, home, port }),
            Err(_) => Err(log(home.path())),
        }
    }

    fn settings(&self, port: u16) -> Value {
        json!({
            "port": port,
            "scopes": SCOPES,
            "access_token_seconds": self.access_tokens_last.as_secs(),
            "clients": self.clients.iter().map(OpenIdClient::metadata).collect::<Vec<_>>(),
        })
    }
}

impl Login {
    fn read(said: &Value) -> Self {
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let needed = |name: &str| text(name).unwrap_or_else(|| panic!("a sign-in without {name}"));
        Self {
            access_token: needed("access_token"),
            refresh_token: needed("refresh_token"),
            id_token: text("id_token"),
            sid: text("sid"),
            expires_in: said["expires_in"].as_u64().expect("a number of seconds"),
            browser: said["browser"].as_u64().expect("a number"),
        }
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/openid_provider/main.mjs")
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}
