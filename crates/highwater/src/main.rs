//! Highwater: keeps everything that trusts an account in step with that account.
//!
//! The binary composes the capabilities and nothing else: the command line ([`cli`]), the configuration
//! ([`settings`]), what stands on one store ([`house`]), the listeners ([`listen`], [`serve`]), the admin API's own part
//! ([`admin`]), and the commands, each of which is a request to that API ([`client`], [`commands`]).

mod admin;
mod cli;
mod client;
mod commands;
#[cfg(feature = "demo")]
mod demo;
mod house;
mod listen;
mod moment;
mod output;
mod reference;
mod roles;
mod serve;
mod settings;
mod signing;
mod telemetry;

use anyhow::{Result, ensure};
use clap::Parser;
use cli::{Cli, Command, Global, OfService, RpCommand};
use client::Admin;
use output::Shown;
use roles::Roles;
use serve::Origin;
use settings::Settings;
use std::io::Write;
use std::process::ExitCode;
use telemetry::{LogSettings, Verbosity};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(command, &global)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

/// Standard error may be closed; the exit code says it too.
fn complain(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "highwater: {error:#}");
    ExitCode::FAILURE
}

async fn run(command: Command, global: &Global) -> Result<()> {
    match command {
        Command::Init(options) => commands::init::run(&options)?.print(global.json),
        Command::Reference { page } => reference::print(page),
        #[cfg(feature = "demo")]
        Command::Demo(options) => {
            demo::run(&options, Verbosity::from_flags(global.verbose), global.json).await
        }
        Command::Simulate(options) if options.trial.stands_alone() => {
            commands::simulate::alone(&options).await?.print(global.json)
        }
        Command::Rp(RpCommand::Verify(options)) if options.trial.stands_alone() => {
            commands::rp::verify::alone(&options).await?.print(global.json)
        }
        Command::Rp(RpCommand::Listen(options)) => commands::rp::listen::run(&options, global).await,
        configured => run_configured(configured, global).await,
    }
}

/// The commands that need a configuration.
async fn run_configured(command: Command, global: &Global) -> Result<()> {
    let settings = Settings::load(global.config.as_deref(), &global.set)?;
    let logs =
        if matches!(command, Command::Serve(_)) { settings.log.clone() } else { LogSettings::of_a_command() };
    telemetry::start_logs(&logs, Verbosity::from_flags(global.verbose))?;
    let shown = match command {
        Command::Serve(options) => {
            let origin = Origin { file: global.config.clone(), flags: global.set.clone() };
            return serve::serve(&settings, origin, &Roles::picked(&options.roles)).await;
        }
        Command::Check => commands::check::run(&settings).await,
        Command::Migrate(options) => commands::migrate::run(&options, &settings).await?,
        Command::Import(options) if !options.status => commands::import::run(&options, &settings).await?,
        request => ask(request, &settings).await?,
    };
    shown.print(global.json)
}

/// The commands that are requests.
async fn ask(command: Command, settings: &Settings) -> Result<Shown> {
    ensure!(
        settings.broker.is_some() || !command.is_for_the_broker(),
        "no broker is configured: a section [broker] with an `issuer` makes one (`highwater init` shows it)"
    );
    ensure!(
        settings.sessions.is_some() || !command.is_for_sessions(),
        "no sessions are kept: a section [sessions] makes it so (`highwater init` shows it)"
    );
    let admin = Admin::reach(settings).await?;
    match command {
        Command::Node(OfService { service, command }) => {
            commands::node::run(command, &client::OfService { admin: &admin, service }).await
        }
        Command::Import(_) => commands::import::status(&admin).await,
        Command::Service(command) => commands::service::run(command, &admin).await,
        Command::Bucket(OfService { service, command }) => {
            commands::bucket::run(command, &client::OfService { admin: &admin, service }).await
        }
        Command::User(OfService { service, command }) => {
            commands::user::run(command, &client::OfService { admin: &admin, service }).await
        }
        Command::Purge(options) => commands::purge::run(&options, &admin).await,
        Command::Shed(options) => commands::shed::run(&options, &admin).await,
        Command::Account(command) => commands::account::run(command, &admin).await,
        Command::Events(command) => commands::events::run(command, &admin).await,
        Command::Rp(command) => commands::rp::run(command, &admin).await,
        Command::Deliveries(command) => commands::deliveries::run(command, &admin).await,
        Command::Sessions(command) => commands::sessions::run(command, &admin).await,
        Command::Simulate(options) => commands::simulate::run(&options, &admin).await,
        Command::Keys(command) => commands::keys::run(command, &admin).await,
        Command::Token(command) => commands::token::run(command, &admin).await,
        _ => unreachable!("the others are no requests"),
    }
}
