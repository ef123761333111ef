use std::sync::Arc;

/// The names that an identity provider goes by, without trailing slashes.
#[derive(Clone, Debug)]
pub(crate) struct Issuers(Arc<[Box<str>]>);

impl Issuers {
    pub(crate) fn new(issuers: &[String]) -> Self {
        Self(issuers.iter().map(|issuer| Box::from(normal(issuer))).collect())
    }

    /// Whether this is one of them. Compared byte by byte, but for one trailing slash.
    pub(crate) fn hold(&self, issuer: &str) -> bool {
        self.iter().any(|known| known == normal(issuer))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

fn normal(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}
