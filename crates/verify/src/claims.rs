//! The claims of an access token, read once, and the rules they must satisfy.

use crate::{Derived, Facts, NumericDate, Refusal, Scopes, Source};
use account::{IdpId, Millis, Subject};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// RFC 9068 section 2.2, and the ones Mozilla accounts add. What is not named here is not looked at; `aud` is one of
/// them: Mozilla accounts put nothing useful there, and the scope says what a token is for.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    sub: Subject,
    pub(crate) iss: Option<String>,
    client_id: Option<Arc<str>>,
    #[serde(default)]
    scope: Scopes,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    auth_time: Option<NumericDate>,
    acr: Option<Arc<str>>,
    #[serde(rename = "fxa-generation")]
    generation: Option<i64>,
    #[serde(rename = "fxa-profileChangedAt")]
    profile_changed_at: Option<i64>,
}

/// Whether a token must have an `exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    Required,
    Optional,
}

impl Claims {
    /// `sub`.
    pub(crate) fn subject(&self) -> &Subject {
        &self.sub
    }

    pub(crate) fn read(json: &[u8]) -> Result<Self, Refusal> {
        jose::from_object(json).map_err(|_| Refusal::Claims)
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6. `leeway` is how far clocks may differ.
    pub(crate) fn check_times(&self, now: Millis, leeway: Duration, expiry: Expiry) -> Result<(), Refusal> {
        let ended = |exp: NumericDate| now >= exp.at().plus(leeway);
        let to_come = |date: NumericDate| date.at() > now.plus(leeway);
        match self.exp {
            None if expiry == Expiry::Required => Err(Refusal::NoExpiry),
            Some(exp) if ended(exp) => Err(Refusal::Expired),
            _ if self.nbf.is_some_and(to_come) || self.iat.is_some_and(to_come) => Err(Refusal::NotYetValid),
            _ => Ok(()),
        }
    }

    pub(crate) fn expires_at(&self) -> Option<Millis> {
        self.exp.map(NumericDate::at)
    }

    /// What they say, once the signature is verified.
    pub(crate) fn into_facts(self, idp: IdpId, source: Source, learned_at: Millis) -> Facts {
        Facts {
            idp,
            expires_at: self.expires_at(),
            subject: self.sub,
            client_id: self.client_id,
            scopes: self.scope,
            generation: self.generation,
            profile_changed_at: self.profile_changed_at,
            auth_time: self.auth_time,
            acr: self.acr,
            issued_at: self.iat,
            learned_at,
            source,
            derived: Derived::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const LEEWAY: Duration = Duration::from_mins(1);

    fn at(claims: &serde_json::Value, now_seconds: i64, expiry: Expiry) -> Result<(), Refusal> {
        let mut whole = json!({"sub": "u"});
        whole.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        let claims = Claims::read(whole.to_string().as_bytes())?;
        claims.check_times(Millis::from_seconds(now_seconds), LEEWAY, expiry)
    }

    #[test]
    fn a_token_ends_a_leeway_after_its_exp() {
        for (now, outcome) in
            [(1_000, Ok(())), (1_030, Ok(())), (1_059, Ok(())), (1_060, Err(Refusal::Expired))]
        {
            assert_eq!(at(&json!({"exp": 1_000}), now, Expiry::Required), outcome, "{now}");
        }
    }

    #[test]
    fn a_token_begins_a_leeway_before_its_nbf_and_iat() {
        for claim in ["nbf", "iat"] {
            assert_eq!(at(&json!({claim: 1_060, "exp": 9_999}), 1_000, Expiry::Required), Ok(()));
            assert_eq!(
                at(&json!({claim: 1_061, "exp": 9_999}), 1_000, Expiry::Required),
                Err(Refusal::NotYetValid)
            );
            // Milliseconds where seconds belong lie far ahead.
            assert_eq!(
                at(&json!({claim: 1_700_000_000_000_i64}), 1_700_000_000, Expiry::Optional),
                Err(Refusal::NotYetValid)
            );
        }
    }

    #[test]
    fn a_missing_exp_is_allowed_only_where_it_is_configured() {
        assert_eq!(at(&json!({}), 1_000, Expiry::Optional), Ok(()));
        assert_eq!(at(&json!({}), 1_000, Expiry::Required), Err(Refusal::NoExpiry));
        assert_eq!(at(&json!({"exp": null}), 1_000, Expiry::Required), Err(Refusal::NoExpiry));
        assert_eq!(at(&json!({"exp": 1}), 1_000, Expiry::Optional), Err(Refusal::Expired));
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_refused() {
        let wrong = [
            json!({"sub": 5}),
            json!({"sub": ""}),
            json!({"sub": null}),
            json!({"sub": "x".repeat(256)}),
            json!({"iss": 5}),
            json!({"exp": "5"}),
            json!({"exp": 1e300}),
            json!({"iat": []}),
            json!({"nbf": {}}),
            json!({"auth_time": "now"}),
            json!({"acr": 2}),
            json!({"scope": 5}),
            json!({"scope": [5]}),
            json!({"client_id": 5}),
            json!({"fxa-generation": 1.5}),
            json!({"fxa-generation": "5"}),
            json!({"fxa-generation": 9_223_372_036_854_775_808_u64}),
            json!({"fxa-profileChangedAt": []}),
        ];
        for claims in wrong {
            assert_eq!(at(&claims, 0, Expiry::Optional), Err(Refusal::Claims), "{claims}");
        }
        for json in ["", "{}", "[]", r#"["u"]"#, r#""u""#, r#"{"sub":"u","sub":"u"}"#, r#"{"sub":"u"} x"#] {
            assert_eq!(Claims::read(json.as_bytes()).err(), Some(Refusal::Claims), "{json}");
        }
    }

    #[test]
    fn the_claims_become_facts() {
        let json = json!({
            "sub": "u", "iss": "https://idp.example", "aud": ["x"], "client_id": "c", "scope": "a b", "exp": 9, "iat": 2.5,
            "auth_time": 1, "acr": "AAL2", "jti": "j", "fxa-generation": i64::MAX, "fxa-profileChangedAt": 4, "fxa-subscriptions": ""
        });
        let claims = Claims::read(json.to_string().as_bytes()).expect("good");
        let facts = claims.into_facts(IdpId::new("idp").expect("valid"), Source::Word, Millis::new(7));
        assert_eq!(facts.account().to_string(), "idp:u");
        assert_eq!(facts.scopes.to_string(), "a b");
        assert_eq!((facts.client_id.as_deref(), facts.expires_at), (Some("c"), Some(Millis::new(9_000))));
        assert_eq!((facts.generation, facts.profile_changed_at), (Some(i64::MAX), Some(4)));
        assert_eq!(facts.issued_at.map(NumericDate::at), Some(Millis::new(2_500)));
        assert_eq!(facts.acr.as_deref(), Some("AAL2"));
        assert_eq!((facts.auth_time, facts.learned_at), (Some(NumericDate::whole(1)), Millis::new(7)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            text in "\\PC*",
            json in r#"\{"sub":"u"(,"(exp|iat|nbf|auth_time|scope|iss|fxa-generation)":(-?[0-9]{1,25}(\.[0-9]+)?(e[0-9]{1,3})?|null|"x"|\["x"\]|\{\})){0,4}\}"#,
            now in any::<i64>()
        ) {
            for text in [&text, &json] {
                if let Ok(claims) = Claims::read(text.as_bytes()) {
                    let _ = claims.check_times(Millis::new(now), LEEWAY, Expiry::Optional);
                    let _ = claims.into_facts(IdpId::new("idp").expect("valid"), Source::Word, Millis::ZERO).birth();
                }
            }
        }
    }
}
