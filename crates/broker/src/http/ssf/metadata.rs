//! What there is to know before anything (SSF 1.0 section 7).

use super::{ADD_SUBJECT_PATH, Fault, REMOVE_SUBJECT_PATH, STATUS_PATH, STREAMS_PATH, VERIFICATION_PATH, at};
use crate::capability::Inner;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use std::sync::Arc;
use url::Url;

pub(super) const PUSH: &str = "urn:ietf:rfc:8935";
pub(super) const POLL: &str = "urn:ietf:rfc:8936";

pub(super) async fn metadata(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({
        "spec_version": "1_0",
        "issuer": inner.issuers.own,
        "jwks_uri": at(&inner, "/.well-known/jwks.json"),
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": at(&inner, STREAMS_PATH),
        "status_endpoint": at(&inner, STATUS_PATH),
        "add_subject_endpoint": at(&inner, ADD_SUBJECT_PATH),
        "remove_subject_endpoint": at(&inner, REMOVE_SUBJECT_PATH),
        "verification_endpoint": at(&inner, VERIFICATION_PATH),
        "critical_subject_members": [],
        "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:6750" }],
        "default_subjects": "ALL",
    }))
}

/// An issuer with a path has its metadata at the well-known place with that path after it.
pub(super) async fn metadata_of_path(
    State(inner): State<Arc<Inner>>,
    Path(path): Path<String>,
) -> Result<Json<Value>, Fault> {
    let issuer = inner.issuers.own.parse::<Url>().ok();
    let own = issuer.as_ref().map(|url| url.path().trim_matches('/'));
    if own != Some(path.trim_matches('/')) {
        return Err(Fault::NoStream);
    }
    Ok(metadata(State(inner)).await)
}
