//! Adding, changing and removing relying parties.

use super::{RpView, change, show_rp, tell_workers, unknown};
use crate::capability::Inner;
use crate::http::{given, known_idp, named};
use crate::merge_patch::patched;
use crate::rp::FreshSecret;
use crate::store::registry::{AddRp, KeptRp, Origin, RemoveRp};
use crate::{ClientId, Config, RelyingParty, Secrets, Status};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use ledger::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use store::StoreError;
use utoipa::ToSchema;

/// A relying party to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRp {
    /// Its OAuth client id.
    #[schema(value_type = String)]
    client_id: ClientId,
    /// What may be shown of it.
    #[serde(default)]
    config: Config,
    /// What may not: `authorization`, `headers`, `oauth`, `client_certificate`, `webhook`.
    #[serde(default)]
    #[schema(value_type = Object)]
    secrets: Secrets,
}

/// A change of a relying party: merge patches (RFC 7396) of what it is. What is null is as by default again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RpChange {
    /// Of what may be shown.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// Of what may not.
    #[serde(default)]
    #[schema(value_type = Object)]
    secrets: Map<String, Value>,
}

/// Add a relying party. One that is told by Standard Webhooks and is given no secret gets a fresh one
#[utoipa::path(post, path = "/rps", tag = "relying parties", request_body = NewRp,
    responses(
        (status = 201, description = "As it is kept", body = RpView),
        (status = 400, description = "It cannot be so", body = Problem),
        (status = 409, description = "It is there already", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(super) async fn add_rp(
    State(inner): State<Arc<Inner>>,
    body: Result<Json<NewRp>, JsonRejection>,
) -> Result<(StatusCode, Json<RpView>), Problem> {
    let NewRp { client_id, config, mut secrets } = given(body)?;
    let made = if secrets.webhook.is_empty() { FreshSecret::of(config.format) } else { None };
    secrets.webhook.extend(made.as_ref().map(|made| made.secret.clone()));
    if config.stream.is_some() {
        return Err(Problem::invalid("a stream is made by the relying party itself"));
    }
    config.check(&secrets).map_err(|invalid| Problem::invalid(invalid.to_string()))?;
    known_idp(&inner, config.idp.as_ref())?;
    let now = inner.now();
    let rp = RelyingParty { client_id, config, secrets, status: Status::Enabled, status_at: now };
    let add = AddRp { rp: rp.clone(), cipher: inner.snapshots.cipher.clone(), now };
    match inner.store.run(add).await {
        Ok(()) => {}
        Err(StoreError::Duplicate { .. }) => {
            let why = format!("the relying party {} is there already; update it instead", rp.client_id);
            return Err(Problem::conflict(why));
        }
        Err(error) => return Err(error.into()),
    }
    tell_workers(&inner);
    let kept = KeptRp { rp, origin: Origin::Operator, created_at: now, updated_at: now };
    let check_with = made.map(|made| made.check_with);
    Ok((StatusCode::CREATED, Json(RpView { check_with, ..RpView::new(kept, &[]) })))
}

/// Change a relying party
#[utoipa::path(patch, path = "/rps/{client_id}", tag = "relying parties", request_body = RpChange,
    responses(
        (status = 200, description = "As it is now", body = RpView),
        (status = 400, description = "It cannot be so", body = Problem),
        (status = 404, body = Problem),
        (status = 503, body = Problem),
    ))]
pub(super) async fn update_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
    body: Result<Json<RpChange>, JsonRejection>,
) -> Result<Json<RpView>, Problem> {
    let RpChange { config, secrets } = given(body)?;
    if config.contains_key("stream") {
        return Err(Problem::invalid("a stream is changed by the relying party itself"));
    }
    operators_own(&inner, &client_id).await?;
    let (config, secrets) = (Value::Object(config), Value::Object(secrets));
    let idps = Arc::clone(&inner);
    change(&inner, &client_id, Problem::invalid, move |kept| {
        kept.rp.config = patched(&kept.rp.config, &config)?;
        kept.rp.secrets = patched(&kept.rp.secrets, &secrets)?;
        kept.rp.config.check(&kept.rp.secrets).map_err(|invalid| invalid.to_string())?;
        known_idp(&idps, kept.rp.config.idp.as_ref()).map_err(|problem| problem.detail)
    })
    .await
}

/// What a file says is changed in the file: the next start would undo any other change.
pub(super) async fn operators_own(inner: &Arc<Inner>, client_id: &str) -> Result<(), Problem> {
    let Json(rp) = show_rp(State(Arc::clone(inner)), Path(client_id.to_owned())).await?;
    match rp.origin {
        Origin::Operator => Ok(()),
        Origin::File => {
            let why = format!(
                "the relying party {} comes from a file of the configuration; change it there",
                rp.client_id
            );
            Err(Problem::conflict(why))
        }
    }
}

/// Remove a relying party: what is pending for it is discarded
#[utoipa::path(delete, path = "/rps/{client_id}", tag = "relying parties",
    responses((status = 204), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn remove_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Problem> {
    operators_own(&inner, &client_id).await?;
    let client_id = named(&client_id)?;
    let there = inner.store.run(RemoveRp(client_id.clone())).await?;
    tell_workers(&inner);
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&client_id)) }
}
