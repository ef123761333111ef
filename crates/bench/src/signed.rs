//! Access tokens of many accounts, signed before the clock starts.

use crate::serve::{ISSUER, SCOPE};
use anyhow::Result;
use jose::{Algorithm, SigningKey};
use serde_json::json;
use std::num::NonZero;
use std::thread;
use store::Clock;
use testkit::data;

/// Longer than any run.
const LIFE: i64 = 86_400;
/// How long before the run they were given out, in seconds.
const AGE: i64 = 60;

/// One token for each account, and the key that verifies them.
pub(crate) struct Signed {
    /// The public key, a JWK.
    pub(crate) key: String,
    tokens: Vec<String>,
}

impl Signed {
    /// For that many accounts; on every core that this process may use.
    pub(crate) fn sign(accounts: u32) -> Result<Self> {
        let key = SigningKey::generate(Algorithm::EdDsa)?.with_kid("bench");
        let now = Clock::system().now().seconds();
        let workers = u32::try_from(thread::available_parallelism().map_or(1, NonZero::get))?;
        let share = accounts.div_ceil(workers);
        let tokens = thread::scope(|scope| {
            let shares: Vec<_> = (0..workers)
                .map(|worker| {
                    let mine = worker * share..accounts.min((worker + 1) * share);
                    let key = &key;
                    scope
                        .spawn(move || mine.map(|number| token(key, number, now)).collect::<Result<Vec<_>>>())
                })
                .collect();
            let signed = shares.into_iter().map(|share| share.join().expect("signing does not panic"));
            signed.collect::<Result<Vec<_>>>()
        })?;
        Ok(Self { key: serde_json::to_string(key.jwk())?, tokens: tokens.concat() })
    }

    /// The token of an account.
    pub(crate) fn token(&self, index: usize) -> &str {
        &self.tokens[index]
    }

    /// The account.
    pub(crate) fn subject(index: usize) -> String {
        data::uid(index as u64)
    }
}

/// With the claims that Mozilla accounts put into theirs.
fn token(key: &SigningKey, number: u32, now: i64) -> Result<String> {
    let issued_at = now - AGE;
    let subject = data::uid(number.into());
    let claims = json!({
        "iss": ISSUER, "aud": "5882386c6d801776", "client_id": "5882386c6d801776", "sub": subject, "jti": subject,
        "scope": format!("profile {SCOPE}"), "iat": issued_at, "exp": now + LIFE,
        "fxa-generation": issued_at * 1_000, "fxa-profileChangedAt": issued_at * 1_000,
        "acr": "AAL1", "auth_time": issued_at,
    });
    Ok(key.sign_claims("at+jwt", &claims)?)
}
