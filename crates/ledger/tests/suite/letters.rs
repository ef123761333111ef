//! Dead letters in the admin API.

use crate::admin::{Admin, on_both};
use crate::told::ledger;
use ledger::{DeadLetter, Ledger, SourceId};
use store::testing::{engines, sqlite};

async fn bury(ledger: &Ledger, message_id: &str, body: &[u8]) {
    let letter = DeadLetter {
        source: SourceId::new("queue"),
        message_id: message_id.into(),
        reason: "not_json",
        detail: "expected value at line 1 column 1".into(),
        body: body.into(),
    };
    ledger.bury(vec![letter]).await.expect("kept");
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_dropped() {
    let shown = on_both(async |test| {
        let mut shown = Vec::new();
        let ledger = ledger(test, vec![]);
        let admin = Admin::of(&ledger);
        shown.push(admin.get("/dead-letters").await);
        bury(&ledger, "m-1", b"{oops").await;
        bury(&ledger, "m-2", b"\xff\0").await;
        bury(&ledger, "m-1", b"delivered again").await;
        shown.push(admin.get("/dead-letters").await);
        let second = admin.get("/dead-letters?after=1&limit=1").await;
        assert!(second.contains("m-2") && !second.contains("m-1"));
        shown.push(admin.get("/dead-letters/1").await);
        shown.push(admin.ask("DELETE", "/dead-letters/1").await);
        shown.push(admin.ask("DELETE", "/dead-letters/1").await);
        shown.push(admin.get("/dead-letters/1").await);
        assert_eq!(ledger.count_dead_letters().await.expect("counted"), 1);
        shown
    })
    .await;
    insta::assert_snapshot!(shown[0], @r#"
    200 OK
    content-type: application/json
    []
    "#);
    insta::assert_snapshot!(shown[1], @r#"
    200 OK
    content-type: application/json
    [
      {
        "body": "{oops",
        "detail": "expected value at line 1 column 1",
        "id": 1,
        "message_id": "m-1",
        "reason": "not_json",
        "received_at": 1789000000000,
        "source": "queue"
      },
      {
        "body": "�\u0000",
        "detail": "expected value at line 1 column 1",
        "id": 2,
        "message_id": "m-2",
        "reason": "not_json",
        "received_at": 1789000000000,
        "source": "queue"
      }
    ]
    "#);
    insta::assert_snapshot!(shown[2], @r#"
    200 OK
    content-type: application/json
    {
      "body": "{oops",
      "detail": "expected value at line 1 column 1",
      "id": 1,
      "message_id": "m-1",
      "reason": "not_json",
      "received_at": 1789000000000,
      "source": "queue"
    }
    "#);
    insta::assert_snapshot!(shown[3], @"204 No Content");
    insta::assert_snapshot!(shown[4], @r#"
    404 Not Found
    content-type: application/problem+json
    {
      "detail": "there is no dead letter 1; `highwater events dead list` shows those there are",
      "status": 404,
      "title": "not found"
    }
    "#);
    insta::assert_snapshot!(shown[5], @r#"
    404 Not Found
    content-type: application/problem+json
    {
      "detail": "there is no dead letter 1; `highwater events dead list` shows those there are",
      "status": 404,
      "title": "not found"
    }
    "#);
}

#[tokio::test]
async fn a_question_about_dead_letters_that_makes_no_sense_is_a_bad_request() {
    let test = sqlite(&[ledger::MIGRATIONS]).await;
    let admin = Admin::of(&ledger(&test, vec![]));
    insta::assert_snapshot!(admin.get("/dead-letters/first").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    {
      "detail": "Invalid URL: Cannot parse `first` to a `i64`",
      "status": 400,
      "title": "invalid request"
    }
    "#);
    insta::assert_snapshot!(admin.get("/dead-letters?limit=many").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    {
      "detail": "the query: limit: invalid digit found in string",
      "status": 400,
      "title": "invalid request"
    }
    "#);
    insta::assert_snapshot!(admin.get("/dead-letters?page=2").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    {
      "detail": "the query: page: unknown field `page`, expected `after` or `limit`",
      "status": 400,
      "title": "invalid request"
    }
    "#);
    for limit in [-1, 0, 1_000_000] {
        assert!(admin.get(&format!("/dead-letters?limit={limit}")).await.starts_with("200 OK"));
    }
}

/// Two messages with long ids that only differ at their ends are two dead letters.
#[tokio::test]
async fn no_dead_letter_is_taken_for_another() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let long = "x".repeat(300);
        for id in [format!("{long}1"), format!("{long}2"), "bell \u{7}".into(), "bell \u{8}".into()] {
            bury(&ledger, &id, id.as_bytes()).await;
            bury(&ledger, &id, id.as_bytes()).await;
        }
        let kept = ledger.dead_letters(0, 100).await.expect("read");
        assert_eq!(kept.len(), 4);
        assert_eq!(kept[1].raw, format!("{long}2").as_bytes());
    }
}

/// A thousand of the largest messages must not have to fit into memory for a list of them.
#[tokio::test]
async fn a_list_of_dead_letters_has_the_beginnings_of_their_messages() {
    for test in engines(&[ledger::MIGRATIONS]).await {
        let ledger = ledger(&test, vec![]);
        let body = vec![b'x'; 256 * 1024];
        bury(&ledger, "long", &body).await;
        bury(&ledger, "short", b"short").await;
        let listed = ledger.dead_letters(0, 100).await.expect("read");
        assert_eq!(listed[0].raw, body[..4096]);
        assert_eq!(listed[1].raw, b"short");
        let shown = ledger.dead_letter(listed[0].id).await.expect("read").expect("kept");
        assert_eq!(shown.raw, body);
    }
}
