use crate::junk::{Note, Reason};
use account::{AccountEvent, EventKind, Millis};
use ledger::Applied;
use metrics::{Counter, Histogram, SharedString, counter, histogram};

/// Every kind, in the order of its discriminants.
const KINDS: [EventKind; 11] = [
    EventKind::Login,
    EventKind::Delete,
    EventKind::PasswordChange,
    EventKind::PasswordReset,
    EventKind::SignOutEverywhere,
    EventKind::PrimaryEmailChange,
    EventKind::ProfileChange,
    EventKind::SubscriptionChange,
    EventKind::Disable,
    EventKind::Enable,
    EventKind::Unknown,
];

/// What a source is measured by; handles held, so that an event costs nanoseconds.
///
/// * `ingest.events{source, kind, outcome}`: events committed; `outcome` is `news` or `known`.
/// * `ingest.junk{source, reason}`: dead letters.
/// * `ingest.dropped_members{source, member, oddity}`: optional members that were no use.
/// * `ingest.lag{source}`: seconds from the change to its commit, where the source is a live one.
pub(crate) struct Meters {
    source: SharedString,
    news: [Counter; 11],
    known: [Counter; 11],
    lag: Option<Histogram>,
}

/// Whether a source tells of what happens now, or of what happened at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A queue, a webhook: how late it is matters.
    Live,
    /// A file: it does not.
    Any,
}

impl Meters {
    pub(crate) fn new(source: &str, freshness: Freshness) -> Self {
        let source = SharedString::from(source.to_owned());
        let events = |outcome: &'static str| {
            KINDS.map(|kind| {
                let labels = [
                    ("source", source.clone()),
                    ("kind", SharedString::const_str(kind.as_str())),
                    ("outcome", SharedString::const_str(outcome)),
                ];
                counter!("ingest.events", &labels)
            })
        };
        let lag =
            (freshness == Freshness::Live).then(|| histogram!("ingest.lag", "source" => source.clone()));
        Self { news: events("news"), known: events("known"), lag, source }
    }

    pub(crate) fn event(&self, event: &AccountEvent, applied: Applied, now: Millis) {
        let counters = match applied {
            Applied::News { .. } => &self.news,
            Applied::Known => &self.known,
        };
        counters[event.change.kind() as usize].increment(1);
        if let (Some(lag), Some(at), Applied::News { .. }) = (&self.lag, event.at, applied) {
            lag.record(now.since(at));
        }
    }

    pub(crate) fn junk(&self, reason: Reason) {
        counter!("ingest.junk", "source" => self.source.clone(), "reason" => reason.code()).increment(1);
    }

    pub(crate) fn note(&self, note: Note) {
        let (member, oddity) = (note.member, note.oddity.as_str());
        counter!("ingest.dropped_members", "source" => self.source.clone(), "member" => member, "oddity" => oddity)
            .increment(1);
        // As fxa-event-broker counts it.
        if member == "reason" {
            counter!("message.delete.reasonFallback", "category" => oddity).increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_counter_at_its_own_place() {
        for (place, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
    }
}
