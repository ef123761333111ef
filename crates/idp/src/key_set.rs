use jose::{BadSignature, Compact, Header, Jwk, Thumbprint};

/// The keys an identity provider signs with, as known now: those configured, then those fetched. Never changed;
/// replaced as a whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

/// No key of the set answers to what the token names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoSuchKey;

impl KeySet {
    pub(crate) fn new(configured: &[Jwk], fetched: &[Jwk]) -> Self {
        let mut keys: Vec<Jwk> = Vec::with_capacity(configured.len() + fetched.len());
        for key in configured.iter().chain(fetched) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        Self { keys }
    }

    /// Its keys, the configured ones first.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// Whether a key is still one of them, by its thumbprint.
    pub fn holds(&self, key: &Thumbprint) -> bool {
        self.keys.iter().any(|jwk| jwk.public_key().thumbprint() == key)
    }

    /// Verifies a token's signature and says which key did it.
    ///
    /// A token that names a key is verified with the keys of that name, else with keys that have no name; one that
    /// names none, with every key of its algorithm. A key of another algorithm never verifies it.
    pub(crate) fn verify(
        &self,
        token: &Compact<'_>,
        header: &Header,
    ) -> Result<Result<Thumbprint, BadSignature>, NoSuchKey> {
        let Some(kid) = header.kid.as_deref() else {
            return verify_with(token, header, |jwk| jwk.public_key().algorithm() == header.algorithm, self);
        };
        match verify_with(token, header, |jwk| jwk.kid() == Some(kid), self) {
            Err(NoSuchKey) => match verify_with(token, header, |jwk| jwk.kid().is_none(), self) {
                // None of the nameless keys: the named one may be new.
                Ok(Err(BadSignature)) => Err(NoSuchKey),
                other => other,
            },
            found => found,
        }
    }
}

fn verify_with(
    token: &Compact<'_>,
    header: &Header,
    eligible: impl Fn(&Jwk) -> bool,
    set: &KeySet,
) -> Result<Result<Thumbprint, BadSignature>, NoSuchKey> {
    let mut outcome = Err(NoSuchKey);
    for jwk in set.keys.iter().filter(|jwk| eligible(jwk)) {
        let key = jwk.public_key();
        if token.verify(header, key).is_ok() {
            return Ok(Ok(*key.thumbprint()));
        }
        outcome = Ok(Err(BadSignature));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use jose::{Algorithm, SigningKey};

    fn signer(kid: &str) -> SigningKey {
        SigningKey::generate(Algorithm::EdDsa).expect("a key").with_kid(kid)
    }

    /// The same key as one that was configured without a name.
    fn nameless(key: &SigningKey) -> Jwk {
        let mut members = serde_json::to_value(key.jwk()).expect("serializable");
        members.as_object_mut().expect("an object").remove("kid");
        serde_json::from_value(members).expect("a key")
    }

    fn verified(set: &KeySet, token: &str) -> Result<Result<Thumbprint, BadSignature>, NoSuchKey> {
        let token = Compact::split(token).expect("compact");
        set.verify(&token, &token.header().expect("a header"))
    }

    fn signed_without_kid(key: &SigningKey) -> String {
        key.sign_compact(br#"{"alg":"EdDSA"}"#, b"{}").expect("signed")
    }

    #[test]
    fn a_token_is_verified_with_the_key_it_names() {
        let (a, b) = (signer("a"), signer("b"));
        let set = KeySet::new(&[a.jwk().clone()], &[b.jwk().clone()]);
        let good = verified(&set, &b.sign_payload("JWT", b"{}").expect("signed"));
        assert_eq!(good, Ok(Ok(*b.jwk().public_key().thumbprint())));
        let impostor = b.with_kid("a").sign_payload("JWT", b"{}").expect("signed");
        assert_eq!(verified(&set, &impostor), Ok(Err(BadSignature)));
        assert_eq!(verified(&set, &signer("c").sign_payload("JWT", b"{}").expect("signed")), Err(NoSuchKey));
    }

    #[test]
    fn a_token_that_names_no_key_is_tried_with_each_of_its_algorithm() {
        let (a, b, c) = (signer("a"), signer("b"), signer("c"));
        let other = SigningKey::generate(Algorithm::Es256).expect("a key");
        let set = KeySet::new(&[], &[other.jwk().clone(), a.jwk().clone(), b.jwk().clone()]);
        assert!(matches!(verified(&set, &signed_without_kid(&b)), Ok(Ok(_))));
        assert_eq!(verified(&set, &signed_without_kid(&c)), Ok(Err(BadSignature)));
        let only_other = KeySet::new(&[], &[other.jwk().clone()]);
        assert_eq!(verified(&only_other, &signed_without_kid(&b)), Err(NoSuchKey));
    }

    #[test]
    fn a_key_without_a_name_answers_to_every_name_it_can_verify() {
        let key = signer("whatever");
        let set = KeySet::new(&[nameless(&key)], &[]);
        assert!(matches!(verified(&set, &key.sign_payload("JWT", b"{}").expect("signed")), Ok(Ok(_))));
        assert_eq!(verified(&set, &signer("x").sign_payload("JWT", b"{}").expect("signed")), Err(NoSuchKey));
    }

    #[test]
    fn a_set_holds_a_key_once_and_by_what_it_is() {
        let (a, b) = (signer("a"), signer("b"));
        let set = KeySet::new(&[a.jwk().clone()], &[a.jwk().clone()]);
        assert_eq!(set.keys().len(), 1);
        assert!(set.holds(a.with_kid("renamed").jwk().public_key().thumbprint()));
        assert!(!set.holds(b.jwk().public_key().thumbprint()));
    }
}
