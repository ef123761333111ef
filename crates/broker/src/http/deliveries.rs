//! Deliveries, for operators: look, and mend.

use super::given;
use crate::capability::Inner;
use crate::store::list::ShowDelivery;
use crate::store::registry::ListRps;
use crate::store::repair::{FindOne, FindReplayable, Replay};
use crate::store::search::{Filter, ListDeliveries};
use crate::worker::TOPIC;
use crate::{AttemptView, ClientId, DeliveryView, Terminal};
use account::{IdpId, Millis, Subject};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_deliveries))
        .routes(routes!(show_delivery))
        .routes(routes!(retry_delivery))
        .routes(routes!(replay_deliveries))
        .with_state(inner)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only those to this relying party.
    #[param(value_type = Option<String>)]
    rp: Option<ClientId>,
    /// Only those in this state: `pending`, `delivered`, `exhausted`, `rejected` or `discarded`.
    state: Option<String>,
    /// Only those made then or later, milliseconds since the epoch.
    #[param(value_type = Option<i64>)]
    since: Option<Millis>,
    /// Only those about accounts of this identity provider.
    #[param(value_type = Option<String>)]
    idp: Option<IdpId>,
    /// Only those about this subject, or about the stream of that id.
    #[param(value_type = Option<String>)]
    subject: Option<Subject>,
    /// Only those with a higher number.
    #[serde(default)]
    after: i64,
    /// At most this many; 1 to 1000.
    #[serde(default = "a_hundred")]
    limit: i64,
}

fn a_hundred() -> i64 {
    100
}

/// A delivery and every attempt at it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct DeliveryAndAttempts {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// The attempts that are kept, oldest first.
    attempts: Vec<AttemptView>,
}

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// To which relying party.
    #[schema(value_type = String)]
    rp: ClientId,
    /// What was made then or later, milliseconds since the epoch.
    #[schema(value_type = i64)]
    since: Millis,
    /// Only what ended so: `exhausted`, `rejected` or `discarded`; absent: all of these.
    state: Option<Terminal>,
}

/// What is sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Replayed {
    /// How many.
    deliveries: usize,
}

/// List deliveries, oldest first
#[utoipa::path(get, path = "/deliveries", tag = "deliveries", params(ListQuery),
    responses((status = 200, body = Vec<DeliveryView>), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn list_deliveries(
    State(inner): State<Arc<Inner>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<DeliveryView>>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    let state = query.state.as_deref().map(state_code).transpose()?;
    let ListQuery { rp: client_id, since, idp, subject, after, limit, .. } = query;
    let filter = Filter { client_id, state, since, idp, subject };
    Ok(Json(inner.store.scan(ListDeliveries { filter, after, limit: limit.clamp(1, 1000) }).await?))
}

fn state_code(word: &str) -> Result<i64, Problem> {
    match Terminal::from_word(word) {
        Some(ended) => Ok(ended.code()),
        None if word == "pending" => Ok(0),
        None => Err(Problem::invalid(format!(
            "{word:?} is no state; there are pending, delivered, exhausted, rejected and discarded"
        ))),
    }
}

fn unknown(id: i64) -> Problem {
    Problem::not_found(format!(
        "there is no delivery {id}; `highwater deliveries list` shows those there are"
    ))
}

/// One delivery and every attempt at it
#[utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries",
    responses((status = 200, body = DeliveryAndAttempts), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_delivery(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<i64>,
) -> Result<Json<DeliveryAndAttempts>, Problem> {
    let (delivery, attempts) = inner.store.scan(ShowDelivery(id)).await?.ok_or_else(|| unknown(id))?;
    Ok(Json(DeliveryAndAttempts { delivery, attempts }))
}

/// Send one delivery again at once, whatever became of it: the same token
#[utoipa::path(post, path = "/deliveries/{id}/retry", tag = "deliveries",
    responses((status = 200, body = Replayed), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn retry_delivery(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<i64>,
) -> Result<Json<Replayed>, Problem> {
    let targets = inner.store.scan(FindOne(id)).await?;
    let deliveries = targets.len();
    if deliveries == 0 {
        return Err(unknown(id));
    }
    inner.store.run(Replay { targets, now: inner.now() }).await?;
    inner.store.signals().send(TOPIC);
    Ok(Json(Replayed { deliveries }))
}

/// Send again what a relying party did not take, since some time: the same tokens, in their order
#[utoipa::path(post, path = "/deliveries/replay", tag = "deliveries", request_body = ReplayRequest,
    responses((status = 200, body = Replayed), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn replay_deliveries(
    State(inner): State<Arc<Inner>>,
    body: Result<Json<ReplayRequest>, JsonRejection>,
) -> Result<Json<Replayed>, Problem> {
    let ReplayRequest { rp, since, state } = given(body)?;
    if state == Some(Terminal::Delivered) {
        return Err(Problem::invalid(
            "what was delivered is not sent again in bulk; retry one by its number",
        ));
    }
    let kept = inner.store.scan(ListRps(inner.snapshots.cipher.clone())).await?;
    if !kept.iter().any(|it| it.rp.client_id == rp) {
        return Err(super::rps::unknown(&rp));
    }
    let (mut deliveries, mut after) = (0, 0);
    loop {
        let find = FindReplayable { client_id: rp.clone(), since, state, after };
        let targets = inner.store.scan(find).await?;
        let Some(last) = targets.last() else { break };
        after = last;
        deliveries += targets.len();
        inner.store.run(Replay { targets, now: inner.now() }).await?;
        inner.store.signals().send(TOPIC);
    }
    Ok(Json(Replayed { deliveries }))
}
