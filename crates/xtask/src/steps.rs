//! The steps of `cargo xtask check`, in their order.

use crate::{book, layering, places, reference};
use anyhow::{Result, bail, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// One step: its name on the command line, what it shows, and how it is done.
struct Step {
    name: &'static str,
    shows: &'static str,
    run: fn(&Place) -> Result<()>,
}

/// Where a step runs.
struct Place {
    root: PathBuf,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", shows: "every file is formatted", run: |at| at.cargo("fmt --all --check") },
    Step { name: "layering", shows: "arrows run downward only", run: |at| layering::check(&at.root) },
    Step { name: "places", shows: "no file names somebody's folder", run: |at| places::check(&at.root) },
    Step { name: "book", shows: "the handbook holds together", run: |at| book::check(&at.root) },
    Step { name: "clippy", shows: "no lint speaks", run: Place::clippy },
    Step { name: "packaged", shows: "the binary builds without the demo", run: Place::packaged },
    Step {
        name: "reference",
        shows: "the reference says what the binary says",
        run: |at| reference::check(&at.root),
    },
    Step { name: "tests", shows: "every test passes, on both engines", run: Place::tests },
    Step {
        name: "doctests",
        shows: "every example in the docs holds",
        run: |at| at.cargo("test --workspace --doc --quiet"),
    },
    Step { name: "docs", shows: "the API docs build without a warning", run: Place::docs },
    Step { name: "demo", shows: "the whole walk holds", run: |at| at.cargo("run --release -- demo --once") },
    Step { name: SOAK, shows: "the long tests pass, each alone", run: Place::soak },
];
/// The step that takes hours, and is taken only when it is asked for.
const SOAK: &str = "soak";

/// Runs the steps, all or the named ones, and stops at the first that fails. The long tests are among all when they are
/// asked for.
pub(crate) fn check(root: &Path, only: &[String], soak: bool) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        bail!("there is no step `{unknown}`; `cargo xtask steps` lists them");
    }
    let place = Place { root: root.to_owned() };
    let chosen = STEPS.iter().filter(|step| match step.name {
        SOAK if soak => true,
        SOAK => only.iter().any(|name| name == SOAK),
        name => only.is_empty() || only.iter().any(|it| it == name),
    });
    let began = Instant::now();
    for step in chosen {
        say(&format!("── {}: {}", step.name, step.shows))?;
        let began = Instant::now();
        (step.run)(&place).map_err(|error| error.context(format!("the step `{}` failed", step.name)))?;
        say(&format!("── {}: held, {:.1} s", step.name, began.elapsed().as_secs_f64()))?;
    }
    say(&format!("── every check held, {:.0} s in all", began.elapsed().as_secs_f64()))
}

/// Prints the steps and what each shows.
pub(crate) fn list() -> Result<()> {
    STEPS.iter().try_for_each(|step| say(&format!("{:10} {}", step.name, step.shows)))
}

impl Place {
    /// One pass over everything, tests and benches included; a warning is an error.
    fn clippy(&self) -> Result<()> {
        self.cargo("clippy --workspace --all-targets --quiet -- -D warnings")
    }

    /// The packages' build: the binary without its `demo` feature, and so without the stand-ins.
    fn packaged(&self) -> Result<()> {
        self.cargo("clippy -p highwater --no-default-features --quiet -- -D warnings")
    }

    /// All tests but the long ones.
    fn tests(&self) -> Result<()> {
        self.with_servers(&format!("{} --workspace", runner()))
    }

    /// The long tests, one after the other, with what they tell of how far they are.
    fn soak(&self) -> Result<()> {
        let alone = if runner() == NEXTEST {
            "--run-ignored only --no-capture --profile soak"
        } else {
            "-- --ignored --nocapture --test-threads=1"
        };
        self.with_servers(&format!("{} --workspace {alone}", runner()))
    }

    /// Through the wrapper that starts the real servers once for all tests.
    fn with_servers(&self, arguments: &str) -> Result<()> {
        self.cargo(&format!("run --quiet -p testkit --bin test-services -- cargo {arguments}"))
    }

    fn docs(&self) -> Result<()> {
        let mut command = self.command("doc --workspace --no-deps --document-private-items --quiet");
        run(command.env("RUSTDOCFLAGS", "-D warnings"))
    }

    fn cargo(&self, arguments: &str) -> Result<()> {
        run(&mut self.command(arguments))
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments.split_whitespace()).current_dir(&self.root);
        command
    }
}

const NEXTEST: &str = "nextest run --no-fail-fast";

/// nextest where it is installed (each test in a process of its own), else cargo's own runner.
fn runner() -> &'static str {
    let installed = Command::new(env!("CARGO")).args(["nextest", "--version"]).output();
    if installed.is_ok_and(|said| said.status.success()) {
        NEXTEST
    } else {
        "test --all-targets --no-fail-fast"
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// One line to standard output, at once, so that it stands where it belongs between the commands' own lines.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
