//! Batches that come while others are applied go together, in the next transaction.
//!
//! A transaction costs much the same for ten events as for a hundred: its begin, its commit, and each statement's way to
//! the store and back. So only a few are under way at once. Who finds a turn free begins at once; whoever comes meanwhile
//! waits, and the next turn takes along all who wait.

use crate::{Applied, Received};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use store::StoreError;
use tokio::sync::oneshot;

/// How many transactions are under way at once: some work while others wait for a commit or for an account.
const SIDE_BY_SIDE: usize = 4;

/// Who applies now, and who waits.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    taken: usize,
    // Invariant: somebody waits only while all turns are taken.
    waiting: VecDeque<Waiting>,
}

/// A batch that waits. Its caller keeps it too: whoever takes it along may be gone before it is applied.
pub(crate) struct Waiting {
    pub(crate) batch: Arc<Vec<Received>>,
    caller: oneshot::Sender<Told>,
}

/// What somebody who waited is told.
pub(crate) enum Told {
    /// What came of the batch: it was taken along.
    Outcome(Result<Vec<Applied>, StoreError>),
    /// It is its turn.
    Turn(Turn),
}

/// The leave to apply. Given on to the first who waits when it is dropped, wherever that is.
pub(crate) struct Turn(Turns);

/// How a batch comes in.
pub(crate) enum Entered {
    AtOnce(Turn),
    Waits(oneshot::Receiver<Told>),
}

impl Turns {
    /// A turn, if one is free; else a place among those who wait.
    pub(crate) fn enter(&self, batch: &Arc<Vec<Received>>) -> Entered {
        let mut state = self.0.lock();
        if state.taken < SIDE_BY_SIDE {
            state.taken += 1;
            return Entered::AtOnce(Turn(self.clone()));
        }
        let (caller, told) = oneshot::channel();
        state.waiting.push_back(Waiting { batch: Arc::clone(batch), caller });
        Entered::Waits(told)
    }

    /// The next who waits and still wants to know; without one the turn is free.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.0.lock();
        while let Some(first) = state.waiting.pop_front() {
            if !first.caller.is_closed() {
                return Some(first);
            }
        }
        state.taken -= 1;
        None
    }
}

impl Turn {
    /// Those who wait, in their order, as far as there is room for their events.
    pub(crate) fn take_along(&self, mut room: usize) -> Vec<Waiting> {
        let mut state = self.0.0.lock();
        let mut taken = Vec::new();
        while let Some(next) = state.waiting.pop_front_if(|next| next.batch.len() <= room) {
            if !next.caller.is_closed() {
                room -= next.batch.len();
                taken.push(next);
            }
        }
        taken
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(next) = self.0.next() {
            // One who has just gone gives it on in turn: what is not received is dropped.
            drop(next.caller.send(Told::Turn(Self(self.0.clone()))));
        }
    }
}

impl Waiting {
    /// Tells its caller. One who stopped waiting is nobody to tell.
    pub(crate) fn tell(self, outcome: Result<Vec<Applied>, StoreError>) {
        drop(self.caller.send(Told::Outcome(outcome)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceId;
    use account::{AccountEvent, AccountId, Change, IdpId, Subject};

    fn batch(events: usize) -> Arc<Vec<Received>> {
        let account = AccountId::new(IdpId::new("main").expect("valid"), Subject::new("u").expect("valid"));
        let event = AccountEvent { account, at: None, change: Change::PasswordChange };
        let received = Received { source: SourceId::new("test"), message_id: "1".into(), event };
        Arc::new(vec![received; events])
    }

    /// Takes every turn there is.
    fn all(turns: &Turns) -> Vec<Turn> {
        let turn = |_| match turns.enter(&batch(1)) {
            Entered::AtOnce(turn) => turn,
            Entered::Waits(_) => panic!("a turn is free"),
        };
        (0..SIDE_BY_SIDE).map(turn).collect()
    }

    fn waits(turns: &Turns, events: usize) -> oneshot::Receiver<Told> {
        match turns.enter(&batch(events)) {
            Entered::AtOnce(_) => panic!("all turns are taken"),
            Entered::Waits(told) => told,
        }
    }

    fn sizes(taken: &[Waiting]) -> Vec<usize> {
        taken.iter().map(|it| it.batch.len()).collect()
    }

    #[test]
    fn who_waits_is_taken_along_in_order_as_far_as_there_is_room() {
        let turns = Turns::default();
        let taken = all(&turns);
        let _told: Vec<_> = [3, 2, 6, 1].map(|events| waits(&turns, events)).into();
        assert_eq!(sizes(&taken[0].take_along(10)), [3, 2], "nobody is overtaken");
        assert_eq!(sizes(&taken[1].take_along(10)), [6, 1]);
    }

    #[test]
    fn a_turn_goes_to_the_first_who_still_waits_and_is_free_after_the_last() {
        let turns = Turns::default();
        let mut taken = all(&turns);
        let gone = waits(&turns, 1);
        let mut told = waits(&turns, 2);
        drop(gone);
        taken.pop();
        let Ok(Told::Turn(given)) = told.try_recv() else { panic!("it is its turn") };
        drop((given, taken));
        let _again = all(&turns);
        let _told = waits(&turns, 1);
    }

    #[test]
    fn a_turn_that_is_given_to_one_who_goes_is_given_on() {
        let turns = Turns::default();
        let mut taken = all(&turns);
        let (goes, mut stays) = (waits(&turns, 1), waits(&turns, 1));
        taken.pop();
        drop(goes);
        assert!(matches!(stays.try_recv(), Ok(Told::Turn(_))));
    }
}
