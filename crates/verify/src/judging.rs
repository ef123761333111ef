//! Whether a grant counts, by what is on record of its account.

use crate::{Facts, Record, Rejection, Source};
use account::{Mark, Standing, State};
use serde::Deserialize;

/// What a token is worth that was given out before a change of its account, when the identity provider, asked after the
/// change, still says that it is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterChange {
    /// It is good: the identity provider knows what it let live. Mozilla accounts leave the tokens of confidential clients
    /// alone when a password is changed.
    #[default]
    Reintrospect,
    /// It is not: a change ends every earlier grant.
    Reject,
}

/// Whether a grant counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It does.
    Counts,
    /// It does not.
    Ended(Rejection),
    /// Only the identity provider, asked now, can tell.
    AskAgain,
}

/// Judges a grant by what is on record of its account. Pure.
///
/// Born wholly above the mark, it counts; wholly at or below, it has ended where changes end all. Otherwise the identity
/// provider is asked again: what it says after the change settles it.
pub fn judge(facts: &Facts, record: &Record, after_change: AfterChange) -> Judgement {
    match record.state {
        State::Active => {}
        State::Disabled => return Judgement::Ended(Rejection::AccountDisabled),
        State::Deleted => return Judgement::Ended(Rejection::AccountDeleted),
    }
    let standing = record.mark.standing(facts.birth());
    let vouched = facts.source == Source::Word && Mark::at(facts.learned_at) > record.mark;
    match (standing, after_change) {
        (Standing::Above, _) => Judgement::Counts,
        (Standing::Below, AfterChange::Reject) => Judgement::Ended(Rejection::TokenEnded),
        _ if vouched => Judgement::Counts,
        _ => Judgement::AskAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Derived, NumericDate, Scopes};
    use account::{IdpId, Millis, Subject};
    use jose::{Algorithm, SigningKey};

    fn facts(source: Source, issued_at: i64, learned_at: i64) -> Facts {
        Facts {
            idp: IdpId::new("idp").expect("valid"),
            subject: Subject::new("u").expect("valid"),
            client_id: None,
            scopes: Scopes::default(),
            generation: None,
            profile_changed_at: None,
            auth_time: None,
            acr: None,
            issued_at: Some(NumericDate::whole(issued_at)),
            expires_at: None,
            learned_at: Millis::new(learned_at),
            source,
            derived: Derived::default(),
        }
    }

    fn record(mark: i64, state: State) -> Record {
        Record { version: 1, mark: Mark::at(Millis::new(mark)), state }
    }

    #[test]
    fn each_grant_is_judged_by_its_birth_its_proof_and_the_choice() {
        use AfterChange::{Reintrospect, Reject};
        use Judgement::{AskAgain, Counts};
        let key = SigningKey::generate(Algorithm::EdDsa).expect("a key");
        let signed = Source::Signature(*key.jwk().public_key().thumbprint());
        let ended = || Judgement::Ended(Rejection::TokenEnded);
        // The mark lies in the middle of second 5.
        let table = [
            (signed, 6, 9_000, Counts, Counts),
            (signed, 5, 9_000, AskAgain, AskAgain),
            (signed, 4, 9_000, AskAgain, ended()),
            (Source::Word, 6, 5_000, Counts, Counts),
            (Source::Word, 5, 9_000, Counts, Counts),
            (Source::Word, 5, 5_500, AskAgain, AskAgain),
            (Source::Word, 4, 5_501, Counts, ended()),
            (Source::Word, 4, 5_500, AskAgain, ended()),
        ];
        for (source, issued_at, learned_at, following, strict) in table {
            let facts = facts(source, issued_at, learned_at);
            let judged = |choice| judge(&facts, &record(5_500, State::Active), choice);
            assert_eq!(judged(Reintrospect), following, "{facts:?}");
            assert_eq!(judged(Reject), strict, "{facts:?}");
        }
    }

    #[test]
    fn an_account_that_may_not_act_is_refused_whatever_the_token() {
        let facts = facts(Source::Word, 9, 9_000);
        let judged = |state| judge(&facts, &record(0, state), AfterChange::Reintrospect);
        assert_eq!(judged(State::Active), Judgement::Counts);
        assert_eq!(judged(State::Disabled), Judgement::Ended(Rejection::AccountDisabled));
        assert_eq!(judged(State::Deleted), Judgement::Ended(Rejection::AccountDeleted));
    }
}
