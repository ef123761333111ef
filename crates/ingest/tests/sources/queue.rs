//! A queue on a real SQS server, for the tests of this folder.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName::{
    ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesNotVisible as InFlight,
};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use ingest::sources::sqs::SqsSettings;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::moto_endpoint;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A queue of its own on the shared server.
pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
}

impl Queue {
    pub(crate) async fn fresh() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ingest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(moto_endpoint())
            .build();
        let client = Client::from_conf(config);
        let made = client.create_queue().queue_name(name).send().await.expect("a queue is made");
        Self { client, url: made.queue_url.expect("it has a URL") }
    }

    pub(crate) fn settings(&self) -> SqsSettings {
        let settings = serde_json::json!({
            "queue_url": self.url, "endpoint_url": moto_endpoint(), "idp": "fxa", "wait_seconds": 1,
            "access_key_id": "test", "secret_access_key": "test",
        });
        serde_json::from_value(settings).expect("settings")
    }

    pub(crate) async fn send(&self, bodies: impl IntoIterator<Item = String>) {
        let bodies: Vec<_> = bodies.into_iter().collect();
        for chunk in bodies.chunks(10) {
            let entry = |(id, body): (usize, &String)| {
                let entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body);
                entry.build().expect("an entry")
            };
            let entries = chunk.iter().enumerate().map(entry).collect();
            let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
            assert!(sent.send().await.expect("sent").failed.is_empty());
        }
    }

    /// How many messages are there at all: waiting, or in somebody's hand.
    pub(crate) async fn length(&self) -> (u32, u32) {
        let asked = self.client.get_queue_attributes().queue_url(&self.url);
        let told = asked.attribute_names(Waiting).attribute_names(InFlight).send().await.expect("told");
        let attributes = told.attributes.expect("attributes");
        let number = |name| attributes[&name].parse().expect("a number");
        (number(Waiting), number(InFlight))
    }

    pub(crate) async fn is_empty(&self) -> bool {
        self.length().await == (0, 0)
    }
}
