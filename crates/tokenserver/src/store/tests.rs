//! The operations, on both engines.

mod bucketed;
mod carrying;
mod counting;
mod leaving;
mod moving;
mod planning;
mod settling;
mod signing;
mod years;

use super::lookup::Known;
use super::*;
use crate::rules::{NewUsers, NodeName, NodeUrl, Presented, ServiceName};
use crate::{ClientState, Refusal};
use account::{AccountId, IdpId, Millis, Subject};
use keys::RootKey;
use ledger::Tombstones;
use std::sync::Arc;
use std::time::Duration;
use store::testing::{TestStore, engines};
use store::{Operation, Sql, StoreError, Tx};

const TABLES: &[&[store::Migration]] = &[ledger::MIGRATIONS, MIGRATIONS];
const DOMAIN: &str = "accounts.example";

fn account(name: &str) -> AccountId {
    AccountId::new(IdpId::new("main").expect("valid"), Subject::new(name).expect("valid"))
}

fn asked(name: &str, generation: i64, keys_changed_at: i64, client_state: u8) -> Asked {
    let present = |number| (number != 0).then_some(number);
    let presented = Presented {
        generation: present(generation),
        keys_changed_at: present(keys_changed_at),
        client_state: ClientState::from_bytes(&[client_state]).expect("short"),
        birth: None,
        vouched_at: None,
    };
    Asked { account: account(name), email: format!("{name}@{DOMAIN}"), presented }
}

fn sync() -> ServiceName {
    ServiceName::default()
}

fn placement() -> Placement {
    Placement {
        service: sync(),
        new_users: NewUsers::Welcome,
        allowed: Arc::default(),
        policy: Policy::LeastLoaded,
        release_millionths: 100_000,
        only_node: None,
    }
}

fn tombstones() -> Tombstones {
    Tombstones::new(&RootKey::generate(), Duration::ZERO)
}

/// A store with some nodes: URL, available, capacity.
async fn with_nodes(nodes: &[(&str, i64, i64)]) -> [TestStore; 2] {
    let tests = engines(TABLES).await;
    for test in &tests {
        for (node, available, capacity) in nodes {
            let node = NodeUrl::parse(node).expect("a node");
            let add = AddNode {
                service: sync(),
                node,
                capacity: *capacity,
                available: *available,
                rest: NodeChange::default(),
            };
            let added = test.store.run(add).await.expect("the store answers");
            assert!(matches!(added, Added::New(_)));
        }
    }
    tests
}

async fn settle(test: &TestStore, placement: &Placement, asked: Vec<Asked>) -> Vec<Result<Served, Refusal>> {
    let (placement, now) = (Arc::new(placement.clone()), test.clock.now());
    let settle = Settle { asked, placement, tombstones: tombstones(), now };
    test.store.run(settle).await.expect("the store answers")
}

async fn settle_one(test: &TestStore, asked: Asked) -> Result<Served, Refusal> {
    settle(test, &placement(), vec![asked]).await.remove(0)
}

/// Runs one statement and shows its rows, every column an integer, null as -1.
struct Ask(&'static Sql, usize);

impl Operation for Ask {
    const NAME: &'static str = "test.ask";
    type Output = Vec<Vec<i64>>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let columns = self.1;
        tx.query(self.0, &[], |row| (0..columns).map(|c| Ok(row.opt_int(c)?.unwrap_or(-1))).collect()).await
    }
}

async fn ask(test: &TestStore, sql: &'static Sql, columns: usize) -> Vec<Vec<i64>> {
    test.store.run(Ask(sql, columns)).await.expect("the store answers")
}

/// Every user row: generation, key change, whether live, node.
async fn users(test: &TestStore) -> Vec<Vec<i64>> {
    static USERS: Sql = Sql::both(
        "select uid, generation, keys_changed_at, case when replaced_at is null then 1 else 0 end, nodeid
        from users order by uid",
    );
    ask(test, &USERS, 5).await
}

/// Every node: id, available, load.
async fn loads(test: &TestStore) -> Vec<Vec<i64>> {
    static LOADS: Sql = Sql::both("select id, available, current_load from nodes order by id");
    ask(test, &LOADS, 3).await
}

/// The load of every node is the number of its live rows.
async fn counters_are_true(test: &TestStore) {
    static DRIFT: Sql = Sql::both(
        "select n.id, n.current_load, (select count(*) from users u where u.nodeid = n.id and u.replaced_at is null)
        from nodes n where n.available < 0 or n.current_load <>
            (select count(*) from users u where u.nodeid = n.id and u.replaced_at is null)",
    );
    assert_eq!(ask(test, &DRIFT, 3).await, Vec::<Vec<i64>>::new(), "{:?}", test.engine());
}

async fn execute(test: &TestStore, sql: &'static Sql) {
    struct Execute(&'static Sql);
    impl Operation for Execute {
        const NAME: &'static str = "test.execute";
        type Output = ();
        async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
            tx.execute(self.0, &[]).await.map(drop)
        }
    }
    test.store.run(Execute(sql)).await.expect("the store answers");
}

#[tokio::test]
async fn every_statement_is_taken_by_both_engines() {
    store::testing::prepare_all(TABLES, STATEMENTS).await;
}

#[tokio::test]
async fn the_tables_have_the_columns_of_the_field_in_their_order() {
    static ROW: Sql = Sql::both("insert into nodes values (800, 1, 'https://n', 2, 3, 4, 0, 1)");
    static USER: Sql = Sql::both("insert into users values (5, 1, 'e', 7, 'aa', 8, null, 800, 9)");
    static READ: Sql = Sql::both(
        "select n.id, n.available, n.current_load, n.capacity, n.downed, n.backoff, u.uid, u.generation, u.created_at,
            u.replaced_at, u.nodeid, u.keys_changed_at, s.id, length(s.pattern)
        from nodes n join users u on u.nodeid = n.id join services s on s.id = n.service
        where s.service = 'sync-1.5' and s.pattern like '_node_/1.5/_uid_'",
    );
    for test in engines(TABLES).await {
        execute(&test, &ROW).await;
        execute(&test, &USER).await;
        assert_eq!(ask(&test, &READ, 14).await, [[800, 2, 3, 4, 0, 1, 5, 7, 8, -1, 800, 9, 1, 16]]);
    }
}
