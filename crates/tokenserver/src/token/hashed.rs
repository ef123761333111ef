use crate::Secret;
use aws_lc_rs::hmac;

/// Half of a SHA-256 in hex: what goes into tokens and answers.
const SHORT: usize = 32;
const FULL: usize = 64;

/// An account's subject in the hashed forms that may leave the house, so that logs of different services can be
/// joined without naming anybody. Lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedIds {
    full: [u8; FULL],
    device: [u8; SHORT],
}

impl HashedIds {
    /// All 64 characters of the hashed subject: for the log.
    pub fn full_fxa_uid(&self) -> &str {
        ascii(&self.full)
    }

    /// Its first 32 characters: `hashed_fxa_uid`.
    pub fn fxa_uid(&self) -> &str {
        ascii(&self.full[..SHORT])
    }

    /// `hashed_device_id`: one for all devices of the account, since clients no longer name theirs.
    pub fn device_id(&self) -> &str {
        ascii(&self.device)
    }
}

/// Hashes subjects under the metrics secret, whose key is held ready.
pub struct Hasher(hmac::Key);

impl Hasher {
    /// A hasher under this secret; an empty one is allowed, as everywhere in the field.
    pub fn new(metrics_secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, metrics_secret.expose()))
    }

    /// The hashed forms of a subject.
    pub fn hash(&self, fxa_uid: &str) -> HashedIds {
        let full = self.hex(&[fxa_uid.as_bytes()]);
        let of_device = self.hex(&[&full[..SHORT], b"none"]);
        let mut device = [0; SHORT];
        device.copy_from_slice(&of_device[..SHORT]);
        HashedIds { full, device }
    }

    fn hex(&self, parts: &[&[u8]]) -> [u8; FULL] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut text = [0; FULL];
        hex::encode_to_slice(context.sign(), &mut text).expect("32 bytes are 64 hex digits");
        text
    }
}

fn ascii(hex: &[u8]) -> &str {
    std::str::from_utf8(hex).expect("hex digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_field() {
        let hashed = Hasher::new(&Secret::new("secret0")).hash("0123456789abcdef0123456789abcdef");
        assert_eq!(hashed.full_fxa_uid(), "dbf9e62f4ed48c193921dd518f0459f33032197966cb449594b262f63e1582aa");
        assert_eq!(hashed.fxa_uid(), "dbf9e62f4ed48c193921dd518f0459f3");
        assert_eq!(hashed.device_id(), "cfa8d478d2144fb4de7cc770f8a17334");
    }

    #[test]
    fn an_empty_secret_hashes_as_an_empty_key() {
        let hashed = Hasher::new(&Secret::default()).hash("test123");
        assert_eq!(hashed.fxa_uid(), "4d00ecae64b98dd7dc7dea68d0dd615d");
        assert_eq!(hashed.device_id(), "3a41cccbdd666ebc4199f1f9d1249d44");
    }
}
