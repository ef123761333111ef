use crate::base64url::{decode, to_base64url};
use crate::public_key::Material;
use crate::{Algorithm, PublicKey, from_object};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const MAX_KID: usize = 256;

/// A public key as JSON has it (RFC 7517), already parsed: one that exists can verify.
///
/// Reads members `kty`, `alg`, `kid`, `use`, `key_ops`, `crv`, `n`, `e`, `x`, `y`; others are let pass and forgotten
/// (`d` too, should somebody publish it). `alg` may be missing, since each key type read here has one algorithm only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub struct Jwk {
    kid: Option<Box<str>>,
    key: Arc<PublicKey>,
}

/// Why a JWK is of no use here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not JSON, or not a JWK's shape.
    #[error("not a JSON Web Key: {0}")]
    Malformed(String),
    /// A key type or curve that is not spoken here (symmetric keys among them).
    #[error("keys of type {kty:?} with curve {crv:?} are not supported")]
    KeyType {
        /// `kty`.
        kty: String,
        /// `crv`.
        crv: Option<String>,
    },
    /// `alg` names another algorithm than the one for this key type.
    #[error("algorithm {alg:?} is not supported for a key of type {kty}")]
    Algorithm {
        /// `alg`.
        alg: String,
        /// `kty`.
        kty: String,
    },
    /// `use` or `key_ops` says that it verifies no signatures.
    #[error("the key is not meant for verifying signatures")]
    NotForVerifying,
    /// A member is missing, is not base64url, or has a wrong length.
    #[error("member {0:?} is missing or malformed")]
    Member(&'static str),
    /// An RSA modulus too short to be safe or too long to be cheap.
    #[error("an RSA key of {bits} bits; 2048 to 8192 are supported")]
    RsaSize {
        /// The modulus' size.
        bits: usize,
    },
    /// The numbers make no key (such as a point that is not on the curve).
    #[error("the key's numbers make no valid key")]
    Rejected,
}

impl Jwk {
    /// Reads one from JSON text.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        let members: Members = from_object(json).map_err(|error| JwkError::Malformed(error.to_string()))?;
        members.try_into()
    }

    pub(crate) fn new(kid: Option<&str>, material: Material) -> Result<Self, JwkError> {
        Ok(Self { kid: kid.map(Box::from), key: Arc::new(PublicKey::new(material)?) })
    }

    /// Its id, when it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key itself.
    pub fn public_key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    pub(crate) fn with_kid(&self, kid: &str) -> Self {
        Self { kid: Some(Box::from(kid)), key: Arc::clone(&self.key) }
    }
}

/// The members as they are on the wire.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object with the members of a key")]
pub(crate) struct Members {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(default, skip_serializing)]
    key_ops: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl Members {
    fn material(&self) -> Result<Material, JwkError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                Ok(Material::Rsa { n: number("n", self.n.as_deref())?, e: number("e", self.e.as_deref())? })
            }
            ("EC", Some("P-256")) => Ok(Material::P256 {
                x: coordinate("x", self.x.as_deref())?,
                y: coordinate("y", self.y.as_deref())?,
            }),
            ("OKP", Some("Ed25519")) => Ok(Material::Ed25519 { x: coordinate("x", self.x.as_deref())? }),
            _ => Err(JwkError::KeyType { kty: self.kty.clone(), crv: self.crv.clone() }),
        }
    }

    fn verifies(&self) -> bool {
        // RFC 7517 sections 4.2 and 4.3: both are optional; what is said must allow verifying.
        self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }
}

fn number(name: &'static str, text: Option<&str>) -> Result<Vec<u8>, JwkError> {
    let bytes = text.and_then(decode).ok_or(JwkError::Member(name))?;
    // RFC 7518 section 6.3.1.1 forbids leading zeros; some writers add one. One key, one thumbprint: they go.
    let first = bytes.iter().position(|byte| *byte != 0).ok_or(JwkError::Member(name))?;
    Ok(bytes[first..].to_vec())
}

fn coordinate(name: &'static str, text: Option<&str>) -> Result<[u8; 32], JwkError> {
    text.and_then(decode).and_then(|bytes| bytes.try_into().ok()).ok_or(JwkError::Member(name))
}

impl TryFrom<Members> for Jwk {
    type Error = JwkError;

    fn try_from(members: Members) -> Result<Self, JwkError> {
        let material = members.material()?;
        if let Some(alg) = &members.alg
            && Algorithm::from_name(alg) != Some(material.algorithm())
        {
            return Err(JwkError::Algorithm { alg: alg.clone(), kty: members.kty.clone() });
        }
        if !members.verifies() {
            return Err(JwkError::NotForVerifying);
        }
        if members.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwkError::Member("kid"));
        }
        Self::new(members.kid.as_deref(), material)
    }
}

impl From<Jwk> for Members {
    fn from(jwk: Jwk) -> Self {
        let text = |bytes: &[u8]| Some(to_base64url(bytes));
        let common = Self {
            alg: Some(jwk.key.algorithm().name().to_owned()),
            kid: jwk.kid.as_deref().map(str::to_owned),
            usage: Some("sig".to_owned()),
            ..Self::default()
        };
        match jwk.key.material() {
            Material::Rsa { n, e } => Self { kty: "RSA".to_owned(), n: text(n), e: text(e), ..common },
            Material::P256 { x, y } => {
                Self { kty: "EC".to_owned(), crv: Some("P-256".to_owned()), x: text(x), y: text(y), ..common }
            }
            Material::Ed25519 { x } => {
                Self { kty: "OKP".to_owned(), crv: Some("Ed25519".to_owned()), x: text(x), ..common }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example key of RFC 7638 section 3.1.
    const RFC_7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    /// The public key of RFC 8037 appendix A.2.
    const RFC_8037: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// The public key of RFC 7515 appendix A.3.
    const RFC_7515_EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn edited(json: &str, member: &str, value: &str) -> Result<Jwk, JwkError> {
        let mut jwk: serde_json::Value = serde_json::from_str(json).expect("an example");
        jwk[member] = serde_json::from_str(value).expect("a value");
        Jwk::parse(jwk.to_string().as_bytes())
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let thumbprint =
            |json: &str| Jwk::parse(json.as_bytes()).expect("valid").public_key().thumbprint().to_string();
        assert_eq!(thumbprint(RFC_7638), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(thumbprint(RFC_8037), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(thumbprint(RFC_7515_EC), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    }

    #[test]
    fn a_key_keeps_its_members_when_written_out_again() {
        for json in [RFC_7638, RFC_8037, RFC_7515_EC] {
            let jwk = Jwk::parse(json.as_bytes()).expect("valid");
            let written = serde_json::to_string(&jwk).expect("serializable");
            assert_eq!(Jwk::parse(written.as_bytes()), Ok(jwk));
            let (read, given): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&written).expect("JSON"), serde_json::from_str(json).expect("JSON"));
            for (member, value) in given.as_object().expect("an object") {
                assert_eq!(&read[member], value, "{member}");
            }
        }
    }

    #[test]
    fn what_cannot_verify_a_signature_is_refused_by_its_reason() {
        assert!(matches!(edited(RFC_7638, "kty", r#""oct""#), Err(JwkError::KeyType { .. })));
        assert!(matches!(edited(RFC_7515_EC, "crv", r#""P-384""#), Err(JwkError::KeyType { .. })));
        assert!(matches!(edited(RFC_7638, "alg", r#""HS256""#), Err(JwkError::Algorithm { .. })));
        assert!(matches!(edited(RFC_7638, "alg", r#""ES256""#), Err(JwkError::Algorithm { .. })));
        assert_eq!(edited(RFC_7638, "use", r#""enc""#), Err(JwkError::NotForVerifying));
        assert_eq!(edited(RFC_7638, "key_ops", r#"["sign"]"#), Err(JwkError::NotForVerifying));
        assert_eq!(edited(RFC_7638, "n", r#""AQAB""#), Err(JwkError::RsaSize { bits: 17 }));
        assert_eq!(edited(RFC_7638, "n", "null"), Err(JwkError::Member("n")));
        assert_eq!(edited(RFC_7638, "e", r#""AQAB==""#), Err(JwkError::Member("e")));
        assert_eq!(edited(RFC_7638, "e", r#""AAAA""#), Err(JwkError::Member("e")));
        assert_eq!(edited(RFC_7638, "e", r#""Ag""#), Err(JwkError::Rejected), "an even exponent");
        assert_eq!(edited(RFC_8037, "x", r#""AQAB""#), Err(JwkError::Member("x")));
        let off_the_curve = edited(RFC_7515_EC, "y", r#""f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU""#);
        assert_eq!(off_the_curve, Err(JwkError::Rejected));
        assert!(matches!(Jwk::parse(b"[1]"), Err(JwkError::Malformed(_))));
        assert!(matches!(edited(RFC_7638, "kid", "7"), Err(JwkError::Malformed(_))));
    }

    #[test]
    fn unknown_members_and_a_leading_zero_do_no_harm() {
        assert!(edited(RFC_7638, "fxa-createdAt", "1755648000").is_ok());
        let padded = edited(RFC_7638, "e", r#""AAEAAQ""#).expect("valid");
        assert_eq!(padded, Jwk::parse(RFC_7638.as_bytes()).expect("valid"));
    }
}
