use crate::{ConfigError, Idp, IdpConfig};
use account::IdpId;
use std::collections::HashSet;
use std::sync::Arc;

/// All identity providers that are configured, in that order; the first is the default. Whoever is not among them is
/// a stranger.
#[derive(Clone, Debug)]
pub struct Idps(Arc<[Arc<Idp>]>);

impl Idps {
    /// From their configurations: at least one, and no two with the same id, issuer or, whatever its case, account domain.
    pub fn new(configs: &[IdpConfig]) -> Result<Self, ConfigError> {
        let idps: Arc<[_]> =
            configs.iter().map(|config| Idp::new(config).map(Arc::new)).collect::<Result<_, _>>()?;
        if idps.is_empty() {
            return Err(ConfigError::None);
        }
        no_two_with_one("the id", idps.iter().map(|idp| vec![idp.id().as_str()]))?;
        // A domain is a DNS name, which has no case (RFC 4343): `uid@A.example` and `uid@a.example` would be two users in
        // our eyes and one in everybody else's.
        let domains: Vec<String> = idps.iter().map(|idp| idp.account_domain().to_lowercase()).collect();
        no_two_with_one("the account domain", domains.iter().map(|domain| vec![domain.as_str()]))?;
        no_two_with_one(
            "the issuer",
            idps.iter().map(|idp| idp.issuers().collect::<HashSet<_>>().into_iter().collect()),
        )?;
        Ok(Self(idps))
    }

    /// The one that whatever names no other belongs to: the first.
    pub fn default_idp(&self) -> &Arc<Idp> {
        self.0.first().expect("there is at least one")
    }

    /// The one with this id.
    pub fn by_id(&self, id: &IdpId) -> Option<&Arc<Idp>> {
        self.iter().find(|idp| idp.id() == id)
    }

    /// The one that goes by this `iss`, with or without a trailing slash.
    pub fn by_issuer(&self, issuer: &str) -> Option<&Arc<Idp>> {
        self.iter().find(|idp| idp.goes_by(issuer))
    }

    /// The one whose accounts carry this domain.
    pub fn by_account_domain(&self, domain: &str) -> Option<&Arc<Idp>> {
        self.iter().find(|idp| idp.account_domain() == domain)
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Idp>> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Idps {
    type Item = &'a Arc<Idp>;
    type IntoIter = std::slice::Iter<'a, Arc<Idp>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn no_two_with_one<'a>(
    what: &'static str,
    values: impl Iterator<Item = Vec<&'a str>>,
) -> Result<(), ConfigError> {
    let mut seen = HashSet::new();
    for value in values.flatten() {
        if !seen.insert(value) {
            return Err(ConfigError::Ambiguous { what, value: value.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(id: &str, issuers: &[&str], account_domain: &str) -> IdpConfig {
        let mut config = IdpConfig::new(IdpId::new(id).expect("valid"), "", account_domain);
        config.issuers = issuers.iter().map(ToString::to_string).collect();
        config.server_url = Some("https://oauth.example".to_owned());
        config
    }

    #[test]
    fn each_is_found_by_its_id_its_names_and_its_domain() {
        let a = config("a", &["https://a.example/", "https://a.example", "api.a.example"], "api.a.example");
        let idps = Idps::new(&[a, config("b", &["https://b.example"], "b.example")]).expect("valid");
        let name = |idp: Option<&Arc<Idp>>| idp.map(|idp| idp.id().to_string());
        for issuer in ["https://a.example", "https://a.example/", "api.a.example"] {
            assert_eq!(name(idps.by_issuer(issuer)).as_deref(), Some("a"), "{issuer}");
        }
        assert_eq!(name(idps.by_issuer("https://b.example/")).as_deref(), Some("b"));
        for stranger in ["https://A.example", "https://a.example//", "https://a.example.evil", ""] {
            assert_eq!(name(idps.by_issuer(stranger)), None, "{stranger}");
        }
        assert_eq!(name(idps.by_account_domain("b.example")).as_deref(), Some("b"));
        assert_eq!(name(idps.by_account_domain("c.example")), None);
        assert_eq!(name(idps.by_id(&IdpId::new("b").expect("valid"))).as_deref(), Some("b"));
        assert_eq!(idps.default_idp().id().as_str(), "a");
    }

    #[test]
    fn two_that_cannot_be_told_apart_are_refused() {
        let refused = |a: IdpConfig, b: IdpConfig| Idps::new(&[a, b]).expect_err("ambiguous").to_string();
        let a = || config("a", &["https://a.example"], "a.example");
        assert!(refused(a(), config("a", &["https://b.example"], "b.example")).contains("id"));
        assert!(refused(a(), config("b", &["https://a.example/"], "b.example")).contains("issuer"));
        assert!(refused(a(), config("b", &["https://b.example"], "a.example")).contains("domain"));
        assert!(refused(a(), config("b", &["https://b.example"], "A.Example")).contains("domain"));
        assert!(matches!(Idps::new(&[]), Err(ConfigError::None)));
    }
}
