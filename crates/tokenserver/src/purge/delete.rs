//! One `DELETE` to a node, signed as a client of that row would sign it.

use crate::rules::{Pattern, Replaced};
use crate::secrets::Secrets;
use crate::{Claims, Hasher, InvalidSettings, Salt, hawk};
use account::Millis;
use base64_simd::URL_SAFE_NO_PAD;
use outbound::{Client, Manners, OutboundError, StatusCode, Url, header};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How often a row is tried in one run, and how long is waited before it is tried again: longer each time.
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How long the token counts that a request is signed with.
const TOKEN_LIFE: Duration = Duration::from_mins(5);

/// Data that could not be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Failure {
    /// The row.
    pub uid: i64,
    /// The node.
    pub node: String,
    /// `http_5xx`, `http_4xx`, `http_other`, `timeout`, `connect` or `unknown`.
    pub reason: String,
    /// What happened.
    pub detail: String,
}

/// Sends the requests.
pub(super) struct Deleter {
    client: Client,
    pub(super) secrets: Secrets,
    pattern: Pattern,
    hasher: Hasher,
}

impl Deleter {
    pub(super) fn new(secrets: Secrets, pattern: Pattern, hasher: Hasher) -> Result<Self, InvalidSettings> {
        let manners = Manners { max_answer: 4096, ..Manners::default() };
        let client = Client::for_operator_addresses(&manners)
            .map_err(|error| InvalidSettings::Client { reason: error.to_string() })?;
        Ok(Self { client, secrets, pattern, hasher })
    }

    /// Deletes what a node has under a row's id; whether there was nothing.
    pub(super) async fn delete(&self, row: &Replaced, node: &str, now: Millis) -> Result<bool, Failure> {
        let failure = |reason: &str, detail: String| Failure {
            uid: row.uid,
            node: node.to_owned(),
            reason: reason.to_owned(),
            detail,
        };
        let url: Url = self
            .pattern
            .endpoint(node, row.uid)
            .parse()
            .map_err(|_| failure("unknown", format!("{node} is no URL")))?;
        let mut tries = 1;
        loop {
            let signed = self.authorization(row, node, &url, now);
            let signed = signed.ok_or_else(|| failure("unknown", "it cannot be signed".to_owned()))?;
            let request = self.client.delete(&url).header(header::AUTHORIZATION, signed);
            let error = match request.glance().await {
                Ok(answer) if answer.status().is_success() => return Ok(false),
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(true),
                Ok(answer) => answer.failure(),
                Err(error) => error,
            };
            if tries == TRIES || !may_pass(&error) {
                return Err(failure(reason(&error), error.to_string()));
            }
            tokio::time::sleep(FIRST_WAIT * (1 << tries)).await;
            tries += 1;
        }
    }

    /// A token of that row for that node, and a signature with its key.
    fn authorization(
        &self,
        row: &Replaced,
        node: &str,
        url: &Url,
        now: Millis,
    ) -> Option<header::HeaderValue> {
        let fxa_uid = row.email.rsplit_once('@').map_or(row.email.as_str(), |(subject, _)| subject);
        // A fingerprint that is no hex was never a client's; the node does not go by it.
        let client_state = hex::decode(&row.key.client_state).unwrap_or_default();
        let claims = Claims {
            node,
            key_time: row.key.time,
            client_state: &URL_SAFE_NO_PAD.encode_to_string(client_state),
            fxa_uid,
            hashed: &self.hasher.hash(fxa_uid),
            expires: now.plus(TOKEN_LIFE).seconds(),
            uid: row.uid,
        };
        let token = self.secrets.minter().mint(&claims, Salt::random()?);
        let nonce = Salt::random()?;
        let text = hawk::authorization(&token, "DELETE", url, now.seconds(), nonce.as_str())?;
        let mut value = header::HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Whether it may go better in a moment. A server that fails, and one that refuses, is not asked again.
fn may_pass(error: &OutboundError) -> bool {
    match error {
        OutboundError::Connect { .. } | OutboundError::Broken { .. } => true,
        OutboundError::Status { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
        _ => false,
    }
}

fn reason(error: &OutboundError) -> &'static str {
    match error {
        OutboundError::Status { status, .. } if status.is_server_error() => "http_5xx",
        OutboundError::Status { status, .. } if status.is_client_error() => "http_4xx",
        OutboundError::Status { .. } => "http_other",
        OutboundError::Timeout { .. } => "timeout",
        OutboundError::Connect { .. } => "connect",
        _ => "unknown",
    }
}
