//! The command line: what can be typed, and nothing of what it does.

mod buckets;
mod deliveries;
mod events;
mod import;
mod nodes;
mod rp;
mod services;
mod sessions;
mod trial;
mod users;

pub(crate) use buckets::BucketCommand;
pub(crate) use deliveries::{DeliveriesCommand, ListOptions};
pub(crate) use events::{DeadCommand, EventsCommand};
pub(crate) use import::ImportOptions;
pub(crate) use nodes::{DrainOptions, FailOptions, NodeCommand, NodeNumbers};
pub(crate) use rp::{AlgorithmName, HowTold, RpCommand, RpOptions, RpTokenCommand};
pub(crate) use services::ServiceCommand;
pub(crate) use sessions::{SessionActsOptions, SessionListOptions, SessionsCommand};
pub(crate) use trial::{ListenOptions as RpListenOptions, SimulateOptions, TrialOptions, VerifyOptions};
pub(crate) use users::{Place, PurgeOptions, ShedOptions, UserCommand};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Keeps everything that trusts an account in step with that account.
///
/// An account event (password changed, account deleted, …) raises the account's high-water mark; whatever was granted
/// below it is refused, ended or told. `highwater demo` shows it in a few seconds.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes with every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The configuration file; else ./highwater.toml, $XDG_CONFIG_HOME/highwater/highwater.toml or
    /// /etc/highwater/highwater.toml.
    #[arg(
        long,
        short,
        global = true,
        env = "HIGHWATER_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        display_order = 900
    )]
    pub(crate) config: Option<PathBuf>,
    /// One setting, over the file and the environment: --set store.url=sqlite:other.db (repeatable).
    #[arg(long, global = true, value_name = "KEY=VALUE", display_order = 901)]
    pub(crate) set: Vec<String>,
    /// Say more: -v tells what Highwater does, -vv what everything does.
    #[arg(long, short, global = true, action = ArgAction::Count, display_order = 902)]
    pub(crate) verbose: u8,
    /// Print the answer as JSON instead of for people.
    #[arg(long, global = true, display_order = 903)]
    pub(crate) json: bool,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole walk with stand-ins, on an embedded database: nothing to configure, nothing to install.
    #[cfg(feature = "demo")]
    #[command(after_help = "Example: highwater demo --once")]
    Demo(DemoOptions),
    /// Run: the listeners and the workers, until a signal.
    #[command(after_help = "Example: highwater serve --roles token,ingest,admin")]
    Serve(ServeOptions),
    /// Write a configuration with comments and fresh secrets, readable by you alone.
    #[command(after_help = "Example: highwater init /etc/highwater/highwater.toml")]
    Init(InitOptions),
    /// Tell what is configured, and whether it works: the store, the identity providers, the sources.
    #[command(after_help = "Example: highwater check --json")]
    Check,
    /// Bring the database's tables up to date. `serve` does so by itself when it starts.
    #[command(after_help = "Example: highwater migrate --dry-run")]
    Migrate(MigrateOptions),
    /// Copy a Tokenserver database from MySQL or MariaDB into a store that has no users yet.
    ///
    /// Every row is kept under its number, and both sides are compared at the end. Nobody is served until it is done. A
    /// run that broke off is taken up by the next one, which also brings what has changed in the source since.
    #[command(
        after_help = "Example: highwater import mysql://reader@db.example.com:3306/sync --password-file secret\n         highwater import mysql://reader@db.example.com/sync --tls --dry-run\n         highwater import --status"
    )]
    Import(ImportOptions),
    /// The Tokenserver's services, as they are configured.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// The service nodes that the Tokenserver assigns users to.
    Node(OfService<NodeCommand>),
    /// Buckets of users, and the nodes they are on: where users are allocated by buckets.
    Bucket(OfService<BucketCommand>),
    /// The Tokenserver's users: where they live, and where they are to live.
    User(OfService<UserCommand>),
    /// Delete the data of rows that were replaced on their nodes, and then the rows.
    #[command(after_help = "Example: highwater purge --dry-run")]
    Purge(PurgeOptions),
    /// Shed load of the Tokenserver for a time: ask clients to stay away, and turn a part of them away at once. Without options
    /// it is told what is asked of them.
    #[command(
        after_help = "Example: highwater shed --backoff 600 --refuse 20 --for-seconds 3600\n         highwater shed --stop"
    )]
    Shed(ShedOptions),
    /// Accounts: how one stands, and disabling it.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Account events: taking them in, and the messages that could not be.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Relying parties: who is told when an account changes, and how.
    #[command(subcommand)]
    Rp(RpCommand),
    /// What relying parties were told, are being told, and could not be told.
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// Upstream sessions: whose there are, what refreshing them comes to, and ending them.
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Send a receiver, once, what a relying party would get: simulated events, signed with the house's keys.
    #[command(
        after_help = "Example: highwater simulate 5882386c6d801776 http://localhost:8080/events vpn,relay_premium\n         highwater simulate 5882386c6d801776 --event any"
    )]
    Simulate(SimulateOptions),
    /// The keys that sign what relying parties are told, and those that tokens of sessions are sealed with.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Callers' tokens for the admin and the service listener.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print a page of the reference: what the handbook is generated from.
    #[command(hide = true)]
    Reference {
        /// Which page.
        page: ReferencePage,
    },
}

/// What is about one of the Tokenserver's services.
#[derive(Debug, Args)]
pub(crate) struct OfService<C: Subcommand> {
    /// Which service is meant, by its name (sync-1.5); the only one by default.
    #[arg(long, global = true, value_name = "NAME", display_order = 800)]
    pub(crate) service: Option<String>,
    #[command(subcommand)]
    pub(crate) command: C,
}

impl Command {
    /// Whether only the sessions can answer it.
    pub(crate) fn is_for_sessions(&self) -> bool {
        matches!(
            self,
            Self::Sessions(_)
                | Self::Keys(
                    KeysCommand::List { kind: KeyKind::Tokens }
                        | KeysCommand::Rotate { kind: KeyKind::Tokens, .. }
                )
        )
    }

    /// Whether only the broker can answer it.
    pub(crate) fn is_for_the_broker(&self) -> bool {
        matches!(
            self,
            Self::Rp(_)
                | Self::Deliveries(_)
                | Self::Simulate(_)
                | Self::Keys(
                    KeysCommand::List { kind: KeyKind::Signing }
                        | KeysCommand::Rotate { kind: KeyKind::Signing, .. }
                )
                | Self::Account(AccountCommand::Logins(_) | AccountCommand::Disconnect { .. })
                | Self::Events(EventsCommand::Receipt(_))
        )
    }
}

/// Options of `demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// End after the walk; the exit code is 0 only if every step held.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// What this node does; all of it by default.
    #[arg(long, value_name = "ROLE", value_delimiter = ',', value_enum)]
    pub(crate) roles: Vec<RoleName>,
}

/// A role, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Exchange tokens.
    Token,
    /// Check bearer tokens.
    Verify,
    /// Take account events in.
    Ingest,
    /// Deliver to relying parties.
    Deliver,
    /// Refresh upstream sessions.
    Refresh,
    /// Serve operators.
    Admin,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitOptions {
    /// Where to write it.
    #[arg(default_value = "highwater.toml", value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// Overwrite a file that is there, and the secrets in it.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Options of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateOptions {
    /// Only tell what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take the right to write to the Tokenserver's tables from everybody but this database user; they may still read. For
    /// a database that was taken over, when nothing of the field writes to it any more.
    #[arg(long)]
    pub(crate) exclusive: bool,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show how an account stands: its state, its mark, its latest changes.
    #[command(after_help = "Example: highwater account show fxa 0123456789abcdef0123456789abcdef")]
    Show(AccountName),
    /// Disable an account: everything that trusts it is told, as if its identity provider had said so.
    #[command(after_help = "Example: highwater account disable fxa 0123456789abcdef0123456789abcdef")]
    Disable(AccountName),
    /// Enable an account again.
    #[command(after_help = "Example: highwater account enable fxa 0123456789abcdef0123456789abcdef")]
    Enable(AccountName),
    /// List the relying parties that an account has logged in to: those are told when it changes.
    #[command(after_help = "Example: highwater account logins fxa 0123456789abcdef0123456789abcdef")]
    Logins(AccountName),
    /// Forget that an account has logged in to a relying party: it hears no more of it.
    #[command(
        after_help = "Example: highwater account disconnect fxa 0123456789abcdef0123456789abcdef 5882386c6d801776"
    )]
    Disconnect {
        #[command(flatten)]
        account: AccountName,
        /// The relying party's client id.
        client_id: String,
    },
}

/// An account, as it is typed.
#[derive(Debug, Args)]
pub(crate) struct AccountName {
    /// The identity provider's id, as configured.
    pub(crate) idp: String,
    /// The subject there.
    pub(crate) subject: String,
}

/// What can be done with signing keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List them: the current one of each algorithm signs, the next and the retired ones are published too. Of the secrets
    /// that nodes know only fingerprints are told.
    #[command(after_help = "Example: highwater keys list\n         highwater keys list --kind nodes")]
    List {
        /// Which keys.
        #[arg(long, value_enum, default_value_t)]
        kind: KeyKind,
    },
    /// Rotate an algorithm's keys: the next one signs from now on, the current one retires, a fresh one is next. Or the
    /// key that tokens are sealed with: those that are kept are sealed anew in the background. Or the secret that a
    /// service shares with its nodes: the next one of its list signs from now on.
    #[command(
        after_help = "Example: highwater keys rotate RS256\n         highwater keys rotate --kind tokens\n         highwater keys rotate --kind nodes --service sync-1.5"
    )]
    Rotate {
        /// Which algorithm.
        #[arg(ignore_case = true, required_unless_present = "kind")]
        algorithm: Option<AlgorithmName>,
        /// Which keys.
        #[arg(long, value_enum, default_value_t)]
        kind: KeyKind,
        /// Also when receivers may not know the next key yet: they then refuse its tokens for minutes. For a current
        /// key that is in wrong hands.
        #[arg(long)]
        at_once: bool,
        /// Whose secret, with `--kind nodes`; the only service's by default.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
    },
}

/// What keys are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// They sign what relying parties are told.
    #[default]
    Signing,
    /// Tokens of sessions are sealed with them.
    Tokens,
    /// The Tokenserver's services share them with their nodes.
    Nodes,
}

/// What can be done with callers' tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown this once and kept as a hash only. Or take in a certificate that stands for one.
    #[command(
        after_help = "Example: highwater token create console --listener admin --days 90\n         highwater token create proxy --listener service --scope verify --certificate dns:proxy.internal"
    )]
    Create {
        /// What to call it.
        name: String,
        /// The listener it is valid on, and on no other.
        #[arg(long, value_enum)]
        listener: ListenerName,
        /// What it may do there (repeatable); everything by default.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How many days it lives; for ever by default.
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        /// Its certificate instead of a token: a PEM file, or what it goes by (sha256:…, dns:proxy.internal,
        /// uri:spiffe://…). For the service listener, with client_authorities in listen.service_tls.
        #[arg(long, value_name = "FILE or NAME")]
        certificate: Option<String>,
    },
    /// List the tokens: names, listeners, lives; never the tokens themselves.
    #[command(after_help = "Example: highwater token list --json")]
    List,
    /// Revoke a token: it is refused from now on, on every node within two seconds.
    #[command(after_help = "Example: highwater token revoke 7")]
    Revoke {
        /// Its number in the list.
        id: i64,
    },
}

/// A listener that takes tokens, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ListenerName {
    /// Verify, introspect, sessions.
    Service,
    /// The admin API.
    Admin,
}

/// The generated pages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReferencePage {
    /// Every command.
    Cli,
    /// Every setting.
    Configuration,
    /// The admin API, as OpenAPI 3.1.
    OpenapiAdmin,
    /// The service listener's routes, as OpenAPI 3.1.
    OpenapiService,
    /// The public listener's routes, as OpenAPI 3.1.
    OpenapiPublic,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn without_example(command: &clap::Command, path: &str) -> Vec<String> {
            if command.has_subcommands() {
                let inner = command.get_subcommands().filter(|it| !it.is_hide_set());
                return inner
                    .flat_map(|it| without_example(it, &format!("{path} {}", it.get_name())))
                    .collect();
            }
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if example.contains(&format!("Example: {path}")) { vec![] } else { vec![path.to_owned()] }
        }
        assert_eq!(without_example(&Cli::command(), "highwater"), Vec::<String>::new());
    }
}
