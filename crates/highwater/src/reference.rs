//! The generated pages of the handbook: what this binary says about itself.

use crate::cli::{Cli, ReferencePage};
use crate::output::say;
use anyhow::Result;
use clap::CommandFactory;
use std::fmt::Write;

/// Prints a page.
pub(crate) fn print(page: ReferencePage) -> Result<()> {
    match page {
        ReferencePage::Cli => say(&command_line()),
        ReferencePage::Configuration => say(&configuration()),
        ReferencePage::Openapi => say("{}"),
    }
}

/// Every command with its help, as Markdown.
fn command_line() -> String {
    let mut page = "# The command line\n\nEvery command takes `--json` for its answer as JSON, and exits with 0 only when it did what was asked.\n".to_owned();
    let mut root = Cli::command().term_width(100).disable_version_flag(true);
    root.build();
    push(&mut page, &mut root);
    page
}

/// The template with every setting.
fn configuration() -> String {
    format!(
        "# The configuration\n\nThis is the file that `highwater init` writes, with fresh secrets in place of the braces. It names every\nsetting there is.\n\n```toml\n{}\n```\n",
        crate::commands::init::TEMPLATE.trim_end()
    )
}

fn push(page: &mut String, command: &mut clap::Command) {
    let name = command.get_bin_name().unwrap_or("highwater").to_owned();
    let help = command.render_long_help().to_string();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.trim_end()).expect("a String takes every write");
    for inner in command.get_subcommands_mut().filter(|it| !it.is_hide_set()) {
        push(page, inner);
    }
}
