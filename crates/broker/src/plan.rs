//! What a batch of news leads to, before anything is written. Pure.

use crate::routing::{Recipient, Registry, Selection, recipients};
use crate::store::logins::{Logins, Remembered};
use crate::store::record::Line;
use crate::store::rows::About;
use crate::vocabulary::{Telling, ended};
use crate::{ClientId, EventType, RelyingParty, Status, Vocabulary, merged, tellings};
use account::{AccountId, Change, EventKind, Millis, State};
use ledger::{News, ToTell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a delivery ends before it begins.
pub(crate) const NO_ENDPOINT: &str = "no endpoint";
const DISABLED: &str = "the relying party is disabled";
const OVERTAKEN: &str = "overtaken by the deletion";
const TOGETHER: &str = "told together with a later one";

/// A delivery to be written.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) line: Line,
    pub(crate) rp: Option<Arc<RelyingParty>>,
    /// Which of the batch's news it tells.
    pub(crate) of: usize,
    pub(crate) version: i64,
    pub(crate) part: usize,
    pub(crate) kind: EventKind,
    pub(crate) event_type: EventType,
    pub(crate) payload: String,
    pub(crate) event_at: Millis,
    /// Why it is not told at all; `None`: it is.
    pub(crate) discarded: Option<&'static str>,
}

impl Planned {
    pub(crate) fn is_told(&self) -> bool {
        self.discarded.is_none()
    }

    /// Whether it takes in earlier ones of its type and line that nobody is sending yet.
    pub(crate) fn takes_in(&self) -> bool {
        self.is_told() && self.event_type.coalesces() && self.rp.as_ref().is_some_and(|rp| rp.config.coalesce)
    }

    /// Takes an earlier one in; false when it cannot.
    pub(crate) fn take_in(&mut self, earlier: &str) -> bool {
        let together = merged(self.event_type, earlier, &self.payload);
        together.map(|payload| self.payload = payload).is_some()
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) deliveries: Vec<Planned>,
    pub(crate) remember: Vec<Remembered>,
    /// Whose logins are forgotten.
    pub(crate) forget: BTreeSet<AccountId>,
    /// The most deliveries that one event leads to.
    pub(crate) widest: usize,
}

/// Whether anything can follow from such a change.
pub(crate) fn matters(news: &News) -> bool {
    // A deleted account's latecomers bring nobody back: not its logins, and nobody is told of it any more.
    let is_deletion = matches!(news.change, Change::Delete { .. });
    !matches!(news.change, Change::Unknown { .. }) && (is_deletion || news.state != State::Deleted)
}

/// Plans a batch, in its order; `logins` are those remembered before it.
pub(crate) fn plan(
    news: &[News],
    registry: &Registry,
    mut logins: Logins,
    unsubscribed: &BTreeMap<AccountId, Selection>,
) -> Plan {
    let mut plan = Plan::default();
    let nobody = Selection::new();
    for (of, news) in news.iter().enumerate().filter(|(_, news)| matters(news)) {
        if let Change::Login(login) = &news.change {
            let client_id = login.client_id.as_deref().and_then(|id| ClientId::new(id).ok());
            if let Some(client_id) = client_id {
                let known = logins.entry(news.account.clone()).or_default();
                if !known.contains(&client_id) {
                    known.push(client_id.clone());
                }
                plan.remember.push(Remembered { account: news.account.clone(), client_id, at: news.at });
            }
        }
        let own = logins.get(&news.account).map_or(&[][..], Vec::as_slice);
        let gone = unsubscribed.get(&news.account).unwrap_or(&nobody);
        let before = plan.deliveries.len();
        let to_tell = news.to_tell();
        for recipient in recipients(registry, &news.account, &news.change, own, gone) {
            plan.deliveries.extend(deliveries_to(&recipient, of, news, &to_tell));
        }
        plan.widest = plan.widest.max(plan.deliveries.len() - before);
        if matches!(to_tell.change.as_deref(), Some(Change::Delete { .. })) {
            logins.remove(&news.account);
            plan.remember.retain(|login| login.account != news.account);
            plan.forget.insert(news.account.clone());
        }
    }
    overtake(&mut plan.deliveries);
    gather(&mut plan.deliveries);
    plan
}

fn deliveries_to<'a>(
    recipient: &'a Recipient,
    of: usize,
    news: &'a News,
    to_tell: &ToTell<'_>,
) -> impl Iterator<Item = Planned> + use<'a> {
    let rp = recipient.rp.as_ref();
    let wanted =
        move |event_type: EventType| rp.map_or(!event_type.must_be_listed(), |rp| rp.wants(event_type));
    let told = told_to(recipient, news, to_tell).into_iter().enumerate();
    told.filter(move |(_, (_, telling))| wanted(telling.event_type)).map(move |(part, (kind, telling))| {
        Planned {
            line: Line {
                client_id: recipient.client_id.clone(),
                about: About::Account(news.account.clone()),
            },
            rp: rp.cloned(),
            of,
            version: news.version,
            part,
            kind,
            event_type: telling.event_type,
            payload: telling.payload,
            event_at: news.at,
            discarded: untold(rp),
        }
    })
}

/// What a recipient's vocabulary has to say, each with the kind of change it tells.
fn told_to(recipient: &Recipient, news: &News, to_tell: &ToTell<'_>) -> Vec<(EventKind, Telling)> {
    let vocabulary = recipient.rp.as_ref().map_or(Vocabulary::Fxa, |rp| rp.config.vocabulary);
    let mut told = Vec::new();
    if let Some(change) = &to_tell.change {
        let tellings = tellings(vocabulary, change, news.at, &recipient.capabilities);
        told.extend(tellings.into_iter().map(|telling| (change.kind(), telling)));
    }
    if to_tell.ended {
        told.extend(ended(vocabulary, news.at).map(|telling| (EventKind::SignOutEverywhere, telling)));
    }
    told
}

pub(crate) fn untold(rp: Option<&Arc<RelyingParty>>) -> Option<&'static str> {
    match rp {
        Some(rp) if !rp.has_endpoint() => Some(NO_ENDPOINT),
        None => Some(NO_ENDPOINT),
        Some(rp) if matches!(rp.status, Status::Disabled { .. }) => Some(DISABLED),
        Some(_) => None,
    }
}

/// A deletion makes void what stands before it in its line, within the batch as in the store.
fn overtake(deliveries: &mut [Planned]) {
    let mut deleted = BTreeSet::new();
    for planned in deliveries.iter_mut().rev() {
        match planned.kind {
            EventKind::Delete if planned.is_told() => {
                deleted.insert(planned.line.clone());
            }
            EventKind::ProfileChange
            | EventKind::PrimaryEmailChange
            | EventKind::SubscriptionChange
            | EventKind::Login
                if deleted.contains(&planned.line) =>
            {
                planned.discarded.get_or_insert(OVERTAKEN);
            }
            _ => {}
        }
    }
}

/// Within the batch, a later profile change takes an earlier one of its line in, where its receiver wants that.
fn gather(deliveries: &mut [Planned]) {
    let mut last: BTreeMap<(Line, EventType), usize> = BTreeMap::new();
    for at in 0..deliveries.len() {
        if !deliveries[at].takes_in() {
            continue;
        }
        let key = (deliveries[at].line.clone(), deliveries[at].event_type);
        if let Some(earlier) = last.insert(key, at) {
            let payload = deliveries[earlier].payload.clone();
            if deliveries[at].take_in(&payload) {
                deliveries[earlier].discarded = Some(TOGETHER);
            }
        }
    }
}

#[cfg(test)]
mod tests;
