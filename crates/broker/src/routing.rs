//! Who must be told of a change. Pure.

use crate::{ClientId, RelyingParty};
use account::{AccountId, Change};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every relying party, as one snapshot: replaced as a whole, never merged, so that what is gone is gone.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    rps: BTreeMap<ClientId, Arc<RelyingParty>>,
    resource_servers: Vec<ClientId>,
    /// What the identity provider says of its clients' capabilities, besides what is configured here.
    capabilities: BTreeMap<ClientId, Vec<String>>,
}

impl Registry {
    /// The registry of these relying parties, with the capabilities that were fetched for clients by name.
    pub fn new(
        rps: impl IntoIterator<Item = RelyingParty>,
        capabilities: BTreeMap<ClientId, Vec<String>>,
    ) -> Self {
        let rps: BTreeMap<_, _> = rps.into_iter().map(|rp| (rp.client_id.clone(), Arc::new(rp))).collect();
        let all_users = rps.values().filter(|rp| rp.config.resource_server);
        Self { resource_servers: all_users.map(|rp| rp.client_id.clone()).collect(), rps, capabilities }
    }

    /// A relying party by its client id.
    pub fn get(&self, client_id: &ClientId) -> Option<&Arc<RelyingParty>> {
        self.rps.get(client_id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RelyingParty>> {
        self.rps.values()
    }

    /// Those of `granted` that concern a client, in their order, each once. Compared without regard to case.
    fn shared_capabilities(&self, client_id: &ClientId, granted: &[String]) -> Vec<String> {
        let configured = self.rps.get(client_id).map_or(&[][..], |rp| &rp.config.capabilities);
        let fetched = self.capabilities.get(client_id).map_or(&[][..], Vec::as_slice);
        let own: BTreeSet<String> = configured.iter().chain(fetched).map(|it| it.to_lowercase()).collect();
        let mut seen = BTreeSet::new();
        let concerns = |it: &&String| {
            let lower = it.to_lowercase();
            own.contains(&lower) && seen.insert(lower)
        };
        granted.iter().filter(concerns).cloned().collect()
    }
}

/// Which subjects a relying party has asked to hear no more of.
pub type Selection = BTreeSet<ClientId>;

/// Somebody who must be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// Whom.
    pub client_id: ClientId,
    /// What is known of it; `None` for a client that was never registered.
    pub rp: Option<Arc<RelyingParty>>,
    /// Those capabilities of a subscription change that concern it; empty for every other change.
    pub capabilities: Vec<String>,
}

/// Who must be told of a change of `account`, each once: the clients it has logged in to (`logins`, in their order), then
/// the resource servers, which hear of every account. Of a subscription hears who has a capability of it; `unsubscribed`
/// hear nothing of this account.
pub fn recipients(
    registry: &Registry,
    account: &AccountId,
    change: &Change,
    logins: &[ClientId],
    unsubscribed: &Selection,
) -> Vec<Recipient> {
    let mut seen = BTreeSet::new();
    let targets = logins.iter().chain(&registry.resource_servers);
    let targets = targets.filter(|it| seen.insert(*it) && !unsubscribed.contains(*it));
    let told = targets.filter_map(|client_id| {
        let rp = registry.rps.get(client_id);
        if rp.is_some_and(|rp| !rp.trusts(&account.idp)) {
            return None;
        }
        let capabilities = match change {
            Change::SubscriptionChange(subscription) => {
                let shared = registry.shared_capabilities(client_id, &subscription.capabilities);
                (!shared.is_empty()).then_some(shared)?
            }
            _ => Vec::new(),
        };
        Some(Recipient { client_id: client_id.clone(), rp: rp.cloned(), capabilities })
    });
    told.collect()
}

#[cfg(test)]
mod tests;
