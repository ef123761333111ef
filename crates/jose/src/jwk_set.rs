use crate::{Jwk, JwkError, from_object};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The largest set read, in bytes.
pub const MAX_SET: usize = 256 * 1024;
/// The most keys a set may hold.
pub const MAX_KEYS: usize = 100;

/// A set of public keys (RFC 7517 section 5). Written out as `{"keys":[…]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys that can be used, in the set's order.
    pub keys: Vec<Jwk>,
    /// Those that cannot.
    #[serde(skip)]
    pub skipped: Vec<SkippedKey>,
}

/// A key of a set that is of no use here; it does not spoil the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// What is the matter with it.
    pub reason: JwkError,
}

/// A set that cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// Over [`MAX_SET`] bytes.
    #[error("the key set has {bytes} bytes; at most {MAX_SET} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Over [`MAX_KEYS`] keys.
    #[error("the key set has {keys} keys; at most {MAX_KEYS} are read")]
    TooMany {
        /// How many it has.
        keys: usize,
    },
    /// Not a JSON object with an array `keys`.
    #[error("not a JSON Web Key Set: {0}")]
    Malformed(String),
}

impl JwkSet {
    /// Reads a set. Keys that are of no use (another type, another use, malformed, not even an object) are skipped
    /// and reported (RFC 7517 section 5); only a set that is none, or exceeds the limits, is an error.
    pub fn parse(json: &[u8]) -> Result<Self, JwkSetError> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        if json.len() > MAX_SET {
            return Err(JwkSetError::TooLarge { bytes: json.len() });
        }
        let raw: Raw<'_> = from_object(json).map_err(|error| JwkSetError::Malformed(error.to_string()))?;
        if raw.keys.len() > MAX_KEYS {
            return Err(JwkSetError::TooMany { keys: raw.keys.len() });
        }
        let mut set = Self::default();
        for (index, key) in raw.keys.into_iter().enumerate() {
            match Jwk::parse(key.get().as_bytes()) {
                Ok(jwk) => set.keys.push(jwk),
                Err(reason) => set.skipped.push(SkippedKey { index, reason }),
            }
        }
        Ok(set)
    }
}

impl FromIterator<Jwk> for JwkSet {
    fn from_iter<I: IntoIterator<Item = Jwk>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect(), skipped: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, SigningKey};
    use proptest::prelude::*;

    #[test]
    fn an_odd_key_is_skipped_and_reported_and_spoils_nothing() {
        let good = SigningKey::generate(Algorithm::EdDsa).expect("a key");
        let good = serde_json::to_string(good.jwk()).expect("serializable");
        let set =
            format!(r#"{{"extra":1,"keys":[{{"fake":"RSA key"}},7,null,{good},{{"kty":"oct","k":"AA"}}]}}"#);
        let set = JwkSet::parse(set.as_bytes()).expect("a set");
        assert_eq!(set.keys, [Jwk::parse(good.as_bytes()).expect("a key")]);
        assert_eq!(set.skipped.iter().map(|skipped| skipped.index).collect::<Vec<_>>(), [0, 1, 2, 4]);
    }

    #[test]
    fn a_set_beyond_the_limits_is_refused_as_a_whole() {
        let many = format!(r#"{{"keys":[{}]}}"#, ["0"; MAX_KEYS + 1].join(","));
        assert_eq!(JwkSet::parse(many.as_bytes()), Err(JwkSetError::TooMany { keys: MAX_KEYS + 1 }));
        let large = vec![b' '; MAX_SET + 1];
        assert_eq!(JwkSet::parse(&large), Err(JwkSetError::TooLarge { bytes: MAX_SET + 1 }));
        assert!(matches!(JwkSet::parse(b"<html>"), Err(JwkSetError::Malformed(_))));
        assert!(matches!(JwkSet::parse(br#"{"keys":{}}"#), Err(JwkSetError::Malformed(_))));
    }

    #[test]
    fn a_set_is_written_with_its_keys_alone() {
        assert_eq!(serde_json::to_string(&JwkSet::default()).expect("serializable"), r#"{"keys":[]}"#);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", json in r#"\{"keys":\[(\{"(kty|n|alg)":"(RSA|EC|OKP|AQAB)"\},?){0,3}\]\}"#) {
            let _ = JwkSet::parse(text.as_bytes());
            if let Ok(set) = JwkSet::parse(json.as_bytes()) {
                prop_assert!(set.keys.is_empty());
            }
        }
    }
}
