//! The receivers of the handbook pass the conformance suite, as they stand there.

use super::receivers::{node_folder, python};
use super::served::Served;
use super::*;
use crate::conformance::{Grade, conformance};
use crate::{Format, SigningAlgorithm, Trial, TrialKeys, Vocabulary};
use axum::Router;
use axum::routing::get;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A receiver in a process of its own, until it is dropped.
struct Sample {
    process: Child,
    url: String,
    _keys: Served,
}

impl Sample {
    /// Starts it; it says its URL in its first line.
    async fn start(mut command: Command, keys: &TrialKeys) -> Self {
        let set = keys.published();
        let keys = Served::new(Router::new().route("/keys", get(move || async move { set }))).await;
        let command = command
            .env("JWKS_URL", keys.url("/keys"))
            .env("ISSUER", ISSUER)
            .env("CLIENT_ID", "rp")
            .env("PORT", "0")
            .stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let said = process.stdout.take().expect("it is piped");
        let url = BufReader::new(said).lines().next().expect("a line").expect("its URL");
        Self { process, url, _keys: keys }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/guides/receivers").join(name)
}

/// Runs the suite in both formats of tokens, with each algorithm.
async fn passes_every_case(command: impl Fn() -> Command) {
    for algorithm in SigningAlgorithm::ALL {
        let keys = TrialKeys::fresh(algorithm).expect("a key");
        let sample = Sample::start(command(), &keys).await;
        for (format, vocabulary) in [(Format::FxaHeader, Vocabulary::Fxa), (Format::Push, Vocabulary::Ssf)] {
            let config = Config {
                webhook: Some(sample.url.clone()),
                format,
                vocabulary,
                algorithm,
                allow_private: true,
                ..Config::default()
            };
            let trial =
                Trial::new(client("rp"), config, Secrets::default(), ISSUER, keys.clone(), Clock::system());
            let suite = conformance(&trial.expect("it can be tried"), None).await.expect("it runs");
            let wrong: Vec<_> = suite.cases.iter().filter(|it| it.grade != Grade::Pass).collect();
            assert!(wrong.is_empty(), "{format:?} {algorithm:?}: {wrong:#?}");
        }
    }
}

#[tokio::test]
async fn the_receiver_in_node_passes_every_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().join("receiver.mjs");
    std::fs::copy(sample("receiver.mjs"), &here).expect("copied");
    std::os::unix::fs::symlink(node_folder().join("node_modules"), folder.path().join("node_modules"))
        .expect("its packages beside it");
    passes_every_case(|| {
        let mut node = Command::new("node");
        node.arg(&here);
        node
    })
    .await;
}

#[tokio::test]
async fn the_receiver_in_python_passes_every_case() {
    passes_every_case(|| {
        let mut python = Command::new(python());
        python.arg(sample("receiver.py"));
        python
    })
    .await;
}
