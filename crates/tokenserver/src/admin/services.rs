//! Which service an operator means, and the secrets of each.

use super::{Desk, asked};
use crate::rules::{NewUsers, Rotation, ServiceName};
use crate::secrets::Secrets;
use crate::service::TOPIC;
use crate::store::{FindRotation, ListNodes, Placement, Policy, Rotate};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, State};
use http::request::Parts;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_services))
        .routes(routes!(list_secrets))
        .routes(routes!(rotate_secrets))
        .with_state(desk)
}

/// A service, as operators need it.
pub(crate) struct Counter {
    pub(crate) name: ServiceName,
    /// The application in the path.
    pub(crate) application: String,
    /// Its version there.
    pub(crate) version: String,
    /// What access tokens must grant.
    pub(crate) scope: String,
    /// How endpoints are made, as the table has it.
    pub(crate) pattern: String,
    /// How its users are placed.
    pub(crate) placement: Arc<Placement>,
    /// How long its tokens count, in seconds, at most.
    pub(crate) token_duration: u64,
    /// Those it shares with its nodes.
    pub(crate) secrets: Secrets,
    /// What deletes data on its nodes; `None` where no Tokenserver is configured, and so no secret is known.
    pub(crate) purger: Option<crate::purge::Purger>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfService {
    /// Which service is meant, by its name (`sync-1.5`); the only one unless set.
    pub(super) service: Option<String>,
}

/// The service that the query names; without a name the only one.
pub(super) struct Of(pub(super) Arc<Counter>);

impl FromRequestParts<Desk> for Of {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Problem> {
        let query = Query::<OfService>::from_request_parts(parts, desk).await;
        let OfService { service } = asked(query)?;
        desk.counter(service.as_deref()).map(Self)
    }
}

impl Desk {
    /// The service of that name; the only one without.
    pub(super) fn counter(&self, name: Option<&str>) -> Result<Arc<Counter>, Problem> {
        let names = || {
            let names: Vec<_> = self.services.iter().map(|it| it.name.as_str()).collect();
            names.join(", ")
        };
        let found = match (name, &*self.services) {
            (None, [only]) => Some(only),
            (None, _) => {
                let why =
                    format!("there are several services; say which one is meant (`--service`): {}", names());
                return Err(Problem::invalid(why));
            }
            (Some(name), services) => services.iter().find(|it| it.name.as_str() == name),
        };
        found.cloned().ok_or_else(|| {
            let name = name.unwrap_or_default();
            Problem::not_found(format!("there is no service {name}; there are: {}", names()))
        })
    }
}

/// A service, as it is configured.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ServiceView {
    /// Its name, as the rows and commands have it.
    service: String,
    /// The application in the path.
    application: String,
    /// Its version there.
    version: String,
    /// What access tokens must grant.
    scope: String,
    /// How endpoints are made.
    pattern: String,
    /// Which node a user goes to who has none.
    allocation: Policy,
    /// Whether users are taken who were never here.
    takes_new_users: bool,
    /// How long its tokens count, in seconds, at most.
    token_duration_seconds: u64,
    /// How many secrets it shares with its nodes.
    secrets: usize,
    /// How many nodes it has.
    nodes: usize,
}

/// List the services, as they are configured
#[utoipa::path(get, path = "/services", tag = "nodes",
    responses((status = 200, body = Vec<ServiceView>), (status = 503, body = Problem)))]
async fn list_services(State(desk): State<Desk>) -> Result<Json<Vec<ServiceView>>, Problem> {
    let mut all = Vec::new();
    for counter in &*desk.services {
        all.push(ServiceView {
            service: counter.name.to_string(),
            application: counter.application.clone(),
            version: counter.version.clone(),
            scope: counter.scope.clone(),
            pattern: counter.pattern.clone(),
            allocation: counter.placement.policy,
            takes_new_users: counter.placement.new_users == NewUsers::Welcome,
            token_duration_seconds: counter.token_duration,
            secrets: counter.secrets.fingerprints().len(),
            nodes: desk.store.run(ListNodes(counter.name.clone())).await?.len(),
        });
    }
    Ok(Json(all))
}

/// What a secret is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SecretState {
    /// Tokens are signed with it.
    Signs,
    /// It is the one that a rotation would make sign.
    Next,
    /// It has signed, and tokens of it may still be about.
    Retiring,
    /// No token of it counts any more: it can go.
    Retired,
    /// Nodes may know it.
    Known,
}

/// A secret, of which only its fingerprint is told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct SecretView {
    /// Whose.
    service: String,
    /// Its place in the list, from 1.
    place: usize,
    /// What it is called here: a hash of what is derived from it.
    fingerprint: String,
    /// What it is for.
    state: SecretState,
    /// Since when it signs, or no longer does, by an operator's word; in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_at: Option<i64>,
    /// When its last token ends, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_end_at: Option<i64>,
}

/// List the secrets that services share with their nodes, never the secrets themselves
#[utoipa::path(get, path = "/secrets", tag = "nodes",
    responses((status = 200, body = Vec<SecretView>), (status = 503, body = Problem)))]
async fn list_secrets(State(desk): State<Desk>) -> Result<Json<Vec<SecretView>>, Problem> {
    let mut all = Vec::new();
    for counter in &*desk.services {
        all.extend(views(&desk, counter).await?);
    }
    Ok(Json(all))
}

/// Have the next secret of a service's list sign; the nodes must know it already
#[utoipa::path(post, path = "/secrets/rotate", tag = "nodes", params(OfService),
    responses((status = 200, description = "The service's secrets as they are now", body = Vec<SecretView>),
        (status = 400, body = Problem), (status = 404, description = "No such service", body = Problem),
        (status = 409, description = "There is no next one", body = Problem), (status = 503, body = Problem)))]
async fn rotate_secrets(
    State(desk): State<Desk>,
    query: Result<Query<OfService>, QueryRejection>,
) -> Result<Json<Vec<SecretView>>, Problem> {
    let counter = desk.counter(asked(query)?.service.as_deref())?;
    counter.secrets.follow(desk.store.scan(FindRotation(counter.name.clone())).await?.as_ref());
    let list = counter.secrets.fingerprints();
    let (Some(first), Some(next)) = (list.first(), list.get(counter.secrets.place() + 1)) else {
        return Err(Problem::conflict(format!(
            "{} has no secret after the one that signs; add one at the end of its list (tokenserver.secrets), give it to the \
             nodes, restart, and rotate then",
            counter.name
        )));
    };
    let rotation = Rotation { first: (*first).to_owned(), signs: (*next).to_owned(), at: desk.now() };
    desk.store.run(Rotate { service: counter.name.clone(), rotation }).await?;
    desk.store.signals().send(TOPIC);
    Ok(Json(views(&desk, &counter).await?))
}

async fn views(desk: &Desk, counter: &Counter) -> Result<Vec<SecretView>, Problem> {
    let rotation = desk.store.scan(FindRotation(counter.name.clone())).await?;
    counter.secrets.follow(rotation.as_ref());
    let signing = counter.secrets.place();
    let changed_at = rotation.filter(|_| signing > 0).map(|rotation| rotation.at.get());
    let life = i64::try_from(counter.token_duration).unwrap_or(i64::MAX).saturating_mul(1000);
    let ends = changed_at.map(|at| at.saturating_add(life));
    let view = |(place, fingerprint): (usize, &str)| {
        // The one before the one that signs has just retired; those before it did so at rotations before that.
        let state = match place.cmp(&signing) {
            std::cmp::Ordering::Equal => SecretState::Signs,
            std::cmp::Ordering::Less if ends.is_some_and(|ends| ends > desk.now().get()) => {
                SecretState::Retiring
            }
            std::cmp::Ordering::Less => SecretState::Retired,
            std::cmp::Ordering::Greater if place == signing + 1 => SecretState::Next,
            std::cmp::Ordering::Greater => SecretState::Known,
        };
        let retires = matches!(state, SecretState::Retiring | SecretState::Retired);
        SecretView {
            service: counter.name.to_string(),
            place: place + 1,
            fingerprint: fingerprint.to_owned(),
            state,
            changed_at: changed_at.filter(|_| retires || state == SecretState::Signs),
            tokens_end_at: ends.filter(|_| retires),
        }
    };
    Ok(counter.secrets.fingerprints().into_iter().enumerate().map(view).collect())
}
