//! Log lines, by `tracing`: for people on a terminal, as JSON elsewhere, always to standard error.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The section `log`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSettings {
    /// How a line looks: `auto` is `human` on a terminal, `json` elsewhere.
    pub(crate) format: Format,
    /// What is said: a level, or levels by module (`info,store=debug`).
    pub(crate) filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: Format::Auto, filter: "info".to_owned() }
    }
}

impl LogSettings {
    /// For a command: its answer says what there is to say.
    pub(crate) fn of_a_command() -> Self {
        Self { format: Format::Human, filter: "error".to_owned() }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For whoever is there.
    Auto,
    /// One line of text, coloured on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// How often `-v` was given; it overrides the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// As the settings say.
    Configured,
    /// `-v`: this project's own crates tell what they do.
    Verbose,
    /// `-vv`: everything does.
    Everything,
}

impl Verbosity {
    /// From the number of `-v` flags.
    pub(crate) fn from_flags(count: u8) -> Self {
        match count {
            0 => Self::Configured,
            1 => Self::Verbose,
            _ => Self::Everything,
        }
    }

    fn filter(self, configured: &str) -> String {
        match self {
            Self::Configured => configured.to_owned(),
            Self::Verbose => format!("debug,{QUIET}"),
            Self::Everything => "trace".to_owned(),
        }
    }
}

/// Libraries whose debug lines drown everybody else's.
const QUIET: &str = "hyper=info,h2=info,rustls=info,tokio_postgres=info,aws_config=info,aws_smithy_runtime=info,aws_sdk_sqs=info,aws_smithy_http_client=info,hyper_util=info,reqwest=info";

/// Installs the subscriber and the panic hook, once per process.
pub(crate) fn start(settings: &LogSettings, verbosity: Verbosity) -> Result<()> {
    let wanted = verbosity.filter(&settings.filter);
    let filter =
        EnvFilter::try_new(&wanted).with_context(|| format!("log.filter `{wanted}` is no filter"))?;
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match settings.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Auto if !terminal => lines.json().flatten_event(true).try_init(),
        Format::Auto | Format::Human => lines.with_ansi(terminal).with_target(false).try_init(),
    };
    std::panic::set_hook(Box::new(log_panic));
    installed.map_err(|error| anyhow::anyhow!("logging was started twice: {error}"))
}

/// A panic is a line like any other, so that whoever reads the log sees it.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current().name().map(str::to_owned);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(place, thread, "panicked: {message}");
}
