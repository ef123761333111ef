//! The generated pages of the handbook: what this binary says about itself.

use crate::admin::Door;
use crate::cli::{Cli, ReferencePage};
use crate::house::{House, Serving};
use crate::output::say;
use crate::roles::Roles;
use crate::settings::Settings;
use account::IdpId;
use anyhow::Result;
use clap::CommandFactory;
use idp::IdpConfig;
use keys::RootKey;
use std::fmt::Write;
use work::Lifecycle;

/// Prints a page.
pub(crate) fn print(page: ReferencePage) -> Result<()> {
    match page {
        ReferencePage::Cli => say(&command_line()),
        ReferencePage::Configuration => say(&configuration()),
        ReferencePage::OpenapiAdmin => say(&openapi(Door::Admin)?),
        ReferencePage::OpenapiService => say(&openapi(Door::Service)?),
        ReferencePage::OpenapiPublic => say(&openapi(Door::Public)?),
    }
}

/// Every command with its help, as Markdown. The options that go with every command stand once, at the top.
fn command_line() -> String {
    let mut page = "# The command line\n\nEvery command takes the options of `highwater` itself, `--json` for its answer as \
                    JSON among them, and exits\nwith 0 only when it did what was asked.\n"
        .to_owned();
    push(&mut page, Cli::command().disable_version_flag(true), "highwater");
    page
}

fn push(page: &mut String, command: clap::Command, name: &str) {
    let inner: Vec<clap::Command> =
        command.get_subcommands().filter(|it| !it.is_hide_set()).cloned().collect();
    let help = command.bin_name(name).term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n")).expect("a String takes every write");
    for command in inner {
        let name = format!("{name} {}", command.get_name());
        push(page, command, &name);
    }
}

/// The routes of a house with everything in it. PostgreSQL is not contacted until it is asked something.
fn openapi(door: Door) -> Result<String> {
    let mut settings = Settings::default();
    "postgres://localhost/nobody".clone_into(&mut settings.store.url);
    settings.keys.root = Some(RootKey::generate());
    let mut idp = IdpConfig::new(IdpId::new("fxa")?, "https://idp.example", "idp.example");
    idp.server_url = Some("https://idp.example".to_owned());
    idp.set_audience = Some("audience".to_owned());
    settings.idp = vec![idp];
    let master_secret = tokenserver::Secret::new("none");
    settings.tokenserver = Some(tokenserver::Settings { master_secret, ..tokenserver::Settings::default() });
    settings.bearer = Some(bearer::Settings::default());
    settings.broker =
        Some(broker::Settings { issuer: "https://broker.example".to_owned(), ..broker::Settings::default() });
    settings.sessions = Some(sessions::Settings::default());
    let api = House::open(&settings, Some(Serving { life: &Lifecycle::new(), roles: &Roles::picked(&[]) }))?
        .describe(door);
    Ok(serde_json::to_string_pretty(&api)?)
}

/// The template with every setting.
fn configuration() -> String {
    format!(
        "# The configuration\n\nThis is the file that `highwater init` writes, with fresh secrets in place of the braces. It names every\nsetting there is.\n\n```toml\n{}\n```\n",
        crate::commands::init::TEMPLATE.trim_end()
    )
}
