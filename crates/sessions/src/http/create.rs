//! `POST /sessions`: somebody has logged in.

use super::{WRITE, allowed, given, known, not_there};
use crate::capability::Inner;
use crate::login::{Login, LoginError, Tokens};
use crate::store::rows::{Object, SessionView};
use crate::{GrantId, SessionId};
use account::{AccountId, IdpId, Millis, Subject};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use http::StatusCode;
use keys::Caller;
use ledger::Problem;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

const LONGEST_TOKEN: usize = 32 * 1024;
const LONGEST_SID: usize = 255;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(create_session)).with_state(inner)
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSession {
    /// The identity provider, as configured.
    #[schema(value_type = String)]
    idp: IdpId,
    /// The account there.
    #[schema(value_type = String)]
    subject: Subject,
    /// The identity provider's own name of the login: the ID token's `sid`.
    #[serde(default)]
    sid: Option<String>,
    /// When the user proved who they are, in seconds since the epoch: the ID token's `auth_time`. Account events up to their
    /// time end the session; without it, those up to now.
    #[serde(default)]
    auth_time: Option<i64>,
    /// What the identity provider gave for it.
    #[serde(default)]
    tokens: Option<NewTokens>,
    /// Instead of tokens: the grant of another session of the same login.
    #[serde(default)]
    grant: Option<GrantId>,
    /// What the service says of the user.
    #[serde(default)]
    #[schema(value_type = Object)]
    claims: Object,
    /// The service's own.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Object,
    /// Seconds it lives.
    #[serde(default)]
    lifetime_seconds: Option<u32>,
}

/// Tokens, as the token endpoint gave them (RFC 6749 section 5.1).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTokens {
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    /// Seconds that the access token lives from now.
    #[serde(default)]
    expires_in: Option<u32>,
    #[serde(default)]
    scope: Option<String>,
}

/// Keep a session of somebody who has logged in
#[utoipa::path(
    post,
    path = "/sessions",
    tag = "sessions",
    request_body = NewSession,
    responses(
        (status = 201, description = "It is kept, and refreshed if it has a refresh token", body = SessionView),
        (status = 400, body = Problem),
        (status = 403, description = "The caller has no scope `sessions:write`", body = Problem),
        (status = 409, description = "The account is disabled or deleted, or something happened to it since that login; or there is no such grant", body = Problem),
        (status = 503, body = Problem),
    ),
    security(("caller" = []))
)]
async fn create_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    body: Result<Json<NewSession>, JsonRejection>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    allowed(caller, WRITE)?;
    let login = login(&inner, given(body)?)?;
    let id = inner.log_in(login).await?.map_err(|error| refused(&error))?;
    let view = inner.show(&id).await?.ok_or_else(|| not_there(&id))?;
    Ok((StatusCode::CREATED, Json(view)))
}

fn login(inner: &Inner, new: NewSession) -> Result<Login, Problem> {
    known(inner, &new.idp)?;
    if new.sid.as_ref().is_some_and(|sid| sid.is_empty() || sid.len() > LONGEST_SID) {
        return Err(Problem::invalid(format!("sid has 1 to {LONGEST_SID} bytes")));
    }
    if new.tokens.is_some() && new.grant.is_some() {
        return Err(Problem::invalid("either tokens or the grant of another session, not both"));
    }
    for (what, object) in [("claims", &new.claims), ("data", &new.data)] {
        let size = serde_json::to_string(object).map_or(usize::MAX, |text| text.len());
        if size > inner.settings.data_bytes {
            return Err(Problem::invalid(format!("{what} has at most {} bytes", inner.settings.data_bytes)));
        }
    }
    Ok(Login {
        account: AccountId::new(new.idp, new.subject),
        sid: new.sid,
        authenticated_at: new.auth_time.map(Millis::from_seconds),
        tokens: new.tokens.map(tokens).transpose()?,
        grant: new.grant,
        claims: new.claims,
        data: new.data,
        lifetime: new.lifetime_seconds.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

fn tokens(new: NewTokens) -> Result<Tokens, Problem> {
    let given = [Some(&new.access_token), new.refresh_token.as_ref()];
    if given.into_iter().flatten().any(|token| token.is_empty() || token.len() > LONGEST_TOKEN) {
        return Err(Problem::invalid(format!("a token has 1 to {LONGEST_TOKEN} bytes")));
    }
    Ok(Tokens {
        access_token: Zeroizing::new(new.access_token),
        refresh_token: new.refresh_token.map(Zeroizing::new),
        expires_in: new.expires_in.map(|seconds| Duration::from_secs(seconds.into())),
        scope: new.scope,
        claims: None,
        original: None,
    })
}

fn refused(error: &LoginError) -> Problem {
    match error {
        LoginError::Refused(_) | LoginError::NoSuchGrant => Problem::conflict(error.to_string()),
        LoginError::NotReady => Problem::unavailable(error.to_string()),
    }
}

impl Inner {
    /// A session as it is to be seen now.
    pub(crate) async fn show(&self, id: &SessionId) -> Result<Option<SessionView>, store::StoreError> {
        let found = self.store.read(&crate::store::find::Show(id)).await?;
        Ok(found.map(|view| self.judged(view)))
    }
}
