//! Runs a command with the servers that tests share, and stops them after it:
//! `cargo run -p testkit --bin test-services -- cargo nextest run`.
//!
//! Ends with the command's exit code.

use std::io::{Error, Write, stderr};
use std::process::{Command, ExitCode, ExitStatus};
use testkit::{Fsync, MARIADB_URL, MOTO_URL, MariaDb, Moto, POSTGRES_URL, Postgres};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let Some((program, arguments)) = words.split_first() else {
        return complain("usage: test-services COMMAND [ARGUMENT…]");
    };
    match run_with_services(Command::new(program).args(arguments)) {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => complain(&format!("{} cannot be started: {error}", program.display())),
    }
}

fn run_with_services(command: &mut Command) -> Result<ExitStatus, Error> {
    let postgres = Postgres::options().fsync(Fsync::Off).start();
    let (mariadb, moto) = (MariaDb::start(), Moto::start());
    command.env(POSTGRES_URL, postgres.url()).env(MARIADB_URL, mariadb.url()).env(MOTO_URL, moto.endpoint());
    command.status()
}

fn complain(what: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(stderr(), "{what}");
    ExitCode::from(2)
}
