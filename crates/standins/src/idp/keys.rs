use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError, RwLock};

/// The signing keys: the current one first, then the older ones that are still published.
#[derive(Debug)]
pub(super) struct Keyring(RwLock<Vec<Arc<SigningKey>>>);

#[derive(Debug)]
struct SigningKey {
    kid: String,
    pair: KeyPair,
}

impl Keyring {
    pub(super) fn new() -> Self {
        Self(RwLock::new(vec![SigningKey::make()]))
    }

    pub(super) fn rotate(&self) {
        let new = SigningKey::make();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(0, new);
    }

    pub(super) fn withdraw_old(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).truncate(1);
    }

    /// The JWK set (RFC 7517 section 5).
    pub(super) fn published(&self) -> Value {
        json!({ "keys": self.keys().iter().map(|key| key.public()).collect::<Vec<_>>() })
    }

    /// A JWS in compact form (RFC 7515 section 7.1), by the current key.
    pub(super) fn sign(&self, typ: Option<&str>, claims: &Value) -> String {
        self.keys()[0].sign(typ, claims)
    }

    fn keys(&self) -> Vec<Arc<SigningKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SigningKey {
    fn make() -> Arc<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key of 2048 bits can be made");
        Arc::new(Self { kid: super::random_hex::<8>(), pair })
    }

    fn public(&self) -> Value {
        let [modulus, exponent] = numbers(self.pair.public_key().as_ref());
        json!({
            "kty": "RSA", "alg": "RS256", "kid": self.kid, "use": "sig",
            "n": URL_SAFE_NO_PAD.encode(modulus),
            "e": URL_SAFE_NO_PAD.encode(exponent),
        })
    }

    fn sign(&self, typ: Option<&str>, claims: &Value) -> String {
        let mut header = json!({ "alg": "RS256", "kid": self.kid });
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("the signature is as long as the modulus");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1): a DER sequence of two positive integers.
fn numbers(der: &[u8]) -> [&[u8]; 2] {
    let (sequence, _) = element(der);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    [modulus, exponent].map(|number| number.strip_prefix(&[0]).unwrap_or(number))
}

/// The content of the first DER element, and what follows it (X.690 section 8.1).
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, content) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), &der[2..]),
        long => {
            let (length, content) = der[2..].split_at(usize::from(long & 0x7f));
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), content)
        }
    };
    content.split_at(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_verifies_what_is_signed() {
        use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
        let keys = Keyring::new();
        let token = keys.sign(Some("at+jwt"), &json!({ "sub": "a" }));
        let (signed, signature) = token.rsplit_once('.').expect("a JWS has three parts");
        let published = keys.published();
        let number = |name: &str| {
            let text = published["keys"][0][name].as_str().expect("the key has it");
            URL_SAFE_NO_PAD.decode(text).expect("it is base64url")
        };
        let (n, e) = (number("n"), number("e"));
        assert_eq!((n.len(), e.as_slice()), (256, [1, 0, 1].as_slice()));
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("it is base64url");
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .expect("the signature fits");
    }

    #[test]
    fn an_old_key_stays_published_until_it_is_withdrawn() {
        let keys = Keyring::new();
        let count = || keys.published()["keys"].as_array().map_or(0, Vec::len);
        let first = keys.published()["keys"][0]["kid"].clone();
        keys.rotate();
        assert_eq!(count(), 2);
        assert_eq!(keys.published()["keys"][1]["kid"], first);
        keys.withdraw_old();
        assert_eq!(count(), 1);
        assert_ne!(keys.published()["keys"][0]["kid"], first);
    }
}
