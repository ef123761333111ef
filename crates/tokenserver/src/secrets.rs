//! The secrets that a service shares with its nodes: one signs, the nodes take the tokens of all.

use crate::rules::{Rotation, signing};
use crate::{Minter, Secret};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A service's list of secrets.
pub(crate) struct Secrets {
    /// Never empty.
    list: Vec<Known>,
    signing: AtomicUsize,
}

struct Known {
    fingerprint: String,
    minter: Minter,
}

impl Secrets {
    /// Those of a list that has some.
    pub(crate) fn new(list: &[Secret]) -> Self {
        let known = |secret: &Secret| {
            let minter = Minter::new(secret.clone());
            Known { fingerprint: minter.fingerprint(), minter }
        };
        Self { list: list.iter().map(known).collect(), signing: AtomicUsize::new(0) }
    }

    /// Takes an operator's word for which one signs, if there is one.
    pub(crate) fn follow(&self, rotation: Option<&Rotation>) {
        self.signing.store(signing(&self.fingerprints(), rotation), Ordering::Relaxed);
    }

    /// What mints by the one that signs now.
    pub(crate) fn minter(&self) -> &Minter {
        &self.list[self.place()].minter
    }

    /// The place in the list of the one that signs now.
    pub(crate) fn place(&self) -> usize {
        self.signing.load(Ordering::Relaxed)
    }

    /// What each may be called without being told, in their order.
    pub(crate) fn fingerprints(&self) -> Vec<&str> {
        self.list.iter().map(|known| known.fingerprint.as_str()).collect()
    }
}
