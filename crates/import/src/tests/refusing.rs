//! What is not imported, and what is said of it.

use super::*;

async fn refused(test: &TestStore, source: &Source) -> String {
    import(test, source).await.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn rows_that_cannot_be_held_are_named_and_nothing_of_their_part_is_written() {
    for test in engines(TABLES).await {
        let source = Source::with_users(1_500);
        source.run("update users set email = concat(email, char(0)) where uid in (1204, 1210)");
        let said = refused(&test, &source).await;
        assert!(said.starts_with("2 rows cannot be held here"), "{said}");
        for uid in [1_204, 1_210] {
            assert!(said.contains(&format!("users, uid {uid}: email has a NUL character")), "{said}");
        }
        assert_eq!(rows(&test.store, "users").await.len(), 1_000);
        source.run("delete from users where uid in (1204, 1210)");
        import(&test, &source).await.expect("it goes on");
        same(&source, &test).await;
    }
}

#[tokio::test]
async fn columns_wider_than_the_fields_are_measured() {
    let [test, _] = engines(TABLES).await;
    let source = Source::new();
    source.run(
        "alter table users drop index lookup_idx, modify email text, modify generation bigint unsigned, modify created_at bigint null;
        update users set generation = 18446744073709551615 where uid = 4;
        update users set email = repeat('é', 256) where uid = 5;
        update users set email = repeat('é', 255) where uid = 6;
        update users set created_at = null where uid = 7;",
    );
    let said = refused(&test, &source).await;
    for line in [
        "uid 4: generation is a number that does not fit",
        "uid 5: email has more than 255 characters",
        "uid 7: created_at is null",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.starts_with("3 rows"), "{said}");
}

#[tokio::test]
async fn a_store_with_others_in_it_is_left_alone() {
    static NODE: Sql = Sql::both(
        "insert into nodes (service, node, available, current_load, capacity, downed, backoff) values (1, 'n', 1, 0, 1, 0, 0)",
    );
    let source = Source::new();
    for test in engines(TABLES).await {
        test.store.run(Ask(&NODE)).await.expect("the store answers");
        let said = refused(&test, &source).await;
        assert!(
            said.contains("0 rows of users and 1 nodes") && said.contains("set store.url to another"),
            "{said}"
        );
        let rehearsed = crate::rehearse(&test.store, &source.address(), &mut |_| ()).await;
        assert_eq!(rehearsed.expect_err("it is told before").to_string(), said);
        assert_eq!(rows(&test.store, "services").await.len(), 1);
    }
}

#[tokio::test]
async fn a_database_of_something_else_is_told_by_what_it_lacks() {
    let [test, _] = engines(TABLES).await;
    let empty = Source::empty();
    assert!(refused(&test, &empty).await.ends_with("it has no table `services`"));
    let old = Source::new();
    old.run("alter table users drop column keys_changed_at");
    assert!(refused(&test, &old).await.ends_with("its table `users` has no column `keys_changed_at`"));
    let other = Source::new();
    other.run("update services set service = 'sync-1.1' where id = 2");
    assert!(refused(&test, &other).await.contains("its table `services` has no row `sync-1.5`"));
    assert_eq!(rows(&test.store, "services").await.len(), 1, "nothing was begun");
}
