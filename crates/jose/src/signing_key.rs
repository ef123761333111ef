use crate::base64url::{decode, encode_onto, to_base64url};
use crate::der::rsa_numbers;
use crate::public_key::Material;
use crate::{Algorithm, Jwk, JwkError};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A private key that signs with its one algorithm. Its `Debug` shows the public half only.
pub struct SigningKey {
    jwk: Jwk,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// What can go wrong with a signing key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The public half is of no use.
    #[error(transparent)]
    Public(#[from] JwkError),
    /// The JSON is no private JWK, or its halves do not belong together. Says no more, so that nothing leaks.
    #[error("not a private JSON Web Key, or its numbers do not belong together")]
    Private,
    /// The cryptographic library failed (out of memory, no randomness).
    #[error("the cryptographic library failed")]
    Library,
}

/// The private members (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2), zeroised when dropped.
#[derive(Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct PrivateMembers {
    #[serde(default)]
    d: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    p: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    q: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    dp: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    dq: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    qi: String,
}

impl SigningKey {
    /// A fresh key (RSA with 2048 bits), whose id is its thumbprint.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        let library = |_| SigningKeyError::Library;
        Self::from_pair(match algorithm {
            Algorithm::Rs256 => Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(library)?)),
            Algorithm::Es256 => {
                Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(library)?)
            }
            Algorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().map_err(library)?),
        })
    }

    /// From a private JWK's JSON (RFC 7517); RSA keys with all their numbers. The halves are checked to belong
    /// together. A key without `kid` gets its thumbprint as id.
    pub fn from_private_jwk(json: &[u8]) -> Result<Self, SigningKeyError> {
        let jwk = Jwk::parse(json)?;
        let members: PrivateMembers = serde_json::from_slice(json).map_err(|_| SigningKeyError::Private)?;
        let pair = members.pair(jwk.public_key().material())?;
        let kid = jwk.kid().map_or_else(|| jwk.public_key().thumbprint().to_string(), str::to_owned);
        Ok(Self { jwk: jwk.with_kid(&kid), pair })
    }

    /// The private JWK's JSON, zeroised when dropped. Never log it.
    pub fn to_private_jwk(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            public: &'a Jwk,
            #[serde(flatten)]
            private: &'a PrivateMembers,
        }
        let private = self.pair.private_members()?;
        let whole = Whole { public: &self.jwk, private: &private };
        Ok(Zeroizing::new(serde_json::to_string(&whole).expect("strings serialize")))
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_kid(mut self, kid: &str) -> Self {
        self.jwk = self.jwk.with_kid(kid);
        self
    }

    /// Its id.
    pub fn kid(&self) -> &str {
        self.jwk.kid().expect("every signing key has an id")
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.jwk.public_key().algorithm()
    }

    /// Its public half, to be published.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs claims as a JWT in compact form, with `alg`, `typ` and `kid` in its header.
    pub fn sign_claims<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String, SigningKeyError> {
        let claims = serde_json::to_vec(claims).map_err(|_| SigningKeyError::Library)?;
        self.sign_payload(typ, &claims)
    }

    /// Signs a payload as a JWS in compact form, with `alg`, `typ` and `kid` in its header.
    pub fn sign_payload(&self, typ: &str, payload: &[u8]) -> Result<String, SigningKeyError> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            typ: &'a str,
            kid: &'a str,
        }
        let header = Header { alg: self.algorithm().name(), typ, kid: self.kid() };
        self.sign_compact(&serde_json::to_vec(&header).expect("strings serialize"), payload)
    }

    /// Signs a payload under a header given whole. For what [`SigningKey::sign_payload`] cannot say.
    pub fn sign_compact(&self, header: &[u8], payload: &[u8]) -> Result<String, SigningKeyError> {
        let mut token = String::with_capacity((header.len() + payload.len() + 256) * 4 / 3 + 8);
        encode_onto(header, &mut token);
        token.push('.');
        encode_onto(payload, &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        encode_onto(&signature, &mut token);
        Ok(token)
    }

    /// The bare signature of a message.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        let library = |_| SigningKeyError::Library;
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(library)?;
                Ok(signature)
            }
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(library),
            Pair::Ed25519(pair) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(library)
            }
        }
    }

    fn from_pair(pair: Pair) -> Result<Self, SigningKeyError> {
        let jwk = Jwk::new(None, pair.public_material()?)?;
        let kid = jwk.public_key().thumbprint().to_string();
        Ok(Self { jwk: jwk.with_kid(&kid), pair })
    }
}

impl Pair {
    fn public_material(&self) -> Result<Material, SigningKeyError> {
        let bytes = |range: &[u8]| range.try_into().map_err(|_| SigningKeyError::Library);
        match self {
            Self::Rsa(pair) => {
                let pkcs8 =
                    AsDer::<Pkcs8V1Der<'_>>::as_der(pair.as_ref()).map_err(|_| SigningKeyError::Library)?;
                let numbers = rsa_numbers(pkcs8.as_ref()).ok_or(SigningKeyError::Library)?;
                Ok(Material::Rsa { n: numbers.n.to_vec(), e: numbers.e.to_vec() })
            }
            Self::P256(pair) => match pair.public_key().as_ref() {
                [4, point @ ..] if point.len() == 64 => {
                    Ok(Material::P256 { x: bytes(&point[..32])?, y: bytes(&point[32..])? })
                }
                _ => Err(SigningKeyError::Library),
            },
            Self::Ed25519(pair) => Ok(Material::Ed25519 { x: bytes(pair.public_key().as_ref())? }),
        }
    }

    fn private_members(&self) -> Result<PrivateMembers, SigningKeyError> {
        let library = |_| SigningKeyError::Library;
        let mut members = PrivateMembers::default();
        match self {
            Self::Rsa(pair) => {
                let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(pair.as_ref()).map_err(library)?;
                let numbers = rsa_numbers(pkcs8.as_ref()).ok_or(SigningKeyError::Library)?;
                members.d = to_base64url(numbers.d);
                members.p = to_base64url(numbers.p);
                members.q = to_base64url(numbers.q);
                members.dp = to_base64url(numbers.dp);
                members.dq = to_base64url(numbers.dq);
                members.qi = to_base64url(numbers.qi);
            }
            Self::P256(pair) => {
                let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(library)?;
                members.d = to_base64url(secret.as_ref());
            }
            Self::Ed25519(pair) => {
                let seed = pair.seed().map_err(library)?;
                let secret: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(library)?;
                members.d = to_base64url(secret.as_ref());
            }
        }
        Ok(members)
    }
}

impl PrivateMembers {
    fn pair(&self, public: &Material) -> Result<Pair, SigningKeyError> {
        let secret = |text: &str| decode(text).map(Zeroizing::new).ok_or(SigningKeyError::Private);
        let private = |_| SigningKeyError::Private;
        let d = secret(&self.d)?;
        match public {
            Material::Rsa { n, e } => {
                let (p, q, dp, dq, qi) = (
                    secret(&self.p)?,
                    secret(&self.q)?,
                    secret(&self.dp)?,
                    secret(&self.dq)?,
                    secret(&self.qi)?,
                );
                let components = KeyPairComponents::<&[u8], &[u8]> {
                    public_key: PublicKeyComponents { n, e },
                    d: &d,
                    p: &p,
                    q: &q,
                    dP: &dp,
                    dQ: &dq,
                    qInv: &qi,
                };
                RsaKeyPair::from_components(&components)
                    .map(|pair| Pair::Rsa(Box::new(pair)))
                    .map_err(private)
            }
            Material::P256 { x, y } => {
                let point = [&[4][..], x, y].concat();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    &d,
                    &point,
                );
                pair.map(Pair::P256).map_err(private)
            }
            Material::Ed25519 { x } => {
                Ed25519KeyPair::from_seed_and_public_key(&d, x).map(Pair::Ed25519).map_err(private)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("jwk", &self.jwk).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BadSignature, Compact};

    fn key(algorithm: Algorithm) -> SigningKey {
        SigningKey::generate(algorithm).expect("a key")
    }

    #[test]
    fn what_a_key_signs_its_public_half_verifies_and_no_other() {
        for algorithm in Algorithm::ALL {
            let (signer, stranger) = (key(algorithm).with_kid("2024-a"), key(algorithm));
            let token = signer.sign_payload("at+jwt", br#"{"sub":"u"}"#).expect("signed");
            let compact = Compact::split(&token).expect("compact");
            let header = compact.header().expect("a header");
            assert_eq!((header.kid.as_deref(), header.is_type("at+jwt")), (Some("2024-a"), true));
            assert_eq!(compact.payload().expect("base64url"), br#"{"sub":"u"}"#);
            assert_eq!(compact.verify(&header, signer.jwk().public_key()), Ok(()));
            assert_eq!(compact.verify(&header, stranger.jwk().public_key()), Err(BadSignature));
        }
    }

    #[test]
    fn the_key_says_which_algorithm_not_the_token() {
        let signer = key(Algorithm::EdDsa);
        let token = signer.sign_compact(br#"{"alg":"ES256"}"#, b"{}").expect("signed");
        let compact = Compact::split(&token).expect("compact");
        let header = compact.header().expect("a header");
        assert_eq!(compact.verify(&header, signer.jwk().public_key()), Err(BadSignature));
    }

    #[test]
    fn a_key_comes_back_from_its_private_jwk() {
        for algorithm in Algorithm::ALL {
            let signer = key(algorithm).with_kid("k");
            let json = signer.to_private_jwk().expect("exported");
            let again = SigningKey::from_private_jwk(json.as_bytes()).expect("imported");
            assert_eq!(again.jwk(), signer.jwk());
            let signature = again.sign(b"message").expect("signed");
            assert_eq!(signer.jwk().public_key().verify(algorithm, b"message", &signature), Ok(()));
        }
    }

    #[test]
    fn halves_that_do_not_belong_together_make_no_key() {
        for algorithm in Algorithm::ALL {
            let json = |key: &SigningKey| -> serde_json::Value {
                serde_json::from_str(&key.to_private_jwk().expect("exported")).expect("JSON")
            };
            let (mut mixed, other) = (json(&key(algorithm)), json(&key(algorithm)));
            mixed["d"] = other["d"].clone();
            let refused = SigningKey::from_private_jwk(mixed.to_string().as_bytes()).err();
            assert_eq!(refused, Some(SigningKeyError::Private), "{algorithm}");
        }
        let public = serde_json::to_vec(key(Algorithm::EdDsa).jwk()).expect("serializable");
        assert_eq!(SigningKey::from_private_jwk(&public).err(), Some(SigningKeyError::Private));
    }

    #[test]
    fn the_private_half_is_neither_shown_nor_published() {
        let signer = key(Algorithm::Es256);
        let json: serde_json::Value =
            serde_json::from_str(&signer.to_private_jwk().expect("exported")).expect("JSON");
        let secret = json["d"].as_str().expect("a secret");
        assert!(!format!("{signer:?}").contains(secret));
        assert!(!serde_json::to_string(signer.jwk()).expect("serializable").contains(secret));
    }
}
