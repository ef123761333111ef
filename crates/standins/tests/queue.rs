//! The queue, asked by Amazon's own SDK.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use standins::StandInQueue;

fn client(queue: &StandInQueue) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(queue.endpoint());
    Client::from_conf(config.build())
}

#[tokio::test]
async fn messages_are_received_by_ten_and_gone_when_deleted() {
    let queue = StandInQueue::start().await.expect("it starts");
    queue.put((0..12).map(|number| format!("body {number}")));
    let client = client(&queue);
    let receive = || client.receive_message().queue_url(queue.url()).max_number_of_messages(10).send();
    let first = receive().await.expect("it answers").messages.unwrap_or_default();
    assert_eq!(first.len(), 10);
    assert_eq!(first[0].body(), Some("body 0"));
    let entry = |(number, message): (usize, &aws_sdk_sqs::types::Message)| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
        entry
            .receipt_handle(message.receipt_handle().unwrap_or_default())
            .build()
            .expect("an id and a receipt")
    };
    let entries = first.iter().enumerate().map(entry).collect();
    let delete = client.delete_message_batch().queue_url(queue.url()).set_entries(Some(entries));
    let deleted = delete.send().await.expect("it answers");
    assert_eq!((deleted.successful().len(), deleted.failed().len()), (10, 0));
    assert_eq!(queue.left(), 2);
    assert_eq!(receive().await.expect("it answers").messages().len(), 2);
    assert_eq!(receive().await.expect("it answers").messages().len(), 0);
}

#[tokio::test]
async fn what_it_does_not_know_it_says_so() {
    let queue = StandInQueue::start().await.expect("it starts");
    let purge = client(&queue).purge_queue().queue_url(queue.url()).send().await;
    assert_eq!(purge.expect_err("nobody needs it").code(), Some("UnsupportedOperation"));
}
