//! The queue, as the SDK reaches it.

use super::settings::SqsSettings;
use crate::pump::Message;
use aws_config::meta::region::RegionProviderChain;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::{BoxError, DisplayErrorContext};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The most messages the service hands over, deletes or extends at once.
const AT_ONCE: i32 = 10;

/// On top of the wait that was asked for: what an answer may take before the connection is given up.
const ANSWER: Duration = Duration::from_secs(15);

/// Why the queue could not be reached, or what it said instead.
#[derive(Debug, thiserror::Error)]
#[error("the queue cannot be read: {0}")]
pub struct SqsError(String);

impl SqsError {
    fn new(error: impl Into<BoxError>) -> Self {
        Self(DisplayErrorContext(error.into().as_ref()).to_string())
    }
}

/// Messages in hand, and what each is deleted by.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Arc<[Message]>,
    receipts: Vec<String>,
}

/// The queue. It is looked up when it is first used, and again until that succeeds.
pub(super) struct Queue {
    settings: SqsSettings,
    client: OnceCell<Client>,
    url: OnceCell<String>,
}

impl Queue {
    pub(super) fn new(settings: SqsSettings) -> Self {
        Self { settings, client: OnceCell::new(), url: OnceCell::new() }
    }

    /// For how long a message in hand stays hidden.
    pub(super) fn hidden_for(&self) -> Duration {
        Duration::from_secs(self.settings.visibility_timeout_seconds.into())
    }

    /// Up to ten messages; none when there were none for as long as the service waits.
    pub(super) async fn receive(&self) -> Result<Batch, SqsError> {
        let (client, url) = self.reached().await?;
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(AT_ONCE)
            .wait_time_seconds(self.settings.wait_seconds.into())
            .visibility_timeout(self.settings.visibility_timeout_seconds.into())
            .send()
            .await
            .map_err(SqsError::new)?;
        Ok(in_hand(received.messages.unwrap_or_default()))
    }

    /// Deletes what is committed. What cannot be deleted comes again, and is known then.
    pub(super) async fn delete(&self, batch: &Batch) -> Result<(), SqsError> {
        let (client, url) = self.reached().await?;
        let entry = |(id, receipt): (usize, &String)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            entry.receipt_handle(receipt).build().map_err(SqsError::new)
        };
        let entries = batch.receipts.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
        let deleted = client.delete_message_batch().queue_url(url).set_entries(Some(entries));
        let deleted = deleted.send().await.map_err(SqsError::new)?;
        all(deleted.failed.iter().map(|failed| failed.message()))
    }

    /// Keeps messages hidden for so many seconds from now; 0 hands them back.
    pub(super) async fn hide(&self, batch: &Batch, seconds: u16) -> Result<(), SqsError> {
        let (client, url) = self.reached().await?;
        let entry = |(id, receipt): (usize, &String)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(receipt).visibility_timeout(seconds.into());
            entry.build().map_err(SqsError::new)
        };
        let entries = batch.receipts.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
        let changed = client.change_message_visibility_batch().queue_url(url).set_entries(Some(entries));
        let changed = changed.send().await.map_err(SqsError::new)?;
        all(changed.failed.iter().map(|failed| failed.message()))
    }

    async fn reached(&self) -> Result<(&Client, &str), SqsError> {
        let client = self.client.get_or_try_init(|| Box::pin(connect(&self.settings))).await?;
        let url = self.url.get_or_try_init(|| self.look_up(client)).await?;
        Ok((client, url))
    }

    async fn look_up(&self, client: &Client) -> Result<String, SqsError> {
        if let Some(url) = &self.settings.queue_url {
            return Ok(url.clone());
        }
        let found = client.get_queue_url().set_queue_name(self.settings.queue_name.clone()).send().await;
        found.map_err(SqsError::new)?.queue_url.ok_or_else(|| SqsError("it has no URL".into()))
    }
}

/// Of a batch, a part may fail.
fn all<'a>(failures: impl Iterator<Item = Option<&'a str>>) -> Result<(), SqsError> {
    match failures.map(|message| message.unwrap_or("no reason given")).next() {
        Some(first) => Err(SqsError(format!("not for every message: {first}"))),
        None => Ok(()),
    }
}

fn in_hand(messages: Vec<aws_sdk_sqs::types::Message>) -> Batch {
    let read = |message: aws_sdk_sqs::types::Message| {
        let (id, body) = (message.message_id.unwrap_or_default(), message.body.unwrap_or_default());
        (Message { id, body: body.into_bytes() }, message.receipt_handle.unwrap_or_default())
    };
    let (messages, receipts): (Vec<_>, _) = messages.into_iter().map(read).unzip();
    Batch { messages: messages.into(), receipts }
}

/// Region and credentials by what is set, else as the SDK finds them: environment, profile, container, instance.
async fn connect(settings: &SqsSettings) -> Result<Client, SqsError> {
    let region = RegionProviderChain::first_try(settings.known_region().map(Region::new));
    // A server that is not Amazon's takes any region.
    let region = match settings.endpoint_url {
        Some(_) => region.or_else(Region::new("us-east-1")),
        None => region.or_default_provider(),
    };
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(settings.wait_seconds.into()) + ANSWER)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region).timeout_config(timeouts);
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = settings.known_endpoint() {
        loader = loader.endpoint_url(endpoint);
    }
    if let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) {
        loader = loader.credentials_provider(Credentials::new(id, secret.reveal(), None, None, "settings"));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(SqsError("no region is set, and none can be found; set `region`".into()));
    }
    Ok(Client::new(&config))
}
