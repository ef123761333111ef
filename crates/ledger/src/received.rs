use account::AccountEvent;
use std::fmt;
use std::sync::Arc;

/// The name of a source of events, as configured.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// What an operator does by command or console. No other source may have this name.
    pub const OPERATOR: &'static str = "admin";

    /// A source's name; what is beyond 64 bytes is cut off.
    pub fn new(name: &str) -> Self {
        let cut = (0..=name.len().min(64)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        Self(Arc::from(&name[..cut]))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who speaks by it.
    pub(crate) fn speaker(&self) -> Speaker {
        if &*self.0 == Self::OPERATOR { Speaker::Operator } else { Speaker::IdentityProvider }
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose word an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// The account's identity provider, whichever way its word came.
    IdentityProvider,
    /// An operator of this house.
    Operator,
}

/// One event as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where from.
    pub source: SourceId,
    /// What the source calls the message: the same message is applied once, however often it comes.
    pub message_id: String,
    /// What it says.
    pub event: AccountEvent,
}
