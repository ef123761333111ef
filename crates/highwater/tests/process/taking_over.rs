//! Several processes keep the same sessions: they share the work, and what one of them cannot finish another does.

use crate::house::Node;
use crate::kept::{GRACE, LOGINS, Service};
use crate::watched::Replica;
use crate::world::{PATIENCE, World};
use serde_json::Value;
use standins::{Endpoint, Rotation};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::{Postgres, wait_until};

const COUNT: usize = 60;
/// As many refreshes a node has under way at most.
const CONCURRENCY: u64 = 20;
/// How long an answer takes.
const FAR: Duration = Duration::from_secs(1);
/// So long that more sessions wait for an answer than one node asks for at once.
const LONG: Duration = Duration::from_secs(10);
/// A grace that does not end while a slow machine starts a process a hundred times: that it ends is the rules' to show.
const LONG_GRACE: (&str, &str) = (GRACE.0, "86400");
const RENEWED: &str = "highwater_sessions_renewed";
const REAPED: &str = "highwater_sessions_reaped";

/// Two nodes on one PostgreSQL, and sessions that both refresh.
struct Pair {
    world: World,
    other: Node,
    service: Service,
    _postgres: Postgres,
}

impl Pair {
    async fn new(rotation: Rotation, settings: &[(&str, &str)]) -> Self {
        let postgres = Postgres::start();
        let url = postgres.fresh_database().await;
        let concurrency = CONCURRENCY.to_string();
        let own = [("STORE__URL", &*url), ("SESSIONS__CONCURRENCY", &*concurrency)];
        let settings = [&LOGINS[..], &own, settings].concat();
        let world = World::new(&settings).await;
        let other = world.house.serve(&[]);
        let service = Service::with(&world, rotation, FAR);
        Self { world, other, service, _postgres: postgres }
    }

    /// Some log in, and both nodes have refreshed some of them.
    async fn at_work(rotation: Rotation, settings: &[(&str, &str)]) -> Self {
        let pair = Self::new(rotation, settings).await;
        pair.service.log_in(&pair.world, &pair.other, COUNT);
        wait_until("both refresh", PATIENCE, async || {
            [&pair.world.node, &pair.other].iter().all(|node| pair.service.counted(node, RENEWED) > 0.0)
        })
        .await;
        pair
    }

    /// Answers take long for a while: until more wait for one than a node alone would ask for.
    async fn both_wait_for_answers(&self) {
        let logins = self.world.idp.logins();
        logins.take(Endpoint::Token, LONG);
        wait_until("both wait", PATIENCE, async || logins.at_once(Endpoint::Token) > CONCURRENCY).await;
        logins.take(Endpoint::Token, FAR);
    }
}

/// Until a node has judged what another had begun.
async fn takes_over(service: &Service, node: &Node) {
    wait_until("it takes over", PATIENCE, async || service.counted(node, REAPED) > 0.0).await;
}

fn in_grace() -> Rotation {
    Rotation::Grace(Duration::from_mins(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_work_and_when_one_is_killed_the_other_goes_on_with_all_of_it() {
    let pair = Pair::at_work(in_grace(), &[GRACE]).await;
    pair.both_wait_for_answers().await;
    let Pair { world, other, service, _postgres } = pair;
    world.node.kill();
    takes_over(&service, &other).await;
    service.all_go_on(&other).await;
    assert_eq!(service.generations(&other).len(), COUNT, "none was given up");
    assert_eq!(world.idp.logins().reuses_detected(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_slept_beyond_its_lease_presents_nothing_a_second_time_and_works_again() {
    let pair = Pair::at_work(Rotation::Strict, &[]).await;
    pair.both_wait_for_answers().await;
    let Pair { world, other, service, _postgres } = pair;
    let sleeper = &world.node;
    sleeper.signal("STOP");
    takes_over(&service, &other).await;
    service.all_go_on(&other).await;
    sleeper.signal("CONT");
    let before = service.counted(sleeper, RENEWED);
    wait_until("it works again", PATIENCE, async || service.counted(sleeper, RENEWED) > before).await;
    service.all_go_on(&other).await;
    assert_eq!(service.all(&other).len(), COUNT, "no session ends by it");
    let logins = world.idp.logins();
    assert_eq!((logins.most_presented(), logins.reuses_detected()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watched_a_node_that_was_killed_goes_on_at_another_and_has_what_the_table_has() {
    let Pair { world, other, service, _postgres } = Pair::new(in_grace(), &[GRACE]).await;
    let made = service.log_in(&world, &other, 20);
    let mut replica = Replica::default();
    replica.follow(&world.node, service.token(), |it| it.live.len() == 20);
    for (id, _) in &made[..10] {
        let ended = service.ask(&other, "POST", &format!("/sessions/{id}/end"), &Value::Null);
        assert_eq!(ended.status, 200, "{ended:?}");
    }
    service.log_in(&world, &other, 5);
    world.node.kill();
    let told = replica.follow(&other, service.token(), |it| it.live.len() == 15);
    assert!(told.matches("event: session").count() < 20 + 15, "only what it had not heard: {told}");
    let version = |view: &Value| view["version"].as_i64().expect("a number");
    let text = |view: &Value| view["id"].as_str().expect("an id").to_owned();
    let table: BTreeMap<String, i64> =
        service.all(&other).iter().map(|view| (text(view), version(view))).collect();
    assert_eq!(replica.live, table);
}

/// It is killed again and again, each time after as many presentations as chance has it.
async fn is_killed(settings: &[(&str, &str)], times: u32, mut seed: u64) {
    let settings = [&LOGINS[..], &[LONG_GRACE], settings].concat();
    let mut world = World::new(&settings).await;
    let rotation = Rotation::Grace(Duration::from_hours(24));
    let service = Service::with(&world, rotation, Duration::from_millis(50));
    service.log_in(&world, &world.node, COUNT);
    for _ in 0..times {
        // xorshift64: any seed but zero will do.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let until = world.idp.logins().requests(Endpoint::Token) + seed % COUNT as u64;
        let reached = async || world.idp.logins().requests(Endpoint::Token) >= until;
        wait_until("it has presented some", PATIENCE, reached).await;
        world.node.kill();
        world.node = world.house.serve(&[]);
    }
    assert_eq!(service.all(&world.node).len(), COUNT, "none was lost; seed {seed}");
    assert_eq!(service.generations(&world.node).len(), COUNT, "and none given up; seed {seed}");
    service.all_go_on(&world.node).await;
    assert_eq!(world.idp.logins().reuses_detected(), 0, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_loses_no_session_on_a_file() {
    is_killed(&[], 4, 0x9e37_79b9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_loses_no_session_on_postgres() {
    let postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    is_killed(&[("STORE__URL", &url)], 4, 0x7f4a_7c15).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn a_hundred_kills_lose_no_session() {
    is_killed(&[], 100, 0xbf58_476d).await;
    let postgres = Postgres::start();
    let url = postgres.fresh_database().await;
    is_killed(&[("STORE__URL", &url)], 100, 0x94d0_49bb).await;
}
