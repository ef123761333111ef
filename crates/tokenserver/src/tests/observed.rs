//! What is counted and written down.

use super::*;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

/// The meters that moved, with their labels.
fn moved(snapshotter: &Snapshotter) -> Vec<String> {
    let entries = snapshotter.snapshot().into_vec().into_iter().filter_map(|(key, _, _, value)| {
        let said = match value {
            DebugValue::Counter(count) if count > 0 => count.to_string(),
            DebugValue::Histogram(samples) if !samples.is_empty() => format!("{} times", samples.len()),
            _ => return None,
        };
        let labels: Vec<_> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Some(format!("{} {{{}}} {said}", key.key().name(), labels.join(",")))
    });
    let ours = |entry: &String| {
        !["highwater_", "store.", "verify.", "idp."].iter().any(|others| entry.starts_with(others))
    };
    let mut entries: Vec<_> = entries.filter(ours).collect();
    entries.sort();
    entries
}

#[test]
fn the_meters_have_the_names_of_the_field() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let house = metrics::with_local_recorder(&recorder, || runtime.block_on(House::new(settings())));
    runtime.block_on(async {
        house.exchange("user", 100, "50-qqo").await.uid();
        house.exchange("user", 100, "50-qqo").await.uid();
        house.exchange("user", 200, "150-qqo").await.uid();
        house.exchange("user", 300, "250-uw").await.uid();
        house.exchange("user", 400, "350-qqo").await.refusal();
        house.exchange("user", 1, "250-uw").await.refusal();
        for change in [account::Change::PasswordReset, account::Change::Delete { reason: None }] {
            events::happens(&house, change, Some(START.get())).await;
        }
        let agent = "Firefox-iOS-Sync/18.0b1 (iPhone; iPhone OS 13.2.2) (Fennec)";
        house.get(SYNC, &[("user-agent", agent.to_owned())]).await;
    });
    insta::assert_snapshot!(moved(&snapshotter).join("\n"), @r"
    decr_generation {} 1
    delete {} 1
    error.rejectua {} 1
    request.error.oauth {is_stale=true} 1
    request.error.oauth {} 1
    reset {} 1
    storage.allocate_user {} 1 times
    storage.get_users {} 6 times
    storage.post_user {} 1 times
    storage.put_user {} 1 times
    token_creation {token_type=OAuth} 4 times
    token_verification {token_type=OAuth} 6 times
    ");
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_request_is_one_line_that_names_nobody() {
    let house = House::new(settings()).await;
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(kept.clone()).finish();
    let mut headers = house.headers("0123456789abcdef0123456789abcdef", 100, KEY_ID);
    headers.push((
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0".to_owned(),
    ));
    let answer = house.get("/1.0/sync/1.5?duration=5", &headers).with_subscriber(subscriber).await;
    let written = String::from_utf8(kept.0.lock().clone()).expect("UTF-8");
    let line = written.lines().find(|line| line.contains("uri.path")).expect("a line");
    let mut fields: Value = serde_json::from_str::<Value>(line).expect("JSON")["fields"].clone();
    assert_eq!(fields["metrics_uid"], answer.json()["hashed_fxa_uid"]);
    assert!(fields["duration_us"].take().is_u64());
    insta::assert_json_snapshot!(fields, @r#"
    {
      "duration_us": null,
      "first_seen_at": 1789000000000,
      "message": "request",
      "metrics_uid": "634eabb7bf98dde892e4bd0d8d41248e",
      "status": 200,
      "token_type": "OAuth",
      "ua": "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
      "ua.browser.family": "Firefox",
      "ua.browser.ver": "120.0",
      "ua.name": "Firefox",
      "ua.os.family": "Linux",
      "ua.os.ver": "x86_64",
      "uid": "634eabb7bf98dde892e4bd0d8d41248efd74cd93bb06774ee5a757b82acbbf7a",
      "uri.method": "GET",
      "uri.path": "/1.0/sync/1.5?duration=5"
    }
    "#);
    for secret in ["0123456789abcdef", "Bearer", "qqo", answer.json()["key"].as_str().expect("a text")] {
        assert!(!written.contains(secret), "{secret} in {written}");
    }
}
