//! A server that does not outlive us.
//!
//! Between us and the server stands a shell that reads our end of a pipe: each line is a signal to pass on, and the end
//! of the pipe, which comes when we drop it or die, ends the server and removes its folder. The shell has a process
//! group of its own, so that a Ctrl-C or a test runner's kill reaches us alone and leaves the tidying to it.

use crate::programs::User;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SHELL: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null & server=$!
{
    while read -r word <&3; do
        case $word in
            leave) exit ;;
            *) kill -s "$word" $server ;;
        esac
    done
    kill -s "$LAST" $server
    while kill -0 $server; do sleep 0.02; done
    rm -rf "$FOLDER"
} 2>/dev/null &
exec 3<&- </dev/null
wait $server
"#;

const STEP: Duration = Duration::from_millis(5);

/// What to start.
pub(crate) struct Plan<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a [String],
    /// Its own folder: working directory, log, and what is removed at the end.
    pub(crate) folder: &'a Path,
    /// Whom it runs as, when not as us.
    pub(crate) user: Option<User>,
    /// The signal that ends it at once, by name without `SIG`.
    pub(crate) last: &'static str,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Supervised {
    shell: Child,
    words: Option<ChildStdin>,
}

impl Supervised {
    /// Starts it; what it prints goes to `log` in its folder.
    pub(crate) fn start(plan: &Plan<'_>) -> Self {
        let log = File::options().create(true).append(true).open(plan.folder.join("log"));
        let log = log.expect("a log can be made in the server's folder");
        let mut command = Command::new("sh");
        command
            .args(["-c", SHELL, "sh"])
            .args(plan.command)
            .current_dir(plan.folder)
            .env("FOLDER", plan.folder)
            .env("LAST", plan.last)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file handle can be cloned"))
            .stderr(log)
            .process_group(0);
        if let Some(user) = plan.user {
            command.uid(user.uid).gid(user.gid);
        }
        let mut shell = command.spawn().expect("a shell can be started");
        let words = shell.stdin.take();
        Self { shell, words }
    }

    /// Waits until `ready` says so: `Ok` then, the exit status when the server ended instead, `None` in it when
    /// `patience` ran out.
    pub(crate) fn wait_ready(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Option<ExitStatus>> {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return Err(Some(status));
            }
            if ready() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(None);
            }
            std::thread::sleep(STEP);
        }
    }

    /// Its exit status, once it has ended.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.shell.try_wait().expect("our own child can be waited for")
    }

    /// Sends `signal` (its name without `SIG`) and waits for the end; the folder stays.
    pub(crate) fn end(mut self, signal: &str) {
        self.say(signal);
        self.shell.wait().expect("our own child can be waited for");
        self.say("leave");
    }

    /// Sends a signal (its name without `SIG`), or another of the shell's words.
    pub(crate) fn say(&mut self, word: &str) {
        let words = self.words.as_mut().expect("the pipe is closed only by dropping");
        // A server that ended by itself took the reader with it; there is nothing left to tell then.
        let _ = writeln!(words, "{word}");
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.words = None;
        let _ = self.shell.wait();
    }
}
