use account::{AccountId, Change, Mark, Millis, Profile, State};
use futures::future::BoxFuture;
use std::borrow::Cow;
use store::{StoreError, Tx};

/// A committed event, as a consequence sees it: what happened, and where it left the account.
///
/// The mark and the state are what holds; what happened may be late. A deletion of before an enabling is news because it
/// raised the mark, and the account is active all the same: whoever tells others goes by [`News::to_tell`].
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Whose account.
    pub account: AccountId,
    /// The event's number in the account's life.
    pub version: i64,
    /// Its change time.
    pub at: Millis,
    /// What happened.
    pub change: Change,
    /// The mark after it.
    pub mark: Mark,
    /// The state after it.
    pub state: State,
}

/// What is to be told of an event to those who keep a picture of the account.
#[derive(Clone, Debug, PartialEq)]
pub struct ToTell<'a> {
    /// What happened, without a change of state that does not hold.
    pub change: Option<Cow<'a, Change>>,
    /// Whether all that is to be told, besides, is that what was granted until then has ended.
    pub ended: bool,
}

impl News {
    /// What is to be told. A state that did not become the account's own (a late word, or one against an operator's
    /// hold) is kept back: who heard it would be left with the wrong one. What such a word ended stays ended.
    pub fn to_tell(&self) -> ToTell<'_> {
        match self.change.sets_state() {
            Some(said) if said != self.state => ToTell {
                change: without_state(&self.change).map(Cow::Owned),
                ended: said != State::Active && self.state == State::Active,
            },
            _ => ToTell { change: Some(Cow::Borrowed(&self.change)), ended: false },
        }
    }
}

/// What a change of state says besides, if it does.
fn without_state(change: &Change) -> Option<Change> {
    let Change::ProfileChange(profile) = change else { return None };
    let rest = Profile { account_disabled: None, ..profile.clone() };
    (rest != Profile::default()).then_some(Change::ProfileChange(rest))
}

/// What a consequence came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is carried out.
    Done,
    /// Inside the ledger's transaction: it is too large for it, and workers do it right after. From a worker: a part of
    /// it is done and kept, and there is more.
    Deferred,
}

/// What account events mean to one capability; in whatever way it is kept.
pub trait Consequence: Send + Sync + 'static {
    /// The capability's name, as its effect rows carry it.
    fn capability(&self) -> &'static str;

    /// As [`CarryOut::carry_out`].
    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        news: &'a [News],
        inline: bool,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>>;
}

/// What a capability implements to be a [`Consequence`].
pub trait CarryOut: Send + Sync + 'static {
    /// The capability's name, as its effect rows carry it.
    fn capability(&self) -> &'static str;

    /// Carries out what these events mean, in their order; idempotent, and comparing each grant's own birth with the
    /// mark, so that a late or repeated event never ends what was granted after it. It may be run again before it
    /// commits: what it counts, it counts by [`Tx::after_commit`].
    ///
    /// First called inside the ledger's transaction: there it must be bounded (≤ 50 rows an event) or answer
    /// [`Outcome::Deferred`]. When it fails or defers, the transaction is begun anew without it, and workers call it
    /// again, an event at a time, with `inline` false; there it may do its work in parts (≤ 500 rows), answering
    /// [`Outcome::Deferred`] until the last. Each account's events come in their order: a later one waits while an
    /// earlier one is owed.
    fn carry_out(
        &self,
        tx: &mut Tx<'_>,
        news: &[News],
        inline: bool,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + Send;
}

impl<C: CarryOut> Consequence for C {
    fn capability(&self) -> &'static str {
        CarryOut::capability(self)
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        news: &'a [News],
        inline: bool,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(self.carry_out(tx, news, inline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::{IdpId, Subject};

    fn told(change: Change, state: State) -> (Option<Change>, bool) {
        let account = AccountId::new(IdpId::new("main").expect("valid"), Subject::new("u").expect("valid"));
        let (at, mark) = (Millis::new(5), Mark::at(Millis::new(5)));
        let news = News { account, version: 1, at, change, mark, state };
        let told = news.to_tell();
        (told.change.map(Cow::into_owned), told.ended)
    }

    fn profile(account_disabled: Option<bool>, locale: Option<&str>) -> Change {
        let locale = locale.map(ToOwned::to_owned);
        Change::ProfileChange(Profile { account_disabled, locale, ..Profile::default() })
    }

    #[test]
    fn what_holds_is_told_as_it_is() {
        for (change, state) in [
            (Change::Delete { reason: None }, State::Deleted),
            (Change::Disable, State::Disabled),
            (Change::Enable, State::Active),
            (Change::PasswordChange, State::Disabled),
            (profile(Some(true), None), State::Disabled),
            (profile(None, Some("fi")), State::Deleted),
        ] {
            assert_eq!(told(change.clone(), state), (Some(change), false));
        }
    }

    #[test]
    fn a_state_that_does_not_hold_is_not_told_and_what_it_ended_stays_ended() {
        for late in [Change::Delete { reason: None }, Change::Disable, profile(Some(true), None)] {
            assert_eq!(told(late, State::Active), (None, true));
        }
        let rest = Some(profile(None, Some("fi")));
        assert_eq!(told(profile(Some(true), Some("fi")), State::Active), (rest.clone(), true));
        // Against an operator's hold, or after the deletion.
        assert_eq!(told(profile(Some(false), Some("fi")), State::Disabled), (rest, false));
        assert_eq!(told(Change::Enable, State::Disabled), (None, false));
        assert_eq!(told(profile(Some(true), None), State::Deleted), (None, false));
    }
}
