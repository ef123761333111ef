//! Ending sessions, one or all of a user.

use super::{WRITE, account, allowed, named, not_there, operator, service};
use crate::capability::Inner;
use crate::feed;
use crate::rules::Reason;
use crate::store::acts::Actor;
use crate::store::end::{AccountOf, End, EndBy};
use crate::store::patch::Hurry;
use crate::store::rows::SessionView;
use crate::worker::{REVOCATIONS, TOPIC};
use account::Millis;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use keys::Caller;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::StoreError;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many end in one transaction.
const PART: i64 = 500;

pub(super) fn service_routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(end_session)).routes(routes!(end_user)).with_state(inner)
}

pub(super) fn admin_routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(end_one))
        .routes(routes!(end_all))
        .routes(routes!(refresh_one))
        .with_state(inner)
}

/// How many ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct EndedCount {
    /// Sessions that ended.
    sessions: usize,
}

/// End a session; its refresh token is revoked with the last of its login
#[utoipa::path(post, path = "/sessions/{id}/end", tag = "sessions",
    responses((status = 200, description = "It has ended, now or before", body = SessionView), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)),
    security(("caller" = [])))]
async fn end_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    let caller = allowed(caller, WRITE)?;
    inner.end_one(&id, Reason::SignedOut, service(&caller)).await
}

/// End a session; its refresh token is revoked with the last of its login
#[utoipa::path(post, path = "/sessions/{id}/end", tag = "sessions",
    responses((status = 200, description = "It has ended, now or before", body = SessionView), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn end_one(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    inner.end_one(&id, Reason::Operator, operator(caller)).await
}

/// End every session of a user
#[utoipa::path(post, path = "/users/{idp}/{subject}/end", tag = "sessions",
    responses((status = 200, body = EndedCount), (status = 403, body = Problem), (status = 503, body = Problem)),
    security(("caller" = [])))]
async fn end_user(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<EndedCount>, Problem> {
    let caller = allowed(caller, WRITE)?;
    inner.end_all(&idp, &subject, Reason::SignedOut, service(&caller)).await
}

/// End every session of an account
#[utoipa::path(post, path = "/accounts/{idp}/{subject}/end-sessions", tag = "sessions",
    responses((status = 200, body = EndedCount), (status = 503, body = Problem)))]
async fn end_all(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<EndedCount>, Problem> {
    inner.end_all(&idp, &subject, Reason::Operator, operator(caller)).await
}

/// Have a session's tokens refreshed as soon as may be, whatever it waits for
#[utoipa::path(post, path = "/sessions/{id}/refresh", tag = "sessions",
    responses((status = 202, description = "It is due now", body = SessionView), (status = 404, body = Problem),
        (status = 409, description = "It cannot be refreshed", body = Problem), (status = 503, body = Problem)))]
async fn refresh_one(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    let id = named(&id)?;
    let Some(view) = inner.show(&id).await? else { return Err(not_there(&id)) };
    let hurry = Hurry { session: id.clone(), actor: operator(caller), now: inner.now() };
    if !inner.store.run(hurry).await? {
        let why = match &view.grant {
            None => "it was created without tokens".to_owned(),
            Some(grant) => format!("its grant is {}", grant.state.as_str()),
        };
        return Err(Problem::conflict(format!("the session {id} cannot be refreshed: {why}")));
    }
    inner.store.signals().send(TOPIC);
    let view = inner.show(&id).await?.ok_or_else(|| not_there(&id))?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

impl Inner {
    async fn end_one(&self, id: &str, reason: Reason, actor: Actor) -> Result<Json<SessionView>, Problem> {
        let id = named(id)?;
        let Some(account) = self.store.scan(AccountOf(id.clone())).await? else { return Err(not_there(&id)) };
        let by = EndBy::Session(id.clone());
        let (accounts, actor) = (vec![account], Some(actor));
        self.store.run(End { by, reason, accounts, actor, now: self.now(), limit: 1 }).await?;
        self.ended();
        self.show(&id).await?.map(Json).ok_or_else(|| not_there(&id))
    }

    async fn end_all(
        &self,
        idp: &str,
        subject: &str,
        reason: Reason,
        actor: Actor,
    ) -> Result<Json<EndedCount>, Problem> {
        let account = account(idp, subject)?;
        let by = EndBy::Account { account: account.clone(), born_by: Millis::MAX };
        let sessions = self.end_in_parts(&by, vec![account], reason, actor).await?;
        Ok(Json(EndedCount { sessions }))
    }

    /// Ends all of them, however many, a part at a time.
    pub(crate) async fn end_in_parts(
        &self,
        by: &EndBy,
        accounts: Vec<account::AccountId>,
        reason: Reason,
        actor: Actor,
    ) -> Result<usize, StoreError> {
        let mut sessions = 0;
        loop {
            let (by, accounts, actor) = (by.clone(), accounts.clone(), Some(actor.clone()));
            let end = End { by, reason, accounts, actor, now: self.now(), limit: PART };
            let ended = self.store.run(end).await?;
            sessions += ended.sessions;
            if ended.sessions < usize::try_from(PART).unwrap_or(usize::MAX) {
                break;
            }
        }
        self.ended();
        Ok(sessions)
    }

    fn ended(&self) {
        feed::appended(self);
        self.store.signals().send(REVOCATIONS);
    }
}
