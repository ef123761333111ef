//! A folder with a configuration, the commands run in it, and the node that serves it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);

/// A folder with `highwater.toml` in it.
pub(crate) struct House {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl House {
    /// Configured by `init`, on an embedded database, listening on free ports.
    pub(crate) fn new() -> Self {
        let house = Self::unconfigured();
        house.run(&["init"]).done();
        house
    }

    /// An empty folder; what is started in it will listen on free ports.
    pub(crate) fn unconfigured() -> Self {
        let free = ["PUBLIC", "SERVICE", "ADMIN"]
            .map(|door| (format!("HIGHWATER__LISTEN__{door}"), "127.0.0.1:0".into()));
        Self { folder: tempfile::tempdir().expect("a folder"), environment: free.into() }
    }

    /// Another folder for another node of the same house: the same configuration, the same environment.
    pub(crate) fn beside(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(self.path("highwater.toml"), folder.path().join("highwater.toml"))
            .expect("it was configured");
        Self { folder, environment: self.environment.clone() }
    }

    /// With one more setting, by an environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((format!("HIGHWATER__{name}"), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("the binary can be run");
        Ran { arguments: arguments.join(" "), output }
    }

    /// A command that has not been started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).envs(self.environment.iter().cloned());
        command
    }

    /// A line for a shell, in the same surroundings.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).envs(self.environment.iter().cloned());
        command
    }

    /// Starts `serve`, and returns when it listens.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Node {
        let arguments = [&["serve"], arguments].concat();
        let mut child =
            self.command(&arguments).stderr(Stdio::piped()).spawn().expect("the binary can be run");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (log, said) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| log.send(line)));
        let mut node = Node { child, said, places: BTreeMap::new() };
        node.wait_for_listeners();
        node
    }
}

/// A command that has ended.
pub(crate) struct Ran {
    arguments: String,
    output: Output,
}

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).expect("text")
    }

    pub(crate) fn complaint(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).expect("text")
    }

    /// It did what was asked; what it printed.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code(), 0, "`highwater {}` said: {}", self.arguments, self.complaint());
        self.out()
    }

    /// It did, and printed JSON.
    pub(crate) fn json(self) -> Value {
        let out = self.done();
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}"))
    }

    /// It did not, and said why.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code(), 1, "`highwater {}` printed: {}", self.arguments, self.out());
        self.complaint()
    }
}

/// A running `serve`. Dropped, it is killed.
pub(crate) struct Node {
    child: Child,
    said: mpsc::Receiver<String>,
    places: BTreeMap<String, String>,
}

impl Node {
    /// Where a listener is.
    pub(crate) fn at(&self, listener: &str) -> &str {
        self.places
            .get(listener)
            .unwrap_or_else(|| panic!("no listener {listener}; there are {:?}", self.places))
    }

    pub(crate) fn listens(&self, listener: &str) -> bool {
        self.places.contains_key(listener)
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill` can be run").success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a line of its log that holds a text.
    pub(crate) fn says(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("it never said {text:?} ({error}), but:\n{}", before.join("\n")),
            }
        }
    }

    /// Ends it in good order. All that it has said since it listens.
    pub(crate) fn all_said(self) -> String {
        self.signal("TERM");
        let said: Vec<String> = self.said.iter().collect();
        said.join("\n")
    }

    fn wait_for_listeners(&mut self) {
        while !self.listens("ready") {
            let line = self.says("\"message\":");
            let line: Value = serde_json::from_str(&line).expect("a JSON line");
            match line["message"].as_str() {
                Some("listening") => {
                    let text = |name: &str| line[name].as_str().expect("text").to_owned();
                    self.places.insert(text("listener"), text("place"));
                }
                Some("serving") => {
                    self.places.insert("ready".to_owned(), String::new());
                }
                _ => {}
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
