//! Looking at sessions, changing what a service keeps with one, and saying that one is used.

use super::{READ, WRITE, allowed, given, named, not_there};
use crate::SessionId;
use crate::capability::Inner;
use crate::feed;
use crate::store::end::AccountOf;
use crate::store::find::{Filter, List};
use crate::store::patch::{Patch, Patched};
use crate::store::rows::{Object, SessionView};
use account::{AccountId, IdpId, Subject};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use http::StatusCode;
use keys::Caller;
use ledger::Problem;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn service_routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_sessions))
        .routes(routes!(show_session, patch_session))
        .routes(routes!(touch_session))
        .with_state(inner)
}

pub(super) fn admin_routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_all)).routes(routes!(show_one)).with_state(inner)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only those of this identity provider.
    #[param(value_type = Option<String>)]
    idp: Option<IdpId>,
    /// Only those of this account; with `idp`.
    #[param(value_type = Option<String>)]
    subject: Option<Subject>,
    /// Only those of this login, as the identity provider names it; with `idp`.
    sid: Option<String>,
    /// Those that have ended, too.
    #[serde(default)]
    ended: bool,
    /// Only those after this one.
    #[param(value_type = Option<String>)]
    after: Option<SessionId>,
    /// At most this many; 1 to 1000.
    #[serde(default = "a_hundred")]
    limit: i64,
}

fn a_hundred() -> i64 {
    100
}

/// List sessions, in the order of their making
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, body = Vec<SessionView>), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 503, body = Problem)),
    security(("caller" = [])))]
async fn list_sessions(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    allowed(caller, READ)?;
    listed(&inner, query).await
}

/// List sessions, in the order of their making
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, body = Vec<SessionView>), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn list_all(
    State(inner): State<Arc<Inner>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    listed(&inner, query).await
}

async fn listed(
    inner: &Inner,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::unreadable(&rejection.body_text()))?;
    if !(1..=1000).contains(&query.limit) {
        return Err(Problem::invalid("limit is 1 to 1000"));
    }
    let filter = match (query.idp, query.subject, query.sid) {
        (None, None, None) => Filter::All,
        (Some(idp), None, None) => Filter::Idp(idp),
        (Some(idp), Some(subject), None) => Filter::Account(AccountId::new(idp, subject)),
        (Some(idp), None, Some(sid)) => Filter::Sid(idp, sid),
        _ => return Err(Problem::invalid("subject or sid, one of them, goes with idp")),
    };
    let list = List { filter, with_ended: query.ended, after: query.after, limit: query.limit };
    let found = inner.store.scan(list).await?;
    Ok(Json(found.into_iter().map(|view| inner.judged(view)).collect()))
}

/// Show a session
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions",
    responses((status = 200, body = SessionView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)),
    security(("caller" = [])))]
async fn show_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    allowed(caller, READ)?;
    let id = named(&id)?;
    inner.show(&id).await?.map(Json).ok_or_else(|| not_there(&id))
}

/// Show a session
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions",
    responses((status = 200, body = SessionView), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_one(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    let id = named(&id)?;
    inner.show(&id).await?.map(Json).ok_or_else(|| not_there(&id))
}

/// A change of a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SessionPatch {
    /// Only if it is still at this version.
    #[serde(default)]
    version: Option<i64>,
    /// Members to set of the service's own; those that are null are removed (RFC 7396).
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    data: Option<Object>,
    /// Seconds it lives from now on.
    #[serde(default)]
    lifetime_seconds: Option<u32>,
}

/// Change what a service keeps with a session, or when it ends
#[utoipa::path(patch, path = "/sessions/{id}", tag = "sessions", request_body = SessionPatch,
    responses((status = 200, body = SessionView), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "It has ended, or never was", body = Problem),
        (status = 409, description = "It is at another version", body = Problem), (status = 503, body = Problem)),
    security(("caller" = [])))]
async fn patch_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
    body: Result<Json<SessionPatch>, JsonRejection>,
) -> Result<Json<SessionView>, Problem> {
    allowed(caller, WRITE)?;
    let (id, patch) = (named(&id)?, given(body)?);
    let Some(account) = inner.store.scan(AccountOf(id.clone())).await? else { return Err(not_there(&id)) };
    let now = inner.now();
    let longest = crate::settings::hours(inner.settings().longest_session_hours);
    let life = patch.lifetime_seconds.map(|seconds| Duration::from_secs(seconds.into()).min(longest));
    let most_bytes = inner.settings().data_bytes;
    let patch = Patch {
        id: id.clone(),
        account,
        version: patch.version,
        data: patch.data,
        expires_at: life.map(|life| now.plus(life)),
        most_bytes,
        now,
    };
    match inner.store.run(patch).await? {
        Patched::Done(view) => {
            feed::appended(&inner);
            Ok(Json(inner.judged(*view)))
        }
        Patched::NotThere => Err(Problem::not_found(format!("the session {id} has ended"))),
        Patched::AtVersion(version) => {
            Err(Problem::conflict(format!("the session {id} is at version {version}: read it again")))
        }
        Patched::TooMuch => Err(Problem::invalid(format!("data has at most {most_bytes} bytes"))),
    }
}

/// Say that a session is used; it is kept within seconds
#[utoipa::path(post, path = "/sessions/{id}/touch", tag = "sessions",
    responses((status = 202, description = "Taken in"), (status = 403, body = Problem)),
    security(("caller" = [])))]
async fn touch_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    allowed(caller, WRITE)?;
    inner.touches.touch(&named(&id)?, inner.now());
    Ok(StatusCode::ACCEPTED)
}
