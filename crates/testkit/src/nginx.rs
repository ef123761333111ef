use crate::free_port;
use crate::supervised::{Plan, Supervised};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
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
        let home = tempfile::Builder::new()
            .prefix("testkit-nginx-")
            .tempdir()
            .expect("a temporary folder can be made");
        let launched = (0..TRIES).find_map(|_| launch(home.path(), &http));
        let Some((server, port)) = launched else { panic!("nginx did not start: {}", log(home.path())) };
        Self { _server: server, home, port }
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

fn launch(folder: &Path, http: &impl Fn(u16) -> String) -> Option<(Supervised, u16)> {
    let port = free_port();
    let config = folder.join("nginx.conf");
    fs::write(&config, whole(&http(port))).expect("the folder is ours");
    let arguments =
        ["-p", &folder.display().to_string(), "-e", "stderr", "-c", "nginx.conf"].map(str::to_owned);
    let command: Vec<String> = [program().display().to_string()].into_iter().chain(arguments).collect();
    let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "TERM" });
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    server.wait_ready(PATIENCE, listens).is_ok().then_some((server, port))
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

/// The program: on the `PATH`, where Debian puts it, or where `./test` does.
fn program() -> PathBuf {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-nginx/usr/sbin");
    on_path
        .unwrap_or_default()
        .into_iter()
        .chain([PathBuf::from("/usr/sbin"), beside])
        .map(|folder| folder.join("nginx"))
        .find(|program| program.exists())
        .expect("nginx is installed (run ./test, or Debian: apt-get install nginx)")
}
