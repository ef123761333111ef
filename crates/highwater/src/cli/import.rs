use clap::Args;
use import::Secret;
use std::path::PathBuf;

/// Options of `import`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ImportOptions {
    /// The database: mysql://USER@HOST:PORT/DATABASE. A password may stand in it, but everybody on the machine can read a
    /// command line: HIGHWATER_IMPORT_PASSWORD or --password-file are better places.
    #[arg(value_name = "URL", required_unless_present = "status")]
    pub(crate) source: Option<Secret>,
    /// A file with the password, which counts before the environment's and the URL's.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Speak TLS with it, and believe the system's authorities.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Speak TLS with it, and believe the authorities in this file (PEM) and no others.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Copy what is there and do not end it: for while the old server still serves. A later run without this brings what
    /// has changed since, and ends it.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) ahead: bool,
    /// Only read all of it, count and sum it up, and tell which rows could not be held.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only tell how far an import is, or when it ended.
    #[arg(long, conflicts_with_all = ["source", "password_file", "tls", "tls_ca", "ahead", "dry_run"])]
    pub(crate) status: bool,
}
