//! What spans tell of attempts.

use super::pretender::Mode;
use super::*;
use crate::upstream::Class;
use crate::worker::attempt;
use parking_lot::Mutex;
use serde_json::Value;
use std::io;
use tracing::Level;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn an_attempt_is_a_span_that_says_what_came_of_it_and_holds_no_token() {
    let modes = [
        (Mode::Well, "renewed"),
        (Mode::Fails(Class::Terminal, None), "terminal"),
        (Mode::Fails(Class::Misconfigured, None), "misconfigured"),
        (Mode::LosesAnswers, "ambiguous"),
    ];
    for (mode, outcome) in modes {
        for house in House::on_each_engine().await {
            house.logs_in("u").await;
            house.passes(Duration::from_mins(59)).await;
            house.idp.set(mode.clone());
            let claimed = house.claims().await.remove(0);
            let grant = claimed.id.to_string();
            let written = Written::default();
            let subscriber = tracing_subscriber::fmt().json().with_max_level(Level::TRACE);
            let subscriber =
                subscriber.with_span_events(FmtSpan::CLOSE).with_writer(written.clone()).finish();
            attempt(house.inner(), claimed, false).with_subscriber(subscriber).await;
            let text = String::from_utf8(written.0.lock().clone()).expect("text");
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            let mut spans =
                lines.filter(|line| line["fields"]["message"] == "close").map(|line| line["span"].clone());
            let span = spans.find(|span| span["name"] == "refresh").expect("a span");
            assert_eq!((span["grant"].as_str(), span["idp"].as_str()), (Some(&*grant), Some("main")));
            assert_eq!((span["outcome"].as_str(), span["generation"].as_i64()), (Some(outcome), Some(0)));
            assert!(span["next"].is_string(), "{span}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
