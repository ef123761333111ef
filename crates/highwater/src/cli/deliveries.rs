use crate::moment::Moment;
use clap::{Args, Subcommand, ValueEnum};

/// What can be done with deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List deliveries, the oldest first.
    #[command(
        after_help = "Example: highwater deliveries list --rp 5882386c6d801776 --state exhausted --since 3d"
    )]
    List(ListOptions),
    /// Show one: what it says, and every attempt at it with the beginning of its answer.
    #[command(after_help = "Example: highwater deliveries show 7")]
    Show {
        /// Its number in the list.
        id: i64,
    },
    /// Send deliveries again at once, whatever became of them: the same tokens, by the same ids.
    #[command(after_help = "Example: highwater deliveries retry 7 8 9")]
    Retry {
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Send a relying party again what it did not take since some time, in its order.
    #[command(
        after_help = "Example: highwater deliveries replay --rp 5882386c6d801776 --since 2026-11-20T08:00:00Z"
    )]
    Replay {
        /// The relying party's client id.
        #[arg(long, value_name = "CLIENT_ID")]
        rp: String,
        /// What was made then or later: 2026-11-20, 2026-11-20T08:00:00Z, or so long ago: 90s, 15m, 2h, 3d.
        #[arg(long, value_name = "WHEN")]
        since: Moment,
        /// Only what ended so; by default exhausted, rejected and discarded.
        #[arg(long, value_enum)]
        state: Option<StateName>,
    },
}

/// Which deliveries to list.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Only those to this relying party.
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) rp: Option<String>,
    /// Only those in this state.
    #[arg(long, value_enum)]
    pub(crate) state: Option<StateName>,
    /// Only those made then or later: 2026-11-20, 2026-11-20T08:00:00Z, or so long ago: 90s, 15m, 2h, 3d.
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Moment>,
    /// Only those about accounts of this identity provider.
    #[arg(long, value_name = "ID")]
    pub(crate) idp: Option<String>,
    /// Only those about this subject.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Only those with a higher number.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub(crate) after: i64,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub(crate) limit: i64,
}

/// A delivery's state, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    /// On its way, or waiting for the next try.
    Pending,
    /// The relying party has it.
    Delivered,
    /// Every try failed.
    Exhausted,
    /// The relying party will never take it.
    Rejected,
    /// It was not told; its reason says why.
    Discarded,
}
