//! Facts remembered, bounded by the memory they take, under keys that tell nothing of the tokens.

use crate::Facts;
use account::Millis;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// What a remembered token takes besides its facts: its key, its place, its share of the tables.
const OVERHEAD: usize = 128;
/// About what the facts of a token weigh; only a hint for the size of the tables.
const TYPICAL: u64 = 512;

/// A token's name in memory: HMAC-SHA-256 under a key that only this process has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenKey([u8; 32]);

#[derive(Clone)]
struct Remembered {
    facts: Arc<Facts>,
    until: Millis,
}

pub(crate) struct Memory {
    secret: hmac::Key,
    facts: Cache<TokenKey, Remembered, Weight, BuildHasherDefault<FirstBytes>>,
}

impl Memory {
    /// `bytes` is what all that is remembered may take.
    pub(crate) fn new(bytes: u64) -> Self {
        let secret =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has randomness");
        let items = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX).max(1);
        let facts =
            Cache::with(items, bytes, Weight, BuildHasherDefault::default(), DefaultLifecycle::default());
        Self { secret, facts }
    }

    pub(crate) fn key(&self, token: &str) -> TokenKey {
        let tag = hmac::sign(&self.secret, token.as_bytes());
        TokenKey(tag.as_ref().try_into().expect("HMAC-SHA-256 gives 32 bytes"))
    }

    /// What is remembered of a token, if that still counts now.
    pub(crate) fn recall(&self, key: &TokenKey, now: Millis) -> Option<Arc<Facts>> {
        let remembered = self.facts.get(key)?;
        (now < remembered.until).then_some(remembered.facts)
    }

    /// Remembers facts until then, or as long as there is room.
    pub(crate) fn remember(&self, key: TokenKey, facts: Arc<Facts>, until: Millis) {
        self.facts.insert(key, Remembered { facts, until });
    }

    pub(crate) fn forget(&self, key: &TokenKey) {
        self.facts.remove(key);
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<TokenKey, Remembered> for Weight {
    fn weight(&self, _: &TokenKey, remembered: &Remembered) -> u64 {
        (OVERHEAD + remembered.facts.bytes()) as u64
    }
}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first = self.0.first_chunk().expect("32 bytes have 8");
        state.write_u64(u64::from_ne_bytes(*first));
    }
}

/// A key is already evenly spread and unpredictable from outside: its first bytes are hash enough.
#[derive(Clone, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, first: u64) {
        self.0 = first;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a token key hashes as one number");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scopes, Source};
    use account::{IdpId, Subject};

    fn facts(subject: &str) -> Arc<Facts> {
        Arc::new(Facts {
            idp: IdpId::new("idp").expect("valid"),
            subject: Subject::new(subject).expect("valid"),
            client_id: None,
            scopes: Scopes::default(),
            generation: None,
            profile_changed_at: None,
            auth_time: None,
            issued_at: None,
            expires_at: None,
            learned_at: Millis::ZERO,
            source: Source::Word,
            derived: crate::Derived::default(),
        })
    }

    #[test]
    fn what_is_remembered_counts_until_its_end_and_not_at_it() {
        let memory = Memory::new(1 << 20);
        let key = memory.key("token");
        memory.remember(key, facts("u"), Millis::new(100));
        assert_eq!(memory.recall(&key, Millis::new(99)), Some(facts("u")));
        assert_eq!(memory.recall(&key, Millis::new(100)), None);
        assert_eq!(memory.recall(&memory.key("token "), Millis::new(99)), None);
        memory.forget(&key);
        assert_eq!(memory.recall(&key, Millis::new(99)), None);
    }

    #[test]
    fn no_two_processes_know_a_token_by_the_same_name() {
        assert!(Memory::new(1 << 20).key("token") != Memory::new(1 << 20).key("token"));
    }

    #[test]
    fn the_memory_is_bounded_by_what_its_facts_take() {
        let (memory, each) = (Memory::new(1 << 20), OVERHEAD + facts("0123456789").bytes());
        for i in 0..20_000 {
            memory.remember(memory.key(&format!("token {i}")), facts(&format!("{i:010}")), Millis::MAX);
        }
        assert!(memory.facts.weight() <= 1 << 20);
        assert!(memory.facts.len() > (1 << 20) / each / 2, "and it is used");
        let none = Memory::new(0);
        none.remember(none.key("token"), facts("u"), Millis::MAX);
        assert_eq!(none.recall(&none.key("token"), Millis::ZERO), None);
    }
}
