use super::trial::{ListenOptions, VerifyOptions};
use broker::EventType;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What can be done with relying parties.
#[derive(Debug, Subcommand)]
pub(crate) enum RpCommand {
    /// Add a relying party. From then on it is told of the accounts that log in to it.
    #[command(
        after_help = "Example: highwater rp add 5882386c6d801776 --name Relay --webhook https://relay.example.com/events\n         highwater rp add 98e6508e88680e1a --webhook https://api.example.com/set --format push"
    )]
    Add {
        /// Its OAuth client id, which is the `aud` of what it is told.
        client_id: String,
        #[command(flatten)]
        options: Box<RpOptions>,
    },
    /// List the relying parties and how they are.
    #[command(after_help = "Example: highwater rp list")]
    List,
    /// Show one with everything that may be shown of it.
    #[command(after_help = "Example: highwater rp show 5882386c6d801776")]
    Show {
        /// Its client id.
        client_id: String,
    },
    /// Change a relying party: what is not named stays as it is.
    #[command(
        after_help = "Example: highwater rp update 5882386c6d801776 --webhook https://relay.example.com/v2 --unset rate"
    )]
    Update {
        /// Its client id.
        client_id: String,
        #[command(flatten)]
        options: Box<RpOptions>,
        /// As by default again.
        #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = PossibleValuesParser::new(UNSET))]
        unset: Vec<String>,
    },
    /// Hold its deliveries back, in their order, until it is resumed.
    #[command(after_help = "Example: highwater rp pause 5882386c6d801776")]
    Pause {
        /// Its client id.
        client_id: String,
    },
    /// Go on delivering to a paused one.
    #[command(after_help = "Example: highwater rp resume 5882386c6d801776")]
    Resume {
        /// Its client id.
        client_id: String,
    },
    /// Disable it: what concerns it is discarded, and can be replayed when it is enabled again.
    #[command(after_help = "Example: highwater rp disable 5882386c6d801776 --reason 'moved to another team'")]
    Disable {
        /// Its client id.
        client_id: String,
        /// Why, for those who look later.
        #[arg(long, default_value = "by an operator")]
        reason: String,
    },
    /// Enable a disabled one again. `deliveries replay` brings back what it missed.
    #[command(after_help = "Example: highwater rp enable 5882386c6d801776")]
    Enable {
        /// Its client id.
        client_id: String,
    },
    /// Make a fresh secret for one that is told by Standard Webhooks: it signs from now on, and so does the one before it,
    /// until the next is made.
    #[command(after_help = "Example: highwater rp renew-secret 5882386c6d801776")]
    RenewSecret {
        /// Its client id.
        client_id: String,
    },
    /// Remove it for good: what is pending for it is discarded.
    #[command(after_help = "Example: highwater rp remove 5882386c6d801776")]
    Remove {
        /// Its client id.
        client_id: String,
    },
    /// Take over what fxa-event-broker kept: one JSON object `{path, fields}` a line, of its users and its clients. The
    /// same file again changes nothing.
    #[command(
        after_help = "Example: highwater rp import firestore.ndjson --idp fxa\n         dump-firestore | highwater rp import - --idp fxa"
    )]
    Import {
        /// The file, or - for standard input.
        file: PathBuf,
        /// The identity provider whose accounts the users are.
        #[arg(long, value_name = "ID")]
        idp: String,
    },
    /// Put a receiver to the test: what it must take and what it must refuse. What is forged or deletes is about accounts
    /// that nobody has.
    #[command(
        after_help = "Example: highwater rp verify https://relay.example.com/events\n         highwater rp verify http://localhost:8080/events --client-id 5882386c6d801776 --publish 127.0.0.1:9000"
    )]
    Verify(VerifyOptions),
    /// Be a receiver: verify what comes, as a good one should, and print it. Until Ctrl-C.
    #[command(
        after_help = "Example: highwater rp listen --client-id 5882386c6d801776\n         highwater rp listen --poll http://127.0.0.1:8000/ssf/poll --token @token --count 1"
    )]
    Listen(ListenOptions),
    /// Tokens by which a relying party authorises itself here, for streams and polling.
    #[command(subcommand)]
    Token(RpTokenCommand),
}

/// What can be done with a relying party's tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum RpTokenCommand {
    /// Make a token; it is shown this once and kept as a hash only.
    #[command(after_help = "Example: highwater rp token create 5882386c6d801776 --scope ssf.read --days 90")]
    Create {
        /// The relying party's client id.
        client_id: String,
        /// What it allows: ssf.read (reading its stream, polling), ssf.manage (that, and changing it). ssf.manage by default.
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<String>,
        /// For how many days; for ever by default.
        #[arg(long)]
        days: Option<u32>,
    },
    /// Revoke every token of a relying party.
    #[command(after_help = "Example: highwater rp token revoke 5882386c6d801776")]
    Revoke {
        /// The relying party's client id.
        client_id: String,
    },
}

/// What can be as by default again.
const UNSET: [&str; 13] = [
    "name",
    "idp",
    "webhook",
    "events",
    "capabilities",
    "rate",
    "retry",
    "authorization",
    "headers",
    "oauth",
    "webhook-secrets",
    "client-certificate",
    "certificate-authorities",
];

/// What can be said of a relying party.
#[derive(Debug, Default, Args)]
pub(crate) struct RpOptions {
    /// Where it is told: https, or http with --allow-private.
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// What people call it.
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowTold,
    /// An event it wants, by its name (delete-user) or its URI; repeatable. By default all of its vocabulary but those
    /// that must be listed (metrics-opt-in, metrics-opt-out, session-established, recovery-activated).
    #[arg(long = "event", value_delimiter = ',', value_name = "EVENT", value_parser = event)]
    pub(crate) events: Vec<EventType>,
    /// A capability of subscriptions that concerns it; repeatable.
    #[arg(long = "capability", value_delimiter = ',', value_name = "NAME")]
    pub(crate) capabilities: Vec<String>,
    /// It is told of every account, not only of those that log in to it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) resource_server: Option<bool>,
    /// The identity provider whose accounts concern it; every one by default.
    #[arg(long, value_name = "ID")]
    pub(crate) idp: Option<String>,
    /// The most deliveries under way to it at once [default: 32].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) concurrency: Option<u32>,
    /// The most deliveries begun a second; no bound by default.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate: Option<u32>,
    /// Seconds after each failure until the next try; over three days by default.
    #[arg(long, value_delimiter = ',', value_name = "SECONDS")]
    pub(crate) retry: Vec<u32>,
    /// Tell undelivered profile changes of one account as one.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) coalesce: Option<bool>,
}

/// How a receiver is told, registered or only tried. Texts that are secret or long can be given as `@FILE`, so that they
/// are in no list of processes and in no shell's history.
#[derive(Debug, Default, Args)]
pub(crate) struct HowTold {
    /// How it gets its tokens [default: fxa-header].
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatName>,
    /// In which words it is told [default: fxa].
    #[arg(long, value_enum)]
    pub(crate) vocabulary: Option<VocabularyName>,
    /// With which algorithm its tokens are signed [default: RS256].
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) algorithm: Option<AlgorithmName>,
    /// Write `typ: secevent+jwt` into tokens of the FxA format, too.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) explicit_type: Option<bool>,
    /// Allow private addresses, and plain http.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) allow_private: Option<bool>,
    /// Seconds a whole exchange may take [default: 15].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline_seconds: Option<u32>,
    /// The whole `Authorization` header towards it (not in the FxA format).
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) authorization: Option<String>,
    /// A further header towards it; repeatable.
    #[arg(long = "header", value_name = "NAME: TEXT|@FILE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Get an access token for it there, by OAuth 2.0 client credentials, and send that as `Authorization`.
    #[arg(long, value_name = "URL", requires = "oauth_client_id", requires = "oauth_client_secret")]
    pub(crate) oauth_token_url: Option<String>,
    /// What Highwater is called there.
    #[arg(long, value_name = "ID", requires = "oauth_token_url")]
    pub(crate) oauth_client_id: Option<String>,
    /// The secret that goes with it.
    #[arg(long, value_name = "TEXT|@FILE", requires = "oauth_token_url")]
    pub(crate) oauth_client_secret: Option<String>,
    /// The scope to ask for.
    #[arg(long, value_name = "SCOPE", requires = "oauth_token_url")]
    pub(crate) oauth_scope: Option<String>,
    /// The resource to ask for (RFC 8707).
    #[arg(long, value_name = "URL", requires = "oauth_token_url")]
    pub(crate) oauth_resource: Option<String>,
    /// A secret of Standard Webhooks (whsec_… or whsk_…); repeatable, the current one first: each signs. A relying party
    /// that is added without one gets a fresh one.
    #[arg(long = "webhook-secret", value_name = "TEXT|@FILE")]
    pub(crate) webhook_secrets: Vec<String>,
    /// The certificate to show it (mutual TLS) and its private key, in PEM.
    #[arg(long, value_name = "@FILE")]
    pub(crate) client_certificate: Option<String>,
    /// The certificate authorities to believe at its webhook instead of the system's, in PEM.
    #[arg(long, value_name = "@FILE")]
    pub(crate) certificate_authorities: Option<String>,
}

/// A format, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatName {
    /// As fxa-event-broker sends them: a POST without a body, the token as `Authorization: Bearer`.
    FxaHeader,
    /// Pushed as a body of `application/secevent+jwt` (RFC 8935).
    Push,
    /// It asks for them (RFC 8936).
    Poll,
    /// Standard Webhooks 1.0, signed with HMAC-SHA-256.
    WebhookHmac,
    /// Standard Webhooks 1.0, signed with Ed25519.
    WebhookEd25519,
}

/// A vocabulary, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum VocabularyName {
    /// Mozilla accounts' own events.
    Fxa,
    /// The events of CAEP and RISC.
    Ssf,
}

/// A signing algorithm, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AlgorithmName {
    /// RSA with SHA-256.
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
}

fn event(text: &str) -> Result<EventType, String> {
    let known = EventType::ALL.into_iter().filter(|it| !it.is_control());
    let found = known.clone().find(|it| it.name() == text || it.uri() == text);
    found.ok_or_else(|| format!("there are {}", known.map(EventType::name).collect::<Vec<_>>().join(", ")))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it is `Name: text`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
