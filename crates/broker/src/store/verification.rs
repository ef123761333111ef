//! Verification events that receivers ask for.

use super::registry::find;
use super::repair::tell_of_stream;
use crate::{ClientId, EventType};
use account::Millis;
use keys::Cipher;
use serde_json::json;
use std::time::Duration;
use store::{Operation, StoreError, Tx};

store::statements! {
    pub(super) static LAST = both(
        "select created_at from deliveries where idp = '' and subject = $1 and event_type = $2
         order by version desc limit 1");
}

/// Puts a verification event on its way.
pub(crate) struct AskVerification {
    pub(crate) client_id: ClientId,
    pub(crate) stream_id: String,
    pub(crate) state: Option<String>,
    pub(crate) cipher: Cipher,
    /// The least time between two.
    pub(crate) interval: Duration,
    pub(crate) now: Millis,
}

/// What asking came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is on its way.
    Done,
    /// There is no such stream of that receiver.
    NoStream,
    /// The last one was too short a time ago; so long it takes yet.
    TooSoon(Duration),
}

impl Operation for AskVerification {
    const NAME: &'static str = "broker.ask_verification";
    type Output = Asked;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Asked, StoreError> {
        // The row is locked by it: of two that ask at once one is too soon.
        let kept = find(tx, &self.client_id, &self.cipher).await?;
        let Some(rp) = kept.map(|kept| kept.rp) else { return Ok(Asked::NoStream) };
        if rp.config.stream.as_ref().is_none_or(|stream| stream.id != self.stream_id) {
            return Ok(Asked::NoStream);
        }
        let about = [(&self.stream_id).into(), EventType::Verification.uri().into()];
        let last = tx.query_opt(&LAST, &about, |row| Ok(Millis::new(row.int(0)?))).await?;
        if let Some(next) = last.map(|last| last.plus(self.interval)).filter(|next| *next > self.now) {
            return Ok(Asked::TooSoon(next.since(self.now)));
        }
        let payload = self.state.as_ref().map_or_else(|| json!({}), |state| json!({ "state": state }));
        tell_of_stream(tx, &rp, EventType::Verification, &payload.to_string(), self.now).await?;
        Ok(Asked::Done)
    }
}
