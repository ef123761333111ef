//! Measured: `cargo run --release -p bench -- NAME`.
//!
//! The server under measure is a process of its own on a core of its own; the load generator and what stands behind the
//! server share the other. Each figure comes with its limit, measured in the same run: a ratio holds on a noisy machine.

mod deliver;
mod exhaustion;
mod home;
mod ingest;
mod instructions;
mod latency;
mod limit;
mod load;
mod pin;
mod process;
mod refresh;
mod report;
mod revocation;
mod serve;
mod signed;
mod tokens;
mod usage;
mod verify;
mod wall;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use mimalloc::MiMalloc;
use std::time::Duration;

/// The product's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Highwater, measured.
#[derive(Debug, Parser)]
#[command(after_help = "Example: cargo run --release -p bench -- tokens --engine sqlite --json")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Token exchanges: existing users warm and cold, new users.
    Tokens(Options),
    /// Account events: from a file.
    Ingest(Options),
    /// Deliveries to relying parties, from the event's commit to the receiver.
    Deliver(Options),
    /// Checks of bearer tokens, from memory.
    Verify(Options),
    /// From an account event to the first refusal.
    Revocation(Options),
    /// Refreshes of upstream sessions: as fast as they go, and how late at half of that.
    Refresh(Options),
    /// A flood of new identities, and what becomes of everybody else.
    Exhaustion(Options),
    /// The bare handler alone: what every ratio is taken against.
    Bare(Options),
    /// Instructions of hot operations, by callgrind, against the baseline.
    Instructions(instructions::Counting),
    /// Serves what is measured; started by the benches themselves.
    #[command(hide = true, subcommand)]
    Serve(serve::Serve),
}

/// How to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only on this engine.
    #[arg(long)]
    engine: Option<Engine>,
    /// How long each figure is measured, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many requests are on the way at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The Tokenserver writes a log line for each request, to a file, as `serve` does.
    #[arg(long)]
    logs: bool,
    /// How many identities the flood has.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..))]
    identities: u64,
    /// At the scale of millions too; takes as long as it takes.
    #[arg(long)]
    large: bool,
    /// After the table, one JSON object on the last line.
    #[arg(long)]
    json: bool,
}

/// What the store runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl Options {
    fn engines(&self) -> Vec<Engine> {
        self.engine.map_or_else(|| vec![Engine::Sqlite, Engine::Postgres], |engine| vec![engine])
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> Result<()> {
    let (options, report) = match Cli::parse().command {
        Command::Serve(serve) => return serve.run(),
        Command::Ingest(options) => (options.clone(), ingest::bench(&options)?),
        Command::Deliver(options) => (options.clone(), deliver::bench(&options)?),
        Command::Instructions(counting) => return counting.run(),
        Command::Bare(options) => (options.clone(), limit::bench(&options)?),
        Command::Verify(options) => (options.clone(), verify::bench(&options)?),
        Command::Revocation(options) => (options.clone(), revocation::bench(&options)?),
        Command::Refresh(options) => (options.clone(), refresh::bench(&options)?),
        Command::Exhaustion(options) => (options.clone(), exhaustion::bench(&options)?),
        Command::Tokens(options) => (options.clone(), tokens::bench(&options)?),
    };
    report.print(options.json)
}
