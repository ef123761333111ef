//! A test once more, in a process of its own that can be killed.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

const TOLD: &str = "HIGHWATER_TEST_RERUN";
/// What the test harness prints stands on the same pipe, and may even share a line.
const MARK: &str = "rerun says: ";

/// A test that runs once more in a process of its own, to be killed or to compete with the first.
///
/// ```no_run
/// # fn work_on(_: &str) {}
/// fn what_is_acknowledged_survives_a_kill() {
///     if let Some(url) = testkit::Rerun::told() {
///         return work_on(&url); // says each acknowledged number by `Rerun::say`
///     }
///     let mut child = testkit::Rerun::of("crash::what_is_acknowledged_survives_a_kill", "sqlite:test.db");
///     let first = child.said();
///     let rest = child.kill();
/// }
/// ```
#[derive(Debug)]
pub struct Rerun {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Rerun {
    /// What this process was told when it is such a rerun; `None` in the test itself.
    pub fn told() -> Option<String> {
        std::env::var(TOLD).ok()
    }

    /// Runs the test of that name (`module::function`) of this very executable, and tells it `word`.
    pub fn of(test: &str, word: &str) -> Self {
        let executable = std::env::current_exe().expect("a running test knows its executable");
        let mut child = Command::new(executable)
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(TOLD, word)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a test executable can be started");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    /// Says a word to the process that started this one. When it returns, the word is on its way.
    pub fn say(word: impl std::fmt::Display) {
        let mut stdout = std::io::stdout().lock();
        let said = writeln!(stdout, "{MARK}{word}").and_then(|()| stdout.flush());
        said.expect("whoever started us listens");
    }

    /// The next word it says; waits for it. `None` when it has ended.
    pub fn said(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once(MARK).map(|(_, word)| word.to_owned()))
    }

    /// Kills it (SIGKILL) and waits for its end. What it had said by then and nobody had listened to.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("our own child can be killed");
        std::iter::from_fn(|| self.said()).collect()
    }
}

impl Drop for Rerun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
