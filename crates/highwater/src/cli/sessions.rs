use clap::{Args, Subcommand};

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List sessions, the oldest first.
    #[command(
        after_help = "Example: highwater sessions list --idp fxa --subject 0123456789abcdef0123456789abcdef"
    )]
    List(SessionListOptions),
    /// Show one: whose, until when, what it can be refreshed by, and the last thing that went wrong. No token is shown.
    #[command(after_help = "Example: highwater sessions show 0199b3c2-7b1e-7c3a-9d51-0f4e7a1b2c3d")]
    Show {
        /// Its id.
        id: String,
    },
    /// End sessions, or all of an account; their refresh tokens are revoked.
    #[command(
        after_help = "Example: highwater sessions end 0199b3c2-7b1e-7c3a-9d51-0f4e7a1b2c3d\n         highwater sessions end --idp fxa --subject 0123456789abcdef0123456789abcdef"
    )]
    End {
        /// Their ids.
        #[arg(required_unless_present = "subject", conflicts_with = "subject")]
        ids: Vec<String>,
        /// The identity provider's id, as configured.
        #[arg(long, value_name = "ID", requires = "subject")]
        idp: Option<String>,
        /// The account there: all its sessions end.
        #[arg(long, requires = "idp")]
        subject: Option<String>,
    },
    /// Have sessions refreshed now, whatever they wait for. A running node does it.
    #[command(after_help = "Example: highwater sessions refresh 0199b3c2-7b1e-7c3a-9d51-0f4e7a1b2c3d")]
    Refresh {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// List who had sessions ended or refreshed, the latest first: services, operators, and identity providers that signed
    /// somebody out.
    #[command(after_help = "Example: highwater sessions acts --session 0199b3c2-7b1e-7c3a-9d51-0f4e7a1b2c3d")]
    Acts(SessionActsOptions),
    /// Tell how identity providers are, as far as refreshing goes, and the last thing that went wrong with each.
    #[command(after_help = "Example: highwater sessions idps")]
    Idps,
}

/// Which acts to list.
#[derive(Debug, Args)]
pub(crate) struct SessionActsOptions {
    /// Only those about this session.
    #[arg(long, value_name = "ID", conflicts_with = "subject")]
    pub(crate) session: Option<String>,
    /// Only those about an account of this identity provider.
    #[arg(long, value_name = "ID", requires = "subject")]
    pub(crate) idp: Option<String>,
    /// The account there.
    #[arg(long, requires = "idp")]
    pub(crate) subject: Option<String>,
    /// Only those before this one.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<i64>,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub(crate) limit: i64,
}

/// Which sessions to list.
#[derive(Debug, Args)]
pub(crate) struct SessionListOptions {
    /// Only those of this identity provider.
    #[arg(long, value_name = "ID")]
    pub(crate) idp: Option<String>,
    /// Only those of this account there.
    #[arg(long, requires = "idp", conflicts_with = "sid")]
    pub(crate) subject: Option<String>,
    /// Only those of this login, as the identity provider names it.
    #[arg(long, requires = "idp")]
    pub(crate) sid: Option<String>,
    /// Those that have ended, too.
    #[arg(long)]
    pub(crate) ended: bool,
    /// Only those after this one.
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub(crate) limit: i64,
}
