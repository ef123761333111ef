//! Whether an answer is right: a token that a node would take, for the account that asked.

use anyhow::{Context, Result, ensure};
use standins::{TicketKeys, TokenAnswer};
use std::collections::HashSet;

/// Of the answers whose end was compared, one in so many is opened wholly as well. A prime, so that it meets every
/// account in turn.
const SAMPLE: usize = 997;

/// Answers by the accounts they belong to.
pub(super) struct Checker {
    keys: TicketKeys,
    node: String,
}

/// What is known of an account's answers: all that follows the key, which is the same each time.
pub(super) struct Known(Vec<Box<[u8]>>);

impl Checker {
    /// For tokens made under `secret` for the node of that URL.
    pub(super) fn new(secret: &str, node: &str) -> Self {
        Self { keys: TicketKeys::new(secret), node: node.to_owned() }
    }

    /// Opens an answer as a node does: signature, key, account, place. Returns the user's number.
    pub(super) fn open(&self, subject: &str, body: &[u8]) -> Result<i64> {
        let answer: TokenAnswer = serde_json::from_slice(body).context("not an answer")?;
        let ticket = self.keys.open(&answer.id)?;
        ensure!(ticket.fxa_uid == subject, "a token of {} for {subject}", ticket.fxa_uid);
        ensure!(answer.key == self.keys.hawk_key(&answer.id, &ticket), "another key than the token's");
        ensure!(ticket.hashed_fxa_uid == answer.hashed_fxa_uid, "two hashes of one account");
        ensure!(
            answer.api_endpoint == format!("{}/1.5/{}", self.node, ticket.uid),
            "at {}",
            answer.api_endpoint
        );
        ensure!(
            (ticket.uid, ticket.node.as_str()) == (answer.uid, self.node.as_str()),
            "two numbers of one user"
        );
        Ok(ticket.uid)
    }

    /// Opens the first answer of each account, in their order, and remembers what must come again.
    pub(super) fn learn<'a>(&self, answers: impl Iterator<Item = (String, &'a [u8])>) -> Result<Known> {
        let mut seen = HashSet::new();
        let known = answers.map(|(subject, body)| {
            let uid = self.open(&subject, body)?;
            ensure!(seen.insert(uid), "the user number {uid} is given to two accounts");
            Ok(Box::from(tail(body)?))
        });
        known.collect::<Result<_>>().map(Known)
    }

    /// Compares an answer to the account of that place with what is known, and opens a sample.
    pub(super) fn compare(
        &self,
        known: &Known,
        account: usize,
        index: usize,
        subject: impl FnOnce() -> String,
        body: &[u8],
    ) -> Result<()> {
        ensure!(body.ends_with(&known.0[account]), "another answer: {}", String::from_utf8_lossy(body));
        if index.is_multiple_of(SAMPLE) {
            self.open(&subject(), body)?;
        }
        Ok(())
    }
}

/// From `"uid":` on.
fn tail(body: &[u8]) -> Result<&[u8]> {
    const UID: &[u8] = br#","uid":"#;
    let at = body.windows(UID.len()).position(|window| window == UID).context("an answer has a uid")?;
    Ok(&body[at..])
}
