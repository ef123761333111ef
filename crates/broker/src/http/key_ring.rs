//! The signing keys, for operators.

use super::given;
use crate::capability::Inner;
use crate::{Haste, KeyView, SigningAlgorithm};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ledger::Problem;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes(inner: Arc<Inner>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list_keys)).routes(routes!(rotate_keys)).with_state(inner)
}

/// Which keys to rotate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// `RS256`, `ES256` or `EdDSA`.
    algorithm: SigningAlgorithm,
    /// Also when receivers may not know the next key yet, whose tokens they then refuse for minutes.
    #[serde(default)]
    at_once: bool,
}

/// The signing keys, by what they do now
#[utoipa::path(get, path = "/keys", tag = "keys",
    responses((status = 200, body = Vec<KeyView>), (status = 503, body = Problem)))]
async fn list_keys(State(inner): State<Arc<Inner>>) -> Result<Json<Vec<KeyView>>, Problem> {
    inner.signer.refresh().await?;
    Ok(Json(inner.signer.keys()))
}

/// Rotate the keys of an algorithm: the next one signs, the current one retires, a fresh one is next
#[utoipa::path(post, path = "/keys/rotate", tag = "keys", request_body = Rotation,
    responses(
        (status = 200, description = "The keys as they are now", body = Vec<KeyView>),
        (status = 409, description = "They come from a file, or receivers may not know the next key yet", body = Problem),
        (status = 503, body = Problem),
    ))]
async fn rotate_keys(
    State(inner): State<Arc<Inner>>,
    body: Result<Json<Rotation>, JsonRejection>,
) -> Result<Json<Vec<KeyView>>, Problem> {
    let Rotation { algorithm, at_once } = given(body)?;
    if inner.signer.is_from_file(algorithm) {
        let why = "the keys of that algorithm come from a file; put the new key into the file's place";
        return Err(Problem::conflict(why));
    }
    let haste = if at_once { Haste::AtOnce } else { Haste::WhenKnown };
    if let Some(wait) = inner.signer.rotate(algorithm, haste).await? {
        let why = format!(
            "the next key was published moments ago, and receivers hold the keys for some minutes; try again in {} s, \
             or do not wait for them (`--at-once`)",
            wait.as_secs() + 1
        );
        return Err(Problem::conflict(why));
    }
    Ok(Json(inner.signer.keys()))
}
