//! The commands that the handbook shows, run as they stand there.

use crate::house::{House, Node};
use std::process::Command;

/// The lines of the page's blocks that are marked `sh run`.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh run\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// Runs a line in the house's folder by a shell that finds the binary; `serve &` is started and kept.
fn run(house: &House, line: &str, node: &mut Option<Node>) {
    if line == "highwater serve &" {
        *node = Some(house.serve(&[]));
        return;
    }
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_highwater")).parent().expect("in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let ran =
        house.shell(line).env("PATH", format!("{}:{path}", binary.display())).output().expect("a shell");
    assert!(ran.status.success(), "`{line}` said: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_quick_start_works_as_it_is_written() {
    let page = include_str!("../../../../docs/src/quick-start.md");
    let lines = commands(page);
    assert!(lines.len() > 5, "the page shows commands");
    // The identity provider of the template is not reached from everywhere; it is asked nothing here.
    let house = House::unconfigured().with("IDP__0__FETCH_KEYS", "false");
    let mut node = None;
    for line in &lines {
        run(&house, line, &mut node);
    }
    assert!(node.is_some(), "the page serves");
    let account = ["account", "show", "fxa", "0123456789abcdef0123456789abcdef", "--json"];
    assert_eq!(house.run(&account).json()["mark"], 1_789_000_000_000_i64);
}

#[test]
fn every_command_that_the_handbook_shows_exists() {
    let pages = [
        include_str!("../../../../README.md"),
        include_str!("../../../../docs/src/quick-start.md"),
        include_str!("../../../../docs/src/operations.md"),
        include_str!("../../../../docs/src/guides/broker.md"),
        include_str!("../../../../docs/src/guides/ingest.md"),
        include_str!("../../../../docs/src/guides/sessions.md"),
        include_str!("../../../../docs/src/guides/tokenserver.md"),
    ];
    for page in pages {
        let blocks = page.split("```sh").skip(1).filter_map(|rest| rest.split("```").next());
        for line in blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("highwater ")) {
            let words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .take_while(|word| !["&", ">"].contains(word));
            let ran = Command::new(env!("CARGO_BIN_EXE_highwater")).args(words).arg("--help").output();
            assert!(ran.expect("it runs").status.success(), "`highwater {line}` is not understood");
        }
    }
}
