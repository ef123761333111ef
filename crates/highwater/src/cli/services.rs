use clap::Subcommand;

/// What can be done with services. They are configured; commands about nodes, users and buckets take `--service`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List the services: what they are called, how their users are placed, how long their tokens count.
    #[command(after_help = "Example: highwater service list")]
    List,
}
