//! Every statement is one that its engine takes.

use crate::{sets, tables};
use proptest::prelude::*;
use store::testing::prepare_all;
use store::{Engine, Migration, Sql};

static ODD: &[Migration] = &[Migration::both("test 0002 odd", "create table odd (body text not null)")];

store::statements! {
    static JSON_PATH = per_engine {
        sqlite: "select json_extract(body, '$.a[0]'), json_extract($1, '$[0]') from odd where body = $2",
        postgres: "select body::json #>> '{a,0}', $1::json ->> 0 from odd where body = $2",
    };
    static QUANTIFIER = per_engine {
        sqlite: "select body from odd where body like '{0,3}'",
        postgres: "select body from odd where body ~ '^a{0,3}$'",
    };
}

#[tokio::test]
async fn every_statement_of_the_store_is_taken_by_both_engines() {
    assert!(store::STATEMENTS.iter().copied().flatten().count() >= 10);
    prepare_all(&[], store::STATEMENTS).await;
}

#[tokio::test]
async fn the_names_leave_everything_else_as_it_is() {
    prepare_all(&[tables::MIGRATIONS, ODD], &[tables::STATEMENTS, sets::STATEMENTS, STATEMENTS]).await;
    assert!(JSON_PATH.for_engine(Engine::Sqlite).contains("json_extract(?1, '$[0]')"));
    assert!(QUANTIFIER.for_engine(Engine::Postgres).ends_with("'^a{0,3}$'"));
}

fn text_with_braces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,5}",
        "[{}$0-9:, a-z]{0,12}",
        Just("{rows $1: a text, b bigint}".to_owned()),
        Just("{rows $1}".to_owned()),
        Just("{rows :}".to_owned()),
        Just("{for_update}".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_expands_without_a_panic(text in text_with_braces()) {
        let text: &'static str = Box::leak(text.into_boxed_str());
        let sql = Sql::both(text);
        for engine in [Engine::Sqlite, Engine::Postgres] {
            prop_assert_eq!(sql.for_engine(engine), sql.for_engine(engine));
        }
    }

    #[test]
    fn a_text_without_names_is_sent_as_it_is(text in "[^{}$]{0,40}") {
        let text: &'static str = Box::leak(text.into_boxed_str());
        let sql = Sql::both(text);
        for engine in [Engine::Sqlite, Engine::Postgres] {
            prop_assert_eq!(sql.for_engine(engine), text);
        }
    }
}
