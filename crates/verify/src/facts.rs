use crate::{Derived, NumericDate, Scopes};
use account::{AccountId, Birth, IdpId, Millis, Subject};
use jose::Thumbprint;
use std::any::Any;
use std::sync::Arc;

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The identity provider that gave it out.
    pub idp: IdpId,
    /// The account it acts for, there.
    pub subject: Subject,
    /// The OAuth client it was given to.
    pub client_id: Option<Arc<str>>,
    /// What it grants.
    pub scopes: Scopes,
    /// `fxa-generation`: when the account's credentials had last changed, in milliseconds since the epoch.
    pub generation: Option<i64>,
    /// `fxa-profileChangedAt`: when the profile had last changed, in milliseconds since the epoch.
    pub profile_changed_at: Option<i64>,
    /// When the user proved who they are.
    pub auth_time: Option<NumericDate>,
    /// `acr`: how surely they did (OpenID Connect Core section 2, RFC 9470 section 6.2).
    pub acr: Option<Arc<str>>,
    /// When it was given out.
    pub issued_at: Option<NumericDate>,
    /// When it ends. `None` when the identity provider does not say.
    pub expires_at: Option<Millis>,
    /// When this was found out.
    pub learned_at: Millis,
    /// How this is known.
    pub source: Source,
    /// What the caller made of them.
    pub derived: Derived,
}

/// How facts are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// By the signature of this key of the identity provider.
    Signature(Thumbprint),
    /// By the identity provider's word, asked at [`Facts::learned_at`].
    Word,
}

impl Facts {
    /// The account.
    pub fn account(&self) -> AccountId {
        AccountId::new(self.idp.clone(), self.subject.clone())
    }

    /// What `make` makes of these facts: made at the first calls and kept with them, so that a token that comes again
    /// costs it no more. It must follow from the facts alone, or from what never changes while the process lives.
    pub fn derive<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Arc<T> {
        self.derived.get_or_make(|| make(self))
    }

    /// When the grant behind it was born, for comparing with the account's high-water mark: by `fxa-generation` to the
    /// millisecond, else by `auth_time` or `iat`, each at its own resolution.
    ///
    /// When nothing tells, any moment until the facts were learned is possible. Such facts, learned by the identity
    /// provider's word after the mark, are its answer to whether the token outlived the change.
    pub fn birth(&self) -> Birth {
        match (self.generation, self.auth_time.or(self.issued_at)) {
            // spec/tokenserver.md 2.4: generation 0 means that there is none.
            (Some(generation), _) if generation > 0 => Birth::exactly(Millis::new(generation)),
            (_, Some(date)) => date.birth(),
            (_, None) => Birth { earliest: Millis::ZERO, latest: self.learned_at },
        }
    }

    /// About how much memory it takes, in bytes, without what callers derive and without words shared with other tokens.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.subject.as_str().len()
    }

    /// Its words that come again with other tokens.
    pub(crate) fn words(&mut self) -> impl Iterator<Item = &mut Arc<str>> {
        [Some(&mut self.scopes.0), self.client_id.as_mut(), self.acr.as_mut()].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use account::{Mark, Standing};

    fn facts(generation: Option<i64>, auth_time: Option<i64>, issued_at: Option<i64>) -> Facts {
        Facts {
            idp: IdpId::new("idp").expect("valid"),
            subject: Subject::new("u").expect("valid"),
            client_id: None,
            scopes: Scopes::default(),
            generation,
            profile_changed_at: None,
            auth_time: auth_time.map(NumericDate::whole),
            acr: None,
            issued_at: issued_at.map(NumericDate::whole),
            expires_at: None,
            learned_at: Millis::new(9_500),
            source: Source::Word,
            derived: Derived::default(),
        }
    }

    #[test]
    fn the_birth_is_the_generation_else_the_sign_in_else_the_issue() {
        let second = |second| Birth::within_second(second);
        assert_eq!(facts(Some(1_234), Some(5), Some(6)).birth(), Birth::exactly(Millis::new(1_234)));
        assert_eq!(facts(Some(0), Some(5), Some(6)).birth(), second(5));
        assert_eq!(facts(None, None, Some(6)).birth(), second(6));
    }

    #[test]
    fn of_an_unknown_birth_only_a_mark_after_the_learning_is_certainly_above() {
        let birth = facts(None, None, None).birth();
        assert_eq!(Mark::at(Millis::new(9_500)).standing(birth), Standing::Below);
        assert_eq!(Mark::at(Millis::new(9_499)).standing(birth), Standing::Straddles);
        assert_eq!(Mark::NONE.standing(birth), Standing::Above);
    }
}
