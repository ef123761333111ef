//! What the field's operator scripts send, on what an import has made, in PostgreSQL.

use super::*;

/// In their order: adding a node, changing it, choosing one for a user, allocating the user, moving one, counting,
/// unassigning a node, removing it, purging. Written from what they do.
static SCRIPTS: [Sql; 12] = [
    Sql::both(
        "insert into nodes (service, node, available, capacity, current_load, downed, backoff)
        values ((select id from services where service = 'sync-1.5'), 'https://sync-3.example', 10, 100, 0, 0, 0)
        returning cast(id as text)",
    ),
    Sql::both(
        "update nodes set capacity = 200, available = 20
        where service = 2 and node = 'https://sync-3.example' returning cast(capacity as text)",
    ),
    Sql::both(
        "select node from nodes
        where service = 2 and available > 0 and capacity > current_load and downed = 0 and backoff = 0 and current_load >= 0
        order by case when current_load = 0 then -1 else log(current_load) / log(capacity) end limit 1",
    ),
    Sql::both(
        "insert into users (service, email, generation, client_state, created_at, nodeid, keys_changed_at)
        select 2, 'allocated@accounts.example', 0, '', 5000, id, 0 from nodes where node = 'https://sync-3.example'
        returning cast(uid as text)",
    ),
    Sql::both(
        "insert into users (service, email, generation, client_state, created_at, nodeid, keys_changed_at)
        select service, email, generation, client_state, 6000, 802, keys_changed_at from users where uid = 5
        returning cast(uid as text)",
    ),
    Sql::both(
        "update users set replaced_at = 6000 where service = 2 and email = 'two@accounts.example' and created_at < 6000
            and replaced_at is null returning cast(uid as text)",
    ),
    Sql::both("select cast(count(*) as text) from users where replaced_at is null and created_at <= 7000"),
    Sql::both("update users set replaced_at = 8000 where nodeid = 801 returning cast(uid as text)"),
    Sql::both("delete from nodes where id = 801 returning node"),
    Sql::both(
        "select cast(uid as text) from users where service = 2 and replaced_at is not null and replaced_at < 7000
        order by uid",
    ),
    Sql::both("delete from users where uid = 4 returning email"),
    Sql::both(
        "update nodes set available = available + 1, current_load = current_load - 1
        where service = 2 and node = 'https://Sync-1.example/' returning cast(current_load as text)",
    ),
];

#[tokio::test]
async fn what_the_fields_scripts_send_does_what_it_did() {
    let source = Source::new();
    let [_, test] = engines(TABLES).await;
    import(&test, &source).await.expect("it is imported");
    let mut answers = Vec::new();
    for sql in &SCRIPTS {
        answers.push(test.store.run(Ask(sql)).await.expect("PostgreSQL takes it").join(" "));
    }
    let expected = [
        "802",
        "200",
        "https://sync-3.example",
        "9001",
        "9002",
        "5",
        "4",
        "7",
        "https://sync-2.example",
        "4 5 6",
        "two@accounts.example",
        "-3",
    ];
    assert_eq!(answers, expected);
}
