use crate::programs::{User, ordinary_user, unpacked};
use crate::supervised::{Plan, Supervised};
use crate::{Papers, free_port};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);
const TRIES: usize = 5;
/// Tests need little room, and nothing survives them.
const SMALL: [&str; 5] = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=64M",
    // What was committed outlives the death of the server, if not of the machine.
    "--innodb-flush-log-at-trx-commit=2",
    "--performance-schema=off",
    "--skip-name-resolve",
];

/// A real MariaDB on a free port of the loopback, run as an ordinary user, its data in a temporary folder. Its user `root`
/// needs no password; others are made with [`MariaDb::run`].
///
/// Dropping it, or the death of this process, ends it.
#[derive(Debug)]
pub struct MariaDb {
    // Invariant: declared before `home`, so that the server ends before its folder goes.
    server: Option<Supervised>,
    home: TempDir,
    user: Option<User>,
    settings: Vec<String>,
    port: u16,
}

impl MariaDb {
    /// Makes one and starts it. Takes some seconds.
    pub fn start() -> Self {
        Self::make(|_| Vec::new())
    }

    /// One that speaks TLS by these papers, and with nobody else over the network.
    pub fn by_tls(papers: &Papers) -> Self {
        Self::make(|folder| {
            let write = |name: &str, text: &str| {
                let file = folder.join(name);
                fs::write(&file, text).expect("the folder is ours");
                file.display().to_string()
            };
            let (certificate, key) =
                (write("server.pem", &papers.certificate), write("server.key", &papers.key));
            let tls = [format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")];
            tls.into_iter().chain(["--require-secure-transport=on".to_owned()]).collect()
        })
    }

    /// Its URL: `mysql://root@127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    /// Where it listens, on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs some SQL as `root`; what it answers, a line for each row, columns between tabs.
    pub fn run(&self, sql: &str) -> String {
        // Through its socket, which has no TLS.
        run_sql(&[&format!("--socket={}", self.home.path().join("socket").display())], sql)
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        self.server.take().expect("it runs").end("KILL");
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.launch().unwrap_or_else(|()| panic!("mariadbd did not start again: {}", self.log()));
    }

    fn make(settings: impl Fn(&Path) -> Vec<String>) -> Self {
        let home = tempfile::Builder::new().prefix("testkit-mariadb-").tempdir();
        let home = home.expect("a temporary folder can be made");
        fs::create_dir(home.path().join("tmp")).expect("the folder is ours");
        let (user, settings) = (ordinary_user(home.path()), settings(home.path()));
        let mut made = Self { server: None, home, user, settings, port: 0 };
        made.give_away();
        made.install();
        for _ in 0..TRIES {
            made.port = free_port();
            if made.launch().is_ok() {
                return made;
            }
        }
        panic!("mariadbd did not start: {}", made.log())
    }

    /// To whom the server becomes: it makes its files in the folder.
    fn give_away(&self) {
        let Some(user) = self.user else { return };
        let inside = fs::read_dir(self.home.path()).expect("our own folder can be looked at").flatten();
        for place in inside.map(|entry| entry.path()).chain([self.home.path().to_owned()]) {
            chown(&place, Some(user.uid), Some(user.gid)).expect("root can give a folder away");
        }
    }

    /// Makes the tables that the server itself needs.
    fn install(&self) {
        let mut command = Command::new(beside("mariadb-install-db"));
        command.args(self.fixed()).args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        command.env("LD_LIBRARY_PATH", libraries()).current_dir(self.home.path()).stdin(Stdio::null());
        let output = command.output().expect("`mariadb-install-db` can be run");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`mariadb-install-db` failed: {said}");
    }

    /// What installing and running have in common. Started by root it becomes somebody ordinary by itself, once it has
    /// read its program, which may be in a folder of root's.
    fn fixed(&self) -> impl Iterator<Item = String> {
        let place = ["--no-defaults".to_owned(), format!("--basedir={}", base().display())];
        let within = |name: &str| self.home.path().join(name).display().to_string();
        // A server that starts clears its temporary folder: of others' files too, were it everybody's.
        let own = [format!("--datadir={}", within("data")), format!("--tmpdir={}", within("tmp"))];
        let user = self.user.map(|user| format!("--user={}", user.uid));
        place.into_iter().chain(own).chain(SMALL.map(str::to_owned)).chain(user)
    }

    fn launch(&mut self) -> Result<(), ()> {
        let folder = self.home.path();
        let place = folder.display();
        let own = [
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--socket={place}/socket"),
            format!("--pid-file={place}/pid"),
        ];
        let library_path = format!("LD_LIBRARY_PATH={}", libraries());
        let program = unpacked("mariadbd").display().to_string();
        let whole = ["env".to_owned(), library_path, program].into_iter();
        let command: Vec<String> =
            whole.chain(self.fixed()).chain(own).chain(self.settings.clone()).collect();
        let mut server = Supervised::start(&Plan { command: &command, folder, user: None, last: "KILL" });
        let port = self.port;
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        server.wait_ready(PATIENCE, listens).map_err(|_| ())?;
        self.server = Some(server);
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

/// Runs some SQL with MariaDB's own client.
pub(crate) fn run_sql(server: &[&str], sql: &str) -> String {
    let mut command = Command::new(beside("mariadb"));
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"]).args(server);
    command.env("LD_LIBRARY_PATH", libraries());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().expect("MariaDB's client can be run");
    // Sent from aside, so that a long answer does not stand in its way.
    let mut words = client.stdin.take().expect("it is piped");
    let sql = sql.to_owned();
    let sending = std::thread::spawn(move || words.write_all(sql.as_bytes()));
    let output = client.wait_with_output().expect("our own child can be waited for");
    let sent = sending.join().expect("it does not panic");
    assert!(output.status.success(), "MariaDB refused: {}", String::from_utf8_lossy(&output.stderr));
    sent.expect("all of it was read");
    String::from_utf8(output.stdout).expect("text")
}

/// Of what Debian's packages have, `usr`.
fn base() -> PathBuf {
    let program = unpacked("mariadbd");
    let folder = program.ancestors().nth(2).expect("a program is in a folder of a folder");
    folder.canonicalize().expect("it is there")
}

/// Another of their programs.
fn beside(name: &str) -> PathBuf {
    base().join("bin").join(name)
}

/// What the packages need and is unpacked beside them.
fn libraries() -> String {
    let folder = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let base = base();
    format!("{}:{}", base.join(&folder).display(), base.join("..").join(&folder).display())
}
