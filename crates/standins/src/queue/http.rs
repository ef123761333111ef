use super::messages::Messages;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn router(messages: Arc<Messages>) -> Router {
    Router::new().route("/", post(answer)).with_state(messages)
}

/// The members of all requests that are understood.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ask {
    #[serde(default = "one")]
    max_number_of_messages: usize,
    visibility_timeout: Option<u64>,
    #[serde(default)]
    wait_time_seconds: u64,
    #[serde(default)]
    receipt_handle: String,
    #[serde(default)]
    message_body: String,
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(default)]
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
    #[serde(default)]
    message_body: String,
}

const fn one() -> usize {
    1
}

async fn answer(State(messages): State<Arc<Messages>>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let Ok(ask) = serde_json::from_str(&body) else {
        return reply(
            StatusCode::BAD_REQUEST,
            &json!({ "__type": "com.amazon.coral.service#SerializationException" }),
        );
    };
    match act(&messages, target.trim_start_matches("AmazonSQS."), ask).await {
        Some(answer) => reply(StatusCode::OK, &answer),
        None => {
            reply(StatusCode::BAD_REQUEST, &json!({ "__type": "com.amazonaws.sqs#UnsupportedOperation" }))
        }
    }
}

async fn act(messages: &Messages, action: &str, ask: Ask) -> Option<Value> {
    let answer = match action {
        "ReceiveMessage" => receive(messages, &ask).await,
        "DeleteMessage" => {
            messages.delete(&ask.receipt_handle);
            json!({})
        }
        "DeleteMessageBatch" => each(&ask.entries, |entry| messages.delete(&entry.receipt_handle)),
        "ChangeMessageVisibility" => {
            messages.change_visibility(
                &ask.receipt_handle,
                Duration::from_secs(ask.visibility_timeout.unwrap_or(0)),
            );
            json!({})
        }
        "ChangeMessageVisibilityBatch" => each(&ask.entries, |entry| {
            messages.change_visibility(&entry.receipt_handle, Duration::from_secs(entry.visibility_timeout))
        }),
        "SendMessage" => {
            messages.put([ask.message_body]);
            json!({})
        }
        "SendMessageBatch" => each(&ask.entries, |entry| {
            messages.put([entry.message_body.clone()]);
            true
        }),
        _ => return None,
    };
    Some(answer)
}

async fn receive(messages: &Messages, ask: &Ask) -> Value {
    let visibility = ask.visibility_timeout.map(Duration::from_secs);
    let wait = Duration::from_secs(ask.wait_time_seconds);
    let received = messages.receive(ask.max_number_of_messages, visibility, wait).await;
    let rendered = received.into_iter().map(|message| {
        json!({
            "MessageId": message.id, "ReceiptHandle": message.receipt, "Body": message.body,
            "Attributes": { "ApproximateReceiveCount": message.receives.to_string() },
        })
    });
    json!({ "Messages": rendered.collect::<Vec<_>>() })
}

/// Does it to each entry, and says which could be done.
fn each(entries: &[Entry], mut act: impl FnMut(&Entry) -> bool) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        if act(entry) {
            successful.push(json!({ "Id": entry.id }));
        } else {
            failed.push(json!({ "Id": entry.id, "SenderFault": true, "Code": "ReceiptHandleIsInvalid" }));
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}

fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}
