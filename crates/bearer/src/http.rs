//! Its routes: parse, call, render.

mod accounts;
mod answer;
mod ext_authz;
mod introspect;
mod terms;
mod verify;

use crate::Refusal;
use crate::capability::Inner;
use axum::Extension;
use keys::Caller;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// For everybody: the first use.
pub(crate) fn public_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    terms::routes(Arc::clone(inner))
}

/// For callers with a token of their own.
pub(crate) fn service_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(verify::routes(Arc::clone(inner)))
        .merge(ext_authz::routes(Arc::clone(inner)))
        .merge(introspect::routes(Arc::clone(inner)))
        .merge(terms::routes(Arc::clone(inner)))
}

/// For operators.
pub(crate) fn admin_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    accounts::routes(Arc::clone(inner))
}

/// The caller that the listener's guard found, if it may do this.
fn allowed(caller: Option<Extension<Caller>>, scope: &'static str) -> Result<Caller, Refusal> {
    caller.map(|Extension(caller)| caller).filter(|caller| caller.may(scope)).ok_or(Refusal::Caller(scope))
}
