//! For what a token is sealed: it opens for that alone, so no row can be exchanged for another, and no old one brought back.

use crate::GrantId;
use crate::capability::Inner;
use crate::upstream::Secret;
use keys::CannotOpen;
use zeroize::Zeroizing;

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

impl Inner {
    /// Opens a token of a grant. What does not open is counted, and is no verdict on anything.
    pub(crate) async fn open(
        &self,
        grant: &GrantId,
        generation: i64,
        field: Field,
        sealed: &str,
    ) -> Result<Secret, CannotOpen> {
        match self.keys.open(&record(grant, generation, field), sealed).await {
            Ok(opened) => Ok(Zeroizing::new(String::from_utf8_lossy(&opened).into_owned())),
            Err(error) => {
                if !matches!(error, CannotOpen::Store(_)) {
                    metrics::counter!("sessions.decrypt_failures").increment(1);
                }
                Err(error)
            }
        }
    }

    /// The same, where there may be none.
    pub(crate) async fn open_if_there(
        &self,
        grant: &GrantId,
        generation: i64,
        field: Field,
        sealed: Option<&str>,
    ) -> Result<Option<Secret>, CannotOpen> {
        match sealed {
            Some(sealed) => self.open(grant, generation, field, sealed).await.map(Some),
            None => Ok(None),
        }
    }
}
