//! The program that shares servers between test processes.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::{MARIADB_URL, MOTO_URL, POSTGRES_URL, wait_until};

/// `test-services` around a shell that writes the addresses to `file` and then does `rest`.
fn test_services(file: &Path, rest: &str) -> Command {
    let script =
        format!("echo ${POSTGRES_URL} ${MARIADB_URL} ${MOTO_URL} > $FILE.new; mv $FILE.new $FILE; {rest}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-services"));
    command.args(["sh", "-c", &script]).env("FILE", file);
    command
}

/// `HOST:PORT` of the servers, as the shell saw them.
fn addresses(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("the shell wrote it");
    let between =
        |url: &str| url.split(['/', '@']).find(|part| part.contains("127.0.0.1:")).map(str::to_owned);
    text.split_whitespace().filter_map(between).collect()
}

fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn it_ends_with_the_commands_exit_code_and_takes_the_servers_along() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("addresses");
    let status = test_services(&file, "exit 7").status().expect("it starts");
    assert_eq!(status.code(), Some(7));
    let addresses = addresses(&file);
    assert_eq!(addresses.len(), 3);
    assert!(!addresses.iter().any(|address| listens(address)));
}

#[tokio::test]
async fn killed_it_leaves_no_server_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("addresses");
    // `cat` ends with us, by the pipe.
    let mut services = test_services(&file, "cat").stdin(Stdio::piped()).spawn().expect("it starts");
    wait_until("the servers are up", Duration::from_mins(1), async || file.exists()).await;
    let addresses = addresses(&file);
    assert!(addresses.len() == 3 && addresses.iter().all(|address| listens(address)));
    services.kill().expect("it can be killed");
    services.wait().expect("it can be waited for");
    let gone = async || !addresses.iter().any(|address| listens(address));
    wait_until("the servers are gone", Duration::from_mins(1), gone).await;
}
