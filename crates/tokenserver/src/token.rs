//! The token and its key, as every service node of the field verifies them (tokenlib's format).
//!
//! A token is base64url, padded, of a JSON payload followed by its HMAC-SHA256 under a signing key. The key that
//! goes with it is derived from the master secret, the payload's salt and the token's own text, so that a node that
//! knows the secret needs no look-up. Both go to the client; the token is its Hawk id, the key its Hawk key.

mod hashed;

use crate::{Secret, json};
use aws_lc_rs::{hkdf, hmac, rand};
use base64_simd::URL_SAFE;
pub use hashed::{HashedIds, Hasher};
use std::cell::RefCell;

const SIGNING_INFO: &[u8] = b"services.mozilla.com/tokenlib/v1/signing";
const DERIVE_INFO: &[u8] = b"services.mozilla.com/tokenlib/v1/derive/";
/// SHA-256's output, and so the length of signature and derived secret, in bytes.
const DIGEST: usize = 32;
/// How many digits the time of the key has at least.
const KEY_TIME_DIGITS: usize = 13;
/// Room for a usual payload with its signature, in bytes.
const USUAL_PAYLOAD: usize = 448;

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// The node the user was assigned to, as stored.
    pub node: &'a str,
    /// When the keys changed that the client encrypts under: the first part of `fxa_kid`, in 13 digits at least.
    pub key_time: i64,
    /// The client state in base64url without padding: its second part.
    pub client_state: &'a str,
    /// The account's subject.
    pub fxa_uid: &'a str,
    /// Its hashed forms.
    pub hashed: &'a HashedIds,
    /// When the token stops counting: whole seconds since the epoch.
    pub expires: i64,
    /// The user row's id: the storage partition on the node.
    pub uid: i64,
}

/// A token with the key that was derived for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token: base64url with padding. The Hawk id.
    pub id: String,
    /// The derived secret: 44 characters of base64url with padding. The Hawk key is this *text*.
    pub key: String,
}

/// Six lower-case hex characters that make every token's key another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt([u8; 6]);

thread_local! {
    static SALTS: RefCell<Salts> = const { RefCell::new(Salts { drawn: [0; 3 * Salts::AT_ONCE], left: 0 }) };
}

/// Random bytes for some salts to come: asking for three at a time costs as much as for hundreds. Salts are no
/// secret, each stands in its token.
struct Salts {
    drawn: [u8; 3 * Salts::AT_ONCE],
    left: usize,
}

impl Salts {
    const AT_ONCE: usize = 128;

    fn next(&mut self) -> Option<[u8; 3]> {
        if self.left == 0 {
            rand::fill(&mut self.drawn).ok()?;
            self.left = Self::AT_ONCE;
        }
        self.left -= 1;
        self.drawn.as_chunks().0.get(self.left).copied()
    }
}

impl Salt {
    /// A fresh one. `None` when the system has no randomness to give.
    pub fn random() -> Option<Self> {
        SALTS.with_borrow_mut(Salts::next).map(Self::from_bytes)
    }

    /// Its six characters.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }

    /// The salt that stands for these three bytes.
    pub fn from_bytes(bytes: [u8; 3]) -> Self {
        let mut text = [0; 6];
        hex::encode_to_slice(bytes, &mut text).expect("three bytes are six hex digits");
        Self(text)
    }
}

/// Mints tokens under one master secret. The signing key is derived once and held ready.
pub struct Minter {
    master_secret: Secret,
    signing_key: hmac::Key,
}

impl Minter {
    /// Derives what can be derived beforehand.
    pub fn new(master_secret: Secret) -> Self {
        let no_salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[0; DIGEST]);
        let signing_key = expand(&no_salt.extract(master_secret.expose()), &[SIGNING_INFO]);
        Self { signing_key: hmac::Key::new(hmac::HMAC_SHA256, &signing_key), master_secret }
    }

    /// What the secret may be called without being told: 16 hex digits.
    pub fn fingerprint(&self) -> String {
        let tag = hmac::sign(&self.signing_key, b"highwater fingerprint of a secret");
        hex::encode(&tag.as_ref()[..8])
    }

    /// The token that says `claims`, and its key.
    pub fn mint(&self, claims: &Claims<'_>, salt: Salt) -> Token {
        let mut signed = payload(claims, salt);
        let signature = hmac::sign(&self.signing_key, &signed);
        signed.extend_from_slice(signature.as_ref());
        let id = URL_SAFE.encode_to_string(&signed);
        let key = URL_SAFE.encode_to_string(self.derive(&id, salt));
        Token { id, key }
    }

    /// The info covers the whole token text with its padding; the salt is the *text* of the hex.
    fn derive(&self, id: &str, salt: Salt) -> [u8; DIGEST] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt.0);
        expand(&salt.extract(self.master_secret.expose()), &[DERIVE_INFO, id.as_bytes()])
    }
}

fn expand(key: &hkdf::Prk, info: &[&[u8]]) -> [u8; DIGEST] {
    let mut secret = [0; DIGEST];
    key.expand(info, hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(&mut secret))
        .expect("32 bytes are one block of HKDF-SHA256");
    secret
}

fn payload(claims: &Claims<'_>, salt: Salt) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_PAYLOAD);
    out.extend_from_slice(b"{\"node\":");
    json::push_string(&mut out, claims.node);
    out.extend_from_slice(b",\"fxa_kid\":\"");
    json::push_padded(&mut out, claims.key_time, KEY_TIME_DIGITS);
    for part in ["-", claims.client_state, "\",\"fxa_uid\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    json::push_string(&mut out, claims.fxa_uid);
    let hashed = claims.hashed;
    for part in [",\"hashed_device_id\":\"", hashed.device_id(), "\",\"hashed_fxa_uid\":\"", hashed.fxa_uid()]
    {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\",\"expires\":");
    json::push_integer(&mut out, claims.expires);
    out.extend_from_slice(b",\"uid\":");
    json::push_integer(&mut out, claims.uid);
    out.extend_from_slice(b",\"tokenserver_origin\":\"rust\",\"salt\":\"");
    out.extend_from_slice(&salt.0);
    out.extend_from_slice(b"\"}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FXA_UID: &str = "0123456789abcdef0123456789abcdef";

    fn vector() -> Token {
        let hashed = Hasher::new(&Secret::new("secret0")).hash(FXA_UID);
        let claims = Claims {
            node: "https://example.com",
            key_time: 1234,
            client_state: "qqo",
            fxa_uid: FXA_UID,
            hashed: &hashed,
            expires: 1_700_003_600,
            uid: 42,
        };
        Minter::new(Secret::new("secret0")).mint(&claims, Salt::from_bytes([0xa1, 0xb2, 0xc3]))
    }

    #[test]
    fn a_token_is_byte_for_byte_the_one_the_python_library_makes() {
        assert_eq!(
            vector().id,
            "eyJub2RlIjoiaHR0cHM6Ly9leGFtcGxlLmNvbSIsImZ4YV9raWQiOiIwMDAwMDAwMDAxMjM0LXFxbyIsImZ4YV91aWQiOiIwMTIzND\
             U2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIsImhhc2hlZF9kZXZpY2VfaWQiOiJjZmE4ZDQ3OGQyMTQ0ZmI0ZGU3Y2M3NzBmOGEx\
             NzMzNCIsImhhc2hlZF9meGFfdWlkIjoiZGJmOWU2MmY0ZWQ0OGMxOTM5MjFkZDUxOGYwNDU5ZjMiLCJleHBpcmVzIjoxNzAwMDAzNjA\
             wLCJ1aWQiOjQyLCJ0b2tlbnNlcnZlcl9vcmlnaW4iOiJydXN0Iiwic2FsdCI6ImExYjJjMyJ9gs_3ktUWtt42PDoSki6AI0KQBIUIY8\
             9NJ9mkSiyx9uc="
        );
    }

    #[test]
    fn the_key_is_derived_from_the_whole_token_text_and_the_text_of_the_salt() {
        assert_eq!(vector().key, "Fw4DpCg2TwrWq8k-dxG9Qty9L9AE4V1pzxPRZnilB88=");
    }

    #[test]
    fn the_payload_is_compact_and_in_the_order_of_the_field() {
        let hashed = Hasher::new(&Secret::new("secret0")).hash(FXA_UID);
        let claims = Claims {
            node: "n\"",
            key_time: -5,
            client_state: "k",
            fxa_uid: "u\\",
            hashed: &hashed,
            expires: 0,
            uid: i64::MAX,
        };
        assert_eq!(
            String::from_utf8(payload(&claims, Salt::from_bytes([0; 3]))).expect("UTF-8"),
            "{\"node\":\"n\\\"\",\"fxa_kid\":\"-000000000005-k\",\"fxa_uid\":\"u\\\\\",\
             \"hashed_device_id\":\"cfa8d478d2144fb4de7cc770f8a17334\",\
             \"hashed_fxa_uid\":\"dbf9e62f4ed48c193921dd518f0459f3\",\"expires\":0,\
             \"uid\":9223372036854775807,\"tokenserver_origin\":\"rust\",\"salt\":\"000000\"}"
        );
    }

    #[test]
    fn another_salt_makes_another_key() {
        let minter = Minter::new(Secret::new("secret0"));
        assert_ne!(
            minter.derive("x", Salt::from_bytes([1, 2, 3])),
            minter.derive("x", Salt::from_bytes([1, 2, 4]))
        );
    }
}
