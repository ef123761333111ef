//! The routes: for operators, for receivers, for everybody.

mod accounts;
mod deliveries;
mod described;
mod import;
mod jwks;
mod key_ring;
mod poll;
mod rps;
mod ssf;
mod trials;

use crate::ClientId;
use crate::capability::Inner;
use account::{AccountId, IdpId, Subject};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use ledger::Problem;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// The routes that anybody may reach: keys, and what receivers ask for with tokens of their own.
pub(crate) fn public_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::with_openapi(described::Described::openapi())
        .merge(jwks::routes(Arc::clone(inner)))
        .merge(ssf::routes(Arc::clone(inner)))
        .merge(poll::routes(Arc::clone(inner)))
}

/// The routes for operators.
pub(crate) fn admin_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(rps::routes(Arc::clone(inner)))
        .merge(import::routes(Arc::clone(inner)))
        .merge(deliveries::routes(Arc::clone(inner)))
        .merge(accounts::routes(Arc::clone(inner)))
        .merge(key_ring::routes(Arc::clone(inner)))
        .merge(trials::routes(Arc::clone(inner)))
}

/// A JSON body of the admin API, or the problem with it.
fn given<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(it)| it).map_err(|rejection| Problem::unreadable(&rejection.body_text()))
}

/// Accounts come from identity providers that are configured: another's name is a slip of the pen.
fn known_idp(inner: &Inner, idp: Option<&IdpId>) -> Result<(), Problem> {
    match idp {
        Some(idp) if !inner.issuers.of_accounts.contains_key(idp) => {
            let known: Vec<&str> = inner.issuers.of_accounts.keys().map(IdpId::as_str).collect();
            Err(Problem::invalid(format!(
                "no identity provider {idp} is configured; there are: {}",
                known.join(", ")
            )))
        }
        _ => Ok(()),
    }
}

/// A client id of a path.
fn named(client_id: &str) -> Result<ClientId, Problem> {
    ClientId::new(client_id).map_err(|error| Problem::invalid(error.to_string()))
}

/// An account of a path.
fn account(idp: &str, subject: &str) -> Result<AccountId, Problem> {
    let invalid = |error: account::InvalidId| Problem::invalid(error.to_string());
    Ok(AccountId::new(IdpId::new(idp).map_err(invalid)?, Subject::new(subject).map_err(invalid)?))
}
