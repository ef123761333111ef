//! Load that is shed.

use super::{Desk, given};
use crate::Shedding;
use crate::service::TOPIC;
use crate::store::{EndShedding, FindShedding, Order, Shed};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest that clients are asked to stay away, and the longest that it is asked: a day, and thirty.
const LONGEST_BACKOFF: u32 = 86_400;
const LONGEST: u32 = 30 * 86_400;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show_shedding, shed, end_shedding)).with_state(desk)
}

/// What to ask of clients.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Asking {
    /// Seconds they are asked to stay away after an answer: at most a day. 0 asks for nothing.
    #[serde(default)]
    backoff_seconds: u32,
    /// How many in a hundred are turned away at once.
    #[serde(default)]
    refuse_percent: u8,
    /// For how many seconds it is asked: at most thirty days.
    for_seconds: u32,
}

/// What is asked of clients.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct SheddingView {
    #[serde(flatten)]
    shedding: Shedding,
    /// Until when an operator asks it, in milliseconds since the epoch; absent when it is as the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// Show what is asked of clients
#[utoipa::path(get, path = "/shedding", tag = "nodes",
    responses((status = 200, body = SheddingView), (status = 503, body = Problem)))]
async fn show_shedding(State(desk): State<Desk>) -> Result<Json<SheddingView>, Problem> {
    let order = desk.store.scan(FindShedding(desk.now())).await?;
    Ok(Json(SheddingView {
        shedding: order.map_or(desk.shedding, |order| order.shedding),
        until: order.map(|order| order.until.get()),
    }))
}

/// Shed load for a time: ask clients to stay away (`X-Backoff`), turn a part of them away (503 and `Retry-After`)
#[utoipa::path(put, path = "/shedding", tag = "nodes", request_body = Asking,
    responses((status = 200, body = SheddingView), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn shed(
    State(desk): State<Desk>,
    body: Result<Json<Asking>, JsonRejection>,
) -> Result<Json<SheddingView>, Problem> {
    let Asking { backoff_seconds, refuse_percent, for_seconds } = given(body)?;
    let within = |name, number: u32, least: u32, most: u32| {
        if (least..=most).contains(&number) {
            return Ok(());
        }
        Err(Problem::invalid(format!("{name} is {number}; it must be from {least} to {most}")))
    };
    within("backoff_seconds", backoff_seconds, 0, LONGEST_BACKOFF)?;
    within("refuse_percent", refuse_percent.into(), 0, 100)?;
    within("for_seconds", for_seconds, 1, LONGEST)?;
    if (backoff_seconds, refuse_percent) == (0, 0) {
        return Err(Problem::invalid("there is nothing to ask for; set backoff_seconds or refuse_percent"));
    }
    let shedding = Shedding { backoff_seconds, refuse_percent };
    let until = desk.now().plus(Duration::from_secs(for_seconds.into()));
    desk.store.run(Shed(Order { shedding, until })).await?;
    desk.store.signals().send(TOPIC);
    Ok(Json(SheddingView { shedding, until: Some(until.get()) }))
}

/// Shed no more than the settings say
#[utoipa::path(delete, path = "/shedding", tag = "nodes",
    responses((status = 200, body = SheddingView), (status = 409, description = "Nothing was asked", body = Problem),
        (status = 503, body = Problem)))]
async fn end_shedding(State(desk): State<Desk>) -> Result<Json<SheddingView>, Problem> {
    if !desk.store.run(EndShedding).await? {
        return Err(Problem::conflict("no operator sheds load just now"));
    }
    desk.store.signals().send(TOPIC);
    Ok(Json(SheddingView { shedding: desk.shedding, until: None }))
}
