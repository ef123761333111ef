//! Names that tell nothing of tokens, and values that tell nothing at all.

use account::IdpId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::span::Spread;

const LENGTH: usize = 32;
/// The first byte of everything sealed: which way, and how what is inside is written.
const FORMAT: u8 = 1;

/// A secret that the processes with one [`SharedTier`](super::SharedTier) have in common: 32 random bytes. Redacted and
/// zeroised.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; LENGTH]);

/// What follows from a secret.
pub(crate) struct Keys {
    id: String,
    names: hmac::Key,
    values: Prk,
}

/// A token's name in the tier: HMAC-SHA-256 of its identity provider's id and itself, behind the id of the key.
#[derive(Clone)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) spread: Spread,
    keys: Arc<Keys>,
}

/// What something sealed is, so that nothing can be taken for another thing.
#[derive(Clone, Copy)]
pub(crate) enum Seal {
    Facts,
    No,
    LastWords,
}

impl SharedSecret {
    /// From its bytes.
    pub const fn new(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(redacted)")
    }
}

impl Keys {
    pub(crate) fn new(secret: &SharedSecret) -> Arc<Self> {
        let values = Salt::new(HKDF_SHA256, &[]).extract(&secret.0);
        let id = expand(&values, &[b"highwater/shared/id/1"]);
        let names = hmac::Key::new(hmac::HMAC_SHA256, &*expand(&values, &[b"highwater/shared/names/1"]));
        Arc::new(Self { id: hexadecimal(&id[..4]), names, values })
    }

    pub(crate) fn name(self: &Arc<Self>, idp: &IdpId, token: &str) -> Name {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(idp.as_str().as_bytes());
        // No id has a control character in it.
        context.update(&[0]);
        context.update(token.as_bytes());
        let tag = context.sign();
        let spread = Spread(tag.as_ref().last().copied().unwrap_or_default());
        let text = format!("{}:{}", self.id, hexadecimal(tag.as_ref()));
        Name { text, spread, keys: Arc::clone(self) }
    }
}

impl Name {
    /// Seals a text for this name alone.
    pub(crate) fn seal(&self, seal: Seal, mut text: Vec<u8>) -> Vec<u8> {
        let nonce = self
            .key()
            .seal_in_place_append_tag(self.bound_to(seal), &mut text)
            .expect("a few kilobytes are within AES-GCM's bounds");
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        sealed
    }

    /// Opens what was sealed for this name; `None` for anything else.
    pub(crate) fn open(&self, seal: Seal, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&FORMAT, rest) = sealed.split_first()? else { return None };
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key().open_in_place(nonce, self.bound_to(seal), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    /// One key for each name: a nonce could only meet another of the same name.
    fn key(&self) -> RandomizedNonceKey {
        let bytes = expand(&self.keys.values, &[b"highwater/shared/values/1", &[0], self.text.as_bytes()]);
        RandomizedNonceKey::new(&AES_256_GCM, &*bytes).expect("AES-256 takes 32 bytes")
    }

    fn bound_to(&self, seal: Seal) -> Aad<Vec<u8>> {
        let what = match seal {
            Seal::Facts => 0,
            Seal::No => 1,
            Seal::LastWords => 2,
        };
        Aad::from([&[FORMAT, what], self.text.as_bytes()].concat())
    }
}

fn expand(key: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; LENGTH]> {
    struct Out;
    impl KeyType for Out {
        fn len(&self) -> usize {
            LENGTH
        }
    }
    let mut derived = Zeroizing::new([0; LENGTH]);
    key.expand(info, Out)
        .and_then(|material| material.fill(&mut *derived))
        .expect("32 bytes are within what HKDF-SHA-256 can give");
    derived
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idp(id: &str) -> IdpId {
        IdpId::new(id).expect("valid")
    }

    fn name(secret: u8, id: &str, token: &str) -> Name {
        Keys::new(&SharedSecret::new([secret; LENGTH])).name(&idp(id), token)
    }

    #[test]
    fn a_name_is_the_same_in_every_process_with_the_secret_and_another_for_another_token() {
        let one = name(1, "idp", "token").text;
        assert_eq!(one, name(1, "idp", "token").text);
        assert_eq!(one.len(), 8 + 1 + 64);
        for other in [name(2, "idp", "token"), name(1, "idp2", "token"), name(1, "idp", "token2")] {
            assert_ne!(one, other.text);
        }
        assert_ne!(name(1, "a", "bc").text, name(1, "ab", "c").text);
        assert_ne!(one[..8], name(2, "idp", "token").text[..8], "the id tells the key");
    }

    #[test]
    fn what_is_sealed_opens_for_its_name_and_purpose_alone() {
        let name_of = |token| name(1, "idp", token);
        let sealed = name_of("a").seal(Seal::Facts, b"subject".to_vec());
        assert_eq!(name_of("a").open(Seal::Facts, &sealed).expect("its own").as_slice(), b"subject");
        assert!(name_of("b").open(Seal::Facts, &sealed).is_none());
        assert!(name_of("a").open(Seal::No, &sealed).is_none());
        assert!(name(2, "idp", "a").open(Seal::Facts, &sealed).is_none());
        assert!(!sealed.windows(7).any(|window| window == b"subject"));
        assert_ne!(sealed, name_of("a").seal(Seal::Facts, b"subject".to_vec()), "never twice the same");
    }

    #[test]
    fn what_was_altered_or_cut_does_not_open() {
        let name = name(1, "idp", "a");
        let sealed = name.seal(Seal::Facts, b"subject".to_vec());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(name.open(Seal::Facts, &altered).is_none(), "byte {at}");
            assert!(name.open(Seal::Facts, &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", SharedSecret::new([7; LENGTH])), "SharedSecret(redacted)");
    }
}
