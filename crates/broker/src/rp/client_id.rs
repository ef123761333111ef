use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use utoipa::ToSchema;

const LONGEST: usize = 64;

/// An OAuth client id, in lower case: compared everywhere without regard to the case it was written in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct ClientId(Arc<str>);

/// A text that is no client id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no client id: 1 to {LONGEST} letters, digits and any of `-._~`")]
pub struct InvalidClientId(String);

impl ClientId {
    /// Takes a client id and lowers its case.
    pub fn new(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(InvalidClientId(text.chars().take(LONGEST).collect()))
        }
    }

    /// The id, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientId {
    type Error = InvalidClientId;

    fn try_from(text: String) -> Result<Self, InvalidClientId> {
        Self::new(&text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_has_no_case() {
        assert_eq!(ClientId::new("5882386C6D801776"), ClientId::new("5882386c6d801776"));
        assert_eq!(ClientId::new("AbC").expect("valid").as_str(), "abc");
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_refused() {
        for odd in ["", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
            assert!(ClientId::new(odd).is_err(), "{odd:?}");
        }
    }
}
