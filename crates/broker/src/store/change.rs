//! Changing a relying party: read it, decide, write it, in one transaction.

use super::operations::tell_of_rp;
use super::registry::{KeptRp, change, find};
use super::repair::tell_of_status;
use super::subjects;
use crate::ClientId;
use account::Millis;
use keys::Cipher;
use store::{Operation, StoreError, Tx};

/// Whether its stream is told of a change of status: not when the receiver made it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// An operator, or the broker.
    Transmitter,
    /// The relying party.
    Receiver,
}

/// Changes a relying party by a function of what it is: that may be run again, and may refuse.
pub(crate) struct ChangeRp<F> {
    pub(crate) client_id: ClientId,
    pub(crate) cipher: Cipher,
    pub(crate) by: By,
    pub(crate) now: Millis,
    pub(crate) decide: F,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Changed<E> {
    /// It is so now.
    Done(Box<KeptRp>),
    /// There is no such relying party.
    Unknown,
    /// It may not be.
    Refused(E),
}

impl<F, E> Operation for ChangeRp<F>
where
    F: Fn(&mut KeptRp) -> Result<(), E> + Send + Sync + 'static,
    E: Send + 'static,
{
    const NAME: &'static str = "broker.change_rp";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Changed<E>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Changed<E>, StoreError> {
        let Some(before) = find(tx, &self.client_id, &self.cipher).await? else {
            return Ok(Changed::Unknown);
        };
        let mut after = before.clone();
        if let Err(refused) = (self.decide)(&mut after) {
            return Ok(Changed::Refused(refused));
        }
        if after == before {
            return Ok(Changed::Done(Box::new(before)));
        }
        if after.rp.status != before.rp.status {
            after.rp.status_at = self.now;
            tell_of_rp(tx, &after.rp, &self.cipher, self.now).await?;
            if self.by == By::Transmitter {
                tell_of_status(tx, &after.rp, self.now).await?;
            }
        }
        if before.rp.config.stream.is_some() && after.rp.config.stream.is_none() {
            subjects::forget_all(tx, &self.client_id).await?;
        }
        after.updated_at = self.now;
        change(tx, &after.rp, &self.cipher, self.now).await?;
        Ok(Changed::Done(Box::new(after)))
    }
}
