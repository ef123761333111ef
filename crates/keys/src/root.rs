use crate::Cipher;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const LENGTH: usize = 32;

/// What a derived key is for. Two purposes never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Hashes of deleted accounts.
    Tombstones,
    /// Hashes of callers' tokens.
    CallerTokens,
    /// Private keys that sign what goes out.
    SigningKeys,
    /// What relying parties are shown so that they know who calls.
    RpSecrets,
    /// Hashes of relying parties' tokens.
    RpTokens,
    /// Keys that seal much and are rotated.
    DataKeys,
    /// What such a key seals.
    Data,
    /// Hashes of codes that logins began with.
    SessionCodes,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Tombstones => b"highwater/tombstones/1",
            Self::CallerTokens => b"highwater/caller-tokens/1",
            Self::SigningKeys => b"highwater/signing-keys/1",
            Self::RpSecrets => b"highwater/rp-secrets/1",
            Self::RpTokens => b"highwater/rp-tokens/1",
            Self::DataKeys => b"highwater/data-keys/1",
            Self::Data => b"highwater/data/1",
            Self::SessionCodes => b"highwater/session-codes/1",
        }
    }
}

/// The one secret that is configured: 32 random bytes, written base64url without padding. Redacted and zeroised.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; LENGTH]);

/// A text that is no root key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the root key is not 32 bytes in base64url without padding; `highwater init` writes a fresh one")]
pub struct InvalidRootKey;

impl RootKey {
    /// A fresh one.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn generate() -> Self {
        let mut key = [0; LENGTH];
        rand::fill(&mut key).expect("the system's random source works");
        Self(key)
    }

    /// From its text.
    pub fn parse(text: &str) -> Result<Self, InvalidRootKey> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvalidRootKey)?;
        let key = <[u8; LENGTH]>::try_from(bytes.as_slice()).map(Self).map_err(|_| InvalidRootKey);
        bytes.zeroize();
        key
    }

    /// Its text, for the configuration file and nothing else.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The HMAC-SHA-256 key for one purpose (RFC 5869: the info names it).
    pub fn hmac_key(&self, purpose: Purpose) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &*self.expand(&[purpose.info()]))
    }

    /// What seals and opens a column for one purpose, each record under a key of its own.
    pub fn cipher(&self, purpose: Purpose) -> Cipher {
        Cipher::new(self.clone(), purpose)
    }

    /// The key for one record of one purpose.
    pub(crate) fn derive(&self, purpose: Purpose, record: &str) -> Zeroizing<[u8; LENGTH]> {
        self.expand(&[purpose.info(), &[0], record.as_bytes()])
    }

    fn expand(&self, info: &[&[u8]]) -> Zeroizing<[u8; LENGTH]> {
        struct Out;
        impl KeyType for Out {
            fn len(&self) -> usize {
                LENGTH
            }
        }
        let mut derived = Zeroizing::new([0; LENGTH]);
        Salt::new(HKDF_SHA256, &[])
            .extract(&self.0)
            .expand(info, Out)
            .and_then(|okm| okm.fill(&mut *derived))
            .expect("32 bytes are within what HKDF-SHA-256 can give");
        derived
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(redacted)")
    }
}

impl<'de> Deserialize<'de> for RootKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_survives_its_text_and_is_never_shown() {
        let key = RootKey::generate();
        let again = RootKey::parse(&key.reveal()).expect("its own text");
        assert_eq!(again.0, key.0);
        assert_eq!(format!("{key:?}"), "RootKey(redacted)");
        assert_eq!(RootKey::parse("short").unwrap_err(), InvalidRootKey);
    }

    #[test]
    fn two_purposes_have_two_keys() {
        let key = RootKey([7; LENGTH]);
        let tag = |purpose| hmac::sign(&key.hmac_key(purpose), b"x").as_ref().to_vec();
        assert_ne!(tag(Purpose::Tombstones), tag(Purpose::CallerTokens));
        assert_eq!(tag(Purpose::Tombstones), tag(Purpose::Tombstones));
    }
}
