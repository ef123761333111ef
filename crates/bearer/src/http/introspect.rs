//! `POST /introspect` (RFC 7662): services ask about a token, and may have the answer signed (RFC 9701).

mod signed;

use self::signed::Form;
use super::allowed;
use super::answer::{Refused, refused};
use crate::Refusal;
use crate::capability::Inner;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use keys::Caller;
use outbound::form_urlencoded;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use verify::{Answer, Freshness, Rejection};

/// More than any token that is looked at, percent-encoded.
const LONGEST_FORM: usize = 32 * 1024;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(introspect))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .with_state(inner)
}

/// What a token says (RFC 7662 section 2.2). Times are in seconds; of a token that does not count, only that is said.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct Introspected {
    /// Whether it counts.
    active: bool,
    /// What it grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The OAuth client that it was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Always `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was given out.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// Its identity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// How surely the user proved who they are (RFC 9470 section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<String>,
    /// When they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
}

/// What is asked.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `introspect` reads")]
struct Introspection {
    /// The token.
    token: String,
    /// What it is thought to be; it makes no difference.
    token_type_hint: Option<String>,
}

/// Ask what a token says (RFC 7662); with `Accept: application/token-introspection+jwt` the answer is signed (RFC 9701)
#[utoipa::path(
    post,
    path = "/introspect",
    tag = "bearer",
    request_body(content = Introspection, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it says, or that it does not count", content(
            (Introspected = "application/json"),
            (String = "application/token-introspection+jwt"),
        )),
        (status = 400, description = "The form is malformed", body = Refused),
        (status = 403, description = "The caller may not ask", body = Refused),
        (status = 406, description = "A signed answer is asked for, and there are no keys", body = Refused),
        (status = 503, description = "Come again after `Retry-After` seconds", body = Refused),
    ),
    security(("caller" = []))
)]
async fn introspect(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outcome = match asked(&inner, caller, &headers, &body) {
        Ok(asked) => answered(&inner, &asked).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = outcome.unwrap_or_else(|refusal| refused(&refusal, inner.realm()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is asked.
struct Asked<'a> {
    caller: Caller,
    token: Cow<'a, str>,
    form: Form,
}

fn asked<'a>(
    inner: &Inner,
    caller: Option<Extension<Caller>>,
    headers: &HeaderMap,
    body: &'a [u8],
) -> Result<Asked<'a>, Refusal> {
    let caller = allowed(caller, "introspect")?;
    let form = Form::wanted(headers, inner.signs.get().is_some())?;
    Ok(Asked { caller, token: token(headers, body)?, form })
}

async fn answered(inner: &Inner, asked: &Asked<'_>) -> Result<Response, Refusal> {
    let introspected = looked_into(inner, &asked.caller, &asked.token).await?;
    match asked.form {
        Form::Plain => Ok(Json(introspected).into_response()),
        Form::Signed => signed::answer(inner, &asked.caller, &introspected).await,
    }
}

/// Whatever is the token's own fault, or its account's, is no error: it does not count, and why is not told.
async fn looked_into(inner: &Inner, caller: &Caller, token: &str) -> Result<Introspected, Refusal> {
    let gate = inner.gate.asking_for(&caller.name);
    let outcome = gate.good(token, &Freshness::default(), inner.now()).await.map_err(Refusal::from);
    inner.meters.checked("introspect", outcome.as_ref().map(|answer| answer.how.as_str()));
    match outcome {
        Ok(answer) => Ok(said(inner, &answer)),
        Err(Refusal::Token(
            Rejection::InvalidToken(_)
            | Rejection::TokenEnded
            | Rejection::AccountDisabled
            | Rejection::AccountDeleted,
        )) => Ok(Introspected::default()),
        Err(trouble) => Err(trouble),
    }
}

fn said(inner: &Inner, answer: &Answer) -> Introspected {
    let facts = &answer.facts;
    let issuer = inner.idps.by_id(&facts.idp).and_then(|idp| idp.issuers().next().map(str::to_owned));
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    Introspected {
        active: true,
        scope: Some(facts.scopes.iter().collect::<Vec<_>>().join(" ")),
        client_id: text(&facts.client_id),
        token_type: Some("Bearer"),
        exp: facts.expires_at.map(account::Millis::seconds),
        iat: facts.issued_at.map(|date| date.at().seconds()),
        sub: Some(facts.subject.as_str().to_owned()),
        iss: issuer,
        acr: text(&facts.acr),
        auth_time: facts.auth_time.map(|date| date.at().seconds()),
    }
}

/// The form's token (RFC 7662 section 2.1): there once, and not empty.
fn token<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, str>, Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::Parameter("The body must be a form (application/x-www-form-urlencoded)"));
    }
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "token").map(|(_, token)| token);
    match (tokens.next(), tokens.next()) {
        (Some(token), None) if !token.is_empty() => Ok(token),
        (Some(_), None) | (None, _) => Err(Refusal::Parameter("The parameter token is missing")),
        (Some(_), Some(_)) => Err(Refusal::Parameter("The parameter token is there twice")),
    }
}
