use crate::moment::Moment;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be done with the Tokenserver's users. Each is named as the rows name it, `subject@domain`, or by the id of a
/// row.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Show a user's rows, the newest first.
    #[command(
        after_help = "Example: highwater user show 0123456789abcdef0123456789abcdef@api.accounts.firefox.com"
    )]
    Show {
        /// Who.
        user: String,
    },
    /// Assign a user who has not come yet, or who was unassigned, to a node.
    #[command(
        after_help = "Example: highwater user allocate 0123456789abcdef0123456789abcdef@api.accounts.firefox.com https://sync-1.example.com"
    )]
    Allocate {
        /// Who: subject@domain.
        user: String,
        #[command(flatten)]
        place: Place,
    },
    /// Move a user to another node. The data does not move: clients upload it anew, and the purge deletes the old.
    #[command(
        after_help = "Example: highwater user move 0123456789abcdef0123456789abcdef@api.accounts.firefox.com https://sync-2.example.com"
    )]
    Move {
        /// Who.
        user: String,
        #[command(flatten)]
        place: Place,
    },
    /// Count the users.
    #[command(after_help = "Example: highwater user count --until 2026-11-20 --append counts.jsonl")]
    Count {
        /// Only those whose row was made by then; the last midnight in UTC by default.
        #[arg(long, value_name = "WHEN")]
        until: Option<Moment>,
        /// Also append the count to a file, as one line of JSON in the form of the field's own script.
        #[arg(long, value_name = "FILE")]
        append: Option<PathBuf>,
    },
}

/// Where a user is to live.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The node; wherever a new user would go by default.
    pub(crate) node: Option<String>,
    /// Also when the node takes nobody: it is full, cordoned, down or failed.
    #[arg(long, requires = "node")]
    pub(crate) force: bool,
}

/// Options of `purge`.
#[derive(Debug, Args)]
pub(crate) struct PurgeOptions {
    /// Which service's rows, by its name (sync-1.5); the only one's by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Only rows that were replaced at least so many seconds ago.
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
    pub(crate) grace_seconds: u32,
    /// Stop after the data of so many rows was deleted.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max: Option<u64>,
    /// Only tell what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also delete the data of nodes that are out of order.
    #[arg(long)]
    pub(crate) force: bool,
    /// Where the data of nodes that are out of order is now.
    #[arg(long, value_name = "URL", requires = "force")]
    pub(crate) override_node: Option<String>,
    /// Only rows above this one.
    #[arg(long, value_name = "UID")]
    pub(crate) above_uid: Option<i64>,
    /// Only rows below this one.
    #[arg(long, value_name = "UID")]
    pub(crate) below_uid: Option<i64>,
}

/// Options of `shed`.
#[derive(Debug, Args)]
pub(crate) struct ShedOptions {
    /// Seconds that clients are asked to stay away after an answer (X-Backoff).
    #[arg(long, value_name = "SECONDS", conflicts_with = "stop")]
    pub(crate) backoff: Option<u32>,
    /// How many in a hundred are turned away at once (503 and Retry-After).
    #[arg(long, value_name = "PERCENT", conflicts_with = "stop", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) refuse: Option<u8>,
    /// For how long it is asked.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) for_seconds: u32,
    /// Ask for no more than the settings do.
    #[arg(long)]
    pub(crate) stop: bool,
}
