//! Trying a receiver, signed by the house: the simulator and the conformance suite, for operators.

use super::given;
use crate::capability::Inner;
use crate::conformance::{Conformance, conformance};
use crate::merge_patch::patched;
use crate::simulate::{Simulated, SimulatedDelivery, Simulation, simulate};
use crate::snapshot::ReadRegistry;
use crate::{ClientId, Config, EventType, RelyingParty, Secrets, SigningAlgorithm, Trial, TrialKeys};
use account::Subject;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ledger::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(simulate_events)).routes(routes!(verify_receiver)).with_state(inner)
}

/// Whose keys sign what is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WhoseKeys {
    /// The house's, which relying parties trust.
    #[default]
    House,
    /// One made for this trial.
    Fresh,
}

/// A receiver to be tried. It need not be registered; if it is, it is told as its registration says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Tried {
    /// Its OAuth client id: the audience of what is sent.
    #[schema(value_type = String)]
    client_id: ClientId,
    /// Where it is; absent: its registered webhook.
    #[serde(default)]
    webhook: Option<String>,
    /// A merge patch (RFC 7396) of how it is told: `format`, `vocabulary`, `algorithm`, `allow_private` and so on.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// Its secrets; absent: the registered ones, if it is tried at its registered webhook.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    secrets: Option<Secrets>,
    /// Whose keys sign.
    #[serde(default)]
    keys: WhoseKeys,
}

/// Events to simulate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SimulationRequest {
    /// To whom.
    receiver: Tried,
    /// `any`, or an event type by its short name or URI; absent: `subscription-state-change`.
    #[serde(default)]
    event: Option<String>,
    /// The capabilities of a subscription; absent: the registered ones.
    #[serde(default)]
    capabilities: Option<Vec<String>>,
    /// The account it is about; absent: one that nobody has.
    #[serde(default)]
    subject: Option<String>,
}

/// A receiver to put to the test.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConformanceRequest {
    /// Which.
    receiver: Tried,
    /// An account that it has, best one made for tests; absent: everything is about accounts that nobody has.
    #[serde(default)]
    subject: Option<String>,
}

/// What was simulated.
#[derive(Debug, Serialize, ToSchema)]
struct SimulationReport {
    /// The `iss` of the tokens.
    issuer: String,
    /// The JWK set with the key that signed them.
    #[schema(value_type = Object)]
    keys: Value,
    /// Each event that was sent.
    told: Vec<SimulatedDelivery>,
}

/// How a receiver did.
#[derive(Debug, Serialize, ToSchema)]
struct ConformanceReport {
    /// The `iss` of the tokens.
    issuer: String,
    /// The JWK set with the key that signed the good ones.
    #[schema(value_type = Object)]
    keys: Value,
    #[serde(flatten)]
    conformance: Conformance,
}

/// Send a receiver what a relying party would get
#[utoipa::path(post, path = "/trials/simulation", tag = "relying parties", request_body = SimulationRequest,
    responses(
        (status = 200, description = "What was sent and what came of it", body = SimulationReport),
        (status = 400, description = "It cannot be sent", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn simulate_events(
    State(inner): State<Arc<Inner>>,
    body: Result<Json<SimulationRequest>, JsonRejection>,
) -> Result<Json<SimulationReport>, Problem> {
    let SimulationRequest { receiver, event, capabilities, subject } = given(body)?;
    let event =
        event.map_or(Ok(Simulated::One(EventType::SubscriptionStateChange)), |it| Simulated::from_word(&it));
    let event = event.map_err(|error| Problem::invalid(error.to_string()))?;
    let subject = named(subject)?;
    let trial = trial(&inner, receiver).await?;
    let capabilities = capabilities.unwrap_or_else(|| trial.rp.config.capabilities.clone());
    let told = simulate(&trial, &Simulation { event, capabilities, subject }).await;
    let told = told.map_err(|error| Problem::invalid(error.to_string()))?;
    let (issuer, keys) = signed_by(&trial);
    Ok(Json(SimulationReport { issuer, keys, told }))
}

/// Put a receiver to the test: what it must take and what it must refuse
#[utoipa::path(post, path = "/trials/conformance", tag = "relying parties", request_body = ConformanceRequest,
    responses(
        (status = 200, description = "How it did in each case", body = ConformanceReport),
        (status = 400, description = "It cannot be tried", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn verify_receiver(
    State(inner): State<Arc<Inner>>,
    body: Result<Json<ConformanceRequest>, JsonRejection>,
) -> Result<Json<ConformanceReport>, Problem> {
    let ConformanceRequest { receiver, subject } = given(body)?;
    let subject = named(subject)?;
    let trial = trial(&inner, receiver).await?;
    let conformance = conformance(&trial, subject.as_ref()).await;
    let conformance = conformance.map_err(|error| Problem::invalid(error.to_string()))?;
    let (issuer, keys) = signed_by(&trial);
    Ok(Json(ConformanceReport { issuer, keys, conformance }))
}

fn named(subject: Option<String>) -> Result<Option<Subject>, Problem> {
    let subject = subject.map(|it| Subject::new(&it)).transpose();
    subject.map_err(|error| Problem::invalid(error.to_string()))
}

/// The keys are told as they are now, after the trial.
fn signed_by(trial: &Trial) -> (String, Value) {
    let keys = serde_json::from_slice(&trial.keys().published()).unwrap_or_default();
    (trial.issuers.own.clone(), keys)
}

async fn trial(inner: &Arc<Inner>, tried: Tried) -> Result<Trial, Problem> {
    let invalid = |error: &dyn std::fmt::Display| Problem::invalid(error.to_string());
    let registry = inner.store.scan(ReadRegistry(inner.snapshots.clone())).await?;
    let registered = registry.get(&tried.client_id).map(Arc::as_ref);
    let (config, secrets) = told(registered, &tried).map_err(|error| invalid(&error))?;
    let keys = match tried.keys {
        WhoseKeys::House => of_the_house(inner).await?,
        WhoseKeys::Fresh => fresh(config.algorithm).await?,
    };
    let accounts = config
        .idp
        .as_ref()
        .map_or_else(|| inner.issuers.of_accounts.values().next(), |idp| inner.issuers.of_accounts.get(idp));
    let accounts = accounts.unwrap_or(&inner.issuers.own).clone();
    let clock = inner.store.clock().clone();
    let trial = Trial::new(tried.client_id, config, secrets, &inner.issuers.own, keys, clock);
    Ok(trial.map_err(|error| invalid(&error))?.with_accounts_of(&accounts))
}

/// How it is told: as registered, with what the trial changes. Registered secrets go to the registered address alone.
fn told(registered: Option<&RelyingParty>, tried: &Tried) -> Result<(Config, Secrets), String> {
    let mut config = registered.map(|rp| rp.config.clone()).unwrap_or_default();
    config = patched(&config, &Value::Object(tried.config.clone()))?;
    if let Some(webhook) = &tried.webhook {
        config.webhook = Some(webhook.clone());
    }
    let at_home = registered.filter(|rp| rp.config.webhook == config.webhook);
    let secrets = tried.secrets.clone().or_else(|| at_home.map(|rp| rp.secrets.clone()));
    Ok((config, secrets.unwrap_or_default()))
}

/// A command that opened the store itself has no worker that reads the keys, or makes the first ones.
async fn of_the_house(inner: &Inner) -> Result<TrialKeys, Problem> {
    if !inner.signer.is_ready() {
        inner.signer.ensure().await?;
    }
    Ok(TrialKeys::House(inner.signer.clone()))
}

/// An RSA key takes a while to find.
async fn fresh(algorithm: SigningAlgorithm) -> Result<TrialKeys, Problem> {
    let made = tokio::task::spawn_blocking(move || TrialKeys::fresh(algorithm)).await;
    let unavailable = |error: &dyn std::fmt::Display| Problem::unavailable(error.to_string());
    made.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error))
}
