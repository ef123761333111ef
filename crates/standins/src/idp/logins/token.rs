//! The token endpoint.

use super::clients::{Form, LoginClient};
use super::grants::{Family, InvalidGrant};
use super::http::{Desk, Inner, NO_STORE, error, form, stranger};
use super::proofs::{self, About, BadProof};
use super::{LoginTokens, Odd};
use crate::idp::accounts::Grant;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Of so many access tokens of a family the last are good.
const KEPT: usize = 2;

pub(super) async fn token(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&desk, &headers, &body) {
        Ok(reply) => (NO_STORE, Json(reply)).into_response(),
        Err(refusal) => *refusal,
    }
}

type Refused = Box<Response>;

fn answer(desk: &Desk, headers: &HeaderMap, body: &Bytes) -> Result<Value, Refused> {
    let refused = |code| Box::new(error(StatusCode::BAD_REQUEST, code));
    let form = form(body).ok_or_else(|| refused("invalid_request"))?;
    let mut inner = desk.logins.lock();
    if let Some(token) = form.get("refresh_token") {
        inner.grants.count(token);
    }
    let client = inner.clients.authenticate(headers, &form, desk.issuer(), desk.seconds());
    let client = client.ok_or_else(|| Box::new(stranger()))?;
    let key = possession(desk, &mut inner, headers)?;
    let traded = match form.get("grant_type").map(String::as_str) {
        Some("refresh_token") => by_refresh_token(desk, &mut inner, &client, &form, key.as_deref()),
        Some("authorization_code") => by_code(&mut inner, &client, &form, key),
        _ => return Err(refused("unsupported_grant_type")),
    };
    let traded = traded.map_err(|InvalidGrant| refused("invalid_grant"))?;
    Ok(rendered(&give(desk, &mut inner, &traded), &inner))
}

/// What is given for what was traded in.
pub(super) struct Traded {
    pub(super) family: u64,
    pub(super) refresh_token: String,
    /// Only of a login.
    pub(super) nonce: Option<String>,
}

fn by_refresh_token(
    desk: &Desk,
    inner: &mut Inner,
    client: &LoginClient,
    form: &Form,
    key: Option<&str>,
) -> Result<Traded, InvalidGrant> {
    let token = form.get("refresh_token").ok_or(InvalidGrant)?;
    let bound_to = inner.grants.family_of(token).and_then(|family| family.bound_to.clone());
    if bound_to.is_some() && bound_to.as_deref() != key {
        return Err(InvalidGrant);
    }
    let rotation = inner.rotation;
    let (family, refresh_token) = inner.grants.present(token, &client.id, rotation, (desk.now)())?;
    Ok(Traded { family, refresh_token, nonce: None })
}

/// A code that comes back ends what came of it (RFC 6749 section 4.1.2).
fn by_code(
    inner: &mut Inner,
    client: &LoginClient,
    form: &Form,
    key: Option<String>,
) -> Result<Traded, InvalidGrant> {
    let name = form.get("code").ok_or(InvalidGrant)?;
    let code = inner
        .codes
        .get(name)
        .filter(|code| code.asked.client_id == client.id)
        .cloned()
        .ok_or(InvalidGrant)?;
    if let Some(family) = code.family {
        let sid = inner.grants.family(family).map(|family| family.sid.clone());
        inner.grants.end(|family| Some(&family.sid) == sid.as_ref());
        return Err(InvalidGrant);
    }
    let challenge = form
        .get("code_verifier")
        .map(|verifier| URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())));
    if form.get("redirect_uri") != Some(&code.asked.redirect_uri) || code.asked.code_challenge != challenge {
        return Err(InvalidGrant);
    }
    let (family, refresh_token) = inner.grants.begin(code.family(key));
    if let Some(code) = inner.codes.get_mut(name) {
        code.family = Some(family);
    }
    Ok(Traded { family, refresh_token, nonce: code.asked.nonce })
}

/// The key that the client proves to have, if it does (RFC 9449 section 5).
fn possession(desk: &Desk, inner: &mut Inner, headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let Some(proof) = headers.get("dpop").and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let nonce = inner.proof_nonce.clone();
    let url = format!("{}/oauth2/token", desk.issuer());
    let about =
        About { method: "POST", url, access_token: None, nonce: nonce.as_deref(), now: desk.seconds() };
    match proofs::possession(proof, &about) {
        Ok((key, jti)) if inner.proofs.insert(jti.clone()) => Ok(Some(key)),
        Err(BadProof::Nonce) => {
            let told = [(HeaderName::from_static("dpop-nonce"), nonce.unwrap_or_default())];
            Err(Box::new((told, error(StatusCode::BAD_REQUEST, "use_dpop_nonce")).into_response()))
        }
        Ok(_) | Err(BadProof::Invalid) => Err(Box::new(error(StatusCode::BAD_REQUEST, "invalid_dpop_proof"))),
    }
}

/// Makes the tokens.
pub(super) fn give(desk: &Desk, inner: &mut Inner, traded: &Traded) -> LoginTokens {
    const HOUR: Duration = Duration::from_hours(1);
    let (now, lasts) = (desk.seconds(), inner.access_tokens_last.unwrap_or(HOUR));
    let access_token = crate::idp::random_hex::<32>();
    let family = inner.grants.family(traded.family).expect("it was traded in");
    let grant = Grant {
        subject: family.subject.clone(),
        client_id: family.client_id.clone(),
        scopes: family.scope.split_whitespace().map(str::to_owned).collect(),
        generation: None,
        issued_at: now * 1000,
        expires_at: Some(now * 1000 + i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)),
    };
    desk.accounts.remember(&access_token, grant);
    family.access_tokens.push_back(access_token.clone());
    if family.access_tokens.len() > KEPT
        && let Some(old) = family.access_tokens.pop_front()
    {
        desk.accounts.forget(&old);
    }
    let family = family.clone();
    let id_token = (!inner.odds.contains(&Odd::NoIdToken))
        .then(|| id_token(desk, inner, &family, traded.nonce.as_deref(), &access_token));
    LoginTokens {
        access_token,
        refresh_token: traded.refresh_token.clone(),
        id_token,
        sid: family.sid,
        expires_in: lasts.as_secs(),
        is_bound: family.bound_to.is_some(),
    }
}

fn id_token(desk: &Desk, inner: &Inner, family: &Family, nonce: Option<&str>, access_token: &str) -> String {
    let is = |odd| inner.odds.contains(&odd);
    let or = |odd, other: &str, own: &str| if is(odd) { other.to_owned() } else { own.to_owned() };
    let now = desk.seconds();
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "iss": or(Odd::OtherIssuer, "https://other.example", desk.issuer()),
        "sub": or(Odd::OtherSubject, "somebody-else", &family.subject),
        "aud": or(Odd::OtherAudience, "another-client", &family.client_id),
        "iat": now, "exp": now + 600, "auth_time": family.auth_time, "sid": family.sid,
        "at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]), "preferred_username": family.subject,
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let token = desk.keys.sign(Some("JWT"), &claims);
    if !is(Odd::BadSignature) {
        return token;
    }
    // That of another token: a good signature, and not of this.
    let (signed, _) = token.rsplit_once('.').expect("a JWS has three parts");
    let other = desk.keys.sign(Some("JWT"), &json!({}));
    let (_, signature) = other.rsplit_once('.').expect("a JWS has three parts");
    format!("{signed}.{signature}")
}

/// RFC 6749 section 5.1, with what is odd here.
fn rendered(tokens: &LoginTokens, inner: &Inner) -> Value {
    let is = |odd| inner.odds.contains(&odd);
    let token_type = if tokens.is_bound { "DPoP" } else { "Bearer" };
    let mut reply = json!({ "access_token": tokens.access_token, "token_type": token_type });
    if !is(Odd::NoRefreshToken) {
        reply["refresh_token"] = tokens.refresh_token.as_str().into();
    }
    if let Some(id_token) = &tokens.id_token {
        reply["id_token"] = id_token.as_str().into();
    }
    if is(Odd::ExpiresInAsText) {
        reply["expires_in"] = tokens.expires_in.to_string().into();
    } else if !is(Odd::NoExpiresIn) {
        reply["expires_in"] = tokens.expires_in.into();
    }
    reply
}
