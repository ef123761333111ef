//! Where messages come from.

pub mod file;
pub mod sqs;
