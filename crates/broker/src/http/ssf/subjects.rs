//! Adding and removing subjects (SSF 1.0 section 8.1.3).
//!
//! A receiver hears of the accounts that have logged in to it. It can say that it wants to hear no more of one, and take
//! that back; it cannot ask for accounts that were never its own. Whether an account exists, no answer tells.

use super::{Fault, body, no_store, read_rp, receiver, with_stream};
use crate::capability::Inner;
use crate::receiver_tokens::Scope;
use crate::store::subjects::ChangeSubject;
use account::{AccountId, Subject};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Deserialize)]
struct Wanted {
    stream_id: String,
    subject: SubjectId,
}

/// A subject identifier (RFC 9493), as far as accounts are named by one here.
#[derive(Debug, Deserialize)]
struct SubjectId {
    format: String,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    /// The user of a complex subject (SSF 1.0 section 3.2).
    #[serde(default)]
    user: Option<Box<SubjectId>>,
}

impl SubjectId {
    /// The account it names; `None` when nobody here goes by it.
    fn account(&self, inner: &Inner) -> Result<Option<AccountId>, Fault> {
        match (self.format.as_str(), &self.user) {
            ("complex", Some(user)) if user.user.is_none() => user.account(inner),
            ("iss_sub", _) => {
                let (Some(iss), Some(sub)) = (&self.iss, &self.sub) else {
                    return Err(Fault::invalid("an iss_sub subject has an iss and a sub"));
                };
                let subject = Subject::new(sub).map_err(|error| Fault::invalid(error.to_string()))?;
                let idp = inner.issuers.of_accounts.iter().find(|(_, issuer)| *issuer == iss);
                Ok(idp.map(|(idp, _)| AccountId::new(idp.clone(), subject)))
            }
            (
                "account" | "email" | "phone_number" | "did" | "uri" | "opaque" | "aliases" | "complex"
                | "jwt_id",
                _,
            ) => Ok(None),
            (other, _) => Err(Fault::invalid(format!("subject.format {other:?} is not known"))),
        }
    }
}

pub(super) async fn add(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    change(&inner, request, None).await?;
    Ok(no_store(StatusCode::OK))
}

pub(super) async fn remove(State(inner): State<Arc<Inner>>, request: Request) -> Result<Response, Fault> {
    let grace = Duration::from_hours(u64::from(inner.settings.removal_grace_hours));
    change(&inner, request, Some(grace)).await?;
    Ok(no_store(StatusCode::NO_CONTENT))
}

async fn change(inner: &Inner, request: Request, removed_after: Option<Duration>) -> Result<(), Fault> {
    let client_id = receiver(inner, request.headers(), Scope::Manage).await?;
    let Wanted { stream_id, subject } = body(request).await?;
    let kept = read_rp(inner, client_id.clone()).await?;
    with_stream(&kept, &stream_id)?;
    let Some(account) = subject.account(inner)? else { return Ok(()) };
    let removed_from = removed_after.map(|grace| inner.now().plus(grace));
    Ok(inner.store.run(ChangeSubject { client_id, account, removed_from }).await?)
}
