//! Users: their rows, and where they live.

use super::services::{Of, OfService};
use super::{Desk, asked, given};
use crate::email::account;
use crate::store::{
    Allocate, Allocated, CountUsers, FindUser, Move, Moved, Node, Target, User, UserName, UserRow,
};
use account::Millis;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::StatusCode;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest name a row holds, in bytes.
const LONGEST: usize = 255;
const DAY_MS: i64 = 86_400_000;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(count_users))
        .routes(routes!(show_user))
        .routes(routes!(allocate_user))
        .routes(routes!(move_user))
        .with_state(desk)
}

/// A user with all rows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct UserView {
    /// As it stands in the rows: `subject@domain`.
    email: String,
    /// The rows, the newest first; at most 200.
    rows: Vec<UserRow>,
}

/// Where a user is to live.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Where {
    /// The node, by its URL or its id; wherever a new user would go unless set.
    node: Option<String>,
    /// Also when the node takes nobody: it is full, cordoned, down or failed.
    #[serde(default)]
    force: bool,
}

/// Where a user lives now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Home {
    /// Who.
    email: String,
    /// Whether anything changed.
    changed: bool,
    /// The row that counts.
    uid: i64,
    /// Its node.
    node: String,
    /// The row that counted before, when the user was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_uid: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Until {
    /// Only users whose row was made by then, in milliseconds since the epoch; the last midnight in UTC unless set.
    until: Option<i64>,
}

/// How many users there are.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Counted {
    /// Live rows, of every service.
    total_users: i64,
    /// Made by then, in milliseconds since the epoch.
    until: i64,
    /// Now, in milliseconds since the epoch.
    now: i64,
}

pub(super) fn parse(name: &str) -> Result<UserName, Problem> {
    if let Ok(uid) = name.parse() {
        return Ok(UserName::Uid(uid));
    }
    if !name.contains('@') || name.len() > LONGEST {
        return Err(Problem::invalid(format!(
            "a user is named as the rows name it, subject@domain in at most {LONGEST} bytes, or by the id of a row; \
             {name:?} is neither"
        )));
    }
    Ok(UserName::Email(name.to_owned()))
}

pub(super) fn stranger(name: &str) -> Problem {
    Problem::not_found(format!("there is no user {name}"))
}

/// Count the users
#[utoipa::path(get, path = "/users/count", tag = "users", params(Until),
    responses((status = 200, body = Counted), (status = 503, body = Problem)))]
async fn count_users(
    State(desk): State<Desk>,
    query: Result<Query<Until>, QueryRejection>,
) -> Result<Json<Counted>, Problem> {
    let now = desk.now().get();
    let until = asked(query)?.until.unwrap_or(now - now.rem_euclid(DAY_MS));
    let total_users = desk.store.scan(CountUsers(Millis::new(until))).await?;
    Ok(Json(Counted { total_users, until, now }))
}

/// Show a user's rows: by the name in them, or by the id of one
#[utoipa::path(get, path = "/users/{user}", tag = "users", params(OfService),
    responses((status = 200, body = UserView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn show_user(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
) -> Result<Json<UserView>, Problem> {
    let found = desk.store.scan(FindUser(service.name.clone(), parse(&name)?)).await?;
    let (email, rows) = found.ok_or_else(|| stranger(&name))?;
    Ok(Json(UserView { email, rows }))
}

/// Assign a user who has not come yet, or who was unassigned, to a node
#[utoipa::path(post, path = "/users/{user}/allocate", tag = "users", params(OfService), request_body = Where,
    responses(
        (status = 201, description = "A row was made", body = Home),
        (status = 200, description = "The user lives there already", body = Home),
        (status = 400, body = Problem),
        (status = 404, description = "No such node", body = Problem),
        (status = 409, description = "The user lives elsewhere or was deleted, or there is no room", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn allocate_user(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
    body: Result<Json<Where>, JsonRejection>,
) -> Result<(StatusCode, Json<Home>), Problem> {
    let place = given(body)?;
    let UserName::Email(email) = parse(&name)? else {
        return Err(Problem::invalid(
            "a user who has not come yet is named as the rows will: subject@domain",
        ));
    };
    let (to, wanted) = match &place.node {
        None => (Target::Anywhere, None),
        Some(node) => {
            let node = desk.node(&service.name, node).await?;
            (Target::Node(node.id, node.url.clone()), Some(node))
        }
    };
    if let Some(node) = &wanted {
        check_room(node, place.force)?;
    }
    let user = user(&desk, email.clone());
    let allocate = Allocate { user, to, placement: Arc::clone(&service.placement), now: desk.now() };
    let home =
        |changed, uid, node| Json(Home { email: email.clone(), changed, uid, node, replaced_uid: None });
    match desk.store.run(allocate).await? {
        Allocated::New(uid, node) => Ok((StatusCode::CREATED, home(true, uid, node))),
        Allocated::Lives(uid, id, node) if wanted.as_ref().is_none_or(|wanted| wanted.id == id) => {
            Ok((StatusCode::OK, home(false, uid, node)))
        }
        Allocated::Lives(_, _, node) => Err(Problem::conflict(format!(
            "{email} lives on {node}; `highwater user move {email} NODE` moves the user"
        ))),
        Allocated::Retired => Err(Problem::conflict(format!(
            "{email} was deleted; once its rows are purged it may come back as a new user"
        ))),
        Allocated::NoRoom => Err(no_room()),
    }
}

/// Move a user to another node: a new row there, under a new id; the old one waits for the purge
#[utoipa::path(post, path = "/users/{user}/move", tag = "users", params(OfService), request_body = Where,
    responses(
        (status = 200, body = Home),
        (status = 400, body = Problem),
        (status = 404, description = "No such user, or no such node", body = Problem),
        (status = 409, description = "The user lives nowhere, or the node takes nobody", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn move_user(
    State(desk): State<Desk>,
    Of(service): Of,
    Path(name): Path<String>,
    body: Result<Json<Where>, JsonRejection>,
) -> Result<Json<Home>, Problem> {
    let place = given(body)?;
    let found = desk.store.scan(FindUser(service.name.clone(), parse(&name)?)).await?;
    let (email, rows) = found.ok_or_else(|| stranger(&name))?;
    let to = match &place.node {
        None => Target::Anywhere,
        Some(node) => {
            let node = desk.node(&service.name, node).await?;
            let there = rows.iter().find(|row| row.replaced_at.is_none() && row.node_id == node.id);
            if let Some(row) = there {
                let home = Home { email, changed: false, uid: row.uid, node: node.url, replaced_uid: None };
                return Ok(Json(home));
            }
            check_room(&node, place.force)?;
            Target::Node(node.id, node.url)
        }
    };
    let users = vec![user(&desk, email.clone())];
    let placement = Arc::clone(&service.placement);
    let move_it = Move { users, from: None, to, placement, now: desk.now(), drain: None };
    let moves = desk.store.run(move_it).await?;
    match moves.moved.into_iter().next() {
        Some(Moved { email, from, to: uid, node }) => {
            Ok(Json(Home { email, changed: true, uid, node, replaced_uid: Some(from) }))
        }
        None if moves.without_room > 0 => Err(no_room()),
        None => Err(Problem::conflict(format!(
            "{email} lives nowhere: its rows are replaced; `highwater user allocate {email}` assigns the user anew"
        ))),
    }
}

fn user(desk: &Desk, email: String) -> User {
    User { account: account(&desk.idps, &email), email }
}

fn no_room() -> Problem {
    Problem::conflict("no other node has room; `highwater node list` shows how full they are")
}

/// Whether a node takes somebody who is sent there by name. What is `available` does not matter: that is for those whom
/// nobody sent.
fn check_room(node: &Node, force: bool) -> Result<(), Problem> {
    let why = if node.failed {
        "has failed"
    } else if node.downed {
        "is down"
    } else if node.backoff {
        "is cordoned"
    } else if node.current_load >= node.capacity {
        "is full"
    } else {
        return Ok(());
    };
    if force {
        return Ok(());
    }
    Err(Problem::conflict(format!("{} {why}; `--force` puts the user there nevertheless", node.url)))
}
