//! Relying parties, for operators.

use super::{given, known_idp, named};
use crate::capability::Inner;
use crate::merge_patch::merge_patch;
use crate::receiver_tokens::{NewToken, issue};
use crate::store::change::{By, ChangeRp, Changed};
use crate::store::list::ReadFailing;
use crate::store::registry::{AddRp, KeptRp, ListRps, Origin, RemoveRp, TOPIC};
use crate::store::tokens::RevokeTokens;
use crate::{ClientId, Config, RelyingParty, Secrets, Status, worker};
use account::Millis;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::StoreError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_rps, add_rp))
        .routes(routes!(show_rp, update_rp, remove_rp))
        .routes(routes!(pause_rp))
        .routes(routes!(resume_rp))
        .routes(routes!(disable_rp))
        .routes(routes!(enable_rp))
        .routes(routes!(create_token, revoke_tokens))
        .with_state(inner)
}

/// A relying party, as operators see it. Secrets are not shown, only which there are.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct RpView {
    /// Its OAuth client id, in lower case.
    #[schema(value_type = String)]
    client_id: ClientId,
    #[serde(flatten)]
    status: Status,
    /// Since when it has that status, milliseconds since the epoch.
    #[schema(value_type = i64)]
    status_at: Millis,
    /// Who says how it is: `operator`, or a `file` of the configuration, which must be changed there.
    origin: Origin,
    /// Since when it has done nothing but fail; absent while it takes what it gets.
    #[schema(value_type = Option<i64>)]
    failing_since: Option<Millis>,
    /// What may be shown of it.
    config: Config,
    /// Which secrets there are.
    secrets: SecretNames,
    /// When it was added.
    #[schema(value_type = i64)]
    created_at: Millis,
    /// When it last changed.
    #[schema(value_type = i64)]
    updated_at: Millis,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct SecretNames {
    /// Whether an `Authorization` is sent to it.
    authorization: bool,
    /// The names of further headers.
    headers: Vec<String>,
    /// Whether a certificate is shown to it.
    client_certificate: bool,
    /// How many webhook secrets sign.
    webhook: usize,
}

impl RpView {
    fn new(kept: KeptRp, failing: &[(ClientId, Millis)]) -> Self {
        let KeptRp {
            rp: RelyingParty { client_id, config, secrets, status, status_at },
            origin,
            created_at,
            updated_at,
        } = kept;
        let failing_since = failing.iter().find(|(id, _)| *id == client_id).map(|(_, since)| *since);
        let secrets = SecretNames {
            authorization: secrets.authorization.is_some(),
            headers: secrets.headers.keys().cloned().collect(),
            client_certificate: secrets.client_certificate.is_some(),
            webhook: secrets.webhook.len(),
        };
        Self { client_id, status, status_at, origin, failing_since, config, secrets, created_at, updated_at }
    }
}

/// A relying party to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRp {
    /// Its OAuth client id.
    #[schema(value_type = String)]
    client_id: ClientId,
    /// What may be shown of it.
    #[serde(default)]
    config: Config,
    /// What may not: `authorization`, `headers`, `client_certificate`, `webhook`.
    #[serde(default)]
    #[schema(value_type = Object)]
    secrets: Secrets,
}

/// A change of a relying party: merge patches (RFC 7396) of what it is. What is null is as by default again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RpChange {
    /// Of what may be shown.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: serde_json::Map<String, serde_json::Value>,
    /// Of what may not.
    #[serde(default)]
    #[schema(value_type = Object)]
    secrets: serde_json::Map<String, serde_json::Value>,
}

/// Why something is disabled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Disabling {
    /// In words for operators and, where it has a stream, for the receiver.
    reason: String,
}

/// A token by which a relying party authorises itself here. It is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct IssuedToken {
    /// The token.
    token: String,
    /// When it ends, milliseconds since the epoch; absent: never.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
}

fn unknown(client_id: &ClientId) -> Problem {
    Problem::not_found(format!(
        "there is no relying party {client_id}; `highwater rp list` shows those there are"
    ))
}

/// List the relying parties
#[utoipa::path(get, path = "/rps", tag = "relying parties",
    responses((status = 200, body = Vec<RpView>), (status = 503, body = Problem)))]
async fn list_rps(State(inner): State<Arc<Inner>>) -> Result<Json<Vec<RpView>>, Problem> {
    let failing = inner.store.scan(ReadFailing).await?;
    let rps = inner.store.scan(ListRps(inner.snapshots.cipher.clone())).await?;
    Ok(Json(rps.into_iter().map(|kept| RpView::new(kept, &failing)).collect()))
}

/// Add a relying party
#[utoipa::path(post, path = "/rps", tag = "relying parties", request_body = NewRp,
    responses(
        (status = 201, description = "As it is kept", body = RpView),
        (status = 400, description = "It cannot be so", body = Problem),
        (status = 409, description = "It is there already", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn add_rp(
    State(inner): State<Arc<Inner>>,
    body: Result<Json<NewRp>, JsonRejection>,
) -> Result<(StatusCode, Json<RpView>), Problem> {
    let NewRp { client_id, config, secrets } = given(body)?;
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
    Ok((StatusCode::CREATED, Json(RpView::new(kept, &[]))))
}

/// Show a relying party
#[utoipa::path(get, path = "/rps/{client_id}", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    let client_id = named(&client_id)?;
    let Json(all) = list_rps(State(inner)).await?;
    all.into_iter().find(|it| it.client_id == client_id).map(Json).ok_or_else(|| unknown(&client_id))
}

/// Change a relying party
#[utoipa::path(patch, path = "/rps/{client_id}", tag = "relying parties", request_body = RpChange,
    responses(
        (status = 200, description = "As it is now", body = RpView),
        (status = 400, description = "It cannot be so", body = Problem),
        (status = 404, body = Problem),
        (status = 503, body = Problem),
    ))]
async fn update_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
    body: Result<Json<RpChange>, JsonRejection>,
) -> Result<Json<RpView>, Problem> {
    let RpChange { config, secrets } = given(body)?;
    if config.contains_key("stream") {
        return Err(Problem::invalid("a stream is changed by the relying party itself"));
    }
    operators_own(&inner, &client_id).await?;
    let (config, secrets) = (serde_json::Value::Object(config), serde_json::Value::Object(secrets));
    let idps = Arc::clone(&inner);
    change(&inner, &client_id, move |kept| {
        kept.rp.config = patched(&kept.rp.config, &config)?;
        kept.rp.secrets = patched(&kept.rp.secrets, &secrets)?;
        kept.rp.config.check(&kept.rp.secrets).map_err(|invalid| invalid.to_string())?;
        known_idp(&idps, kept.rp.config.idp.as_ref()).map_err(|problem| problem.detail)
    })
    .await
}

/// What a file says is changed in the file: the next start would undo any other change.
async fn operators_own(inner: &Arc<Inner>, client_id: &str) -> Result<(), Problem> {
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

fn patched<T: Serialize + serde::de::DeserializeOwned>(
    value: &T,
    patch: &serde_json::Value,
) -> Result<T, String> {
    let mut json = serde_json::to_value(value).map_err(|error| error.to_string())?;
    merge_patch(&mut json, patch);
    serde_json::from_value(json).map_err(|error| error.to_string())
}

/// Remove a relying party: what is pending for it is discarded
#[utoipa::path(delete, path = "/rps/{client_id}", tag = "relying parties",
    responses((status = 204), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn remove_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Problem> {
    operators_own(&inner, &client_id).await?;
    let client_id = named(&client_id)?;
    let there = inner.store.run(RemoveRp(client_id.clone())).await?;
    tell_workers(&inner);
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&client_id)) }
}

/// Hold a relying party's deliveries back until it is resumed
#[utoipa::path(post, path = "/rps/{client_id}/pause", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn pause_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    moved(&inner, &client_id, Move::Pause).await
}

/// Go on delivering to a paused relying party
#[utoipa::path(post, path = "/rps/{client_id}/resume", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn resume_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    moved(&inner, &client_id, Move::Resume).await
}

/// Disable a relying party: what concerns it is discarded
#[utoipa::path(post, path = "/rps/{client_id}/disable", tag = "relying parties", request_body = Disabling,
    responses((status = 200, body = RpView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn disable_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
    body: Result<Json<Disabling>, JsonRejection>,
) -> Result<Json<RpView>, Problem> {
    let Disabling { reason } = given(body)?;
    if reason.is_empty() || reason.len() > 200 || reason.chars().any(char::is_control) {
        return Err(Problem::invalid("the reason is 1 to 200 bytes of plain text"));
    }
    moved(&inner, &client_id, Move::Disable { reason }).await
}

/// Enable a disabled relying party again; `deliveries replay` brings back what it missed
#[utoipa::path(post, path = "/rps/{client_id}/enable", tag = "relying parties",
    responses((status = 200, body = RpView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn enable_rp(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<Json<RpView>, Problem> {
    moved(&inner, &client_id, Move::Enable).await
}

/// Give a relying party a token for streams and polling; it is shown this once
#[utoipa::path(post, path = "/rps/{client_id}/tokens", tag = "relying parties", request_body = NewToken,
    responses((status = 201, body = IssuedToken), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn create_token(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
    body: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<IssuedToken>), Problem> {
    let new = given(body)?;
    new.check().map_err(Problem::invalid)?;
    let Json(rp) = show_rp(State(Arc::clone(&inner)), Path(client_id)).await?;
    let (token, expires_at) = issue(&inner, rp.client_id, &new).await?;
    Ok((StatusCode::CREATED, Json(IssuedToken { token, expires_at })))
}

/// Revoke every token of a relying party
#[utoipa::path(delete, path = "/rps/{client_id}/tokens", tag = "relying parties",
    responses((status = 204), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn revoke_tokens(
    State(inner): State<Arc<Inner>>,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Problem> {
    inner.store.run(RevokeTokens(named(&client_id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How an operator moves a relying party from one status to another.
enum Move {
    Pause,
    Resume,
    Disable { reason: String },
    Enable,
}

impl Move {
    /// The status it leads to, if it leads anywhere from there.
    fn from(&self, status: &Status) -> Result<Status, String> {
        match (self, status) {
            (Self::Pause, Status::Enabled | Status::Paused) => Ok(Status::Paused),
            (Self::Resume, Status::Enabled | Status::Paused)
            | (Self::Enable, Status::Enabled | Status::Disabled { .. }) => Ok(Status::Enabled),
            (Self::Disable { reason }, _) => Ok(Status::Disabled { reason: reason.clone() }),
            (Self::Pause | Self::Resume, Status::Disabled { .. }) => {
                Err("it is disabled; enable it first".into())
            }
            (Self::Enable, Status::Paused) => Err("it is paused, not disabled; resume it".into()),
        }
    }
}

async fn moved(inner: &Arc<Inner>, client_id: &str, to: Move) -> Result<Json<RpView>, Problem> {
    let client_id = named(client_id)?;
    let changed = run(inner, &client_id, move |kept: &mut KeptRp| {
        kept.rp.status = to.from(&kept.rp.status)?;
        Ok(())
    })
    .await?;
    answer(inner, &client_id, changed, Problem::conflict)
}

async fn change(
    inner: &Arc<Inner>,
    client_id: &str,
    decide: impl Fn(&mut KeptRp) -> Result<(), String> + Send + Sync + 'static,
) -> Result<Json<RpView>, Problem> {
    let client_id = named(client_id)?;
    let changed = run(inner, &client_id, decide).await?;
    answer(inner, &client_id, changed, Problem::invalid)
}

async fn run(
    inner: &Arc<Inner>,
    client_id: &ClientId,
    decide: impl Fn(&mut KeptRp) -> Result<(), String> + Send + Sync + 'static,
) -> Result<Changed<String>, StoreError> {
    let cipher = inner.snapshots.cipher.clone();
    let change =
        ChangeRp { client_id: client_id.clone(), cipher, by: By::Transmitter, now: inner.now(), decide };
    inner.store.run(change).await
}

fn answer(
    inner: &Arc<Inner>,
    client_id: &ClientId,
    changed: Changed<String>,
    refused: fn(String) -> Problem,
) -> Result<Json<RpView>, Problem> {
    match changed {
        Changed::Done(kept) => {
            tell_workers(inner);
            Ok(Json(RpView::new(*kept, &[])))
        }
        Changed::Unknown => Err(unknown(client_id)),
        Changed::Refused(why) => Err(refused(why)),
    }
}

fn tell_workers(inner: &Inner) {
    inner.store.signals().send(TOPIC);
    inner.store.signals().send(worker::TOPIC);
}
