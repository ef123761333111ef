//! Taking over what another broker kept.

use super::logins::{Remembered, remember};
use super::registry::{AddRp, Origin, change, find};
use crate::import::Document;
use crate::{RelyingParty, Secrets, Status};
use account::{AccountId, IdpId, Millis};
use keys::Cipher;
use ledger::Tombstones;
use std::collections::BTreeSet;
use store::{Operation, StoreError, Tx};

/// Takes documents over: the same ones again change nothing.
pub(crate) struct Import {
    pub(crate) documents: Vec<Document>,
    /// Whose accounts the users are.
    pub(crate) idp: IdpId,
    pub(crate) tombstones: Tombstones,
    pub(crate) cipher: Cipher,
    pub(crate) now: Millis,
}

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) rps: usize,
    pub(crate) logins: usize,
    /// Accounts that are deleted here, and stay so.
    pub(crate) deleted: usize,
}

impl Operation for Import {
    const NAME: &'static str = "broker.import";
    const RESOLVES_UNKNOWN: bool = true;
    type Output = Imported;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Imported, StoreError> {
        let logins = self.logins();
        let accounts: BTreeSet<&AccountId> = logins.iter().map(|login| &login.account).collect();
        let accounts: Vec<&AccountId> = accounts.into_iter().collect();
        tx.lock_accounts(&accounts.iter().copied().cloned().collect::<Vec<_>>()).await?;
        let gone = self.tombstones.among(tx, &accounts).await?;
        let gone: BTreeSet<&AccountId> =
            gone.iter().filter_map(|(at, _)| accounts.get(*at).copied()).collect();
        let kept: Vec<Remembered> = logins.iter().filter(|it| !gone.contains(&it.account)).cloned().collect();
        remember(tx, &kept).await?;
        let mut rps = 0;
        for document in &self.documents {
            if let Document::Rp(client_id, config) = document {
                rps += 1;
                let Some(mut there) = find(tx, client_id, &self.cipher).await? else {
                    let (status, status_at) = (Status::Enabled, self.now);
                    let (client_id, config) = (client_id.clone(), (**config).clone());
                    let rp =
                        RelyingParty { client_id, config, secrets: Secrets::default(), status, status_at };
                    AddRp { rp, cipher: self.cipher.clone(), now: self.now }.run(tx).await?;
                    continue;
                };
                // What a file of the configuration says holds.
                if there.origin == Origin::File {
                    continue;
                }
                let own = &mut there.rp.config;
                if own.webhook != config.webhook || own.resource_server != config.resource_server {
                    own.webhook.clone_from(&config.webhook);
                    own.resource_server = config.resource_server;
                    change(tx, &there.rp, &self.cipher, self.now).await?;
                }
            }
        }
        Ok(Imported { rps, logins: kept.len(), deleted: gone.len() })
    }
}

impl Import {
    fn logins(&self) -> Vec<Remembered> {
        let mut logins = Vec::new();
        for document in &self.documents {
            if let Document::Logins(subject, clients) = document {
                let account = AccountId::new(self.idp.clone(), subject.clone());
                logins.extend(clients.iter().map(|client_id| Remembered {
                    account: account.clone(),
                    client_id: client_id.clone(),
                    at: self.now,
                }));
            }
        }
        logins
    }
}
