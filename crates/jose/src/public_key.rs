use crate::base64url::to_base64url;
use crate::{Algorithm, JwkError, Thumbprint};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use std::fmt;

/// The signature is not this key's, or not of this message, or claims another algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key, parsed and held: verifies signatures of its one algorithm.
pub struct PublicKey {
    material: Material,
    parsed: ParsedPublicKey,
    thumbprint: Thumbprint,
}

/// What makes the key, as big-endian bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519 { x: [u8; 32] },
}

impl PublicKey {
    pub(crate) fn new(material: Material) -> Result<Self, JwkError> {
        let parsed = material.parse()?;
        let thumbprint = material.thumbprint();
        Ok(Self { material, parsed, thumbprint })
    }

    /// The only algorithm whose signatures it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.material.algorithm()
    }

    /// Its RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Verifies the signature of a message that claims `algorithm`. The claim must be the key's own algorithm.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        // RFC 8725 section 3.1: the key says which algorithm; a message that claims another one is not looked at.
        if algorithm != self.algorithm() {
            return Err(BadSignature);
        }
        self.parsed.verify_sig(message, signature).map_err(|_| BadSignature)
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }
}

impl Material {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256 { .. } => Algorithm::Es256,
            Self::Ed25519 { .. } => Algorithm::EdDsa,
        }
    }

    fn parse(&self) -> Result<ParsedPublicKey, JwkError> {
        match self {
            Self::Rsa { n, e } => {
                let bits = significant_bits(n);
                // RFC 7518 section 3.3: at least 2048 bits. The upper limit bounds what one verification costs.
                if !(2048..=8192).contains(&bits) {
                    return Err(JwkError::RsaSize { bits });
                }
                // A sane exponent is odd, above 1, and fits into four bytes: a larger one only makes verifying slow.
                if e.len() > 4 || e.last().is_none_or(|last| last % 2 == 0) || e == &[1] {
                    return Err(JwkError::Rejected);
                }
                RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .map_err(|_| JwkError::Rejected)
            }
            Self::P256 { x, y } => {
                let mut point = [4; 65]; // SEC 1 section 2.3.3: 04, x, y
                point[1..33].copy_from_slice(x);
                point[33..].copy_from_slice(y);
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| JwkError::Rejected)
            }
            Self::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x).map_err(|_| JwkError::Rejected),
        }
    }

    /// RFC 7638 section 3.2, RFC 8037 section 2.
    fn thumbprint(&self) -> Thumbprint {
        let b64 = |bytes: &[u8]| to_base64url(bytes);
        Thumbprint::of(&match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n)),
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64(x), b64(y))
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(x)),
        })
    }
}

fn significant_bits(big_endian: &[u8]) -> usize {
    match big_endian {
        [0, rest @ ..] => significant_bits(rest),
        [first, rest @ ..] => rest.len() * 8 + (8 - first.leading_zeros() as usize),
        [] => 0,
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.material == other.material
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.thumbprint)
    }
}
