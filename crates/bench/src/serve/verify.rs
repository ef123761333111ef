//! The check of tokens: around the bare handler, and as a proxy asks for it.

use super::house::{Checking, House, checking_idps};
use super::{bare, listen, listen_with};
use account::{AccountEvent, AccountId, Change, IdpId, Subject};
use anyhow::Result;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use keys::{Callers, Listener, NewCaller};
use ledger::{Ledger, Received, SourceId};
use serde_json::json;
use store::Clock;
use tower::Layer;
use verify::{Answer, BearerLayer, Gate, Options, Policy, PolicyConfig, Verifier};

/// What every token of the bench grants, and every route asks for.
pub(crate) const SCOPE: &str = "https://identity.mozilla.com/apps/relay";
/// The room for what is remembered: enough for all of them.
pub(super) const MEMORY: u64 = 256 << 20;

/// The bare handler behind the layer, and one that says whose the token is.
pub(super) async fn layered(key: &str) -> Result<()> {
    let options = Options { derived_bytes: 0, ..Options::default() };
    let verifier = Verifier::with(checking_idps(key)?, &settings(), options);
    let clock = Clock::system();
    let layer = BearerLayer::new(Gate::new(verifier.clone(), Policy::new(&policy()?)?), move || clock.now());
    let service = layer.layer(bare::router().route("/whose", get(whose)));
    tokio::select! {
        done = listen_with(service) => done,
        never = verifier.run_errands() => match never {},
    }
}

async fn whose(Extension(answer): Extension<Answer>) -> String {
    answer.facts.subject.as_str().to_owned()
}

/// A node of the house with the token check, for proxies that are known to it. Beside it there are routes of the bench:
/// one that gives a proxy its token, and one that takes an account's password change in and answers once it is committed.
pub(super) async fn node(store: &str, key: &str) -> Result<()> {
    let Checking { house, callers } = House::of_bearer(store, key).await?;
    let checks = house.service.layer(from_fn_with_state(callers.clone(), guard));
    let own = Router::new()
        .route("/caller", get(caller).with_state(callers))
        .route("/changed/{subject}", post(changed).with_state(house.ledger));
    listen(checks.merge(own)).await
}

pub(super) fn settings() -> verify::Settings {
    verify::Settings { memory_bytes: MEMORY, ..verify::Settings::default() }
}

/// Any path with the scope; a change ends every earlier grant, so that nobody must be asked.
pub(super) fn policy() -> Result<PolicyConfig> {
    let routes = json!([{ "path": "/", "scopes": [SCOPE] }, { "path": "/{*any}", "scopes": [SCOPE] }]);
    Ok(serde_json::from_value(
        json!({ "routes": routes, "after_change": { (super::house::IDP): "reject" } }),
    )?)
}

async fn caller(State(callers): State<Callers>) -> Result<String, StatusCode> {
    let new = NewCaller {
        name: "proxy".into(),
        listener: Listener::Service,
        scopes: vec!["verify".into()],
        life_seconds: None,
        certificate: None,
    };
    let (token, _) = callers.create(new).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    token.ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// As the service listener does: who asks is known by a token, which no route gets to see.
async fn guard(State(callers): State<Callers>, mut request: Request, next: Next) -> Response {
    let token = request.headers_mut().remove("x-highwater-caller");
    let token = token.as_ref().and_then(|token| token.to_str().ok()).unwrap_or_default();
    match callers.verify(token, Listener::Service).await {
        Ok(Ok(caller)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(Err(_)) => StatusCode::UNAUTHORIZED.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn changed(State(ledger): State<Ledger>, Path(subject): Path<String>) -> StatusCode {
    let Ok(account) = account(&subject) else { return StatusCode::BAD_REQUEST };
    let at = Some(ledger.store().clock().now());
    let event = AccountEvent { account, at, change: Change::PasswordChange };
    let received = Received { source: SourceId::new("bench"), message_id: subject, event };
    match ledger.apply(received).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn account(subject: &str) -> Result<AccountId> {
    Ok(AccountId::new(IdpId::new(super::house::IDP)?, Subject::new(subject)?))
}
