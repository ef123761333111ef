use crate::free_port;
use crate::programs::of_python;
use crate::supervised::{Plan, Supervised};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);
const TRIES: usize = 5;

/// A real Envoy on a free port of the loopback, in front of whatever its configuration says.
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct Envoy {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    _server: Supervised,
    home: TempDir,
    port: u16,
}

impl Envoy {
    /// Starts it; `bootstrap` makes its whole configuration, as YAML, given the port to listen on.
    pub fn start(bootstrap: impl Fn(u16) -> String) -> Self {
        let mut said = String::new();
        for _ in 0..TRIES {
            match launch(&bootstrap) {
                Ok(started) => return started,
                Err(log) => said = log,
            }
        }
        panic!("Envoy did not start: {said}")
    }

    /// Its URL: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        log(self.home.path())
    }
}

/// The error is what it has said.
fn launch(bootstrap: &impl Fn(u16) -> String) -> Result<Envoy, String> {
    let home = tempfile::Builder::new().prefix("testkit-envoy-").tempdir();
    let home = home.expect("a temporary folder can be made");
    let folder = home.path();
    let port = free_port();
    fs::write(folder.join("envoy.yaml"), bootstrap(port)).expect("the folder is ours");
    let program = of_python("envoy/_bin/envoy").display().to_string();
    // One worker, and no shared memory by which two of them would find each other.
    let arguments = ["-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"];
    let command: Vec<String> =
        std::iter::once(program).chain(arguments.iter().map(ToString::to_string)).collect();
    let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "KILL" });
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    match server.wait_ready(PATIENCE, listens) {
        Ok(()) => Ok(Envoy { _server: server, home, port }),
        Err(_) => Err(log(folder)),
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}
