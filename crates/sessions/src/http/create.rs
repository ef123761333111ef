//! `POST /sessions`: somebody has logged in.

use super::answer::Refused;
use super::{WRITE, allowed, given, known, not_there};
use crate::capability::Inner;
use crate::login::{CodeLogin, Login, LoginError, Said, Tokens};
use crate::store::rows::{Object, SessionView};
use crate::upstream::{Against, Identity, Proof, Proven, TokenType};
use crate::{GrantId, SessionId};
use account::{IdpId, Millis, Subject};
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
const LONGEST_PART: usize = 4 * 1024;

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
    /// The account there. With a code or an ID token that says it, and must not be another then.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    subject: Option<Subject>,
    /// The identity provider's own name of the login: the ID token's `sid`, which is read from one that is handed over.
    #[serde(default)]
    sid: Option<String>,
    /// When the user proved who they are, in seconds since the epoch: the ID token's `auth_time`, which counts where one is
    /// handed over. Account events up to their time end the session; without it, those up to now.
    #[serde(default)]
    auth_time: Option<i64>,
    /// The code that the user came back with: Highwater exchanges it, once.
    #[serde(default)]
    code: Option<NewCode>,
    /// Instead of a code: what the identity provider gave for it.
    #[serde(default)]
    tokens: Option<NewTokens>,
    /// Instead of both: the grant of another session of the same login.
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
    /// How the access token is shown: `Bearer` or `DPoP`. Unless it is said, `DPoP` where there is a key.
    #[serde(default)]
    token_type: Option<String>,
    /// The ID token that came with them: it is verified, and says whose login it is.
    #[serde(default)]
    id_token: Option<String>,
    /// The `nonce` of the authorization request: the ID token must have it.
    #[serde(default)]
    nonce: Option<String>,
    /// The key that the tokens are bound to (RFC 9449), a private JWK; needed where the identity provider binds them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    dpop_key: Option<Object>,
}

/// A code (RFC 6749 section 4.1.2), and what its authorization request had.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCode {
    code: String,
    /// The `redirect_uri`, if another than the configured one.
    #[serde(default)]
    redirect_uri: Option<String>,
    /// What the `code_challenge` was made of (RFC 7636).
    #[serde(default)]
    code_verifier: Option<String>,
    /// The `nonce`: the ID token must have it.
    #[serde(default)]
    nonce: Option<String>,
}

/// Keep a session of somebody who has logged in
///
/// By the tokens that the service got, or by the code that the user came back with. A code is presented once: sent again
/// with the same request it answers the same session, or what has become of it.
#[utoipa::path(
    post,
    path = "/sessions",
    tag = "sessions",
    request_body = NewSession,
    responses(
        (status = 201, description = "It is kept, and refreshed if it has a refresh token", body = SessionView),
        (status = 400, description = "The request is wrong, the code is not taken, or the ID token is not good or somebody else's", body = Problem),
        (status = 403, description = "The caller has no scope `sessions:write`", body = Problem),
        (status = 409, description = "The account is disabled or deleted, or something happened to it since that login; there is no such grant; or the code was presented before and nothing came of it (`login needed`)", body = Problem),
        (status = 503, description = "Come again after `Retry-After` seconds, with the same request", body = Problem),
    ),
    security(("caller" = []))
)]
async fn create_session(
    State(inner): State<Arc<Inner>>,
    caller: Option<Extension<Caller>>,
    body: Result<Json<NewSession>, JsonRejection>,
) -> Result<(StatusCode, Json<SessionView>), Refused> {
    allowed(caller, WRITE)?;
    let mut new = given(body)?;
    check(&inner, &new)?;
    let id = if let Some(code) = new.code.take() {
        inner.log_in_by_code(by_code(code, new)?).await??
    } else {
        let login = by_tokens(&inner, new).await?;
        inner.log_in(login).await??
    };
    let view = inner.show(&id).await?.ok_or_else(|| not_there(&id))?;
    Ok((StatusCode::CREATED, Json(view)))
}

fn check(inner: &Inner, new: &NewSession) -> Result<(), Problem> {
    known(inner, &new.idp)?;
    if new.sid.as_ref().is_some_and(|sid| sid.is_empty() || sid.len() > LONGEST_SID) {
        return Err(Problem::invalid(format!("sid has 1 to {LONGEST_SID} bytes")));
    }
    let ways = [new.code.is_some(), new.tokens.is_some(), new.grant.is_some()];
    if ways.into_iter().filter(|it| *it).count() > 1 {
        let one = "one of a code, tokens and the grant of another session, not both and not all";
        return Err(Problem::invalid(one));
    }
    for (what, object) in [("claims", &new.claims), ("data", &new.data)] {
        let size = serde_json::to_string(object).map_or(usize::MAX, |text| text.len());
        if size > inner.settings().data_bytes {
            return Err(Problem::invalid(format!(
                "{what} has at most {} bytes",
                inner.settings().data_bytes
            )));
        }
    }
    Ok(())
}

/// What the service says by itself.
fn said(new: NewSession) -> (IdpId, Said) {
    let said = Said {
        subject: new.subject,
        sid: new.sid,
        authenticated_at: new.auth_time.map(Millis::from_seconds),
        claims: new.claims,
        data: new.data,
        lifetime: new.lifetime_seconds.map(|seconds| Duration::from_secs(seconds.into())),
    };
    (new.idp, said)
}

fn by_code(new: NewCode, session: NewSession) -> Result<CodeLogin, Problem> {
    let NewCode { code, redirect_uri, code_verifier, nonce } = new;
    let parts = [
        ("code", Some(&code)),
        ("redirect_uri", redirect_uri.as_ref()),
        ("nonce", nonce.as_ref()),
        ("code_verifier", code_verifier.as_ref()),
    ];
    for (what, part) in parts {
        if part.is_some_and(|part| part.is_empty() || part.len() > LONGEST_PART) {
            return Err(Problem::invalid(format!("{what} has 1 to {LONGEST_PART} bytes")));
        }
    }
    let (idp, said) = said(session);
    let (code, code_verifier) = (Zeroizing::new(code), code_verifier.map(Zeroizing::new));
    Ok(CodeLogin { idp, code, code_verifier, redirect_uri, nonce, said })
}

/// By tokens, the grant of another session, or nothing but what the service says.
async fn by_tokens(inner: &Inner, mut new: NewSession) -> Result<Login, Refused> {
    let (tokens, grant) = (new.tokens.take(), new.grant.take());
    let (idp, said) = said(new);
    let Some(mut new) = tokens else { return Ok(Login { grant, ..said.unproven(idp)? }) };
    check_tokens(&new)?;
    let proof = (new.id_token.take(), new.nonce.take());
    let mut tokens = taken(inner, &idp, new)?;
    let login = match proof {
        (Some(id_token), nonce) => {
            let (id_token, access_token) = (&id_token, &tokens.access_token);
            let against = Against::Login { nonce: nonce.as_deref() };
            let ask = Proof { idp: &idp, id_token, access_token, against, now: inner.now() };
            let identity = identity(inner.upstream.prove(ask).await)?;
            let login = said.proven(idp, &identity)?;
            (tokens.claims, tokens.original) = (Some(identity.claims), Some(identity.original));
            login
        }
        (None, Some(_)) => {
            return Err(Problem::invalid("a nonce is found in an ID token: hand it over").into());
        }
        (None, None) => said.unproven(idp)?,
    };
    Ok(Login { tokens: Some(tokens), ..login })
}

fn identity(proven: Proven) -> Result<Identity, LoginError> {
    match proven {
        Proven::By(identity) => Ok(*identity),
        Proven::Absent => Err(LoginError::NotProven("there is no ID token".into())),
        Proven::Not(why) => Err(LoginError::NotProven(why)),
        Proven::NotNow { retry_after } => {
            Err(LoginError::not_now("the ID token cannot be verified now", retry_after))
        }
    }
}

fn check_tokens(new: &NewTokens) -> Result<(), Problem> {
    let given = [Some(&new.access_token), new.refresh_token.as_ref(), new.id_token.as_ref()];
    if given.into_iter().flatten().any(|token| token.is_empty() || token.len() > LONGEST_TOKEN) {
        return Err(Problem::invalid(format!("a token has 1 to {LONGEST_TOKEN} bytes")));
    }
    Ok(())
}

fn taken(inner: &Inner, idp: &IdpId, new: NewTokens) -> Result<Tokens, Problem> {
    let dpop_key = new.dpop_key.map(|key| Zeroizing::new(crate::store::create::text(&key)));
    inner.upstream.check_key(idp, dpop_key.as_ref().map(|it| it.as_str())).map_err(Problem::invalid)?;
    let token_type = TokenType::kept(new.token_type.as_deref(), dpop_key.is_some());
    if token_type == TokenType::Dpop && dpop_key.is_none() {
        let why = "a DPoP token is of no use without its key: hand it over as dpop_key";
        return Err(Problem::invalid(why));
    }
    Ok(Tokens {
        access_token: Zeroizing::new(new.access_token),
        refresh_token: new.refresh_token.map(Zeroizing::new),
        dpop_key,
        token_type,
        expires_in: new.expires_in.map(|seconds| Duration::from_secs(seconds.into())),
        scope: new.scope,
        claims: None,
        original: None,
    })
}

impl Inner {
    /// A session as it is to be seen now.
    pub(crate) async fn show(&self, id: &SessionId) -> Result<Option<SessionView>, store::StoreError> {
        let found = self.store.read(&crate::store::find::Show(id)).await?;
        Ok(found.map(|view| self.judged(view)))
    }
}
