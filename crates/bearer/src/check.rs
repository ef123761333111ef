//! From a token to the account it may act for, or to the reason why not.

use crate::Refusal;
use crate::adapters::Original;
use crate::capability::Inner;
use crate::store::accounts::Find;
use account::{AccountId, Millis};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use keys::Caller;
use verify::{Facts, Pass, Request, bearer_token};

impl Inner {
    /// Whether a request that `caller` asks about may pass: by the policy, and by whether its account is here.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        original: &Original,
        headers: &HeaderMap,
        now: Millis,
    ) -> Result<Pass, Refusal> {
        let authorization = authorization(headers);
        let (method, path) = (original.method.as_str(), original.path.as_str());
        let request = Request { method, path, authorization: &authorization };
        let pass = self.gate.asking_for(&caller.name).admit(request, now).await?;
        if let Some(answer) = &pass.answer {
            self.is_here(&answer.facts).await?;
        }
        Ok(pass)
    }

    /// Whether the account is here, where that is asked for.
    async fn is_here(&self, facts: &Facts) -> Result<(), Refusal> {
        let is_needed = self.settings.accounts.as_ref().is_some_and(|accounts| accounts.required);
        if is_needed && !self.knows(&facts.account()).await? {
            return Err(Refusal::NoAccount);
        }
        Ok(())
    }

    /// Whether the account came here itself once.
    pub(crate) async fn knows(&self, account: &AccountId) -> Result<bool, Refusal> {
        Ok(self.store.read(&Find(account)).await?.is_some())
    }
}

/// The bearer token that a request needs.
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let values = headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes);
    let token = bearer_token(values).map_err(verify::Rejection::from)?;
    token.ok_or(Refusal::Token(verify::Rejection::NoCredentials))
}

fn authorization(headers: &HeaderMap) -> Vec<&[u8]> {
    headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes).collect()
}
