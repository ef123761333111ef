//! Exchanging the secret of Standard Webhooks without a gap.

use super::{RpView, change};
use crate::capability::Inner;
use crate::rp::FreshSecret;
use axum::Json;
use axum::extract::{Path, State};
use ledger::Problem;
use std::sync::Arc;

/// Make a fresh webhook secret: it signs from now on, and so does the one before it, until the next is made
#[utoipa::path(post, path = "/rps/{client_id}/webhook-secret", tag = "relying parties",
    responses(
        (status = 200, description = "As it is now, with what its receiver checks with", body = RpView),
        (status = 404, body = Problem),
        (status = 409, description = "It is not told by Standard Webhooks, or a file says how it is told", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(super) async fn renew_webhook_secret(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    super::registering::operators_own(&inner, &client_id).await?;
    let fresh =
        |format| FreshSecret::of(format).ok_or("it is not told by Standard Webhooks, which sign by a secret");
    // Made beforehand: the change may be run again.
    let Json(rp) = super::show_rp(State(Arc::clone(&inner)), Path(client_id.clone())).await?;
    let made = fresh(rp.config.format).map_err(Problem::conflict)?;
    let (format, secret) = (rp.config.format, made.secret);
    let Json(view) = change(&inner, &client_id, Problem::conflict, move |kept| {
        if kept.rp.config.format != format {
            return Err("its format changed meanwhile; try again".to_owned());
        }
        let before = kept.rp.secrets.webhook.first().cloned();
        kept.rp.secrets.webhook = [secret.clone()].into_iter().chain(before).collect();
        Ok(())
    })
    .await?;
    Ok(Json(RpView { check_with: Some(made.check_with), ..view }))
}
