use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest subject kept, in bytes: OpenID Connect Core section 2 allows 255 ASCII characters.
const MAX_SUBJECT: usize = 255;
const MAX_IDP: usize = 64;

/// An id that cannot name an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing there.
    #[error("{what} is empty")]
    Empty {
        /// Which id.
        what: &'static str,
    },
    /// Over the limit.
    #[error("{what} is {length} bytes long; at most {limit} are kept")]
    TooLong {
        /// Which id.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A character that no store can hold or compare safely.
    #[error("{what} has a control character in it")]
    ControlCharacter {
        /// Which id.
        what: &'static str,
    },
}

fn checked(what: &'static str, text: &str, limit: usize) -> Result<Arc<str>, InvalidId> {
    match text {
        "" => Err(InvalidId::Empty { what }),
        long if long.len() > limit => Err(InvalidId::TooLong { what, length: long.len(), limit }),
        odd if odd.chars().any(char::is_control) => Err(InvalidId::ControlCharacter { what }),
        good => Ok(Arc::from(good)),
    }
}

macro_rules! opaque_id {
    ($(#[$docs:meta])* $name:ident, $what:literal, $limit:expr) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is: opaque, compared byte by byte. Refused when empty, too long or with a
            /// control character.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                checked($what, text, $limit).map(Self)
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

opaque_id! {
    /// The configured name of an identity provider. One IdP has one id, whatever its issuer aliases.
    IdpId, "the identity provider's id", MAX_IDP
}

opaque_id! {
    /// An account's `sub` at its identity provider (OpenID Connect Core section 2).
    Subject, "the subject", MAX_SUBJECT
}

/// An account: which identity provider, and which subject there. Ordered, so that locks are taken in one order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId {
    /// The identity provider that speaks for the account.
    pub idp: IdpId,
    /// Its subject there.
    pub subject: Subject,
}

impl AccountId {
    /// The account of `subject` at `idp`.
    pub fn new(idp: IdpId, subject: Subject) -> Self {
        Self { idp, subject }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.idp, self.subject)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_opaque_but_neither_empty_nor_endless_nor_unprintable() {
        assert_eq!(Subject::new("A@b").expect("valid").as_str(), "A@b");
        assert_ne!(Subject::new("A"), Subject::new("a"));
        assert!(matches!(Subject::new(""), Err(InvalidId::Empty { .. })));
        assert!(matches!(Subject::new("a\0b"), Err(InvalidId::ControlCharacter { .. })));
        assert!(matches!(Subject::new(&"x".repeat(256)), Err(InvalidId::TooLong { length: 256, .. })));
    }
}
