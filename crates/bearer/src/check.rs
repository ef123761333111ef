//! From a token to the account it may act for, or to the reason why not.

use crate::Refusal;
use crate::capability::Inner;
use crate::rules::{Asked, Judgement, judge};
use crate::store::accounts::Find;
use account::Millis;
use std::borrow::Cow;
use std::sync::Arc;
use verify::{Facts, Freshness, How};

/// A token that counts.
pub(crate) struct Checked {
    pub(crate) facts: Arc<Facts>,
    pub(crate) how: How,
    pub(crate) asked: Asked,
}

/// What a request needs besides a token that counts.
pub(crate) struct Needs<'a> {
    pub(crate) scopes: &'a [String],
    pub(crate) freshness: Freshness,
}

impl Inner {
    /// Checks a token: what it says, what is on record of its account, what it grants.
    pub(crate) async fn check(
        &self,
        token: &str,
        needs: &Needs<'_>,
        now: Millis,
    ) -> Result<Checked, Refusal> {
        let answer = self.verifier.check(token, &needs.freshness, now).await?;
        let below_mark = self.settings.below_mark(&answer.facts.idp);
        let checked = match judge(&answer.facts, &answer.record, below_mark, Asked::NotYet) {
            Judgement::Good => Checked { facts: answer.facts, how: answer.how, asked: Asked::NotYet },
            Judgement::AskAgain => self.ask_again(token, &answer.facts, now).await?,
            Judgement::Refused(refusal) => return Err(refusal),
        };
        match needs.scopes.iter().find(|scope| !checked.facts.scopes.grants(scope)) {
            Some(scope) => Err(Refusal::InsufficientScope { scope: Cow::Owned(scope.clone()) }),
            None => Ok(checked),
        }
    }

    /// Only the identity provider can tell whether the token outlived a change. The record is read after its answer, so
    /// that no change in between is missed.
    async fn ask_again(&self, token: &str, before: &Facts, now: Millis) -> Result<Checked, Refusal> {
        let facts = self.verifier.ask(token, now).await?;
        let account = facts.account();
        if account != before.account() {
            return Err(Refusal::Token(verify::Refusal::IdentityProvider));
        }
        let record = self.records.read(&account).await?;
        let below_mark = self.settings.below_mark(&facts.idp);
        match judge(&facts, &record, below_mark, Asked::JustNow) {
            Judgement::Good => Ok(Checked { facts, how: How::Learned, asked: Asked::JustNow }),
            Judgement::Refused(refusal) => Err(refusal),
            Judgement::AskAgain => unreachable!("its word of just now is an answer"),
        }
    }

    /// Whether the account is here, where that is asked for.
    pub(crate) async fn is_here(&self, facts: &Facts) -> Result<(), Refusal> {
        let is_needed = self.settings.accounts.as_ref().is_some_and(|accounts| accounts.required);
        if is_needed && self.store.read(&Find(&facts.account())).await?.is_none() {
            return Err(Refusal::NoAccount);
        }
        Ok(())
    }
}
