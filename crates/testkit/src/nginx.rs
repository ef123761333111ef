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

/// A real nginx on a free port of the loopback, in front of whatever its configuration says.
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct Nginx {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    _server: Supervised,
    home: TempDir,
    port: u16,
}

impl Nginx {
    /// Starts it; `http` makes what stands inside of its `http { … }`, given the port to listen on.
    pub fn start(http: impl Fn(u16) -> String) -> Self {
        let mut said = String::new();
        for _ in 0..TRIES {
            match launch(&http) {
                Ok(started) => return started,
                Err(log) => said = log,
            }
        }
        panic!("nginx did not start: {said}")
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
fn launch(http: &impl Fn(u16) -> String) -> Result<Nginx, String> {
    let home = tempfile::Builder::new().prefix("testkit-nginx-").tempdir();
    let home = home.expect("a temporary folder can be made");
    let folder = home.path();
    let port = free_port();
    let config = folder.join("nginx.conf");
    fs::write(&config, whole(&http(port))).expect("the folder is ours");
    let arguments =
        ["-p", &folder.display().to_string(), "-e", "stderr", "-c", "nginx.conf"].map(str::to_owned);
    let command: Vec<String> =
        [unpacked("nginx").display().to_string()].into_iter().chain(arguments).collect();
    let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "TERM" });
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    match server.wait_ready(PATIENCE, listens) {
        Ok(()) => Ok(Nginx { _server: server, home, port }),
        Err(_) => Err(log(folder)),
    }
}

/// One process, in the foreground, with all that it writes in its own folder.
fn whole(http: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n    access_log off;\n\
         {temporary}{http}\n}}\n"
    )
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}
