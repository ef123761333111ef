//! How the walk looks on a terminal.

use super::stage::{IDP, Stage};
use super::walk::{Step, USER, VISITOR, visitor};
use crate::output::say;
use anyhow::Result;
use std::io::IsTerminal;

/// Where the walk is printed.
pub(crate) struct Page {
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Silent,
    Plain,
    Coloured,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";

impl Page {
    /// Nothing but what is asked for as JSON.
    pub(crate) fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// Coloured where somebody looks, unless they asked for no colour (NO_COLOR).
    pub(crate) fn on_the_terminal() -> Self {
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { kind: if coloured { Kind::Coloured } else { Kind::Plain } }
    }

    /// Who is there.
    pub(crate) fn opening(&self, stage: &Stage) -> Result<()> {
        let title = format!("Highwater {}: the walk", env!("CARGO_PKG_VERSION"));
        let [first, second] = &stage.nodes;
        let [photos, notes] = &stage.parties;
        let public = stage.url("public", "")?;
        self.line(&format!("\n  {}   {}\n", self.paint(BOLD, &title), self.paint(DIM, &stage.time())))?;
        for (who, place) in [
            ("identity provider, a stand-in", stage.idp.url()),
            ("two service nodes, stand-ins", format!("{}  {}", first.url(), second.url())),
            ("two relying parties, stand-ins", format!("{}  {}", photos.rp.webhook(), notes.rp.webhook())),
            ("an API, a stand-in", stage.api.url()),
            (
                "Highwater, the real thing",
                format!("{}  SQLite in {}", trimmed(&public), stage.folder().display()),
            ),
        ] {
            self.line(&format!("  {who:<32}{}", self.paint(CYAN, &place)))?;
        }
        Ok(())
    }

    /// What comes next.
    pub(crate) fn act(&self, number: usize, title: &str, note: &str) -> Result<()> {
        self.line(&format!("\n  {}  {}", self.paint(BOLD, &number.to_string()), self.paint(BOLD, title)))?;
        if note.is_empty() { Ok(()) } else { self.line(&format!("     {}", self.paint(DIM, note))) }
    }

    /// What came of it.
    pub(crate) fn step(&self, step: &Step) -> Result<()> {
        let mark = if step.held { self.paint(GREEN, "✓") } else { self.paint(RED, "✗") };
        let Step { who, what, micros, .. } = step;
        let took = micros.map(|micros| format!("{:>9}", milliseconds(micros)));
        let took = self.paint(DIM, &took.unwrap_or_default());
        self.line(format!("     {mark} {who:<13}{what:<74}{took}").trim_end())
    }

    /// The sum.
    pub(crate) fn closing(&self, held: usize, all: usize) -> Result<()> {
        let sum = if held == all {
            self.paint(GREEN, &format!("Every step held ({all} of {all})."))
        } else {
            self.paint(RED, &format!("{} of {all} steps did not hold.", all - held))
        };
        self.line(&format!("\n  {sum}"))
    }

    /// What to do with it while it stays up.
    pub(crate) fn to_try(&self, stage: &Stage) -> Result<()> {
        let program =
            std::env::current_exe().map_or_else(|_| "highwater".into(), |path| path.display().to_string());
        let command = format!("{program} --config {}", stage.config.display());
        let device = visitor(stage)?;
        self.line("\n  It stays up until Ctrl-C. From another terminal:")?;
        for (what, typed) in [
            ("a fresh device asks for its token", device),
            (
                "disable its account, then let it ask again",
                format!("{command} account disable {IDP} {VISITOR}"),
            ),
            ("how the node is", format!("curl -s {}", stage.url("admin", "/health")?)),
            ("how the walk's account stands", format!("{command} account show {IDP} {USER}")),
            ("what relying parties were told of it", format!("{command} deliveries list --subject {USER}")),
            ("who confirmed that it is gone", format!("{command} events receipt {IDP} {USER}")),
            ("the nodes and their load", format!("{command} node list")),
            ("every command", format!("{program} --help")),
        ] {
            self.line(&format!("\n  {}\n    {typed}", self.paint(DIM, &format!("# {what}"))))?;
        }
        Ok(())
    }

    fn line(&self, text: &str) -> Result<()> {
        if self.kind == Kind::Silent { Ok(()) } else { say(text) }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.kind == Kind::Coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn trimmed(url: &outbound::Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}
