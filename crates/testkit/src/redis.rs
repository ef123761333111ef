use crate::programs::unpacked;
use crate::supervised::{Plan, Supervised};
use crate::{Papers, free_port};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const TRIES: usize = 5;
const SLOTS: usize = 16_384;

/// A real Redis on a free port of the loopback. It can be killed and started again at the same place.
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct Redis {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    server: Option<Supervised>,
    home: TempDir,
    arguments: Vec<String>,
    port: u16,
    by_tls: bool,
}

impl Redis {
    /// Starts one that takes anybody.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with settings of its own: `--name`, `value`.
    pub fn with(settings: &[&str]) -> Self {
        Self::on_a_free_port(|port, _| {
            let own = ["--port".to_owned(), port.to_string()];
            own.into_iter().chain(settings.iter().map(ToString::to_string)).collect()
        })
    }

    /// Starts one that speaks TLS alone, by these papers, and wants a password.
    pub fn by_tls(papers: &Papers, password: &str) -> Self {
        let mut redis = Self::on_a_free_port(|port, folder| {
            fs::write(folder.join("tls.pem"), papers.together()).expect("the folder is ours");
            let port = port.to_string();
            let own = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
            let tls =
                ["--tls-cert-file", "tls.pem", "--tls-key-file", "tls.pem", "--tls-ca-cert-file", "tls.pem"];
            own.into_iter().chain(tls).chain(["--requirepass", password]).map(str::to_owned).collect()
        });
        redis.by_tls = true;
        redis
    }

    /// Starts three that are a cluster, with a third of the slots each.
    pub fn cluster() -> Vec<Self> {
        let bus: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let node = |bus: &u16| Self::with(&["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
        let nodes: Vec<Self> = bus.iter().map(node).collect();
        for (at, node) in nodes.iter().enumerate() {
            let (first, last) = (at * SLOTS / 3, (at + 1) * SLOTS / 3 - 1);
            node.cli(&["cluster", "addslotsrange", &first.to_string(), &last.to_string()]);
            let (port, bus) = (nodes[0].port.to_string(), bus[0].to_string());
            node.cli(&["cluster", "meet", "127.0.0.1", &port, &bus]);
        }
        let is_whole = |node: &Self| node.cli(&["cluster", "info"]).contains("cluster_state:ok");
        let end = std::time::Instant::now() + PATIENCE;
        while !nodes.iter().all(is_whole) {
            assert!(std::time::Instant::now() < end, "the cluster did not come together");
            std::thread::sleep(Duration::from_millis(50));
        }
        nodes
    }

    /// Its URL: `redis://127.0.0.1:PORT`, or `rediss://localhost:PORT`.
    pub fn url(&self) -> String {
        if self.by_tls {
            format!("rediss://localhost:{}", self.port)
        } else {
            format!("redis://127.0.0.1:{}", self.port)
        }
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        self.server.take().expect("it runs").end("KILL");
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let started = launch(self.home.path(), &self.arguments, self.port);
        self.server = Some(started.unwrap_or_else(|log| panic!("redis-server did not start again: {log}")));
    }

    /// Holds it up (SIGSTOP): it takes connections and answers nobody.
    pub fn hold_up(&mut self) {
        self.server.as_mut().expect("it runs").say("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.server.as_mut().expect("it runs").say("CONT");
    }

    /// What `redis-cli` says to a command.
    pub fn cli(&self, command: &[&str]) -> String {
        let output = self.cli_command().args(command).output().expect("redis-cli can be run");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `redis-cli`, not started yet.
    pub fn cli_command(&self) -> Command {
        let mut command = Command::new(folder().join("redis-cli"));
        command.env("LD_LIBRARY_PATH", libraries()).args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command
    }

    /// Its file of everything, not compressed.
    pub fn dump(&self) -> Vec<u8> {
        assert!(self.cli(&["save"]).contains("OK"), "it saves what it has");
        fs::read(self.home.path().join("dump.rdb")).expect("it has saved it")
    }

    fn on_a_free_port(arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        let mut said = String::new();
        for _ in 0..TRIES {
            let home = tempfile::Builder::new().prefix("testkit-redis-").tempdir();
            let home = home.expect("a temporary folder can be made");
            let port = free_port();
            let arguments = arguments(port, home.path());
            match launch(home.path(), &arguments, port) {
                Ok(server) => {
                    return Self { server: Some(server), home, arguments, port, by_tls: false };
                }
                Err(log) => said = log,
            }
        }
        panic!("redis-server did not start: {said}")
    }
}

/// The error is what it has said.
fn launch(folder: &Path, arguments: &[String], port: u16) -> Result<Supervised, String> {
    let libraries = format!("LD_LIBRARY_PATH={}", libraries().display());
    let program = unpacked("redis-server").display().to_string();
    let ours = ["--bind", "127.0.0.1", "--save", "", "--rdbcompression", "no"].map(str::to_owned);
    let whole =
        ["env".to_owned(), libraries, program].into_iter().chain(ours).chain(arguments.iter().cloned());
    let command: Vec<String> = whole.collect();
    let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "KILL" });
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    match server.wait_ready(PATIENCE, listens) {
        Ok(()) => Ok(server),
        Err(_) => Err(fs::read_to_string(folder.join("log")).unwrap_or_default()),
    }
}

/// Where its programs are.
fn folder() -> PathBuf {
    unpacked("redis-server").parent().expect("a program is in a folder").to_owned()
}

/// What Debian's package needs and is unpacked beside it.
fn libraries() -> PathBuf {
    folder().join(format!("../lib/{}-linux-gnu", std::env::consts::ARCH))
}
