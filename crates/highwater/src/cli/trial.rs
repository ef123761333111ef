use super::HowTold;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Options of `simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateOptions {
    /// The receiver's OAuth client id: the audience of what is sent. One that is registered is told as it is registered.
    pub(crate) client_id: String,
    /// Where it is; its registered webhook by default.
    pub(crate) webhook_url: Option<String>,
    /// The capabilities of a simulated subscription, with commas between; those of the registration by default.
    #[arg(value_delimiter = ',')]
    pub(crate) capabilities: Vec<String>,
    /// `any` for one of each that the receiver can get, or one event by its name or URI.
    #[arg(long, default_value = "subscription-state-change")]
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) trial: Box<TrialOptions>,
}

/// Options of `rp verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// Where the receiver is.
    pub(crate) url: String,
    /// Its OAuth client id; by default that of the relying party that is registered with this webhook.
    #[arg(long)]
    pub(crate) client_id: Option<String>,
    #[command(flatten)]
    pub(crate) trial: Box<TrialOptions>,
}

/// How a receiver is tried.
#[derive(Debug, Args)]
pub(crate) struct TrialOptions {
    #[command(flatten)]
    pub(crate) how: HowTold,
    /// The account that it is about, best one made for tests; by default one that nobody has.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Sign with this private JWK instead of the house's keys. No Highwater is needed then.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Sign with a fresh key (or that of --key), published at http://ADDRESS/.well-known/jwks.json for as long as it takes.
    /// No Highwater is needed then.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) publish: Option<SocketAddr>,
    /// The `iss` of what is signed by such a key.
    #[arg(long, value_name = "ISSUER", default_value = "https://accounts.firefox.com")]
    pub(crate) issuer: String,
}

impl TrialOptions {
    /// Whether it needs no house.
    pub(crate) const fn stands_alone(&self) -> bool {
        self.key.is_some() || self.publish.is_some()
    }
}

/// Options of `rp listen`.
#[derive(Debug, Args)]
pub(crate) struct ListenOptions {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8123")]
    pub(crate) at: SocketAddr,
    /// The keys to trust: the URL of a JWK set, or a file with one. Those of the configured broker by default.
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) keys: Option<String>,
    /// The `iss` that tokens must have; that of the configured broker with its keys, any with others.
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// The client id that tokens must be for; any by default.
    #[arg(long)]
    pub(crate) client_id: Option<String>,
    /// A secret (whsec_…) or public key (whpk_…) of Standard Webhooks; repeatable.
    #[arg(long = "webhook-secret", value_name = "TEXT|@FILE")]
    pub(crate) webhook_secrets: Vec<String>,
    /// Ask for tokens there instead of listening (RFC 8936).
    #[arg(long, value_name = "URL", requires = "token")]
    pub(crate) poll: Option<String>,
    /// The token to ask with: `highwater rp token create` makes one.
    #[arg(long, value_name = "TEXT|@FILE", requires = "poll")]
    pub(crate) token: Option<String>,
    /// End after so many; the exit code is 0 only if all of them were good.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: Option<usize>,
}
