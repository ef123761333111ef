//! `POST /api/v1/terms-accepted-user/`: somebody accepted the terms and gets an account here, by an access token.

use super::answer::{Refused, refused};
use crate::Refusal;
use crate::capability::Inner;
use crate::check::token;
use crate::opening::Opened;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where no accounts are configured, nothing is here.
pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    if inner.opening.is_none() {
        return OpenApiRouter::new();
    }
    OpenApiRouter::new().routes(routes!(terms_accepted)).with_state(inner)
}

/// Accept the terms: the account of the access token is created at its first use
#[utoipa::path(
    post,
    path = "/api/v1/terms-accepted-user/",
    tag = "bearer",
    responses(
        (status = 201, description = "It is here now"),
        (status = 202, description = "It was here"),
        (status = 400, description = "The Authorization header is malformed", body = Refused),
        (status = 401, description = "The token is not good: get another one", body = Refused),
        (status = 403, description = "The token does not grant this, or the account may not act", body = Refused),
        (status = 503, description = "Come again after `Retry-After` seconds", body = Refused),
    ),
    security(("bearer" = []))
)]
async fn terms_accepted(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    match opened(&inner, &headers).await {
        Ok(Opened::New) => StatusCode::CREATED.into_response(),
        Ok(Opened::Known) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => refused(&refusal, inner.realm()),
    }
}

async fn opened(inner: &Inner, headers: &HeaderMap) -> Result<Opened, Refusal> {
    let opening = inner.opening.as_ref().ok_or(Refusal::NoAccount)?;
    inner.open(opening, token(headers)?, inner.now()).await
}
