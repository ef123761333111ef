use super::*;
use crate::junk::Reason;
use crate::meters::Freshness;
use crate::remit::Remit;
use crate::remit::tests::firefox;
use crate::testing::{FakeSink, outage};
use account::Millis;
use ledger::SourceId;
use proptest::prelude::*;
use std::io::Write;
use store::Clock;
use tokio::io::{AsyncWriteExt, BufReader};

fn pump(sink: &FakeSink) -> Pump<FakeSink> {
    let remit = Remit::new(firefox(), vec![]);
    let clock = Clock::manual(Millis::new(1_789_000_000_000));
    Pump::into_sink(sink.clone(), clock, SourceId::new("file"), remit, Freshness::Any)
}

fn delete(uid: &str) -> String {
    format!(r#"{{"event":"delete","uid":"{uid}"}}"#)
}

async fn ingested(sink: &FakeSink, text: &[u8]) -> Result<IngestSummary, FileError> {
    ingest_lines(&pump(sink), "f", text, |_| ()).await
}

#[tokio::test]
async fn every_line_is_a_message_named_by_its_offset() {
    let sink = FakeSink::default();
    let text = format!("{}\n\n  \r\nhello\n{}", delete("a"), delete("b"));
    let summary = ingested(&sink, text.as_bytes()).await.expect("no outage");
    assert_eq!(summary, IngestSummary { events: 2, news: 2, known: 0, junk: 1, bytes: text.len() as u64 });
    let ids: Vec<_> = sink.applied().into_iter().map(|received| received.message_id).collect();
    let last = text.len() - delete("b").len();
    assert_eq!(ids, ["f:0".to_owned(), format!("f:{last}")]);
    assert_eq!(sink.buried(), [(format!("f:{}", last - 6), "not_json")]);
}

#[tokio::test]
async fn an_empty_file_has_no_events() {
    let sink = FakeSink::default();
    for text in ["", "\n\n\n", " "] {
        let summary = ingested(&sink, text.as_bytes()).await.expect("no outage");
        assert_eq!((summary.events, summary.junk), (0, 0));
    }
}

#[tokio::test]
async fn a_byte_order_mark_at_the_start_and_windows_line_ends_do_no_harm() {
    for text in [format!("\u{feff}{}\r\n", delete("a")), format!("\u{feff}{}", delete("a"))] {
        let sink = FakeSink::default();
        let summary = ingested(&sink, text.as_bytes()).await.expect("no outage");
        assert_eq!((summary.news, summary.junk), (1, 0));
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_is_junk_and_kept_only_in_part() {
    let sink = FakeSink::default();
    let text = format!("{}\n{}\n{}\n", delete("a"), "x".repeat(3 * MAX_BODY), delete("b"));
    let summary = ingested(&sink, text.as_bytes()).await.expect("no outage");
    assert_eq!((summary.news, summary.junk, summary.bytes), (2, 1, text.len() as u64));
    assert_eq!(sink.buried()[0].1, Reason::TooLarge.code());
    assert_eq!(sink.letters()[0].body.len(), KEPT_OF_LONG);
}

#[tokio::test]
async fn lines_go_in_batches_and_in_order_and_progress_is_told() {
    let sink = FakeSink::default();
    let uids: Vec<_> = (0..700).map(|n| format!("u{n}")).collect();
    let text: String = uids.iter().map(|uid| delete(uid) + "\n").collect();
    let mut heard = Vec::new();
    let summary = ingest_lines(&pump(&sink), "f", text.as_bytes(), |so_far| heard.push(so_far.events)).await;
    assert_eq!(summary.expect("no outage").news, 700);
    assert_eq!(heard, [256, 512, 700]);
    assert_eq!(sink.subjects(), uids);
}

#[tokio::test]
async fn the_same_file_again_is_known() {
    let sink = FakeSink::default();
    let text = delete("a") + "\n" + &delete("b");
    ingested(&sink, text.as_bytes()).await.expect("no outage");
    let again = ingested(&sink, text.as_bytes()).await.expect("no outage");
    assert_eq!((again.news, again.known), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_waited_out() {
    let sink = FakeSink::default();
    sink.fail_next([outage(), outage(), outage()]);
    let summary = ingested(&sink, delete("a").as_bytes()).await.expect("it came back");
    assert_eq!(summary.news, 1);
    assert_eq!(sink.subjects(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_ends_the_run_and_says_where_to_begin_again() {
    let sink = FakeSink::default();
    let text: String = (0..300).map(|n| delete(&format!("u{n}")) + "\n").collect();
    let mut batches = 0;
    let pump = pump(&sink);
    let stopped = ingest_lines(&pump, "f", text.as_bytes(), |_| {
        batches += 1;
        sink.fail_next(std::iter::repeat_with(outage).take(20));
    });
    let Err(FileError::Ledger { at, .. }) = stopped.await else { panic!("it went through") };
    assert_eq!((batches, sink.subjects().len()), (1, 256));
    assert!(text[usize::try_from(at).expect("small")..].starts_with(&delete("u256")));
}

#[tokio::test]
async fn a_line_from_a_pipe_does_not_wait_for_the_next_one() {
    let sink = FakeSink::default();
    let (mut writer, reader) = tokio::io::duplex(1024);
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let pump = pump(&sink);
    let reading = ingest_lines(&pump, "f", BufReader::new(reader), move |so_far| {
        told.send(so_far.events).expect("somebody listens");
    });
    let writing = async {
        for n in 1..=3 {
            writer.write_all((delete(&format!("u{n}")) + "\n").as_bytes()).await.expect("written");
            assert_eq!(heard.recv().await, Some(n), "told before the next line is written");
        }
        drop(writer);
    };
    let (summary, ()) = tokio::join!(reading, writing);
    assert_eq!(summary.expect("no outage").news, 3);
}

#[tokio::test]
async fn a_file_is_named_by_the_digest_of_what_is_in_it() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"abc").expect("written");
    let digest = digest(file.path()).await.expect("readable");
    // FIPS 180-4's own example.
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

proptest! {
    #[test]
    fn any_bytes_are_lines_and_no_byte_is_lost(text in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) {
        let sink = FakeSink::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let summary = runtime.block_on(ingested(&sink, &text)).expect("no outage");
        prop_assert_eq!(summary.bytes, text.len() as u64);
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(summary.events + summary.junk, lines as u64);
    }
}
