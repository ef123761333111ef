//! Relying parties of files: those that the configuration names. Each is JSON, as `POST /rps` takes it.

use crate::capability::Inner;
use crate::settings::InvalidSettings;
use crate::store::reconcile::{Reconcile, Reconciled};
use crate::store::registry::TOPIC;
use crate::{ClientId, Config, RelyingParty, Secrets, Status, worker};
use account::Millis;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Between two tries while the store is down.
const PAUSE: Duration = Duration::from_secs(1);

/// A relying party as a file has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    pub(crate) client_id: ClientId,
    #[serde(default)]
    pub(crate) config: Config,
    #[serde(default)]
    pub(crate) secrets: Secrets,
}

impl Registration {
    /// The relying party it makes where there is none.
    pub(crate) fn fresh(&self, now: Millis) -> RelyingParty {
        RelyingParty {
            client_id: self.client_id.clone(),
            config: self.config.clone(),
            secrets: self.secrets.clone(),
            status: Status::Enabled,
            status_at: now,
        }
    }

    /// Makes a relying party as the file has it. Its status is the operators' of the day, and what it said itself by its
    /// stream stays said.
    pub(crate) fn apply(&self, rp: &mut RelyingParty) {
        let before = std::mem::replace(&mut rp.config, self.config.clone());
        let secrets = std::mem::replace(&mut rp.secrets, self.secrets.clone());
        if before.stream.is_some() {
            let Config { webhook, format, vocabulary, events, stream, .. } = before;
            rp.config = Config { webhook, format, vocabulary, events, stream, ..rp.config.clone() };
            rp.secrets.authorization = secrets.authorization;
        }
    }
}

/// What becomes of a relying party that is in no file any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// It stays as it is, and is the operators' to change from then on.
    #[default]
    Keep,
    /// It stays, and what concerns it is held until an operator says more.
    Pause,
    /// It is removed; what is pending for it is discarded.
    Remove,
}

/// Reads files, and folders' files that end in `.json`: one relying party each, or a list of them.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Registration>, InvalidSettings> {
    let mut found: BTreeMap<ClientId, (Registration, PathBuf)> = BTreeMap::new();
    for path in paths {
        for path in files(path).map_err(|error| invalid(path, &error.to_string()))? {
            for registration in read_file(&path)? {
                let client_id = registration.client_id.clone();
                if let Some((_, other)) = found.insert(client_id.clone(), (registration, path.clone())) {
                    return Err(invalid(&path, &format!("{client_id} is in {} too", other.display())));
                }
            }
        }
    }
    Ok(found.into_values().map(|(registration, _)| registration).collect())
}

/// Makes the registry say what the files say; tries until it is done, and has nothing more to do then.
pub(crate) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    while let Err(error) = reconcile(&inner).await {
        tracing::warn!(%error, "the registry cannot be brought in line with the files of relying parties yet");
        if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
    // A worker that ends before the soft stop has died.
    stop.cancelled().await;
}

pub(crate) async fn reconcile(inner: &Inner) -> Result<(), StoreError> {
    let (files, absent) = (Arc::clone(&inner.files), inner.settings.absent_relying_parties);
    let reconcile = Reconcile { files, absent, cipher: inner.snapshots.cipher.clone(), now: inner.now() };
    let done = inner.store.run(reconcile).await?;
    inner.snapshots.reconciled();
    if !done.is_nothing() {
        let Reconciled { added, changed, absent: gone } = done;
        tracing::info!(?added, ?changed, "relying parties are as their files say");
        if !gone.is_empty() {
            tracing::warn!(?gone, policy = ?absent, "relying parties are in no file any more");
        }
        inner.store.signals().send(TOPIC);
        inner.store.signals().send(worker::TOPIC);
    }
    Ok(())
}

fn invalid(path: &Path, why: &str) -> InvalidSettings {
    InvalidSettings::new("relying_parties", format!("{}: {why}", path.display()))
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|it| it == "json"));
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Vec<Registration>, InvalidSettings> {
    // Secrets are in it.
    let text = fs::read(path).map(Zeroizing::new).map_err(|error| invalid(path, &error.to_string()))?;
    let registrations = parse(&text).map_err(|why| invalid(path, &why))?;
    for Registration { client_id, config, secrets } in &registrations {
        let why = match config.check(secrets) {
            Ok(()) if config.stream.is_none() => continue,
            Ok(()) => "a stream is made by the relying party itself".to_owned(),
            Err(why) => why.to_string(),
        };
        return Err(invalid(path, &format!("{client_id}: {why}")));
    }
    Ok(registrations)
}

/// One, or a list: told apart by what the text begins with, so that what is wrong is told of the right one.
fn parse(text: &[u8]) -> Result<Vec<Registration>, String> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let parsed = if first == Some(&b'[') {
        serde_json::from_slice(text)
    } else {
        serde_json::from_slice(text).map(|one| vec![one])
    };
    parsed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(files: &[(&str, &str)]) -> Result<Vec<Registration>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let read = read(&[folder.path().to_owned()]).map_err(|error| error.to_string());
        read.map_err(|error| error.replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_folder_has_files_of_one_or_of_many() {
        let read = reading(&[
            ("many.json", r#" [{"client_id":"BBBB"},{"client_id":"cccc","config":{"name":"C"}}]"#),
            ("one.json", r#"{"client_id":"aaaa","secrets":{"headers":{"x-key":"1"}}}"#),
            ("notes.txt", "not read"),
        ]);
        let read = read.expect("good files");
        assert_eq!(read.iter().map(|it| it.client_id.as_str()).collect::<Vec<_>>(), ["aaaa", "bbbb", "cccc"]);
        assert_eq!(read[2].config.name, "C");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "missing field `client_id`"),
            (r#"[{"client_id":"a"},{"client_id":"A"}]"#, "a is in a.json too"),
            (r#"{"client_id":"a b"}"#, "no client id"),
            (r#"{"client_id":"a","config":{"webhok":"x"}}"#, "unknown field `webhok`"),
            (r#"{"client_id":"a","config":{"webhook":"http://a.example/"}}"#, "a: the webhook is plain http"),
            (
                r#"{"client_id":"a","config":{"stream":{"id":"x","events_requested":[],"created_at":0}}}"#,
                "a: a stream is made",
            ),
        ] {
            let error = reading(&[("a.json", text)]).expect_err(text);
            assert!(error.starts_with("broker.relying_parties: a.json: "), "{error}");
            assert!(error.contains(why), "{error}");
        }
        assert!(read(&[PathBuf::from("/nowhere/at/all")]).is_err());
    }
}
