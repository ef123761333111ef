//! The project's own checks, run by `./test` and by hand: `cargo xtask check`.
//!
//! Each step is one small module or one cargo command. They are listed once, in [`steps`], in the order in which a
//! mistake is cheapest to find: the tree before the lints, the lints before the tests, the tests before the demo.

mod book;
mod layering;
mod places;
mod reference;
mod steps;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Checks of the whole workspace.
#[derive(Parser)]
#[command(name = "xtask", about)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check, or only the named ones: the tree, the lints, the tests, the docs, the demo.
    Check {
        /// Only these steps (repeatable); `cargo xtask steps` lists them.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// Run the long tests too, at the end: soaks, million-row runs. Alone: `--only soak`.
        #[arg(long)]
        soak: bool,
    },
    /// List the steps of `check` in their order.
    Steps,
    /// Write the generated pages of the reference (docs/src/reference) anew.
    Generate,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The exit code says it too, when nobody listens any more.
            let _ = writeln!(std::io::stderr(), "xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Check { only, soak } => steps::check(&workspace_root(), &only, soak),
        Task::Steps => steps::list(),
        Task::Generate => reference::write(&workspace_root()),
    }
}

/// The folder of the workspace this program was built in.
fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is in crates/xtask")
        .to_owned()
}
