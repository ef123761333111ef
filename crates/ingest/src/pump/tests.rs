use super::*;
use crate::decode::tests::nearly_json;
use crate::remit::tests::firefox;
use crate::testing::{FakeSink, outage};
use account::Millis;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use store::Clock;

fn pump(sink: &FakeSink) -> Pump<FakeSink> {
    let remit = Remit::new(firefox(), vec![]);
    let clock = Clock::manual(Millis::new(1_789_000_000_000));
    Pump::into_sink(sink.clone(), clock, SourceId::new("queue"), remit, Freshness::Live)
}

fn message(id: usize, body: &str) -> Message {
    Message { id: format!("m{id}"), body: body.as_bytes().to_vec() }
}

fn delete(uid: &str) -> String {
    format!(r#"{{"event":"delete","uid":"{uid}"}}"#)
}

fn deletes(uids: impl IntoIterator<Item = String>) -> Vec<Message> {
    uids.into_iter().enumerate().map(|(id, uid)| message(id, &delete(&uid))).collect()
}

#[tokio::test]
async fn events_go_to_the_ledger_and_junk_to_the_dead_letters() {
    let sink = FakeSink::default();
    let messages =
        [message(0, &delete("a")), message(1, "hello"), message(2, &delete("b")), message(3, "[]")];
    let bytes = messages.iter().map(|message| message.body.len() as u64).sum();
    let summary = pump(&sink).take(&messages).await.expect("no outage");
    assert_eq!(summary, IngestSummary { events: 2, news: 2, known: 0, junk: 2, bytes });
    assert_eq!(sink.subjects(), ["a", "b"]);
    assert_eq!(sink.buried(), [("m1".into(), "not_json"), ("m3".into(), "not_an_object")]);
    assert_eq!(sink.letters()[0].body, b"hello");
}

#[tokio::test]
async fn a_message_that_comes_again_is_known() {
    let sink = FakeSink::default();
    let pump = pump(&sink);
    pump.take(&deletes(["a".into()])).await.expect("no outage");
    let again = pump.take(&deletes(["a".into()])).await.expect("no outage");
    assert_eq!((again.events, again.news, again.known), (1, 0, 1));
}

#[tokio::test]
async fn a_large_batch_goes_in_transactions_of_256() {
    let sink = FakeSink::default();
    pump(&sink).take(&deletes((0..600).map(|n| format!("u{n}")))).await.expect("no outage");
    assert_eq!(sink.batch_sizes(), [256, 256, 88]);
    assert_eq!(sink.subjects(), (0..600).map(|n| format!("u{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_the_ledger_refuses_is_buried_and_the_line_moves_on() {
    let sink = FakeSink::refusing(&["u7", "u100", "u101"]);
    let summary = pump(&sink).take(&deletes((0..200).map(|n| format!("u{n}")))).await.expect("no outage");
    assert_eq!((summary.news, summary.junk), (197, 3));
    assert_eq!(
        sink.buried(),
        [("m7".into(), "refused"), ("m100".into(), "refused"), ("m101".into(), "refused")]
    );
    assert_eq!(sink.letters()[0].body, delete("u7").as_bytes());
    let expected: Vec<_> = (0..200).filter(|n| ![7, 100, 101].contains(n)).map(|n| format!("u{n}")).collect();
    assert_eq!(sink.subjects(), expected, "the others went through in their order");
}

#[tokio::test]
async fn nothing_is_said_to_be_taken_while_the_store_is_down() {
    let sink = FakeSink::default();
    let pump = pump(&sink);
    sink.fail_next([outage()]);
    assert!(pump.take(&deletes(["a".into()])).await.expect_err("an outage").is_outage());
    assert_eq!(sink.subjects(), Vec::<String>::new());
    sink.fail_next([outage()]);
    assert!(pump.take(&[message(0, "junk")]).await.expect_err("an outage").is_outage());
    assert_eq!(sink.buried(), []);
    let summary = pump.take(&[message(0, "junk"), message(1, &delete("a"))]).await.expect("it is back");
    assert_eq!((summary.news, summary.junk), (1, 1));
}

/// A ledger where neither side gets on before the other has come.
struct Meeting(tokio::sync::Barrier);

impl Sink for Meeting {
    async fn apply_batch(&self, batch: Vec<Received>) -> Result<Vec<Applied>, LedgerError> {
        self.0.wait().await;
        Ok(vec![Applied::Known; batch.len()])
    }

    async fn bury(&self, _: Vec<DeadLetter>) -> Result<(), LedgerError> {
        self.0.wait().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn events_do_not_wait_for_the_junk_between_them() {
    let clock = Clock::manual(Millis::new(1_789_000_000_000));
    let remit = Remit::new(firefox(), vec![]);
    let meeting = Meeting(tokio::sync::Barrier::new(2));
    let pump = Pump::into_sink(meeting, clock, SourceId::new("queue"), remit, Freshness::Live);
    let messages = [message(0, "junk"), message(1, &delete("a")), message(2, "junk")];
    let taken = tokio::time::timeout(std::time::Duration::from_secs(1), pump.take(&messages)).await;
    let summary = taken.expect("both at once").expect("no outage");
    assert_eq!((summary.known, summary.junk), (1, 2));
}

#[test]
fn what_came_is_counted_by_kind_and_outcome() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let pump = pump(&FakeSink::default());
        let reset = r#"{"event":"reset","uid":"a","generation":1788999999000,"timestamp":"soon"}"#;
        let odd = r#"{"event":"delete","uid":"b","reason":"purge"}"#;
        let messages = [message(0, reset), message(0, reset), message(1, odd), message(2, "hello")];
        runtime.block_on(pump.take(&messages)).expect("no outage");
    });
    let text = handle.render();
    for line in [
        r#"ingest_events{source="queue",kind="password_reset",outcome="news"} 1"#,
        r#"ingest_events{source="queue",kind="password_reset",outcome="known"} 1"#,
        r#"ingest_events{source="queue",kind="delete",outcome="news"} 1"#,
        r#"ingest_junk{source="queue",reason="not_json"} 1"#,
        r#"ingest_dropped_members{source="queue",member="reason",oddity="unknown_string"} 1"#,
        r#"message_delete_reasonFallback{category="unknown_string"} 1"#,
        r#"ingest_lag_count{source="queue"} 1"#,
        r#"ingest_lag_sum{source="queue"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

/// Bodies of every kind with whatever in them, some with text that stores do not like.
fn odd_bodies() -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let kinds = [
        "login",
        "delete",
        "passwordChange",
        "reset",
        "signOutEverywhere",
        "primaryEmailChanged",
        "profileDataChange",
        "subscription:update",
        "accountDisabled",
        "accountEnabled",
        "verified",
    ];
    let mut bodies: Vec<String> =
        [r"\u0000", r"\ud800", r"\\u0000", r"\u202e\ufffe", "\u{1f4a9}", r#"\"'$1;--"#]
            .iter()
            .flat_map(|text| {
                let unknown = format!(r#"{{"event":"verified","uid":"u","x":"{text}","{text}":0}}"#);
                let login = format!(r#"{{"event":"login","uid":"u","service":"{text}","email":"{text}"}}"#);
                [unknown, login, format!(r#"{{"event":"é{text}","uid":"ü{text}"}}"#)]
            })
            .collect();
    for n in 0..440 {
        let value = nearly_json().new_tree(&mut runner).expect("a value").current();
        let mut members = value.as_object().cloned().unwrap_or_default();
        members.insert("event".into(), kinds[n % kinds.len()].into());
        members.insert("uid".into(), format!("u{}", n % 7).into());
        bodies.push(serde_json::Value::Object(members).to_string());
    }
    bodies
}

#[tokio::test]
async fn whatever_is_an_event_is_taken_by_both_stores() {
    let bodies = odd_bodies();
    let messages: Vec<_> = bodies.iter().enumerate().map(|(id, body)| message(id, body)).collect();
    for test in store::testing::engines(&[ledger::MIGRATIONS]).await {
        let tombstones = ledger::Tombstones::new(&keys::RootKey::generate(), std::time::Duration::ZERO);
        let ledger = Ledger::new(test.store.clone(), tombstones, vec![]);
        let remit = Remit::new(firefox(), vec![]);
        let pump = Pump::new(ledger.clone(), SourceId::new("queue"), remit, Freshness::Live);
        let summary = pump.take(&messages).await.expect("no outage");
        assert_eq!(summary.events + summary.junk, messages.len() as u64);
        assert!(summary.news > 100 && summary.junk > 20, "{summary:?}");
        let letters = ledger.dead_letters(0, 1000).await.expect("readable");
        assert_eq!(letters.len() as u64, summary.junk);
        let refused: Vec<_> = letters.iter().filter(|letter| letter.reason == "refused").collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
}
