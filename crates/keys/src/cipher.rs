use crate::{Purpose, RootKey};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// The first byte of everything sealed: which way.
const VERSION: u8 = 1;

/// Seals what must not stand in the store as it is: AES-256-GCM, under a key derived for one purpose and one record.
///
/// What is sealed for a record opens for that record alone: rows cannot be exchanged.
#[derive(Clone)]
pub struct Cipher {
    root: RootKey,
    purpose: Purpose,
}

/// What was to be opened was not sealed so: another root key, another record, or altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed under another root key, for another record, or it was altered")]
pub struct NotSealedHere;

impl Cipher {
    pub(crate) fn new(root: RootKey, purpose: Purpose) -> Self {
        Self { root, purpose }
    }

    /// Seals `plain` for the record of that name.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn seal(&self, record: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).expect("the system's random source works");
        let mut text = plain.to_vec();
        self.key(record)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from([VERSION]), &mut text)
            .expect("what a store holds is within AES-GCM's bounds");
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut text);
        sealed
    }

    /// Opens what was sealed for the record of that name; zeroised when dropped.
    pub fn open(&self, record: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotSealedHere> {
        let (version, rest) = sealed.split_first().ok_or(NotSealedHere)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(NotSealedHere)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .key(record)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from([*version]), &mut text)
            .map_err(|_| NotSealedHere)?
            .len();
        text.truncate(length);
        if *version == VERSION { Ok(text) } else { Err(NotSealedHere) }
    }

    fn key(&self, record: &str) -> LessSafeKey {
        let bytes = self.root.derive(self.purpose, record);
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*bytes).expect("AES-256 takes 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_record_and_purpose_alone() {
        let root = RootKey::generate();
        let cipher = root.cipher(Purpose::SigningKeys);
        let sealed = cipher.seal("a", b"secret");
        assert_eq!(cipher.open("a", &sealed).expect("its own").as_slice(), b"secret");
        assert_eq!(cipher.open("b", &sealed).err(), Some(NotSealedHere));
        assert_eq!(root.cipher(Purpose::RpSecrets).open("a", &sealed).err(), Some(NotSealedHere));
        let stranger = RootKey::generate().cipher(Purpose::SigningKeys);
        assert_eq!(stranger.open("a", &sealed).err(), Some(NotSealedHere));
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(sealed, cipher.seal("a", b"secret"), "never twice the same");
    }

    #[test]
    fn what_was_altered_or_cut_does_not_open() {
        let cipher = RootKey::generate().cipher(Purpose::SigningKeys);
        let sealed = cipher.seal("a", b"secret");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(cipher.open("a", &altered).err(), Some(NotSealedHere), "byte {at}");
            assert_eq!(cipher.open("a", &sealed[..at]).err(), Some(NotSealedHere), "cut at {at}");
        }
    }
}
