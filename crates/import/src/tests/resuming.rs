//! Imports that break off, sources that are in use meanwhile, and others who write here.

use super::*;
use crate::store::{Cursors, Stand, Standing};
use crate::{Outcome, Stage};

fn half_of_the_users(progress: Progress) -> bool {
    progress.stage == Stage::Copying && progress.table == "users" && progress.done >= 1_000
}

#[tokio::test]
async fn a_run_that_broke_off_is_taken_up_where_it_was_and_catches_up_with_its_source() {
    for test in engines(TABLES).await {
        let source = Source::with_users(2_500);
        import_until(&test, &source, half_of_the_users).await;
        assert!(rows(&test.store, "services").await.is_empty(), "nobody is served meanwhile");
        let Standing::UnderWay(Cursors { users: (last, count), .. }) =
            test.store.run(Stand { begin: None }).await.expect("the store answers")
        else {
            panic!("it is under way")
        };
        assert_eq!(count, u64::try_from(rows(&test.store, "users").await.len()).expect("fits"));
        assert!(count >= 1_000 && last >= 1_000);
        source.run(
            "update users set replaced_at = 7 where uid = 4; delete from users where uid = 5;
            update nodes set current_load = 3 where id = 800; delete from users where uid = 2400;
            insert into users (service, email, generation, client_state, created_at, nodeid) values (2, 'new', 1, '', 1, 800)",
        );
        let report = import(&test, &source).await.expect("it is imported");
        assert_eq!((report.outcome, report.resumed, report.mended), (Outcome::Imported, true, 3));
        assert_eq!(report.copied, 2_507 - 2 - count, "two nodes and the first users were there");
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn it_can_break_off_at_every_step_and_ends_as_if_it_had_not() {
    let source = Source::with_users(2_500);
    for test in engines(TABLES).await {
        for step in [
            (Stage::Copying, "nodes"),
            (Stage::Copying, "users"),
            (Stage::Comparing, "nodes"),
            (Stage::Comparing, "users"),
        ] {
            import_until(&test, &source, |it| (it.stage, it.table) == step).await;
        }
        assert_eq!(import(&test, &source).await.expect("it is imported").mended, 0);
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn a_source_that_does_not_rest_is_not_called_imported() {
    for test in engines(TABLES).await {
        let source = Source::new();
        let address = source.address();
        let mut tell = |it: Progress| {
            if (it.stage, it.table) == (Stage::Comparing, "nodes") {
                source.run("update users set generation = generation + 1 where uid < 6");
            }
        };
        let error = crate::import(&test.store, &address, &mut tell).await.expect_err("it moves");
        assert!(matches!(error, ImportError::Moving { rows: 2, .. }), "{error}");
        assert!(error.to_string().contains("2 rows had changed"), "{error}");
        let report = import(&test, &source).await.expect("now it rests");
        assert_eq!((report.resumed, report.mended), (true, 0));
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn a_row_that_somebody_else_makes_meanwhile_is_told_and_not_touched() {
    static GONE: Sql = Sql::both("delete from users where uid = 2600");
    static FOREIGN: Sql =
        Sql::both("insert into users values (2600, 2, 'foreign', 1, '', 1, null, 800, null)");
    let source = Source::with_users(2_500);
    for test in engines(TABLES).await {
        import_until(&test, &source, half_of_the_users).await;
        test.store.run(Ask(&FOREIGN)).await.expect("the store answers");
        let error = import(&test, &source).await.expect_err("it is noticed");
        assert!(matches!(error, ImportError::Foreign { table: "users", id: 2_600, .. }), "{error}");
        assert!(rows(&test.store, "users").await.iter().any(|row| row.contains("foreign")));
        test.store.run(Ask(&GONE)).await.expect("the store answers");
        import(&test, &source).await.expect("it goes on");
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn two_at_once_do_nothing_twice() {
    let source = Source::with_users(2_500);
    for test in engines(TABLES).await {
        let (one, two) = tokio::join!(import(&test, &source), import(&test, &source));
        for done in [one, two] {
            assert!(matches!(done, Ok(_) | Err(ImportError::Another)), "{done:?}");
        }
        import(&test, &source).await.expect("it is imported, or is now");
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn a_server_that_dies_under_it_is_told_and_the_next_run_goes_on() {
    let mut server = testkit::MariaDb::start();
    let users = "insert into users (service, email, generation, client_state, created_at, nodeid)
        select 2, concat(seq, '@x'), 1, '', 1, 800 from seq_1_to_5000";
    server.run(&format!("create database field character set utf8; use field; {FIELD} {users}"));
    let address = Address::parse(&format!("{}/field", server.url())).expect("an address");
    let [test, _] = engines(TABLES).await;
    let mut is_up = true;
    let mut tell = |it: Progress| {
        if is_up && half_of_the_users(it) {
            is_up = false;
            server.kill();
        }
    };
    let error = crate::import(&test.store, &address, &mut tell).await.expect_err("it is gone");
    assert!(matches!(error, ImportError::Unreachable { .. }), "{error}");
    server.start_again();
    let report = crate::import(&test.store, &address, &mut |_| ()).await.expect("it is imported");
    assert_eq!((report.resumed, report.tables[2].rows), (true, 5_005));
}

#[tokio::test]
async fn what_is_copied_ahead_stays_open_until_a_run_that_ends_it() {
    for test in engines(TABLES).await {
        let source = Source::with_users(1_500);
        let ahead = async || crate::copy_ahead(&test.store, &source.address(), &mut |_| ()).await;
        let first = ahead().await.expect("it is copied");
        assert_eq!((first.outcome, first.copied, first.mended), (Outcome::Ahead, 1_507, 0));
        assert!(crate::is_under_way(&test.store).await.expect("the store answers"));
        assert!(rows(&test.store, "services").await.is_empty(), "nobody is served");
        source.run("update users set generation = 5000 where uid = 4; insert into nodes values (900, 2, 'https://n', 1, 0, 1, 0, 0)");
        let second = ahead().await.expect("it is caught up with");
        assert_eq!((second.resumed, second.copied, second.mended), (true, 1, 1));
        source.run("delete from users where uid = 5");
        let last = import(&test, &source).await.expect("it is imported");
        assert_eq!((last.outcome, last.copied, last.mended), (Outcome::Imported, 0, 1));
        assert!(!crate::is_under_way(&test.store).await.expect("the store answers"));
        same(&source, &test).await;
        assert_eq!(ahead().await.expect("there is nothing to do").outcome, Outcome::ImportedBefore);
    }
}
