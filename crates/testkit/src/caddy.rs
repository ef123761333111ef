use crate::free_port;
use crate::programs::unpacked;
use crate::supervised::{Plan, Supervised};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const TRIES: usize = 5;
/// Nothing of it is outside of its folder: no admin port, no certificates, no state in somebody's home.
const OPTIONS: &str = "{\n\tadmin off\n\tauto_https off\n\tstorage file_system storage\n}\n";

/// A real Caddy on a free port of the loopback, in front of whatever its configuration says.
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct Caddy {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    _server: Supervised,
    home: TempDir,
    port: u16,
}

impl Caddy {
    /// Starts it; `sites` makes its Caddyfile, without global options, given the port to listen on.
    pub fn start(sites: impl Fn(u16) -> String) -> Self {
        let mut said = String::new();
        for _ in 0..TRIES {
            match launch(&sites) {
                Ok(started) => return started,
                Err(log) => said = log,
            }
        }
        panic!("Caddy did not start: {said}")
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
fn launch(sites: &impl Fn(u16) -> String) -> Result<Caddy, String> {
    let home = tempfile::Builder::new().prefix("testkit-caddy-").tempdir();
    let home = home.expect("a temporary folder can be made");
    let folder = home.path();
    let port = free_port();
    fs::write(folder.join("Caddyfile"), format!("{OPTIONS}{}", sites(port))).expect("the folder is ours");
    let arguments = ["run", "--config", "Caddyfile", "--adapter", "caddyfile"].map(str::to_owned);
    // Where it would keep its state else.
    let environment = ["env", "XDG_CONFIG_HOME=.", "XDG_DATA_HOME=."].map(str::to_owned);
    let program = [unpacked("caddy").display().to_string()];
    let command: Vec<String> = environment.into_iter().chain(program).chain(arguments).collect();
    let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "KILL" });
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    match server.wait_ready(PATIENCE, listens) {
        Ok(()) => Ok(Caddy { _server: server, home, port }),
        Err(_) => Err(log(folder)),
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}
