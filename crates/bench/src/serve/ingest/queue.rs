//! Events of a queue.

use super::{NOWHERE, pump};
use crate::serve::house::{House, IDP};
use crate::serve::{ready, until_told_to_end};
use account::IdpId;
use anyhow::{Result, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use clap::Args;
use futures::future::try_join_all;
use ingest::Freshness;
use ingest::sources::sqs::{SqsSettings, SqsSource};
use std::num::NonZeroU8;

/// Which queue, and how it is read.
#[derive(Clone, Debug, Args)]
pub(crate) struct Queue {
    /// Its URL, at the server that has it.
    #[arg(long)]
    url: String,
    /// How many receivers read it side by side.
    #[arg(long)]
    receivers: NonZeroU8,
}

/// Takes its events in until told to end; then every message that was in hand must have been news.
pub(crate) async fn queue(store: &str, queue: &Queue) -> Result<()> {
    let house = House::open(store, NOWHERE).await?;
    let settings = SqsSettings {
        name: "bench".to_owned(),
        queue_url: Some(queue.url.clone()),
        queue_name: None,
        region: Some("us-east-1".to_owned()),
        profile: None,
        endpoint_url: None,
        access_key_id: Some("key".to_owned()),
        secret_access_key: Some("secret".into()),
        wait_seconds: 1,
        receivers: queue.receivers,
        visibility_timeout_seconds: 30,
        idp: IdpId::new(IDP)?,
        also_idps: Vec::new(),
    };
    let source = SqsSource::new(settings, pump(&house, Freshness::Live)?)?;
    house.life.spawn("sqs", source.run(house.life.stopping()));
    ready("the queue")?;
    until_told_to_end().await?;
    let letters = house.ledger.count_dead_letters().await?;
    ensure!(letters == 0, "{letters} messages were taken for junk");
    Ok(())
}

/// Only receives and deletes: the limit.
pub(crate) async fn drain(queue: &Queue) -> Result<()> {
    let credentials = Credentials::new("key", "secret", None, None, "bench");
    let (endpoint, _) = queue.url.rsplit_once("/000000000000/").unwrap_or((&queue.url, ""));
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(endpoint);
    let client = Client::from_conf(config.build());
    ready("the queue")?;
    let receivers = (0..queue.receivers.get()).map(|_| receive_and_delete(&client, &queue.url));
    tokio::select! {
        never = try_join_all(receivers) => never.map(drop),
        told = until_told_to_end() => told,
    }
}

async fn receive_and_delete(client: &Client, url: &str) -> Result<()> {
    loop {
        let received =
            client.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(1);
        let messages = received.send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            continue;
        }
        let entries = messages.iter().enumerate().map(entry).collect::<Result<_>>()?;
        client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
    }
}

fn entry((number, message): (usize, &Message)) -> Result<DeleteMessageBatchRequestEntry> {
    let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
    Ok(entry.receipt_handle(message.receipt_handle().unwrap_or_default()).build()?)
}
