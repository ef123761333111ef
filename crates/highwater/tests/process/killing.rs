//! An import, a drain and a purge of the built binary, each killed (SIGKILL) at one point after another: run again they
//! finish, nothing is lost or done twice, and the counters are what counting anew comes to.

use crate::field::Field;
use crate::house::House;
use serde_json::{Value, json};
use standins::StandInNode;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use store::{Clock, Operation, Sql, Store, StoreError, Tx};
use testkit::{postgres_server, wait_until};

const PATIENCE: Duration = Duration::from_mins(5);
const B: &str = "https://b.example";

/// How much there is to do, and how often it is killed while at it.
#[derive(Clone, Copy)]
struct Size {
    users: u32,
    imports: usize,
    drains: usize,
    purges: usize,
    seed: u64,
}

/// A sequence of numbers that look random, and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (self.0 >> 33) % most.max(1)
    }
}

/// All users on the first node, some with an older row there; the loads are true.
fn field(there: &str, users: u32) -> Field {
    Field::new(&format!(
        "insert into nodes values (1, 2, '{there}', 0, {users}, 1000000, 0, 0), (2, 2, '{B}', 1000000, 0, 1000000, 0, 0);
        insert into users select seq, 2, concat(lpad(hex(seq), 32, '0'), '@api.accounts.firefox.com'), 100, 'aaaa', 1000,
            null, 1, 100 from seq_1_to_{users}"
    ))
}

/// Runs a command until it has said so many lines, and a moment longer. Its exit code, if it ended before.
fn killed_after(house: &House, command: &[&str], lines: u64, moment: u64) -> Option<i32> {
    let mut child =
        house.command(command).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let heard = (0..lines).map_while(|_| said.next()).count() as u64;
    for _ in 0..moment {
        std::thread::yield_now();
    }
    if heard == lines {
        child.kill().expect("it can be killed");
    }
    child.wait().expect("it ends").code()
}

fn imported(house: &House, field: &Field, size: Size, dice: &mut Dice) {
    let command = ["import", &field.url];
    for _ in 0..size.imports {
        // It may have been quicker.
        let ended = killed_after(house, &command, dice.roll(4), dice.roll(2_000));
        assert!(matches!(ended, None | Some(0)), "it ended with {ended:?}");
    }
    let report = house.run(&["--json", "import", &field.url]).json();
    let rows = |table: &str| {
        let tables = report["tables"].as_array().expect("tables").iter();
        tables.filter(|it| it["table"] == table).map(|it| it["rows"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((rows("users"), rows("nodes")), (vec![json!(size.users)], vec![json!(2)]), "{report}");
    assert_eq!(report["mended"], 0, "what was copied needed no mending: {report}");
    counters_are_true(house);
}

fn drain_of(house: &House, there: &str) -> Value {
    house.run(&["--json", "node", "drain", there, "--status"]).json()
}

async fn drained(house: &House, there: &str, size: Size, dice: &mut Dice) {
    let mut node = house.serve(&[]);
    let step = u64::from(size.users) / (size.drains as u64 + 1);
    house.run(&["node", "drain", there, "--rate", &(step / 2).max(1).to_string()]).done();
    for _ in 0..size.drains {
        let moved = drain_of(house, there)["moved"].as_u64().expect("a number");
        let goal = (moved + dice.roll(step / 2)).min(u64::from(size.users));
        let is_so = async || drain_of(house, there)["moved"].as_u64() >= Some(goal);
        wait_until("some more have moved", PATIENCE, is_so).await;
        node.kill();
        node = house.serve(&[]);
    }
    let done = house.run(&["--json", "node", "drain", there, "--rate", "10000", "--wait"]).json();
    assert_eq!(
        (&done["state"], &done["moved"], &done["left"]),
        (&json!("done"), &json!(size.users), &json!(0))
    );
    drop(node);
    counters_are_true(house);
}

async fn purged(house: &House, there: &StandInNode, size: Size, dice: &mut Dice) {
    let step = u64::from(size.users) / (size.purges as u64 + 1);
    for _ in 0..size.purges {
        let goal = (there.deleted() + dice.roll(step)).min(u64::from(size.users));
        let mut purge = house.command(&["purge", "--grace-seconds", "0"]);
        let mut purge = purge.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        wait_until("some more is gone", PATIENCE, async || there.deleted() >= goal).await;
        purge.kill().expect("it can be killed");
        purge.wait().expect("it ends");
    }
    let done = house.run(&["--json", "purge", "--grace-seconds", "0"]).json();
    assert_eq!((&done["failed"], &done["spared"]), (&json!(0), &json!(0)), "{done}");
    assert_eq!((there.deleted(), there.refused()), (u64::from(size.users), 0), "each one once");
    assert_eq!(house.run(&["--json", "purge", "--grace-seconds", "0"]).json()["fetched"], 0);
    counters_are_true(house);
}

fn counters_are_true(house: &House) {
    let nodes = house.run(&["--json", "node", "recount"]).json();
    assert!(nodes.as_array().is_some_and(|nodes| nodes.iter().all(|node| node["off_by"] == 0)), "{nodes}");
}

/// Rows, users, live rows, live rows on the second node, and rows that are not what the field had.
struct Sum;

impl Operation for Sum {
    const NAME: &'static str = "test.sum";
    type Output = Vec<i64>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        static SUM: Sql = Sql::both(
            "select count(*), count(distinct email), count(case when replaced_at is null then 1 end),
                count(case when replaced_at is null and nodeid = 2 then 1 end),
                count(case when generation <> 100 or client_state <> 'aaaa' or keys_changed_at <> 100 then 1 end)
            from users",
        );
        tx.query_one(&SUM, &[], |row| (0..5).map(|at| row.int(at)).collect()).await
    }
}

async fn sum(url: &str) -> Vec<i64> {
    let store = Store::open(&store::Settings::at(url), Clock::system()).expect("nobody else has it open");
    store.run(Sum).await.expect("the store answers")
}

async fn killed_again_and_again(house: House, url: &str, size: Size) {
    let clock = Clock::system();
    let there = StandInNode::start("secret0", Arc::new(move || clock.now())).await.expect("it starts");
    let house = house.with("IDP__0__FETCH_KEYS", "false").with("TOKENSERVER__MASTER_SECRET", "secret0");
    house.run(&["migrate"]).done();
    let (mut dice, users) = (Dice(size.seed), i64::from(size.users));
    imported(&house, &field(&there.url(), size.users), size, &mut dice);
    assert_eq!(sum(url).await, [users, users, users, 0, 0]);
    for uid in 1..=users {
        there.put(uid);
    }
    drained(&house, &there.url(), size, &mut dice).await;
    assert_eq!(sum(url).await, [2 * users, users, users, users, 0]);
    purged(&house, &there, size, &mut dice).await;
    assert_eq!(sum(url).await, [users, users, users, users, 0]);
    assert!((1..=users).all(|uid| !there.has(uid)));
}

async fn on_sqlite(size: Size) {
    let house = House::new();
    let url = format!("sqlite:{}", house.path("highwater.db").display());
    killed_again_and_again(house, &url, size).await;
}

async fn on_postgresql(size: Size) {
    let url = postgres_server().fresh_database().await;
    killed_again_and_again(House::new().with("STORE__URL", &url), &url, size).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_a_few_times_they_finish_on_sqlite() {
    on_sqlite(Size { users: 2_500, imports: 4, drains: 3, purges: 3, seed: 7 }).await;
}

// A drain is taken over when the lease of the killed process has ended: half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn killed_a_few_times_they_finish_on_postgresql() {
    on_postgresql(Size { users: 2_500, imports: 4, drains: 1, purges: 3, seed: 11 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn killed_again_and_again_they_finish_on_sqlite() {
    for seed in 1..=3 {
        on_sqlite(Size { users: 20_000, imports: 20, drains: 20, purges: 20, seed }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `./test --soak`"]
async fn killed_again_and_again_they_finish_on_postgresql() {
    on_postgresql(Size { users: 20_000, imports: 20, drains: 6, purges: 20, seed: 5 }).await;
}
