use clap::{Args, Subcommand};

/// What can be done with nodes. Each is named by its URL, or by its id in the list.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Add a node.
    #[command(after_help = "Example: highwater node add https://sync-1.example.com --capacity 1000")]
    Add {
        /// Its URL, as clients reach it.
        node: String,
        /// How many users it can hold.
        #[arg(long, allow_negative_numbers = true)]
        capacity: i64,
        #[command(flatten)]
        change: NodeNumbers,
    },
    /// List the nodes with their load.
    #[command(after_help = "Example: highwater node list")]
    List,
    /// Show a node with what is on it.
    #[command(after_help = "Example: highwater node show https://sync-1.example.com")]
    Show {
        /// Which node.
        node: String,
    },
    /// Change a node: every number and flag can be set, and every flag cleared.
    #[command(
        after_help = "Example: highwater node update https://sync-1.example.com --downed=false --capacity 2000"
    )]
    Update {
        /// Which node.
        node: String,
        /// How many users it can hold.
        #[arg(long, allow_negative_numbers = true)]
        capacity: Option<i64>,
        #[command(flatten)]
        change: NodeNumbers,
    },
    /// Cordon a node: nobody new comes to it; those who live on it stay.
    #[command(after_help = "Example: highwater node cordon https://sync-1.example.com")]
    Cordon {
        /// Which node.
        node: String,
    },
    /// Open a cordoned node again.
    #[command(after_help = "Example: highwater node uncordon https://sync-1.example.com")]
    Uncordon {
        /// Which node.
        node: String,
    },
    /// Drain a node: cordon it, and move its users to others, so many a second. A serving process does it, and goes on
    /// after a restart.
    #[command(
        after_help = "Example: highwater node drain https://sync-1.example.com --rate 50 --wait\n         highwater node drain https://sync-1.example.com --status"
    )]
    Drain {
        /// Which node.
        node: String,
        #[command(flatten)]
        options: DrainOptions,
    },
    /// List the drains, the latest first.
    #[command(after_help = "Example: highwater node drains")]
    Drains,
    /// Mark a node as failed: each of its users moves to another node at the next request.
    #[command(
        after_help = "Example: highwater node fail https://sync-1.example.com\n         highwater node fail https://sync-1.example.com --report"
    )]
    Fail {
        /// Which node.
        node: String,
        #[command(flatten)]
        options: FailOptions,
    },
    /// Unassign a node's users: each is assigned anew at the next request, perhaps to the same node.
    #[command(after_help = "Example: highwater node unassign https://sync-1.example.com")]
    Unassign {
        /// Which node.
        node: String,
    },
    /// Remove a node that nobody lives on and whose data is purged.
    #[command(after_help = "Example: highwater node remove https://sync-1.example.com")]
    Remove {
        /// Which node.
        node: String,
        /// Also when users live on it, who are assigned anew, and when data is on it that is never deleted then.
        #[arg(long)]
        force: bool,
    },
    /// Count the users of a node (or of every node) anew, where others wrote its load.
    #[command(after_help = "Example: highwater node recount")]
    Recount {
        /// Which node; all of them by default.
        node: Option<String>,
    },
}

/// What can be set of a node.
#[derive(Debug, Args)]
pub(crate) struct NodeNumbers {
    /// How many users it takes before a further part of its capacity is opened.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) available: Option<i64>,
    /// How many users live on it.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) current_load: Option<i64>,
    /// Out of order: it gets no users; those it has keep it. --downed=false clears it, and a failure too.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) downed: Option<bool>,
    /// It gets no users for now: it asked to be spared, or was cordoned. --backoff=false clears it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) backoff: Option<bool>,
}

/// How to drain, or what to know of it.
#[derive(Debug, Args)]
pub(crate) struct DrainOptions {
    /// How many users are moved a second, at most. For a drain under way: from now on.
    #[arg(long, default_value_t = 20, allow_negative_numbers = true, conflicts_with_all = ["stop", "status"])]
    pub(crate) rate: i64,
    /// Wait until the node is empty.
    #[arg(long, conflicts_with = "stop")]
    pub(crate) wait: bool,
    /// Only tell how far it is.
    #[arg(long)]
    pub(crate) status: bool,
    /// Stop it. The node stays cordoned.
    #[arg(long, conflicts_with = "status")]
    pub(crate) stop: bool,
}

/// What to do about a failure.
#[derive(Debug, Args)]
pub(crate) struct FailOptions {
    /// Only tell who has moved since.
    #[arg(long)]
    pub(crate) report: bool,
    /// In the report: only users whose row on the failed node is above this one.
    #[arg(long, default_value_t = 0, value_name = "UID", requires = "report")]
    pub(crate) after: i64,
    /// In the report: at most so many users.
    #[arg(long, default_value_t = 100, requires = "report", value_parser = clap::value_parser!(i64).range(0..=1000))]
    pub(crate) limit: i64,
    /// Undo it, while nobody has moved.
    #[arg(long, conflicts_with = "report")]
    pub(crate) undo: bool,
}
