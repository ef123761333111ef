//! Mistakes in the configuration, as the one who made them reads about them.

use crate::house::House;

fn complaint(text: &str) -> String {
    let house = House::new();
    std::fs::write(house.path("highwater.toml"), text).expect("written");
    house.run(&["token", "list"]).refused()
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_suggestion() {
    let said = complaint("[store]\nurl = 'sqlite:x.db'\n\n[listen]\npulbic = '127.0.0.1:1'\n");
    assert_eq!(said, "highwater: highwater.toml:5: listen: unknown key `pulbic`; did you mean `public`?\n");
}

#[test]
fn an_unknown_variable_is_named_with_a_suggestion() {
    let said = House::new().with("LISTEN__PULBIC", "x").run(&["token", "list"]).refused();
    assert_eq!(
        said,
        "highwater: environment variable HIGHWATER__LISTEN__PULBIC: listen: unknown key `pulbic`; did you mean `public`?\n"
    );
}

#[test]
fn without_a_root_key_nothing_that_needs_one_starts() {
    let said = complaint("[store]\nurl = 'sqlite:x.db'\n");
    assert!(said.contains("no root key: `highwater init` writes a configuration with a fresh one"), "{said}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let said = House::new().run(&["--config", "nowhere.toml", "token", "list"]).refused();
    assert!(said.starts_with("highwater: nowhere.toml could not be read"), "{said}");
}

#[test]
fn a_flag_wins_over_the_environment_and_the_file() {
    let house = House::new().with("STORE__URL", "sqlite:from-the-environment.db");
    house.run(&["migrate"]).done();
    assert!(house.path("from-the-environment.db").exists());
    house.run(&["migrate", "--set", "store.url=sqlite:from-a-flag.db"]).done();
    assert!(house.path("from-a-flag.db").exists());
}

#[test]
fn an_address_that_is_taken_is_named() {
    let house = House::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let said = house.run(&["serve", "--set", &format!("listen.admin={address}")]).refused();
    assert!(said.contains(&format!("{address} cannot be listened on")), "{said}");
}
