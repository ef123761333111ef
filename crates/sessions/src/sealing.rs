//! For what a token is sealed: it opens for that alone, so no row can be exchanged for another, and no old one brought back.

use crate::GrantId;

/// Which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    AccessToken,
    RefreshToken,
    IdToken,
    /// The key that tokens are bound to.
    DpopKey,
}

/// The name of what is sealed: its kind, whose, of which generation, and which of its fields.
pub(crate) fn record(grant: &GrantId, generation: i64, field: Field) -> String {
    let field = match field {
        Field::AccessToken => "access_token",
        Field::RefreshToken => "refresh_token",
        Field::IdToken => "id_token",
        Field::DpopKey => "dpop_key",
    };
    format!("grant/{grant}/{generation}/{field}")
}
