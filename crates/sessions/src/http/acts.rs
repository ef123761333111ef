//! Who had sessions ended or refreshed, for operators.

use crate::SessionId;
use crate::capability::Inner;
use crate::store::acts::{About, ListActs, SessionAct};
use account::{AccountId, IdpId, Subject};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use ledger::Problem;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_acts)).with_state(inner)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ActsQuery {
    /// Only those about this session.
    #[param(value_type = Option<String>)]
    session: Option<SessionId>,
    /// Only those about an account of this identity provider; with `subject`.
    #[param(value_type = Option<String>)]
    idp: Option<IdpId>,
    /// The account there.
    #[param(value_type = Option<String>)]
    subject: Option<Subject>,
    /// Only those before this one.
    #[serde(default = "from_the_last")]
    before: i64,
    /// At most this many; 1 to 1000.
    #[serde(default = "a_hundred")]
    limit: i64,
}

fn from_the_last() -> i64 {
    i64::MAX
}

fn a_hundred() -> i64 {
    100
}

/// List who had sessions ended or refreshed, the latest first
#[utoipa::path(get, path = "/session-acts", tag = "sessions", params(ActsQuery),
    responses((status = 200, body = Vec<SessionAct>), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn list_acts(
    State(inner): State<Arc<Inner>>,
    query: Result<Query<ActsQuery>, QueryRejection>,
) -> Result<Json<Vec<SessionAct>>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    if !(1..=1000).contains(&query.limit) {
        return Err(Problem::invalid("limit is 1 to 1000"));
    }
    let about = match (query.session, query.idp, query.subject) {
        (None, None, None) => About::All,
        (Some(session), None, None) => About::Session(session),
        (None, Some(idp), Some(subject)) => About::Account(AccountId::new(idp, subject)),
        _ => return Err(Problem::invalid("a session, or subject with idp")),
    };
    let list = ListActs { about, before: query.before, limit: query.limit };
    Ok(Json(inner.store.scan(list).await?))
}
