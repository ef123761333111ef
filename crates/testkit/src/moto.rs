use crate::free_port;
use crate::server::PYTHON;
use crate::supervised::{Plan, Supervised};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);
const TRIES: usize = 5;

/// moto's server: Amazon SQS over HTTP on a free port of the loopback. Any access key and any region do.
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct Moto {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    _server: Supervised,
    _home: TempDir,
    port: u16,
}

impl Moto {
    /// Starts it with the Python of [`PYTHON`], else with that of `target/test-venv`.
    pub fn start() -> Self {
        Self::start_under(&[])
    }

    /// Starts it under another command, such as `["taskset", "-c", "1"]`, which must become the server (`exec`).
    pub fn start_under(command: &[&str]) -> Self {
        let home = tempfile::Builder::new()
            .prefix("testkit-moto-")
            .tempdir()
            .expect("a temporary folder can be made");
        let python = python();
        let launched = (0..TRIES).find_map(|_| launch(home.path(), command, &python));
        let Some((server, port)) = launched else {
            let log = fs::read_to_string(home.path().join("log")).unwrap_or_default();
            panic!("moto's server did not start: {log}");
        };
        Self { _server: server, _home: home, port }
    }

    /// Its URL: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn launch(folder: &Path, under: &[&str], python: &Path) -> Option<(Supervised, u16)> {
    let port = free_port();
    let own = ["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    let command: Vec<String> =
        under.iter().map(ToString::to_string).chain([python.display().to_string()]).chain(own).collect();
    let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "KILL" });
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    server.wait_ready(PATIENCE, listens).is_ok().then_some((server, port))
}

/// The interpreter that has `requirements.txt` installed.
fn python() -> PathBuf {
    let told = std::env::var_os(PYTHON).map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    told.or_else(|| beside.exists().then_some(beside)).unwrap_or_else(|| {
        panic!("no Python with moto: run ./test, or name one that has crates/testkit/requirements.txt in {PYTHON}")
    })
}
