use crate::capability_list::{CapabilityList, Source};
use crate::registrations::{self, Absent};
use crate::signer;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The section `broker`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The `iss` of every token, to the letter: receivers compare it.
    pub issuer: String,
    /// The URL under which the public listener is reached from outside, for the metadata of streams; the issuer unless
    /// set.
    pub public_url: Option<String>,
    /// Files with private keys (a JWK or a JWK set each) that sign instead of generated ones, for their algorithms.
    pub signing_keys: Vec<PathBuf>,
    /// Files with relying parties, and folders of such files (`*.json`): each a relying party as the admin API takes it, or
    /// a list of them. At the start the registry is made to say what they say.
    pub relying_parties: Vec<PathBuf>,
    /// What becomes of a relying party that is in none of these files any more.
    pub absent_relying_parties: Absent,
    /// The identity provider's list of its clients' capabilities; without one, those of the registrations hold.
    pub capability_list: Option<CapabilityList>,
    /// Days that ended deliveries are kept, and with them how far back they can be replayed.
    pub deliveries_days: u32,
    /// Days that what is told of an account is kept after its deletion, once every relying party has confirmed that.
    pub deleted_accounts_days: u32,
    /// Days that attempts are kept.
    pub attempts_days: u32,
    /// Days that a login is remembered after the last one; 0: until the account is deleted.
    pub logins_days: u32,
    /// Days that a retired signing key is published.
    pub retired_keys_days: u32,
    /// Days that anything is held for a paused relying party; deletions are held without a bound.
    pub paused_days: u32,
    /// The most deliveries held for a paused relying party, beyond which the oldest go; deletions do not.
    pub paused_rows: u32,
    /// Days after which a relying party that has done nothing but fail is disabled.
    pub failing_days: u32,
    /// Hours until the removal of a subject from a stream takes effect.
    pub removal_grace_hours: u32,
    /// The least seconds between two verification events that a receiver asks for.
    pub verification_interval_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            public_url: None,
            signing_keys: Vec::new(),
            relying_parties: Vec::new(),
            absent_relying_parties: Absent::default(),
            capability_list: None,
            deliveries_days: 30,
            deleted_accounts_days: 7,
            attempts_days: 30,
            logins_days: 0,
            retired_keys_days: 7,
            paused_days: 30,
            paused_rows: 1_000_000,
            failing_days: 5,
            removal_grace_hours: 24,
            verification_interval_seconds: 60,
        }
    }
}

/// Settings that do not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker.{key}: {why}")]
pub struct InvalidSettings {
    /// Which of them.
    pub key: &'static str,
    /// What is the matter.
    pub why: String,
}

impl InvalidSettings {
    pub(crate) fn new(key: &'static str, why: impl Into<String>) -> Self {
        Self { key, why: why.into() }
    }
}

impl Settings {
    /// Whether they work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.issuer.is_empty() {
            return Err(InvalidSettings::new("issuer", "is needed: it names this broker in every token"));
        }
        self.base_url().map(drop)
    }

    /// Takes files that are named without a folder, or with a part of the way, to be in `folder` or beneath it.
    pub fn settle_paths(&mut self, folder: &Path) {
        for path in self.signing_keys.iter_mut().chain(&mut self.relying_parties) {
            *path = folder.join(&*path);
        }
    }

    /// Whether they work with everything they name: the files of keys and of relying parties, too. The network is asked
    /// nothing.
    pub fn check_whole(&self) -> Result<(), InvalidSettings> {
        self.check()?;
        self.signing_keys.iter().try_for_each(|path| signer::read_keys(path).map(drop))?;
        registrations::read(&self.relying_parties)?;
        self.capability_list.as_ref().map_or(Ok(()), |list| Source::new(list).map(drop))
    }

    /// The URL under which we are reached, without a slash at its end.
    pub fn base_url(&self) -> Result<String, InvalidSettings> {
        let (key, text) = match &self.public_url {
            Some(url) => ("public_url", url),
            None => ("issuer", &self.issuer),
        };
        let url: Url = text.parse().map_err(|_| InvalidSettings::new(key, "is no URL"))?;
        if !matches!(url.scheme(), "https" | "http") || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidSettings::new(key, "is an http or https URL without query and fragment"));
        }
        Ok(url.as_str().trim_end_matches('/').to_owned())
    }
}

/// So many days.
pub(crate) fn days(count: u32) -> Duration {
    Duration::from_hours(24 * u64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_needed_and_the_public_url_has_no_slash() {
        assert_eq!(Settings::default().check().expect_err("no issuer").key, "issuer");
        let at = |issuer: &str| Settings { issuer: issuer.into(), ..Settings::default() }.base_url();
        assert_eq!(at("https://broker.example/").as_deref(), Ok("https://broker.example"));
        assert_eq!(at("https://broker.example/a").as_deref(), Ok("https://broker.example/a"));
        assert!(at("broker").is_err() && at("https://a/?b").is_err() && at("ftp://a/").is_err());
    }
}
