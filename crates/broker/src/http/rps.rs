//! Relying parties, for operators: what is seen of them, and how any of it changes.

mod registering;
mod secrets;
mod status;
mod tokens;

use super::named;
use crate::capability::Inner;
use crate::rp::CheckWith;
use crate::store::change::{By, ChangeRp, Changed};
use crate::store::list::{Backlog, ReadBacklog, ReadFailing};
use crate::store::registry::{KeptRp, ListRps, Origin, TOPIC};
use crate::{ClientId, Config, RelyingParty, Settings, Status, worker};
use account::Millis;
use axum::Json;
use axum::extract::{Path, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_rps, registering::add_rp))
        .routes(routes!(show_rp, registering::update_rp, registering::remove_rp))
        .routes(routes!(status::pause_rp))
        .routes(routes!(status::resume_rp))
        .routes(routes!(status::disable_rp))
        .routes(routes!(status::enable_rp))
        .routes(routes!(secrets::renew_webhook_secret))
        .routes(routes!(tokens::create_token, tokens::revoke_tokens))
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
    /// What is pending for it; told when relying parties are listed or shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<PendingView>,
    /// What may be shown of it.
    config: Config,
    /// Which secrets there are.
    secrets: SecretNames,
    /// What its receiver checks signatures with, when a webhook secret was just made for it: `secret` (`whsec_…`) or
    /// `public_key` (`whpk_…`). It is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    check_with: Option<CheckWith>,
    /// When it was added.
    #[schema(value_type = i64)]
    created_at: Millis,
    /// When it last changed.
    #[schema(value_type = i64)]
    updated_at: Millis,
}

/// What is pending for a relying party.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
struct PendingView {
    /// How many deliveries.
    deliveries: i64,
    /// When the oldest of them was made, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    oldest_at: Option<Millis>,
    /// While it is paused: how many are held at most and how old they get; deletions are held without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<BoundView>,
}

/// How much is held for a relying party that is paused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
struct BoundView {
    /// At most so many deliveries, the latest.
    deliveries: u32,
    /// For so many days.
    days: u32,
}

impl PendingView {
    fn of(rp: &RelyingParty, backlog: &[Backlog], settings: &Settings) -> Self {
        let own = backlog.iter().find(|it| it.client_id == rp.client_id);
        let bound = BoundView { deliveries: settings.paused_rows, days: settings.paused_days };
        Self {
            deliveries: own.map_or(0, |it| it.count),
            oldest_at: own.map(|it| it.oldest_at),
            bound: (rp.status == Status::Paused).then_some(bound),
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct SecretNames {
    /// Whether an `Authorization` is sent to it.
    authorization: bool,
    /// The names of further headers.
    headers: Vec<String>,
    /// Whether an access token is got for it.
    oauth: bool,
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
            oauth: secrets.oauth.is_some(),
            client_certificate: secrets.client_certificate.is_some(),
            webhook: secrets.webhook.len(),
        };
        Self {
            client_id,
            status,
            status_at,
            origin,
            failing_since,
            pending: None,
            config,
            secrets,
            check_with: None,
            created_at,
            updated_at,
        }
    }
}

pub(super) fn unknown(client_id: &ClientId) -> Problem {
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
    let backlog = inner.store.scan(ReadBacklog).await?;
    let view = |kept: KeptRp| {
        let pending = Some(PendingView::of(&kept.rp, &backlog, &inner.settings));
        RpView { pending, ..RpView::new(kept, &failing) }
    };
    Ok(Json(rps.into_iter().map(view).collect()))
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

/// Changes what is kept of a relying party by a decision over what is there; `refused` makes a problem of its refusal.
async fn change(
    inner: &Arc<Inner>,
    client_id: &str,
    refused: fn(String) -> Problem,
    decide: impl Fn(&mut KeptRp) -> Result<(), String> + Send + Sync + 'static,
) -> Result<Json<RpView>, Problem> {
    let client_id = named(client_id)?;
    let cipher = inner.snapshots.cipher.clone();
    let now = inner.now();
    let change = ChangeRp { client_id: client_id.clone(), cipher, by: By::Transmitter, now, decide };
    match inner.store.run(change).await? {
        Changed::Done(kept) => {
            tell_workers(inner);
            Ok(Json(RpView::new(*kept, &[])))
        }
        Changed::Unknown => Err(unknown(&client_id)),
        Changed::Refused(why) => Err(refused(why)),
    }
}

fn tell_workers(inner: &Inner) {
    inner.store.signals().send(TOPIC);
    inner.store.signals().send(worker::TOPIC);
}
