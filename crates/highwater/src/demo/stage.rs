//! The stage: the stand-ins, a folder, and a running node between them.

use super::party::{ISSUER, Party};
use super::web::{CLIENT, SECRET};
use crate::client::Admin;
use crate::moment::date;
use crate::roles::Roles;
use crate::serve::{Running, Signals};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use anyhow::{Context, Result};
use axum::http::Method;
use keys::RootKey;
use outbound::{Client, Manners, StatusCode, Url};
use serde_json::json;
use standins::{Now, SYNC_SCOPE, StandInApi, StandInIdp, StandInNode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::Clock;
use tempfile::TempDir;

/// What the identity provider's events are addressed to.
pub(crate) const AUDIENCE: &str = "highwater-demo";
/// The identity provider's id in the demo's configuration.
pub(crate) const IDP: &str = "demo";
/// What the API has.
pub(crate) const API_PATH: &str = "/masks";
/// How long a fresh node may take to make its keys, and to follow events.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many users a node can hold.
const CAPACITY: u32 = 100;

/// Everything that runs.
pub(crate) struct Stage {
    pub(crate) idp: StandInIdp,
    pub(crate) nodes: [StandInNode; 2],
    pub(crate) parties: [Party; 2],
    /// An API that asks the token check before it serves anybody.
    pub(crate) api: StandInApi,
    /// What the service calls with that lets its users' logins be kept.
    pub(crate) web: String,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) config: PathBuf,
    settings: Settings,
    running: Running,
    folder: TempDir,
}

impl Stage {
    /// Starts the stand-ins, writes a configuration, starts Highwater by it and tells it of the others.
    pub(crate) async fn set() -> Result<Self> {
        let clock = Clock::system();
        let now: Now = Arc::new({
            let clock = clock.clone();
            move || clock.now()
        });
        let secret = RootKey::generate().reveal();
        let idp = StandInIdp::start(now.clone()).await?;
        let nodes = [
            StandInNode::start(&secret, now.clone()).await?,
            StandInNode::start(&secret, now.clone()).await?,
        ];
        let folder = tempfile::Builder::new().prefix("highwater-demo-").tempdir()?;
        let config = folder.path().join("highwater.toml");
        std::fs::write(&config, configuration(&idp.url(), &secret))?;
        let settings = Settings::load(Some(&config), &[])?;
        let telemetry = Telemetry::install(&settings.metrics.statsd)?;
        let running = Running::start(&settings, &Roles::picked(&[]), telemetry).await?;
        let jwks = url(&running, "public", "/.well-known/jwks.json")?;
        let parties = Party::both(jwks.as_str(), &now).await?;
        let admin = Box::pin(Admin::reach(&settings)).await?;
        let guard = caller(&admin, "the API", &["verify"]).await?;
        let web = caller(&admin, "the web", &["sessions:write", "sessions:tokens"]).await?;
        let api = StandInApi::start(url(&running, "service", "/verify/caddy")?, &guard).await?;
        let client = client()?;
        let stage = Self { idp, nodes, parties, api, web, client, clock, config, settings, running, folder };
        stage.introduce().await?;
        stage.until_keys_are_published().await?;
        stage.until_events_are_followed().await?;
        Ok(stage)
    }

    /// The admin API, by the way that commands take: through the admin socket.
    pub(crate) async fn admin(&self) -> Result<Admin> {
        Box::pin(Admin::reach(&self.settings)).await
    }

    /// A URL on a listener.
    pub(crate) fn url(&self, listener: &str, path: &str) -> Result<Url> {
        url(&self.running, listener, path)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The time, for people.
    pub(crate) fn time(&self) -> String {
        date(self.clock.now())
    }

    /// Waits for a signal, then clears the stage.
    pub(crate) async fn stay(self, signals: Signals) -> Result<()> {
        signals.until_ended(&self.running.life, self.running.grace).await
    }

    /// Stops everything; the folder goes with it.
    pub(crate) async fn clear(self) -> Result<()> {
        self.running.life.stop();
        Ok(self.running.life.ended(self.running.grace).await?)
    }

    /// A fresh node makes its signing keys when it starts, which takes a moment.
    async fn until_keys_are_published(&self) -> Result<()> {
        let published = self.url("public", "/.well-known/jwks.json")?;
        let asked = async {
            while self.client.get(&published).send().await?.status() != StatusCode::OK {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, asked).await.context("no signing keys were published")?
    }

    /// What is remembered of tokens begins with the feed of account events.
    async fn until_events_are_followed(&self) -> Result<()> {
        let health = self.url("admin", "/health")?;
        let asked = async {
            loop {
                let found: serde_json::Value = self.client.get(&health).send().await?.json()?;
                let detail = found["checks"]["bearer.feed"]["detail"].as_str().unwrap_or_default();
                if detail.starts_with("at ") {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.context("account events are not followed")?
    }

    /// By the same requests as `highwater node add` and `highwater rp add`.
    async fn introduce(&self) -> Result<()> {
        let admin = self.admin().await?;
        for node in &self.nodes {
            let new = json!({ "url": node.url(), "capacity": CAPACITY });
            admin.ask(Method::POST, crate::commands::node::PATH, Some(&new)).await?;
        }
        for party in &self.parties {
            admin.ask(Method::POST, "/rps", Some(&party.registration())).await?;
        }
        Ok(())
    }
}

fn url(running: &Running, listener: &str, path: &str) -> Result<Url> {
    let place = running.places.iter().find(|(name, _)| *name == listener);
    let (_, place) = place.with_context(|| format!("there is no listener {listener}"))?;
    Ok(Url::parse(&format!("http://{place}{path}"))?)
}

/// A caller's token for the service listener; by the same request as `highwater token create`.
async fn caller(admin: &Admin, name: &str, scopes: &[&str]) -> Result<String> {
    let new = json!({ "name": name, "listener": "service", "scopes": scopes });
    let made = admin.ask(Method::POST, "/tokens", Some(&new)).await?;
    Ok(made["token"].as_str().context("a token is a text")?.to_owned())
}

fn client() -> Result<Client> {
    let manners = Manners { deadline: Duration::from_secs(10), ..Manners::default() };
    Ok(Client::for_operator_addresses(&manners)?)
}

/// What `init` would write, as short as it can be.
fn configuration(idp: &str, secret: &str) -> String {
    let root = RootKey::generate().reveal();
    format!(
        r#"[store]
url = "sqlite:highwater.db"

[keys]
root = "{root}"

[listen]
public = "127.0.0.1:0"
service = "127.0.0.1:0"
admin = "127.0.0.1:0"

[[idp]]
id = "{IDP}"
issuers = ["{idp}"]
account_domain = "accounts.example"
server_url = "{idp}"
set_audience = "{AUDIENCE}"

[idp.login]
client_id = "{CLIENT}"
client_secret = "{SECRET}"

[sessions]
cool_off_seconds = 1

[broker]
issuer = "{ISSUER}"

[bearer.policy]
routes = [{{ path = "{API_PATH}", scopes = ["{SYNC_SCOPE}"] }}]

[tokenserver]
master_secret = "{secret}"
metrics_hash_secret = "demo"
"#
    )
}
