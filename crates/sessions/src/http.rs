//! Its routes: for services, with a token of their own, and for operators.

mod acts;
mod answer;
mod create;
mod ending;
mod logout;
mod sessions;
mod tokens;
mod troubles;
mod watch;

use crate::SessionId;
use crate::capability::Inner;
use crate::store::acts::{Actor, ActorKind};
use crate::store::rows::SessionView;
use account::{AccountId, IdpId, Subject};
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::JsonRejection;
use axum::middleware::map_response;
use axum::{Extension, Json};
use http::StatusCode;
use keys::Caller;
use ledger::Problem;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Tokens are large, and there are three of them.
const LARGEST_BODY: usize = 128 * 1024;

/// What a service may do.
const READ: &str = "sessions:read";
const WRITE: &str = "sessions:write";
const TOKENS: &str = "sessions:tokens";
const WATCH: &str = "sessions:watch";

/// For callers with a token of their own.
pub(crate) fn service_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(create::routes(Arc::clone(inner)))
        .merge(sessions::service_routes(Arc::clone(inner)))
        .merge(tokens::routes(Arc::clone(inner)))
        .merge(ending::service_routes(Arc::clone(inner)))
        .merge(watch::routes(Arc::clone(inner)))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(map_response(Problem::in_place_of))
}

/// For identity providers.
pub(crate) fn public_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    logout::routes(Arc::clone(inner))
}

/// For operators.
pub(crate) fn admin_routes(inner: &Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .merge(sessions::admin_routes(Arc::clone(inner)))
        .merge(ending::admin_routes(Arc::clone(inner)))
        .merge(troubles::routes(Arc::clone(inner)))
        .merge(acts::routes(Arc::clone(inner)))
        .layer(map_response(Problem::in_place_of))
}

/// The caller that the listener's guard found, if it may do this.
fn allowed(caller: Option<Extension<Caller>>, scope: &str) -> Result<Caller, Problem> {
    caller.map(|Extension(caller)| caller).filter(|caller| caller.may(scope)).ok_or_else(|| {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("the caller's token has no scope {scope}"))
    })
}

/// A service, as its acts name it.
fn service(caller: &Caller) -> Actor {
    Actor { kind: ActorKind::Service, name: numbered(caller) }
}

/// An operator, as their acts name them. Whoever comes through the admin socket has no token: the file system let them in.
fn operator(caller: Option<Extension<Caller>>) -> Actor {
    let name = caller.map_or_else(|| "admin socket".to_owned(), |Extension(caller)| numbered(&caller));
    Actor { kind: ActorKind::Operator, name }
}

/// Names may be given twice.
fn numbered(caller: &Caller) -> String {
    let name: String = caller.name.chars().take(255).collect();
    format!("{name} (token {})", caller.id)
}

/// A JSON body, or the problem with it.
fn given<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(it)| it).map_err(|rejection| Problem::unreadable(&rejection.body_text()))
}

/// A session of a path.
fn named(id: &str) -> Result<SessionId, Problem> {
    SessionId::parse(id).map_err(|error| Problem::invalid(error.to_string()))
}

/// An account of a path.
fn account(idp: &str, subject: &str) -> Result<AccountId, Problem> {
    let invalid = |error: account::InvalidId| Problem::invalid(error.to_string());
    Ok(AccountId::new(IdpId::new(idp).map_err(invalid)?, Subject::new(subject).map_err(invalid)?))
}

/// Sessions come from identity providers that are configured: another's name is a slip of the pen.
fn known(inner: &Inner, idp: &IdpId) -> Result<(), Problem> {
    if inner.lanes.get(idp).is_some() {
        return Ok(());
    }
    let known: Vec<String> = inner.lanes.iter().map(|lane| lane.idp.to_string()).collect();
    Err(Problem::invalid(format!(
        "no identity provider {idp} that users log in by is configured; there are: {}",
        known.join(", ")
    )))
}

fn not_there(id: &SessionId) -> Problem {
    Problem::not_found(format!("there is no session {id}"))
}

impl Inner {
    /// As it is to be seen now.
    pub(crate) fn judged(&self, view: SessionView) -> SessionView {
        view.judged(&self.settings(), self.now())
    }
}
