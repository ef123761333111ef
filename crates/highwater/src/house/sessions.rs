//! Upstream sessions in the house.

use super::Serving;
use crate::settings::Settings;
use anyhow::{Context, Result};
use idp::Idps;
use keys::RootKey;
use ledger::{Capability, Role, Tombstones};
use sessions::Sessions;
use sessions::upstream::LoginIdps;
use std::sync::Arc;
use store::Store;
use utoipa_axum::router::OpenApiRouter;
use work::Lifecycle;

/// Where they are configured.
pub(super) fn open(
    settings: &Settings,
    store: &Store,
    root: &RootKey,
    idps: Option<&Idps>,
    tombstones: &Tombstones,
    serving: Option<Serving<'_>>,
) -> Result<Option<Sessions>> {
    let (Some(own), Some(idps)) = (settings.sessions.clone(), idps) else { return Ok(None) };
    let life = serving.map_or_else(Lifecycle::new, |serving| serving.life.clone());
    let upstream = Arc::new(LoginIdps::of(idps.clone()));
    let opened = Sessions::new(own, store.clone(), root, tombstones.clone(), upstream, &life);
    opened.map(Some).context("sessions")
}

/// What they do here: every node ends logins with their accounts; those whose role it is refresh, and answer services.
pub(super) fn capability(sessions: &Sessions, serving: Option<Serving<'_>>) -> Capability {
    let capability = sessions.capability();
    if serving.is_some_and(|serving| serving.does(Role::Refresh)) {
        return capability;
    }
    Capability { public: OpenApiRouter::default(), service: OpenApiRouter::default(), ..capability }
}
