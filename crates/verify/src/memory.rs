//! What is remembered of tokens, bounded by the memory it takes, under keys that tell nothing of the tokens.

use crate::Facts;
use crate::lives::Life;
use crate::span::{Span, Spread};
use account::Millis;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// What a remembered token takes besides its facts: its key, its place, its share of the tables and of what is known of
/// the account.
const OVERHEAD: usize = 256;
/// What a remembered no takes: its key, its place, its share of the tables.
const INACTIVE: u64 = 128;
/// About what the facts of a token weigh; only a hint for the size of the tables.
const TYPICAL: u64 = 640;

/// A token's name in memory: HMAC-SHA-256 under a key that only this process has, its first half (RFC 2104 section 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenKey([u8; 16]);

/// Facts, and how long they count.
#[derive(Clone)]
pub(crate) struct Remembered {
    pub(crate) facts: Arc<Facts>,
    /// What is known of the account; over, and the facts with it, at its next event.
    pub(crate) life: Arc<Life>,
    pub(crate) span: Span,
}

/// The identity provider said no.
#[derive(Clone, Copy)]
pub(crate) struct Inactive {
    pub(crate) learned_at: Millis,
    pub(crate) until: Millis,
}

type Table<T, W> = Cache<TokenKey, T, W, BuildHasherDefault<FirstBytes>>;

pub(crate) struct Memory {
    secret: hmac::Key,
    facts: Table<Remembered, Weight>,
    /// Apart, so that a flood of garbage never crowds out what is good.
    inactive: Table<Inactive, Weight>,
}

impl Memory {
    /// `facts` and `inactive` are what either may take, `derived` what callers derive from the facts of each token, in
    /// bytes.
    pub(crate) fn new(facts: u64, inactive: u64, derived: usize) -> Self {
        let secret =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has randomness");
        let weight = Weight { derived };
        Self { secret, facts: table(facts, TYPICAL, weight), inactive: table(inactive, INACTIVE, weight) }
    }

    pub(crate) fn key(&self, token: &[u8]) -> TokenKey {
        let tag = hmac::sign(&self.secret, token);
        TokenKey(*tag.as_ref().first_chunk().expect("HMAC-SHA-256 gives 32 bytes"))
    }

    /// What is remembered of a token, whether or not it still counts. An error is the life that it was remembered in, when
    /// something happened to the account since: it is forgotten now.
    pub(crate) fn recall(&self, key: &TokenKey) -> Result<Remembered, Option<Arc<Life>>> {
        let remembered = self.facts.get(key).ok_or(None)?;
        if remembered.life.goes_on() {
            return Ok(remembered);
        }
        self.facts.remove_if(key, |remembered| !remembered.life.goes_on());
        Err(Some(remembered.life))
    }

    /// Whether anything good is, or was a while ago, known of a token.
    pub(crate) fn knows(&self, key: &TokenKey) -> bool {
        self.facts.contains_key(key)
    }

    /// Remembers facts for as long as there is room; unless a no was heard since they were asked for.
    pub(crate) fn remember(&self, key: TokenKey, remembered: Remembered) {
        if !self.is_refuted(&key, &remembered) {
            self.inactive.remove(&key);
            self.facts.insert(key, remembered);
        }
    }

    /// Puts the same facts with another span in their place, if they still have one.
    pub(crate) fn postpone(&self, key: TokenKey, remembered: Remembered) {
        if !self.is_refuted(&key, &remembered) {
            // An error says that they were forgotten meanwhile.
            drop(self.facts.replace(key, remembered, true));
        }
    }

    fn is_refuted(&self, key: &TokenKey, remembered: &Remembered) -> bool {
        self.inactive.get(key).is_some_and(|no| no.learned_at > remembered.facts.learned_at)
    }

    pub(crate) fn forget(&self, key: &TokenKey) {
        self.facts.remove(key);
    }

    /// Whether, and since when, the identity provider's no is remembered.
    pub(crate) fn recall_inactive(&self, key: &TokenKey) -> Option<Inactive> {
        self.inactive.get(key)
    }

    /// Remembers a no, and forgets the yes before it.
    pub(crate) fn remember_inactive(&self, key: TokenKey, inactive: Inactive) {
        self.facts.remove(&key);
        self.inactive.insert(key, inactive);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.facts.clear();
        self.inactive.clear();
    }

    /// How many tokens are remembered, and how many bytes they are taken to weigh.
    pub(crate) fn size(&self) -> (usize, u64) {
        (self.facts.len(), self.facts.weight())
    }
}

impl TokenKey {
    /// The key of another question about the same token.
    pub(crate) fn of_another_question(mut self) -> Self {
        self.0[0] ^= 0xff;
        self
    }

    pub(crate) fn spread(&self) -> Spread {
        Spread(self.0[15])
    }
}

fn table<T: Clone>(bytes: u64, each: u64, weight: Weight) -> Table<T, Weight>
where
    Weight: Weighter<TokenKey, T>,
{
    let items = usize::try_from(bytes / each).unwrap_or(usize::MAX).max(1);
    Cache::with(items, bytes, weight, BuildHasherDefault::default(), DefaultLifecycle::default())
}

#[derive(Clone, Copy)]
struct Weight {
    derived: usize,
}

impl Weighter<TokenKey, Remembered> for Weight {
    fn weight(&self, _: &TokenKey, remembered: &Remembered) -> u64 {
        (OVERHEAD + self.derived + remembered.facts.bytes()) as u64
    }
}

impl Weighter<TokenKey, Inactive> for Weight {
    fn weight(&self, _: &TokenKey, _: &Inactive) -> u64 {
        INACTIVE
    }
}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first = self.0.first_chunk().expect("16 bytes have 8");
        state.write_u64(u64::from_ne_bytes(*first));
    }
}

/// A key is already evenly spread and unpredictable from outside: its first bytes are hash enough.
#[derive(Clone, Default)]
pub(crate) struct FirstBytes(u64);

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
    use crate::lives::Lives;
    use crate::{Record, Scopes, Source};
    use account::{IdpId, Subject};

    const SPAN: Span = Span { refresh_at: Millis::MAX, until: Millis::MAX };

    fn facts(subject: &str) -> Arc<Facts> {
        Arc::new(Facts {
            idp: IdpId::new("idp").expect("valid"),
            subject: Subject::new(subject).expect("valid"),
            client_id: None,
            scopes: Scopes::default(),
            generation: None,
            profile_changed_at: None,
            auth_time: None,
            acr: None,
            issued_at: None,
            expires_at: None,
            learned_at: Millis::ZERO,
            source: Source::Word,
            derived: crate::Derived::default(),
        })
    }

    fn remembered(lives: &Arc<Lives>, subject: &str) -> Remembered {
        let facts = facts(subject);
        let life = lives.join(&facts.account(), lives.stamp(), Record::default()).expect("unchanged");
        Remembered { facts, life, span: SPAN }
    }

    fn recalled(memory: &Memory, token: &str) -> Option<Arc<Facts>> {
        memory.recall(&memory.key(token.as_bytes())).ok().map(|remembered| remembered.facts)
    }

    #[test]
    fn facts_are_remembered_until_they_are_forgotten_or_the_account_changes() {
        let (memory, lives) = (Memory::new(1 << 20, 1 << 10, 0), Lives::new());
        let key = memory.key(b"token");
        memory.remember(key, remembered(&lives, "u"));
        assert_eq!(recalled(&memory, "token"), Some(facts("u")));
        assert_eq!(recalled(&memory, "token "), None);
        memory.forget(&key);
        assert_eq!(recalled(&memory, "token"), None);
        memory.remember(key, remembered(&lives, "u"));
        lives.end(&facts("u").account(), 1, None);
        assert_eq!(recalled(&memory, "token"), None);
        assert_eq!(memory.size(), (0, 0), "and takes no place any more");
    }

    #[test]
    fn a_no_takes_the_place_of_a_yes_and_a_yes_that_of_a_no() {
        let (memory, lives) = (Memory::new(1 << 20, 1 << 20, 0), Lives::new());
        let key = memory.key(b"token");
        memory.remember(key, remembered(&lives, "u"));
        memory.remember_inactive(key, Inactive { learned_at: Millis::ZERO, until: Millis::new(20) });
        assert_eq!(recalled(&memory, "token"), None);
        assert!(memory.recall_inactive(&key).is_some());
        memory.remember(key, remembered(&lives, "u"));
        assert!(memory.recall_inactive(&key).is_none());
        memory.remember_inactive(key, Inactive { learned_at: Millis::new(1), until: Millis::new(20) });
        memory.remember(key, remembered(&lives, "u"));
        memory.postpone(key, remembered(&lives, "u"));
        assert_eq!(recalled(&memory, "token"), None, "an answer from before the no");
        memory.postpone(memory.key(b"another"), remembered(&lives, "u"));
        assert_eq!(recalled(&memory, "another"), None, "nothing to postpone");
    }

    #[test]
    fn no_flood_of_garbage_crowds_out_what_is_good() {
        let (memory, lives) = (Memory::new(1 << 20, 1 << 14, 0), Lives::new());
        memory.remember(memory.key(b"good"), remembered(&lives, "u"));
        for i in 0..100_000 {
            let key = memory.key(format!("garbage {i}").as_bytes());
            memory.remember_inactive(key, Inactive { learned_at: Millis::ZERO, until: Millis::MAX });
        }
        assert!(memory.inactive.weight() <= 1 << 14);
        assert_eq!(recalled(&memory, "good"), Some(facts("u")));
    }

    #[test]
    fn no_two_processes_know_a_token_by_the_same_name() {
        assert!(Memory::new(1 << 20, 0, 0).key(b"token") != Memory::new(1 << 20, 0, 0).key(b"token"));
    }

    #[test]
    fn the_memory_is_bounded_by_what_its_facts_take() {
        let (memory, lives) = (Memory::new(1 << 20, 0, 0), Lives::new());
        let each = OVERHEAD + facts("0123456789").bytes();
        for i in 0..20_000 {
            memory.remember(
                memory.key(format!("token {i}").as_bytes()),
                remembered(&lives, &format!("{i:010}")),
            );
        }
        assert!(memory.facts.weight() <= 1 << 20);
        assert!(memory.facts.len() > (1 << 20) / each / 2, "and it is used");
        let none = Memory::new(0, 0, 0);
        none.remember(none.key(b"token"), remembered(&lives, "u"));
        assert_eq!(recalled(&none, "token"), None);
    }
}
