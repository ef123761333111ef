//! The configuration: one value for the whole process, read from a file, the environment and flags.
//!
//! Each crate owns the settings of its own section; here they are only put together. Reading is done by hand over
//! serde (docs/decisions/0040) for two properties: a string stays a string wherever it is written, and whatever is
//! wrong is named with the file and line, or the variable, it was written in.

mod error;
#[cfg(test)]
mod known;
mod reader;
mod sections;
mod sources;
mod tree;

pub(crate) use error::SettingsError;
pub(crate) use sections::{KeySettings, ListenSettings, MetricsSettings};

use crate::telemetry::LogSettings;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Everything that can be configured.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The database.
    pub(crate) store: store::Settings,
    /// The root key.
    pub(crate) keys: KeySettings,
    /// The identity providers; the first is the default.
    pub(crate) idp: Vec<idp::IdpConfig>,
    /// How bearer tokens are checked.
    pub(crate) verify: verify::Settings,
    /// The Tokenserver, where it is served.
    pub(crate) tokenserver: Option<tokenserver::Settings>,
    /// The token check, where proxies and services ask.
    pub(crate) bearer: Option<bearer::Settings>,
    /// The broker, where relying parties are told.
    pub(crate) broker: Option<broker::Settings>,
    /// Upstream sessions, where they are kept.
    pub(crate) sessions: Option<sessions::Settings>,
    /// How account events come in.
    pub(crate) ingest: ingest::Settings,
    /// How long things are kept.
    pub(crate) retention: ledger::Retention,
    /// The listeners.
    pub(crate) listen: ListenSettings,
    /// Log lines.
    pub(crate) log: LogSettings,
    /// Metrics.
    pub(crate) metrics: MetricsSettings,
    /// The file that was read; relative paths in it are relative to its folder.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

impl Settings {
    /// Reads them: the named file or the first found, then the environment, then `--set` flags.
    pub(crate) fn load(named: Option<&Path>, flags: &[String]) -> Result<Self, SettingsError> {
        let sources::Gathered { tree, file } = sources::gather(named, flags)?;
        let mut settings: Self = reader::read(tree)?;
        settings.file = file;
        settings.settle_paths();
        Ok(settings)
    }

    /// Where commands find the process that owns a SQLite file.
    pub(crate) fn admin_socket(&self) -> Option<PathBuf> {
        let beside = || self.store.sqlite_path().map(|path| with_suffix(&path, ".sock"));
        self.listen.admin_socket.clone().or_else(beside)
    }

    /// Files are where the configuration is, wherever a command is started.
    fn settle_paths(&mut self) {
        let Some(folder) = self.file.as_deref().and_then(Path::parent) else { return };
        if let Some(path) = self.store.sqlite_path() {
            self.store.url = format!("sqlite:{}", folder.join(path).display());
        }
        if let Some(socket) = &mut self.listen.admin_socket {
            *socket = folder.join(&*socket);
        }
        if let Some(tls) = &mut self.listen.service_tls {
            tls.settle_paths(folder);
        }
        for idp in &mut self.idp {
            idp.settle_paths(folder);
        }
        if let Some(bearer) = &mut self.bearer {
            bearer.settle_paths(folder);
        }
        if let Some(broker) = &mut self.broker {
            broker.settle_paths(folder);
        }
        if let Some(sessions) = &mut self.sessions {
            sessions.settle_paths(folder);
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("highwater.toml");
        std::fs::write(&file, text).expect("written");
        let loaded = Settings::load(Some(&file), &[]).map_err(|error| error.to_string());
        loaded.map_err(|error| error.replace(&folder.path().display().to_string(), "."))
    }

    #[test]
    fn a_sqlite_file_is_beside_its_configuration_and_its_socket_beside_it() {
        let settings = load("store.url = 'sqlite:data/highwater.db'").expect("readable");
        let folder = settings.file.as_deref().and_then(Path::parent).expect("a folder").to_owned();
        assert_eq!(settings.store.sqlite_path(), Some(folder.join("data/highwater.db")));
        assert_eq!(settings.admin_socket(), Some(folder.join("data/highwater.db.sock")));
        let elsewhere = load("store.url = 'sqlite:/var/lib/highwater.db'").expect("readable");
        assert_eq!(elsewhere.store.sqlite_path(), Some(PathBuf::from("/var/lib/highwater.db")));
    }

    #[test]
    fn with_postgresql_there_is_a_socket_only_where_one_is_configured() {
        assert_eq!(load("store.url = 'postgres://h/d'").expect("readable").admin_socket(), None);
    }

    #[test]
    fn mistakes_in_a_crates_own_section_are_found_and_named() {
        let error = load("[store]\nurll = 'x'\n").expect_err("unknown");
        assert_eq!(error, "./highwater.toml:2: store: unknown key `urll`; did you mean `url`?");
        let error = load("[stor]\nurl = 'x'\n").expect_err("unknown");
        assert_eq!(error, "./highwater.toml:1: unknown key `stor`; did you mean `store`?");
        let error = load("listen.public = '8000'").expect_err("no address");
        assert_eq!(error, "./highwater.toml:1: listen.public: invalid socket address syntax");
        let error = load("keys.root = 'short'").expect_err("no key");
        assert!(error.starts_with("./highwater.toml:1: keys.root: the root key is not 32 bytes"), "{error}");
    }
}
