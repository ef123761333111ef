//! How what is shared is written down. Whoever changes it raises the format's number in `sealing`.

use super::Kept;
use super::sealing::{Name, Seal};
use crate::{Derived, Facts, NumericDate, Place, Scopes, Source};
use account::{IdpId, Millis, Subject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a token says, by the identity provider's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenFacts {
    /// Which flight found it out.
    pub(super) flight: String,
    /// How much of the feed had been heard of when that began.
    epoch: Arc<str>,
    position: i64,
    pub(super) learned_at: Millis,
    pub(super) expires_at: Option<Millis>,
    subject: Subject,
    client_id: Option<Arc<str>>,
    scope: String,
    generation: Option<i64>,
    profile_changed_at: Option<i64>,
    /// A moment, and whether it is known to the second only.
    auth_time: Option<(Millis, bool)>,
    acr: Option<Arc<str>>,
    issued_at: Option<(Millis, bool)>,
}

/// The identity provider's no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenNo {
    pub(super) flight: String,
    pub(super) learned_at: Millis,
}

/// What a flight that kept nothing tells those who waited for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LastWords {
    pub(super) flight: String,
    pub(super) ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    /// The identity provider said no, and it is not to be remembered.
    No {
        /// When it was asked.
        learned_at: Millis,
    },
    /// It could not be asked.
    Trouble {
        /// When to try again.
        retry_after_ms: u64,
        /// Whether one of those who waited may try at once.
        once_more: bool,
    },
}

/// Something that can be sealed.
pub(super) trait Sealable: Serialize + DeserializeOwned {
    const SEAL: Seal;
}

impl Sealable for WrittenFacts {
    const SEAL: Seal = Seal::Facts;
}

impl Sealable for WrittenNo {
    const SEAL: Seal = Seal::No;
}

impl Sealable for LastWords {
    const SEAL: Seal = Seal::LastWords;
}

pub(super) fn seal<T: Sealable>(name: &Name, written: &T) -> Vec<u8> {
    let text = serde_json::to_vec(written).expect("texts and numbers can be written");
    name.seal(T::SEAL, text)
}

pub(super) fn open<T: Sealable>(name: &Name, sealed: &[u8]) -> Option<T> {
    if sealed.len() > super::MAX_KEPT {
        return None;
    }
    serde_json::from_slice(&name.open(T::SEAL, sealed)?).ok()
}

impl WrittenFacts {
    pub(super) fn of(facts: &Facts, flight: &str, began: &Place) -> Self {
        Self {
            flight: flight.to_owned(),
            epoch: Arc::clone(&began.epoch),
            position: began.position,
            learned_at: facts.learned_at,
            expires_at: facts.expires_at,
            subject: facts.subject.clone(),
            client_id: facts.client_id.clone(),
            scope: facts.scopes.to_string(),
            generation: facts.generation,
            profile_changed_at: facts.profile_changed_at,
            auth_time: facts.auth_time.map(NumericDate::parts),
            acr: facts.acr.clone(),
            issued_at: facts.issued_at.map(NumericDate::parts),
        }
    }

    /// The facts, of that identity provider, and where in the feed the question had begun.
    pub(super) fn into_facts(self, idp: &IdpId) -> (Facts, Place) {
        let facts = Facts {
            idp: idp.clone(),
            subject: self.subject,
            client_id: self.client_id,
            scopes: Scopes::new(&self.scope),
            generation: self.generation,
            profile_changed_at: self.profile_changed_at,
            auth_time: self.auth_time.map(NumericDate::from_parts),
            acr: self.acr,
            issued_at: self.issued_at.map(NumericDate::from_parts),
            expires_at: self.expires_at,
            learned_at: self.learned_at,
            source: Source::Word,
            derived: Derived::default(),
        };
        (facts, Place { epoch: self.epoch, position: self.position })
    }
}

/// What is kept under a name, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Facts(Box<WrittenFacts>),
    No(WrittenNo),
    Nothing,
    /// Something that no process with this secret wrote, or that a newer one did.
    Unreadable,
}

impl Read {
    /// Of facts and a no the later one counts; on a tie the no.
    pub(super) fn new(name: &Name, kept: &Kept) -> Self {
        let facts = kept.facts.as_deref().map(|sealed| open::<WrittenFacts>(name, sealed));
        let no = kept.no.as_deref().map(|sealed| open::<WrittenNo>(name, sealed));
        match (facts, no) {
            (None, None) => Self::Nothing,
            (Some(Some(facts)), Some(Some(no))) if facts.learned_at > no.learned_at => {
                Self::Facts(Box::new(facts))
            }
            (_, Some(Some(no))) => Self::No(no),
            (Some(Some(facts)), _) => Self::Facts(Box::new(facts)),
            _ => Self::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sealing::Keys;
    use super::super::{MAX_KEPT, SharedSecret};
    use super::*;

    fn idp() -> IdpId {
        IdpId::new("idp").expect("valid")
    }

    fn name() -> Name {
        Keys::new(&SharedSecret::new([1; 32])).name(&idp(), "token")
    }

    fn facts(learned_at: i64) -> Facts {
        Facts {
            idp: idp(),
            subject: Subject::new("u").expect("valid"),
            client_id: Some("c".into()),
            scopes: Scopes::new("profile https://x.example/y"),
            generation: Some(5),
            profile_changed_at: None,
            auth_time: Some(NumericDate::whole(1)),
            acr: Some("AAL2".into()),
            issued_at: Some(serde_json::from_str("2.5").expect("a date")),
            expires_at: Some(Millis::new(9)),
            learned_at: Millis::new(learned_at),
            source: Source::Word,
            derived: Derived::default(),
        }
    }

    fn sealed_facts(learned_at: i64) -> Vec<u8> {
        let began = Place { epoch: "e".into(), position: 7 };
        seal(&name(), &WrittenFacts::of(&facts(learned_at), "f", &began))
    }

    fn sealed_no(learned_at: i64) -> Vec<u8> {
        seal(&name(), &WrittenNo { flight: "f".into(), learned_at: Millis::new(learned_at) })
    }

    fn read(facts: Option<Vec<u8>>, no: Option<Vec<u8>>) -> Read {
        Read::new(&name(), &Kept { facts, no })
    }

    #[test]
    fn facts_come_back_as_they_were_with_their_place_and_every_resolution() {
        let Read::Facts(written) = read(Some(sealed_facts(3)), None) else { panic!("they can be read") };
        let (read, began) = written.into_facts(&idp());
        assert_eq!(read, facts(3));
        assert_eq!(read.issued_at.map(NumericDate::birth), facts(3).issued_at.map(NumericDate::birth));
        assert_eq!(began, Place { epoch: "e".into(), position: 7 });
    }

    #[test]
    fn of_facts_and_a_no_the_later_one_counts() {
        assert!(matches!(read(Some(sealed_facts(3)), Some(sealed_no(2))), Read::Facts(_)));
        assert!(matches!(read(Some(sealed_facts(3)), Some(sealed_no(3))), Read::No(_)));
        assert!(matches!(read(None, Some(sealed_no(1))), Read::No(_)));
        assert_eq!(read(None, None), Read::Nothing);
    }

    #[test]
    fn what_nobody_here_wrote_is_unreadable_whatever_it_is() {
        let newer = {
            let mut sealed = sealed_facts(3);
            sealed[0] += 1;
            sealed
        };
        let other = name().seal(Seal::Facts, br#"{"flight":"f"}"#.to_vec());
        let long = name().seal(Seal::Facts, vec![b' '; MAX_KEPT]);
        for odd in [vec![], b"garbage".to_vec(), newer, other, long, sealed_no(3)] {
            assert_eq!(read(Some(odd), None), Read::Unreadable);
        }
        assert!(matches!(read(Some(vec![1]), Some(sealed_no(3))), Read::No(_)));
    }
}
