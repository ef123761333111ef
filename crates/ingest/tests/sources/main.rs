//! The sources against a real SQS server and real stores.

mod queue;
mod sqs;
mod two_sources;
