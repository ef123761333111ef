use futures::future::BoxFuture;

/// Whoever signs with keys that are published: the house's key ring.
pub trait Signs: Send + Sync {
    /// The `iss` of what it signs.
    fn issuer(&self) -> &str;

    /// Claims as a compact JWS by RS256, its `typ` being `token-introspection+jwt` (RFC 9701 section 5).
    fn introspection(&self, claims: Vec<u8>) -> BoxFuture<'_, Result<String, CannotSign>>;
}

/// Nothing can be signed just now: on a fresh store the keys are being made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be signed just now: {0}")]
pub struct CannotSign(pub String);
