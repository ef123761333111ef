//! An Amazon SQS queue on the shared local server, spoken to in its own protocol (AWS JSON 1.0).

use crate::http;
use serde_json::{Value, json};

/// A queue of this test's own.
pub(crate) struct Queue {
    pub(crate) url: String,
    server: String,
}

impl Queue {
    pub(crate) fn new(name: &str) -> Self {
        let server = testkit::moto_endpoint().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let name = format!("{name}-{}", std::process::id());
        let made = ask(&server, "CreateQueue", &json!({ "QueueName": name }));
        Self { url: made["QueueUrl"].as_str().expect("a URL").to_owned(), server }
    }

    pub(crate) fn send(&self, body: &Value) {
        let message = json!({ "QueueUrl": self.url, "MessageBody": body.to_string() });
        assert!(ask(&self.server, "SendMessage", &message)["MessageId"].is_string());
    }

    /// How many messages are still there, in hand ones included.
    pub(crate) fn left(&self) -> u64 {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let asked = json!({ "QueueUrl": self.url, "AttributeNames": names });
        let told = ask(&self.server, "GetQueueAttributes", &asked);
        let number = |name: &str| told["Attributes"][name].as_str().and_then(|it| it.parse::<u64>().ok());
        names.iter().map(|name| number(name).expect("a number")).sum()
    }
}

fn ask(server: &str, action: &str, body: &Value) -> Value {
    let target = format!("AmazonSQS.{action}");
    let credential = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("X-Amz-Target", &target),
        ("Authorization", credential),
    ];
    let answer =
        http::ask(server, "POST", "/", &headers, &body.to_string()).expect("the queue's server answers");
    assert_eq!(answer.status, 200, "{action}: {answer:?}");
    answer.json()
}
