//! What any set of events comes to, said anew in plain numbers: nothing here is shared with the ledger's own rules.

use account::Change;
use std::collections::BTreeMap;
use store::testing::START;

/// A made-up event: whose, when, and what.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) account: usize,
    /// Milliseconds after the tests' clocks begin; `None` when the source gave no time.
    pub(crate) at: Option<i64>,
    pub(crate) change: Change,
    /// Whether an operator says so, and not the identity provider.
    pub(crate) by_operator: bool,
}

/// How an account must stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) mark: i64,
    pub(crate) credential_at: i64,
    /// Since when, and how strict (0 active, 1 disabled, 2 deleted): what was said last, and what operators said last.
    told: (i64, i64),
    held: (i64, i64),
}

impl Expected {
    /// How strict, and since when: whoever is stricter.
    pub(crate) fn state(&self) -> (i64, i64) {
        let strictness_first = |(at, strictness): (i64, i64)| (strictness, at);
        strictness_first(self.told).max(strictness_first(self.held))
    }
}

/// How accounts stand after these events, in whatever order and however often they came in at the clock's beginning.
pub(crate) fn expected(said: &[Said]) -> BTreeMap<usize, Expected> {
    let mut accounts = BTreeMap::<usize, Expected>::new();
    for Said { account, at, change, by_operator } in said {
        let account = accounts.entry(*account).or_default();
        // More than five minutes ahead is a wrong clock: then, as without a time, the time of receipt counts.
        let at = START.get() + at.filter(|at| *at <= 300_000).unwrap_or(0);
        let (is_password, strictness) = match change {
            Change::PasswordChange | Change::PasswordReset | Change::SignOutEverywhere => (true, None),
            Change::Enable => (false, Some(0)),
            Change::Disable => (false, Some(1)),
            Change::Delete { .. } => (false, Some(2)),
            Change::ProfileChange(profile) => (false, profile.account_disabled.map(i64::from)),
            _ => (false, None),
        };
        if is_password {
            account.credential_at = account.credential_at.max(at);
        }
        if is_password || strictness.is_some_and(|strictness| strictness > 0) {
            account.mark = account.mark.max(at);
        }
        match strictness {
            // An operator's enabling counts for everybody, the disabling is the operators' own.
            Some(0) if *by_operator => {
                account.held = account.held.max((at, 0));
                account.told = account.told.max((at, 0));
            }
            Some(1) if *by_operator => account.held = account.held.max((at, 1)),
            Some(strictness) => account.told = account.told.max((at, strictness)),
            None => {}
        }
    }
    accounts
}
