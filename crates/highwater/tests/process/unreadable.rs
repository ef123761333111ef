//! Whatever happens to logins that are kept, no token of theirs can be read anywhere: not in the database or its write-ahead
//! log, not in PostgreSQL's files, not in the journal, not in what the process says, not in metrics, not by those who watch.

use crate::kept::{GRACE, LOGINS, Service};
use crate::secrets::{Needles, holds};
use crate::watched::Replica;
use crate::world::{PATIENCE, World};
use serde_json::{Value, json};
use standins::{Endpoint, Fault, How, Rotation, SecurityEvent};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::{Postgres, wait_until};

const COUNT: usize = 5;
/// The node's own folder, beside its configuration.
const JOURNAL: &str = "journal";

/// Every file under a folder, one after the other.
fn files(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            // A socket holds nothing, and a server deletes files as it goes.
            all.extend(fs::read(&path).unwrap_or_default());
        }
    }
    all
}

/// The files of a journal.
fn journaled(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|it| it.expect("an entry").path());
    paths.filter(|it| it.extension().is_some_and(|it| it == "journal")).collect()
}

/// What is left of a run, by where it is.
struct Left {
    places: Vec<(&'static str, Vec<u8>)>,
    secrets: Vec<String>,
}

/// Users log in, are refreshed well and badly, ask for tokens, sign out, and one's password is changed.
async fn after_a_run(settings: &[(&str, &str)]) -> (World, Service, Left) {
    let settings = [&LOGINS[..], &[GRACE, ("LOG__FILTER", "debug")], settings].concat();
    let world = World::new(&settings).await;
    let logins = world.idp.logins();
    let service = Service::with(&world, Rotation::Grace(Duration::from_mins(1)), Duration::ZERO);
    let made = service.log_in(&world, &world.node, COUNT);
    service.all_go_on(&world.node).await;
    for fault in [Fault::after(How::Status(502)), Fault::before(How::Error(401, "invalid_client"))] {
        let asked = logins.requests(Endpoint::Token);
        logins.fail_times(Endpoint::Token, fault, 1);
        wait_until("it fails", PATIENCE, async || logins.requests(Endpoint::Token) > asked).await;
    }
    let mut secrets = vec![service.token().to_owned()];
    for (_, tokens) in &made {
        secrets.extend([tokens.access_token.clone(), tokens.id_token.clone().expect("it has one")]);
    }
    secrets.extend(access_tokens(&world, &service));
    world.house.run(&["keys", "rotate", "--kind", "tokens"]).done();
    service.ask(&world.node, "POST", &format!("/sessions/{}/end", made[0].0), &json!({}));
    let subject = format!("{:032x}", 1);
    let at = world.change_password(&subject).await;
    world.told_by_token(&subject, &SecurityEvent::PasswordChange(at));
    let revoked = async || logins.requests(Endpoint::Revocation) >= 2;
    wait_until("both refresh tokens are revoked", PATIENCE, revoked).await;
    let told = Replica::default().follow(&world.node, service.token(), |it| it.live.len() == COUNT - 2);
    let metrics = service.scrape(&world.node).into_bytes();
    secrets.extend(logins.refresh_tokens());
    assert!(secrets.len() > 4 * COUNT, "they were refreshed");
    let places = vec![("what watchers hear", told.into_bytes()), ("the metrics", metrics)];
    (world, service, Left { places, secrets })
}

/// An access token of every session that lives.
fn access_tokens(world: &World, service: &Service) -> Vec<String> {
    let token = |view: &Value| {
        let path = format!("/sessions/{}/access-token", view["id"].as_str().expect("an id"));
        let told = service.ask(&world.node, "POST", &path, &json!({}));
        told.json()["access_token"].as_str().map(str::to_owned)
    };
    service.all(&world.node).iter().filter_map(token).collect()
}

/// PostgreSQL goes away while refreshes are on their way, and comes back: what came meanwhile is in the journal until then.
async fn with_an_outage(world: &World, service: &Service, postgres: &mut Postgres, left: &mut Left) {
    let (logins, journal) = (world.idp.logins(), world.house.path(JOURNAL));
    logins.take(Endpoint::Token, Duration::from_secs(4));
    let asked = logins.requests(Endpoint::Token);
    wait_until("a refresh is on its way", PATIENCE, async || logins.requests(Endpoint::Token) > asked).await;
    tokio::task::block_in_place(|| postgres.stop());
    wait_until("it is journaled", PATIENCE, async || !journaled(&journal).is_empty()).await;
    let kept = files(&journal);
    assert!(!kept.is_empty(), "there is something to search");
    left.add("the journal", kept);
    tokio::task::block_in_place(|| postgres.start_again());
    logins.take(Endpoint::Token, Duration::ZERO);
    wait_until("the store has it", PATIENCE, async || journaled(&journal).is_empty()).await;
    service.all_go_on(&world.node).await;
    left.secrets.extend(access_tokens(world, service));
    left.secrets.extend(logins.refresh_tokens());
    left.add("the metrics, later", service.scrape(&world.node).into_bytes());
}

impl Left {
    fn add(&mut self, place: &'static str, bytes: Vec<u8>) {
        self.places.push((place, bytes));
    }

    fn tells_nothing(&self) {
        let needles = Needles::of(self.secrets.iter().map(|secret| ("a token", secret.as_str())));
        for (place, bytes) in &self.places {
            assert_eq!(needles.found_in(bytes), None, "in {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_a_kept_login_is_in_the_database_its_log_or_anything_that_is_said() {
    let (world, _, mut left) = after_a_run(&[]).await;
    let World { house, node, .. } = world;
    let log = fs::read(house.path("highwater.db-wal")).expect("it is written while the database is open");
    assert!(holds(&log, format!("{:032x}", 1).as_bytes()), "there is something to search");
    left.add("the write-ahead log", log);
    let stored = files(house.path("").as_path());
    assert!(holds(&stored, b"mail.example") || holds(&stored, format!("{:032x}", 1).as_bytes()));
    left.add("the database", stored);
    left.add("the log", node.all_said().into_bytes());
    left.add("the database, when it is closed", files(house.path("").as_path()));
    left.tells_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_in_the_files_of_postgres_or_in_the_journal_of_an_outage() {
    let mut postgres = Postgres::options().setting("log_statement=all").start();
    let url = postgres.fresh_database().await;
    let settings = [("STORE__URL", &*url), ("SESSIONS__STATE_FOLDER", JOURNAL)];
    let (world, service, mut left) = after_a_run(&settings).await;
    with_an_outage(&world, &service, &mut postgres, &mut left).await;
    let World { house, node, .. } = world;
    left.add("the log", node.all_said().into_bytes());
    tokio::task::block_in_place(|| postgres.stop());
    let log = files(&postgres.folder().join("data/pg_wal"));
    let stored = files(postgres.folder());
    for bytes in [&log, &stored] {
        assert!(holds(bytes, format!("{:032x}", 1).as_bytes()), "there is something to search");
    }
    left.add("PostgreSQL's write-ahead log", log);
    left.add("PostgreSQL's files", stored);
    left.add("the node's folder", files(house.path("").as_path()));
    left.tells_nothing();
}
