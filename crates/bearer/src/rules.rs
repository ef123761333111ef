//! What follows from a token and from what is on record of its account; pure.

use crate::Refusal;
use account::{Standing, State};
use serde::Deserialize;
use verify::{Facts, Record, Source};

/// What becomes of a token from before its account's high-water mark. Events say that all earlier grants have ended; an
/// identity provider may see that differently for some of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BelowMark {
    /// It is refused, whatever the identity provider says of it.
    #[default]
    Reject,
    /// The identity provider is asked again, and what it says after the event holds.
    Reintrospect,
}

/// Whether the identity provider was asked for this very request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Not yet: the facts may be remembered, or the token's own.
    NotYet,
    /// Just now, and this is its word.
    JustNow,
}

/// What a token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It counts.
    Good,
    /// Only the identity provider can tell.
    AskAgain,
    /// It does not.
    Refused(Refusal),
}

/// Judges a token's facts against the record of its account.
pub(crate) fn judge(facts: &Facts, record: &Record, below_mark: BelowMark, asked: Asked) -> Judgement {
    match record.state {
        State::Active => {}
        State::Disabled => return Judgement::Refused(Refusal::AccountDisabled),
        State::Deleted => return Judgement::Refused(Refusal::AccountDeleted),
    }
    // Its word of after the change is the answer to whether the token outlived it.
    let is_vouched = asked == Asked::JustNow
        || (facts.source == Source::Word && facts.learned_at.get() > record.mark.get());
    match (record.mark.standing(facts.birth()), below_mark) {
        (Standing::Above, _) => Judgement::Good,
        (Standing::Below, BelowMark::Reject) => Judgement::Refused(Refusal::TokenEnded),
        (Standing::Straddles, _) | (Standing::Below, BelowMark::Reintrospect) if is_vouched => {
            Judgement::Good
        }
        (Standing::Straddles, _) | (Standing::Below, BelowMark::Reintrospect) => Judgement::AskAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::{IdpId, Mark, Millis, Subject};
    use proptest::prelude::*;
    use verify::{Derived, NumericDate, Scopes};

    fn facts(issued_at: Option<i64>, learned_at: i64) -> Facts {
        Facts {
            idp: IdpId::new("idp").expect("valid"),
            subject: Subject::new("u").expect("valid"),
            client_id: None,
            scopes: Scopes::default(),
            generation: None,
            profile_changed_at: None,
            auth_time: None,
            acr: None,
            issued_at: issued_at.map(NumericDate::whole),
            expires_at: None,
            learned_at: Millis::new(learned_at),
            source: Source::Word,
            derived: Derived::default(),
        }
    }

    fn record(mark: i64, state: State) -> Record {
        Record { version: 1, mark: Mark::at(Millis::new(mark)), state }
    }

    /// A token given out within second 5, of which was learned at 6000.
    fn judged(mark: i64, below_mark: BelowMark) -> Judgement {
        judge(&facts(Some(5), 6_000), &record(mark, State::Active), below_mark, Asked::NotYet)
    }

    #[test]
    fn a_token_counts_when_it_is_wholly_above_the_mark() {
        for below_mark in [BelowMark::Reject, BelowMark::Reintrospect] {
            assert_eq!(judged(0, below_mark), Judgement::Good);
            assert_eq!(judged(4_999, below_mark), Judgement::Good);
        }
    }

    #[test]
    fn a_token_wholly_below_the_mark_is_refused_or_asked_about_as_is_configured() {
        assert_eq!(judged(5_999, BelowMark::Reject), Judgement::Refused(Refusal::TokenEnded));
        // Learned after the change: the identity provider has said already that it outlived it.
        assert_eq!(judged(5_999, BelowMark::Reintrospect), Judgement::Good);
        assert_eq!(judged(6_000, BelowMark::Reintrospect), Judgement::AskAgain);
        let asked = judge(
            &facts(Some(5), 6_000),
            &record(9_000, State::Active),
            BelowMark::Reintrospect,
            Asked::JustNow,
        );
        assert_eq!(asked, Judgement::Good);
    }

    #[test]
    fn a_token_of_the_very_second_of_the_mark_is_asked_about() {
        for below_mark in [BelowMark::Reject, BelowMark::Reintrospect] {
            let facts = Facts { learned_at: Millis::new(5_400), ..facts(Some(5), 0) };
            let record = record(5_500, State::Active);
            assert_eq!(judge(&facts, &record, below_mark, Asked::NotYet), Judgement::AskAgain);
            assert_eq!(judge(&facts, &record, below_mark, Asked::JustNow), Judgement::Good);
        }
    }

    proptest! {
        #[test]
        fn an_account_that_may_not_act_is_refused_whatever_else_is_so(
            mark in 0..9_000_i64, issued_at in prop::option::of(0..9_i64), reject in any::<bool>(), asked in any::<bool>()
        ) {
            let below_mark = if reject { BelowMark::Reject } else { BelowMark::Reintrospect };
            let asked = if asked { Asked::JustNow } else { Asked::NotYet };
            for (state, refusal) in
                [(State::Disabled, Refusal::AccountDisabled), (State::Deleted, Refusal::AccountDeleted)]
            {
                let judgement = judge(&facts(issued_at, 1), &record(mark, state), below_mark, asked);
                prop_assert_eq!(judgement, Judgement::Refused(refusal));
            }
        }

        #[test]
        fn a_higher_mark_never_makes_a_token_better(
            mark in 0..9_000_i64, more in 0..3_000_i64, issued_at in 0..9_i64, learned_at in 0..9_000_i64
        ) {
            let rank = |mark| match judge(
                &facts(Some(issued_at), learned_at), &record(mark, State::Active), BelowMark::Reject, Asked::NotYet
            ) {
                Judgement::Good => 0,
                Judgement::AskAgain => 1,
                Judgement::Refused(_) => 2,
            };
            prop_assert!(rank(mark) <= rank(mark + more));
        }
    }
}
