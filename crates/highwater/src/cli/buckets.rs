use clap::Subcommand;

/// What can be done with buckets. There are 4096 for each service; which one a user is in never changes.
#[derive(Debug, Subcommand)]
pub(crate) enum BucketCommand {
    /// List the nodes with the buckets that are on them.
    #[command(after_help = "Example: highwater bucket list")]
    List,
    /// Spread the buckets over the nodes by their weights. A node that was added takes its share from the others, and nothing
    /// moves between those. Users of a bucket that moved are assigned anew when they come.
    #[command(after_help = "Example: highwater bucket spread --dry-run")]
    Spread {
        /// Only tell what would move.
        #[arg(long)]
        dry_run: bool,
    },
    /// Move buckets to a node.
    #[command(after_help = "Example: highwater bucket move 0-9,12 https://sync-2.example.com")]
    Move {
        /// Which: numbers and ranges, from 0 to 4095.
        buckets: String,
        /// Where to: a node by its URL or its id.
        node: String,
    },
    /// Set what a node weighs when buckets are spread; as much as it can hold, without a number.
    #[command(after_help = "Example: highwater bucket weigh https://sync-2.example.com 500")]
    Weigh {
        /// Which node.
        node: String,
        /// How much, compared with the others; 0 takes no buckets.
        #[arg(allow_negative_numbers = true)]
        weight: Option<i64>,
    },
    /// Show the bucket that a user is in, and the node that it is on.
    #[command(
        after_help = "Example: highwater bucket of 0123456789abcdef0123456789abcdef@api.accounts.firefox.com"
    )]
    Of {
        /// Who: subject@domain, or the id of a row.
        user: String,
    },
}
