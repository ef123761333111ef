use super::{Presented, RETIRED, Row};
use crate::Refusal;
use account::{Mark, Standing, State};

/// What the ledger knows of an account; nothing for one it never heard of.
///
/// Events reach the ledger first and the rows a moment later, so every decision takes both: what the ledger says
/// holds from its commit on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledgered {
    /// The account's high-water mark.
    pub mark: Mark,
    /// The last change of the password among what raised it.
    pub credential: Mark,
    /// Whether the account may act.
    pub state: State,
}

impl Ledgered {
    /// A disabled account gets no token, whatever it presents.
    pub(super) fn check_state(&self) -> Result<(), Refusal> {
        match self.state {
            State::Disabled => Err(Refusal::InvalidCredentials),
            State::Active | State::Deleted => Ok(()),
        }
    }

    /// The row's generation as it will be once the account's events have been carried into it: one below a changed
    /// password's time, so that the first device with the new one may bring a new key; the highest of all once the
    /// account is deleted, unless the row was granted after that.
    pub(super) fn effective_generation(&self, row: &Row) -> i64 {
        if self.state == State::Deleted && self.ends(row) {
            return RETIRED;
        }
        row.generation.max(self.credential.get() - 1)
    }

    /// Whether the row was there when the mark was set. A row is dated by its generation; one without, by its making.
    fn ends(&self, row: &Row) -> bool {
        let granted = if row.generation == 0 { row.created_at.get() } else { row.generation };
        granted <= self.mark.get()
    }

    /// Refuses a token that ended with a mark its generation does not tell of: a token without generation, or a mark set
    /// by something else than a new password.
    ///
    /// A deletion is measured by the generation like a new password. A disabling is not: it leaves the password as it
    /// is, so once the account is enabled again what counts is when the token itself was granted.
    pub(super) fn check_birth(&self, presented: &Presented) -> Result<(), Refusal> {
        match presented.generation {
            _ if self.mark == Mark::NONE => Ok(()),
            Some(_) if self.mark == self.credential => Ok(()),
            Some(generation) if generation > self.mark.get() => Ok(()),
            Some(_) if self.state == State::Deleted => Err(Refusal::InvalidGeneration),
            _ => self.check_grant(presented),
        }
    }

    fn check_grant(&self, presented: &Presented) -> Result<(), Refusal> {
        if presented.vouched_at.is_some_and(|at| at.get() > self.mark.get()) {
            return Ok(());
        }
        match presented.birth.map(|birth| self.mark.standing(birth)) {
            Some(Standing::Above) => Ok(()),
            Some(Standing::Below) => Err(Refusal::InvalidGeneration),
            // Too coarse to tell, or nothing tells: only the identity provider knows.
            Some(Standing::Straddles) | None => Err(Refusal::PerhapsEnded),
        }
    }

    /// Whether a password was changed after the token's generation: for users that have no row to hold it against.
    pub(super) fn is_above_generation(&self, presented: &Presented) -> bool {
        presented.generation.is_some_and(|generation| generation < self.credential.get())
    }
}
