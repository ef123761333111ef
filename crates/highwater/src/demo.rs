//! `demo`: the whole walk, on this machine, with nothing configured and nothing installed.
//!
//! A stand-in identity provider, two stand-in nodes, two stand-in relying parties, a stand-in API and the devices of one user,
//! on real sockets; between them a whole node of Highwater on an embedded database, started the way `serve` starts it. Every line printed is the outcome of
//! a request that was made, and its time was measured.

mod app;
mod page;
mod party;
mod stage;
mod walk;
mod web;

use crate::cli::DemoOptions;
use crate::output::Shown;
use crate::serve::Signals;
use crate::telemetry::{self, LogSettings, Verbosity};
use anyhow::{Result, ensure};
use page::Page;
use stage::Stage;
use walk::Walk;

/// Runs it. With `--once` it ends after the walk, and well only if every step held; otherwise it stays up until a signal.
pub(crate) async fn run(options: &DemoOptions, verbosity: Verbosity, as_json: bool) -> Result<()> {
    telemetry::start_logs(&LogSettings::of_a_command(), verbosity)?;
    let signals = Signals::listen()?;
    let page = if as_json { Page::silent() } else { Page::on_the_terminal() };
    let stage = Stage::set().await?;
    page.opening(&stage)?;
    let steps = Walk::new(&stage, &page).go().await?;
    let held = steps.iter().filter(|step| step.held).count();
    if as_json {
        Shown::new(serde_json::to_value(&steps)?, "").print(true)?;
    }
    page.closing(held, steps.len())?;
    if options.once {
        stage.clear().await?;
    } else {
        page.to_try(&stage)?;
        stage.stay(signals).await?;
    }
    ensure!(held == steps.len(), "{} of {} steps did not hold", steps.len() - held, steps.len());
    Ok(())
}
