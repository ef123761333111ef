//! Bringing the registry in line with the files that the configuration names.

use super::operations::tell_of_rp;
use super::registry::{AddRp, KeptRp, Origin, RemoveRp, change, load, lock, set_origin};
use super::repair::tell_of_status;
use crate::registrations::{Absent, Registration};
use crate::{ClientId, RelyingParty, Status};
use account::Millis;
use keys::Cipher;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Operation, StoreError, Tx};

/// Makes the registry say what the files say. The same files again change nothing.
pub(crate) struct Reconcile {
    pub(crate) files: Arc<[Registration]>,
    pub(crate) absent: Absent,
    pub(crate) cipher: Cipher,
    pub(crate) now: Millis,
}

/// What that came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    pub(crate) added: Vec<ClientId>,
    pub(crate) changed: Vec<ClientId>,
    /// In no file any more.
    pub(crate) absent: Vec<ClientId>,
}

impl Reconciled {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Operation for Reconcile {
    const NAME: &'static str = "broker.reconcile";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Reconciled;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Reconciled, StoreError> {
        lock(tx).await?;
        let there = load(tx, &self.cipher).await?.0;
        let mut there: BTreeMap<ClientId, KeptRp> =
            there.into_iter().map(|kept| (kept.rp.client_id.clone(), kept)).collect();
        let mut done = Reconciled::default();
        for file in self.files.iter() {
            match there.remove(&file.client_id) {
                None => {
                    self.add(tx, file).await?;
                    done.added.push(file.client_id.clone());
                }
                Some(kept) => {
                    if self.update(tx, file, kept).await? {
                        done.changed.push(file.client_id.clone());
                    }
                }
            }
        }
        for kept in there.into_values().filter(|kept| kept.origin == Origin::File) {
            done.absent.push(kept.rp.client_id.clone());
            self.let_go(tx, kept).await?;
        }
        Ok(done)
    }
}

impl Reconcile {
    async fn add(&self, tx: &mut Tx<'_>, file: &Registration) -> Result<(), StoreError> {
        let rp = file.fresh(self.now);
        AddRp { rp, cipher: self.cipher.clone(), now: self.now }.run(tx).await?;
        set_origin(tx, &file.client_id, Origin::File).await
    }

    /// Whether there was anything to change.
    async fn update(
        &self,
        tx: &mut Tx<'_>,
        file: &Registration,
        mut kept: KeptRp,
    ) -> Result<bool, StoreError> {
        let before = kept.rp.clone();
        file.apply(&mut kept.rp);
        if kept.rp == before && kept.origin == Origin::File {
            return Ok(false);
        }
        change(tx, &kept.rp, &self.cipher, self.now).await?;
        set_origin(tx, &file.client_id, Origin::File).await?;
        Ok(true)
    }

    async fn let_go(&self, tx: &mut Tx<'_>, mut kept: KeptRp) -> Result<(), StoreError> {
        match self.absent {
            Absent::Remove => return RemoveRp(kept.rp.client_id).run(tx).await.map(drop),
            Absent::Pause if kept.rp.status == Status::Enabled => {
                (kept.rp.status, kept.rp.status_at) = (Status::Paused, self.now);
                tell_of_status(tx, &kept.rp, self.now).await?;
                tell_of_rp(tx, &kept.rp, &self.cipher, self.now).await?;
                change(tx, &kept.rp, &self.cipher, self.now).await?;
            }
            Absent::Pause | Absent::Keep => {}
        }
        set_origin(tx, &kept.rp.client_id, Origin::Operator).await
    }
}

/// What a snapshot holds of relying parties that are in the files and not in the store yet: nothing that happens between
/// the start and the first reconciliation is lost to them.
pub(crate) fn missing<'a>(
    files: &'a [Registration],
    there: &'a [KeptRp],
) -> impl Iterator<Item = RelyingParty> + 'a {
    let is_there = |file: &&Registration| there.iter().any(|kept| kept.rp.client_id == file.client_id);
    files.iter().filter(move |file| !is_there(file)).map(|file| file.fresh(Millis::ZERO))
}
