use super::AccountName;
use clap::Subcommand;
use std::path::PathBuf;

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Take in a file of account events, one JSON object a line. The same file is taken in once, however often it is
    /// tried; a line that is no event becomes a dead letter.
    #[command(
        after_help = "Example: highwater events ingest events.ndjson\n         tail -f events.ndjson | highwater events ingest -"
    )]
    Ingest {
        /// The file, or - for standard input.
        file: PathBuf,
        /// The identity provider of events that name none; the first one configured by default.
        #[arg(long, value_name = "ID")]
        idp: Option<String>,
    },
    /// Messages that could not be understood or accepted.
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Show which relying parties were told that an account is gone, and which confirmed it, long after it is gone.
    #[command(
        after_help = "Example: highwater events receipt fxa 0123456789abcdef0123456789abcdef\n         highwater events receipt fxa 0123456789abcdef0123456789abcdef --json > receipt.json"
    )]
    Receipt(AccountName),
    /// How the sources of the running node are doing.
    #[command(after_help = "Example: highwater events sources")]
    Sources,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List them, the oldest first.
    #[command(after_help = "Example: highwater events dead list --limit 20")]
    List {
        /// Only letters with a higher number.
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: i64,
    },
    /// Show one with its whole body.
    #[command(after_help = "Example: highwater events dead show 7")]
    Show {
        /// Its number in the list.
        id: i64,
    },
    /// Try letters once more, after what was wrong is mended. One that is an event now is gone from the list.
    #[command(after_help = "Example: highwater events dead retry 7 8 9")]
    Retry {
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Drop letters for good.
    #[command(after_help = "Example: highwater events dead drop 7 8 9")]
    Drop {
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}
