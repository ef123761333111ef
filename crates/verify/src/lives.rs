//! What is known of accounts, from one of their events to the next.
//!
//! Whatever is remembered of a token hangs on a [`Life`] of its account: the stretch between two of the account's
//! events. An event ends the life, and with it, at once, everything that hangs on it; an event of an account nothing is
//! remembered of costs one look-up.
//!
//! Nothing can hang on a life that was over before it was learned. Whoever goes to learn something takes a [`Stamp`]
//! first: the highest position of the feed that had been heard of. [`Lives::join`] gives a life only when no event of the account was told since,
//! and looks, and gives, under the lock that an event ends lives under.

mod recent;

use self::recent::Recent;
use crate::memory::FirstBytes;
use crate::{Place, Record};
use account::{AccountId, Millis};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// How many accounts are waited for at most until a request of theirs is refused. Then all of them are given up: what is
/// measured by them is no worse for it.
const AWAITED: usize = 1 << 12;

/// An account's name in here, keyed: nobody outside can make two accounts meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag([u8; 16]);

/// It is evenly spread: its first bytes are hash enough.
type ByTag<T> = HashMap<Tag, T, BuildHasherDefault<FirstBytes>>;

/// How much of the feed had been heard of when something began to be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    beginning: u64,
    position: i64,
}

/// An event of the account was told since.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed;

/// An event of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewVersion {
    /// The account's version after it.
    pub version: i64,
    /// When it happened.
    pub at: Millis,
}

/// What is known of an account until its next event.
#[derive(Debug)]
pub(crate) struct Life {
    record: Record,
    /// What is on record since an event that the feed has not told yet. Rarely there: so it takes little place.
    raised: OnceLock<Box<Record>>,
    over: AtomicBool,
    tag: Tag,
    lives: Weak<Lives>,
}

/// All lives under way.
#[derive(Debug)]
pub(crate) struct Lives {
    secret: hmac::Key,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Invariant: a life that is not over is in here; so there is one of an account at most.
    lives: ByTag<Weak<Life>>,
    recent: Recent,
    /// Accounts that something was remembered of when they changed, and when that was: nobody was refused for it yet.
    awaited: ByTag<Millis>,
    /// The highest position heard of. What begins to be learned now begins after that event had committed, and so after
    /// every event before it, told or not.
    known: i64,
    beginning: u64,
    /// What the positions are of; `None` before the first beginning.
    epoch: Option<Arc<str>>,
}

impl Lives {
    pub(crate) fn new() -> Arc<Self> {
        let secret =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has randomness");
        Arc::new(Self { secret, table: Mutex::default() })
    }

    /// To be taken before anything is asked.
    pub(crate) fn stamp(&self) -> Stamp {
        let table = self.table.lock();
        Stamp { beginning: table.beginning, position: table.known }
    }

    /// The life of an account that something learned since `stamp` belongs to.
    pub(crate) fn join(
        self: &Arc<Self>,
        account: &AccountId,
        stamp: Stamp,
        record: Record,
    ) -> Result<Arc<Life>, Changed> {
        let tag = self.tag(account);
        // Let go after the lock: the end of a life takes it.
        let known: Option<Arc<Life>>;
        let mut table = self.table.lock();
        if stamp.beginning != table.beginning || table.recent.last(&tag) > stamp.position {
            return Err(Changed);
        }
        known = table.lives.get(&tag).and_then(Weak::upgrade);
        match &known {
            Some(life) if life.record().version == record.version => return Ok(Arc::clone(life)),
            // Somebody read the record after this one did, and after an event.
            Some(life) if life.record().version > record.version => return Err(Changed),
            // The store knows of an event that the feed has not told yet.
            Some(life) => life.over.store(true, Ordering::Release),
            None => {}
        }
        let (raised, over) = (OnceLock::new(), AtomicBool::new(false));
        let life = Arc::new(Life { record, raised, over, tag, lives: Arc::downgrade(self) });
        table.lives.insert(tag, Arc::downgrade(&life));
        Ok(life)
    }

    /// An event at `position` of the feed ends the account's life. `change` is what happened, where one wants to know how
    /// long it takes until a request is refused for it.
    pub(crate) fn end(&self, account: &AccountId, position: i64, change: Option<NewVersion>) {
        let tag = self.tag(account);
        let ended = {
            let mut table = self.table.lock();
            table.recent.note(tag, position);
            table.known = table.known.max(position);
            let ended = table.lives.remove(&tag).and_then(|life| life.upgrade());
            table.end(tag, ended.as_deref(), change);
            ended
        };
        drop(ended);
    }

    /// An event has committed whose position is not known yet, and this is on record since: whatever hangs on a life of
    /// an earlier version is judged by it from now on. What had begun to be learned before the event still joins a life;
    /// the feed tells it from what began later.
    pub(crate) fn raise(&self, account: &AccountId, record: Record, changed_at: Millis) {
        let tag = self.tag(account);
        let earlier = {
            let mut table = self.table.lock();
            let life = table.lives.get(&tag).and_then(Weak::upgrade);
            if let Some(life) = life.as_deref().filter(|life| life.record().version < record.version) {
                table.awaits(tag, changed_at);
                if life.raised.set(Box::new(record)).is_err() {
                    // The second one before the feed has told the first.
                    table.lives.remove(&tag);
                    life.over.store(true, Ordering::Release);
                }
            }
            life
        };
        drop(earlier);
    }

    /// A request for the account was refused. When its last change was, if this is the first refusal since, and something
    /// was remembered of the account then.
    pub(crate) fn refused(&self, account: &AccountId) -> Option<Millis> {
        let tag = self.tag(account);
        self.table.lock().awaited.remove(&tag)
    }

    /// Every event up to `position` was told.
    pub(crate) fn read_to(&self, position: i64) {
        let mut table = self.table.lock();
        table.known = table.known.max(position);
    }

    /// How much of the feed had been heard of at that stamp; `None` when it is not known what feed that was.
    pub(crate) fn place(&self, stamp: Stamp) -> Option<Place> {
        let table = self.table.lock();
        let epoch = table.epoch.clone().filter(|_| stamp.beginning == table.beginning)?;
        Some(Place { epoch, position: stamp.position })
    }

    /// Positions begin anew at `position`, in another epoch perhaps: nothing that was learned before counts.
    pub(crate) fn begin_anew(&self, epoch: &str, position: i64) {
        let ended: Vec<Arc<Life>> = {
            let mut table = self.table.lock();
            let beginning = table.beginning + 1;
            let epoch = Some(Arc::from(epoch));
            let anew = Table { beginning, known: position, epoch, ..Table::default() };
            let before = mem::replace(&mut *table, anew);
            let lives = before.lives.into_values().filter_map(|life| life.upgrade());
            lives.inspect(|life| life.over.store(true, Ordering::Release)).collect()
        };
        drop(ended);
    }

    fn tag(&self, account: &AccountId) -> Tag {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(account.idp.as_str().as_bytes());
        // No id has a control character in it.
        context.update(&[0]);
        context.update(account.subject.as_str().as_bytes());
        Tag(*context.sign().as_ref().first_chunk().expect("HMAC-SHA-256 gives 32 bytes"))
    }
}

impl Table {
    /// Ends a life that was taken out; from then on a refusal is awaited, if the life knew nothing of the change.
    fn end(&mut self, tag: Tag, life: Option<&Life>, change: Option<NewVersion>) {
        let Some(life) = life else { return };
        life.over.store(true, Ordering::Release);
        if let Some(change) = change.filter(|change| life.record().version < change.version) {
            self.awaits(tag, change.at);
        }
    }

    fn awaits(&mut self, tag: Tag, changed_at: Millis) {
        if self.awaited.len() >= AWAITED {
            self.awaited.clear();
        }
        self.awaited.insert(tag, changed_at);
    }
}

impl Stamp {
    /// The stamp of something learned elsewhere, when `position` had been heard of: this one had been taken when it was
    /// known that the account's latest event was not above that.
    pub(crate) fn raised_to(self, position: i64) -> Self {
        Self { position: self.position.max(position), ..self }
    }
}

impl Hash for Tag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first = self.0.first_chunk().expect("16 bytes have 8");
        state.write_u64(u64::from_ne_bytes(*first));
    }
}

impl Life {
    /// Whether no event of the account was told since it began.
    pub(crate) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    /// What the house had on record of the account.
    pub(crate) fn record(&self) -> Record {
        self.raised.get().map_or(self.record, |raised| **raised)
    }

    /// A request was refused for what ended it; as [`Lives::refused`].
    pub(crate) fn refused(&self) -> Option<Millis> {
        self.lives.upgrade()?.table.lock().awaited.remove(&self.tag)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let Some(lives) = self.lives.upgrade() else { return };
        let mut table = lives.table.lock();
        // Another one may have begun in its place.
        if table.lives.get(&self.tag).is_some_and(|life| std::ptr::eq(life.as_ptr(), self)) {
            table.lives.remove(&self.tag);
        }
    }
}

#[cfg(test)]
mod tests;
