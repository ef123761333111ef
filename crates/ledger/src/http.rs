//! The ledger's part of the admin API: accounts and dead letters.

use crate::{
    Applied, Capability, KeptLetter, Ledger, LedgerError, PendingEffects, Problem, Received, Retention,
    SourceId, Standing,
};
use account::{AccountEvent, AccountId, Change, IdpId, Subject};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::map_response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

impl Ledger {
    /// What the ledger hands the binary.
    pub fn capability(&self, retention: Retention) -> Capability {
        let workers = [
            Some(self.effects_worker()),
            self.sequencer_worker(),
            Some(self.heartbeat_worker()),
            Some(self.retention_worker(retention)),
        ];
        Capability {
            name: "ledger",
            admin: self.admin_routes(),
            migrations: crate::MIGRATIONS,
            workers: workers.into_iter().flatten().collect(),
            ..Capability::default()
        }
    }

    fn admin_routes(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .routes(routes!(show_account))
            .routes(routes!(disable_account))
            .routes(routes!(enable_account))
            .routes(routes!(list_dead_letters))
            .routes(routes!(show_dead_letter, drop_dead_letter))
            .routes(routes!(pending_effects))
            .layer(map_response(Problem::in_place_of))
            .with_state(self.clone())
    }
}

/// An account, as an operator sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct AccountView {
    idp: String,
    subject: String,
    #[serde(flatten)]
    standing: Standing,
}

/// What came of an operator's event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct AccountChanged {
    /// False when the account was so already.
    changed: bool,
    #[serde(flatten)]
    account: AccountView,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListDeadLetters {
    /// Only letters with a higher number.
    #[serde(default)]
    after: i64,
    /// At most this many; 1 to 1000.
    #[serde(default = "a_hundred")]
    limit: i64,
}

fn a_hundred() -> i64 {
    100
}

fn parse(idp: &str, subject: &str) -> Result<AccountId, Problem> {
    let invalid = |error: account::InvalidId| Problem::invalid(error.to_string());
    Ok(AccountId::new(IdpId::new(idp).map_err(invalid)?, Subject::new(subject).map_err(invalid)?))
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::TooMany { .. } => Self::invalid(error.to_string()),
        }
    }
}

async fn view(ledger: &Ledger, account: &AccountId) -> Result<AccountView, Problem> {
    let standing = ledger.standing(account).await?.ok_or_else(|| {
        Problem::not_found(format!(
            "nothing is known of the account {account}; no event about it has come in"
        ))
    })?;
    Ok(AccountView { idp: account.idp.as_str().into(), subject: account.subject.as_str().into(), standing })
}

async fn change(
    ledger: &Ledger,
    account: AccountId,
    change: Change,
) -> Result<Json<AccountChanged>, Problem> {
    let is_held = |standing: &Standing| standing.held_at.is_some();
    let was_held = ledger.standing(&account).await?.as_ref().is_some_and(is_held);
    let event = AccountEvent { account: account.clone(), at: Some(ledger.store().clock().now()), change };
    let message_id = uuid::Uuid::new_v4().to_string();
    let applied =
        ledger.apply(Received { source: SourceId::new(SourceId::OPERATOR), message_id, event }).await?;
    let account = view(ledger, &account).await?;
    // An account that its identity provider has disabled may be held besides: nobody else hears of that.
    let changed = matches!(applied, Applied::News { .. }) || was_held != is_held(&account.standing);
    Ok(Json(AccountChanged { changed, account }))
}

/// How an account stands.
#[utoipa::path(get, path = "/accounts/{idp}/{subject}", tag = "accounts",
    responses((status = 200, body = AccountView), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_account(
    State(ledger): State<Ledger>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<AccountView>, Problem> {
    Ok(Json(view(&ledger, &parse(&idp, &subject)?).await?))
}

/// Disables an account: an event through the ledger, so that everything that trusts it is told.
///
/// It stays so until an operator enables it, whatever its identity provider says meanwhile.
#[utoipa::path(post, path = "/accounts/{idp}/{subject}/disable", tag = "accounts",
    responses((status = 200, body = AccountChanged), (status = 503, body = Problem)))]
async fn disable_account(
    State(ledger): State<Ledger>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<AccountChanged>, Problem> {
    change(&ledger, parse(&idp, &subject)?, Change::Disable).await
}

/// Enables an account again, whoever disabled it.
#[utoipa::path(post, path = "/accounts/{idp}/{subject}/enable", tag = "accounts",
    responses((status = 200, body = AccountChanged), (status = 503, body = Problem)))]
async fn enable_account(
    State(ledger): State<Ledger>,
    Path((idp, subject)): Path<(String, String)>,
) -> Result<Json<AccountChanged>, Problem> {
    change(&ledger, parse(&idp, &subject)?, Change::Enable).await
}

/// Messages that could not be understood or accepted.
#[utoipa::path(get, path = "/dead-letters", tag = "events", params(ListDeadLetters),
    responses((status = 200, body = Vec<KeptLetter>), (status = 503, body = Problem)))]
async fn list_dead_letters(
    State(ledger): State<Ledger>,
    Query(list): Query<ListDeadLetters>,
) -> Result<Json<Vec<KeptLetter>>, Problem> {
    Ok(Json(ledger.dead_letters(list.after, list.limit.clamp(1, 1000)).await?))
}

/// One of them.
#[utoipa::path(get, path = "/dead-letters/{id}", tag = "events",
    responses((status = 200, body = KeptLetter), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn show_dead_letter(
    State(ledger): State<Ledger>,
    Path(id): Path<i64>,
) -> Result<Json<KeptLetter>, Problem> {
    ledger.dead_letter(id).await?.map(Json).ok_or_else(|| no_letter(id))
}

/// Drops one of them for good.
#[utoipa::path(delete, path = "/dead-letters/{id}", tag = "events",
    responses((status = 204), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn drop_dead_letter(State(ledger): State<Ledger>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    if ledger.drop_dead_letter(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(no_letter(id)) }
}

fn no_letter(id: i64) -> Problem {
    Problem::not_found(format!(
        "there is no dead letter {id}; `highwater events dead list` shows those there are"
    ))
}

/// What is outstanding, by capability.
#[utoipa::path(get, path = "/effects", tag = "events",
    responses((status = 200, body = Vec<PendingEffects>), (status = 503, body = Problem)))]
async fn pending_effects(State(ledger): State<Ledger>) -> Result<Json<Vec<PendingEffects>>, Problem> {
    Ok(Json(ledger.pending_effects().await?))
}
