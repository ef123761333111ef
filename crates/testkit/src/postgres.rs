use crate::free_port;
use crate::programs::{User, ordinary_user, postgres_folder};
use crate::supervised::{Plan, Supervised};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);
const TRIES: usize = 5;

/// Whether PostgreSQL waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// As in production.
    On,
    /// Faster; a loss of power would lose data, a `kill -9` does not.
    Off,
}

/// How a cluster is started; see [`Postgres::options`].
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    fsync: Fsync,
    under: Vec<String>,
    settings: Vec<String>,
}

impl PostgresOptions {
    /// Whether it waits for the disk; [`Fsync::On`] when not said.
    #[must_use]
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Starts it under another command, such as `["taskset", "-c", "1"]`. The command must become the server (`exec`).
    #[must_use]
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets a server setting, `name=value` as in `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Makes the cluster and starts it.
    pub fn start(self) -> Postgres {
        Postgres::make(self)
    }
}

/// A PostgreSQL cluster of its own: real `initdb`, real `postgres`, on a free port of the loopback, run as an ordinary
/// user, its data in a temporary folder. Its only user is the superuser `postgres`, who needs no password.
///
/// Dropping it, or the death of this process, ends the server at once and removes the data.
#[derive(Debug)]
pub struct Postgres {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    server: Option<Supervised>,
    home: TempDir,
    bin: PathBuf,
    user: Option<User>,
    options: PostgresOptions,
    port: u16,
}

impl Postgres {
    /// Makes and starts a cluster that waits for the disk as a production one does. Takes about a second.
    pub fn start() -> Self {
        Self::options().start()
    }

    /// Says how to start one.
    pub fn options() -> PostgresOptions {
        PostgresOptions { fsync: Fsync::On, under: Vec::new(), settings: Vec::new() }
    }

    /// The superuser's URL of the database `postgres`: `postgres://postgres@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where it listens, on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as an operator would: open transactions are rolled back, connections closed, a checkpoint written.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Makes it crash: every backend ends at once; the next start recovers from the log.
    pub fn crash(&mut self) {
        self.end("QUIT");
    }

    /// Starts it again on the same port, after [`Postgres::stop`] or [`Postgres::crash`].
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "PostgreSQL is running already");
        self.launch().unwrap_or_else(|()| panic!("PostgreSQL did not start again: {}", self.log()));
    }

    /// Stops and starts it.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    pub(crate) fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn end(&mut self, signal: &str) {
        self.server.take().expect("PostgreSQL is running").end(signal);
    }

    fn make(options: PostgresOptions) -> Self {
        let home = tempfile::Builder::new().prefix("testkit-postgres-").tempdir();
        let home = home.expect("a temporary folder can be made");
        let user = ordinary_user(home.path());
        if let Some(user) = user {
            chown(home.path(), Some(user.uid), Some(user.gid)).expect("root can give a folder away");
        }
        let mut made = Self { server: None, home, bin: postgres_folder(), user, options, port: 0 };
        made.initdb();
        made.launch_on_a_free_port();
        made
    }

    fn initdb(&self) {
        let mut command = Command::new(self.bin.join("initdb"));
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        command.arg("--pgdata").arg(self.data()).current_dir(self.home.path());
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let output = command.output().expect("`initdb` can be started");
        assert!(output.status.success(), "`initdb` failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn launch_on_a_free_port(&mut self) {
        for _ in 0..TRIES {
            self.port = free_port();
            if self.launch().is_ok() {
                return;
            }
        }
        panic!("PostgreSQL did not start: {}", self.log());
    }

    fn launch(&mut self) -> Result<(), ()> {
        let command = self.command();
        let folder = self.home.path();
        // A crash leaves it behind, and it would say that this start is ready.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        let plan = Plan { command: &command, folder, user: self.user, last: "QUIT" };
        let mut server = Supervised::start(&plan);
        server.wait_ready(PATIENCE, || self.is_ready()).map_err(|_| ())?;
        self.server = Some(server);
        Ok(())
    }

    /// The eighth line of `postmaster.pid` says so: what `pg_ctl --wait` looks at.
    fn is_ready(&self) -> bool {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        file.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }

    fn command(&self) -> Vec<String> {
        let fsync = if self.options.fsync == Fsync::On { "fsync=on" } else { "fsync=off" };
        let port = format!("port={}", self.port);
        let fixed =
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=400", fsync, &port];
        let own = self.options.settings.iter().map(String::as_str);
        let settings = fixed.into_iter().chain(own).flat_map(|setting| ["-c".to_owned(), setting.to_owned()]);
        let program =
            [self.bin.join("postgres"), "-D".into(), self.data()].map(|path| path.display().to_string());
        self.options.under.iter().cloned().chain(program).chain(settings).collect()
    }

    /// The folder of all it keeps: its data, its write-ahead log, its log.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}
