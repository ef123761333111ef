//! What an import leaves behind: the same rows, the same numbers next.

use super::*;
use crate::{Counted, Outcome, Stage};

#[tokio::test]
async fn every_row_is_here_as_it_was_there_and_counts_and_checksums_say_so() {
    let source = Source::with_users(2_500);
    for test in engines(TABLES).await {
        let report = import(&test, &source).await.expect("it is imported");
        same(&source, &test).await;
        let rows: Vec<(&str, u64)> = report.tables.iter().map(|it| (it.table.as_str(), it.rows)).collect();
        assert_eq!(rows, [("services", 2), ("nodes", 2), ("users", 2_505)]);
        assert_eq!((report.outcome, report.copied, report.mended), (Outcome::Imported, 2_507, 0));
        assert!(!report.resumed && report.ignored_columns.is_empty());
        let rehearsed =
            crate::rehearse(&engines(TABLES).await[0].store, &source.address(), &mut |_| ()).await;
        let rehearsed = rehearsed.expect("it can be read");
        assert_eq!(rehearsed.tables, report.tables, "the sums of a source are those of what was made of it");
    }
}

#[tokio::test]
async fn an_import_that_is_finished_is_left_alone_whatever_becomes_of_its_source() {
    static MOVED: Sql = Sql::both("update users set generation = 300 where uid = 5");
    let source = Source::new();
    for test in engines(TABLES).await {
        let first = import(&test, &source).await.expect("it is imported");
        test.store.run(Ask(&MOVED)).await.expect("the store answers");
        let before = rows(&test.store, "users").await;
        source.run("update users set generation = 500");
        let second = import(&test, &source).await.expect("there is nothing to do");
        assert_eq!((second.outcome, second.copied), (Outcome::ImportedBefore, 0));
        let sorted = |mut tables: Vec<Counted>| {
            tables.sort_by(|a, b| a.table.cmp(&b.table));
            tables
        };
        assert_eq!(sorted(second.tables), sorted(first.tables));
        assert_eq!(rows(&test.store, "users").await, before);
        source.run("drop table users");
        import(&test, &source).await.expect("the source is not even asked");
        source.run("drop table services; drop table nodes");
        source.run(FIELD);
    }
}

#[tokio::test]
async fn a_number_that_was_given_once_is_not_given_again() {
    static NEXT: Sql = Sql::both(
        "insert into users (service, email, generation, client_state, created_at, nodeid) values (2, 'n', 0, '', 0, 800)
        returning cast(uid as text)",
    );
    static NODE: Sql = Sql::both(
        "insert into nodes (service, node, available, current_load, capacity, downed, backoff)
        values (2, 'https://n', 0, 0, 0, 0, 0) returning cast(id as text)",
    );
    let source = Source::new();
    for test in engines(TABLES).await {
        import(&test, &source).await.expect("it is imported");
        assert_eq!(test.store.run(Ask(&NEXT)).await.expect("it is made"), ["9001"], "{:?}", test.engine());
        assert_eq!(test.store.run(Ask(&NODE)).await.expect("it is made"), ["802"], "{:?}", test.engine());
    }
}

#[tokio::test]
async fn a_database_without_users_is_imported_too() {
    let source = Source::new();
    source.run("delete from users; delete from nodes");
    for test in engines(TABLES).await {
        let report = import(&test, &source).await.expect("it is imported");
        assert_eq!((report.copied, report.tables[2].rows), (0, 0));
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn what_it_tells_goes_up_to_what_there_is() {
    let source = Source::with_users(2_500);
    let [test, _] = engines(TABLES).await;
    let mut told = Vec::new();
    crate::import(&test.store, &source.address(), &mut |it| told.push(it)).await.expect("it is imported");
    for stage in [Stage::Copying, Stage::Comparing] {
        let users: Vec<_> = told.iter().filter(|it| it.stage == stage && it.table == "users").collect();
        assert_eq!(users.len(), 3, "{users:?}");
        assert!(users.is_sorted_by_key(|it| it.done));
        assert_eq!(users.last().map(|it| (it.done, it.total)), Some((2_505, 2_505)));
    }
}

#[tokio::test]
async fn a_rehearsal_writes_nothing() {
    let source = Source::new();
    source.run("alter table users add column note text; insert into users values
        (20, 2, concat('a', char(0)), 1, '', 1, null, 1, null, 'x'), (21, 2, 'u', 1, repeat('c', 32), 1, null, 1, null, 'x')");
    for test in engines(TABLES).await {
        let before = rows(&test.store, "services").await;
        let report = crate::rehearse(&test.store, &source.address(), &mut |_| ()).await.expect("it is read");
        assert_eq!((report.outcome, report.refused, report.copied), (Outcome::Rehearsed, 1, 0));
        assert_eq!((report.refusals[0].id, report.refusals[0].column), (Some(20), "email"));
        assert_eq!(report.ignored_columns, ["users.note"]);
        assert_eq!(rows(&test.store, "services").await, before);
        assert!(rows(&test.store, "users").await.is_empty());
    }
}
