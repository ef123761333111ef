//! SIGHUP: the configuration is read anew, and what can change while a node runs does.

use crate::house::House;
use crate::settings::{Settings, SettingsError};
use anyhow::{Context, Result};
use idp::Idps;
use sessions::Sessions;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Where the configuration came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The file that was named.
    pub(crate) file: Option<PathBuf>,
    /// The flags that were set.
    pub(crate) flags: Vec<String>,
}

impl Origin {
    fn read(&self) -> Result<Settings, SettingsError> {
        Settings::load(self.file.as_deref(), &self.flags)
    }
}

/// What can change while a node runs.
#[derive(Clone, Default)]
pub(crate) struct Hot {
    pub(crate) sessions: Option<Sessions>,
    pub(crate) idps: Option<Idps>,
}

impl Hot {
    pub(super) fn of(house: &House) -> Self {
        Self { sessions: house.sessions.clone(), idps: house.idps.clone() }
    }

    /// Takes over what can change; all of it or, when something of it cannot work, nothing.
    pub(crate) fn take_over(&self, settings: &Settings) -> Result<()> {
        for config in &settings.idp {
            config.check()?;
        }
        if let (Some(sessions), Some(own)) = (&self.sessions, &settings.sessions) {
            sessions.change(own.clone()).context("sessions")?;
        }
        for (idp, config) in self.idps.iter().flat_map(Idps::iter).filter_map(|idp| {
            let config = settings.idp.iter().find(|config| config.id == *idp.id())?;
            Some((idp.login()?, config.login.as_ref()?))
        }) {
            idp.pace(config.requests_per_second, config.burst);
        }
        Ok(())
    }
}

/// SIGHUP, listened to from the moment this is made: until then it would end the process.
pub(crate) struct Hangups(Signal);

impl Hangups {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("SIGHUP cannot be listened to")?))
    }

    /// Reads the configuration anew at each one, until the soft stop.
    pub(crate) async fn serve(mut self, origin: Origin, hot: Hot, stop: CancellationToken) {
        while let Some(Some(())) = stop.run_until_cancelled(self.0.recv()).await {
            let taken =
                origin.read().map_err(anyhow::Error::from).and_then(|settings| hot.take_over(&settings));
            match taken {
                Ok(()) => tracing::info!(
                    "the configuration was read anew: [sessions] and the pace of logins are as it says; the rest at the next start"
                ),
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the configuration cannot be taken over: nothing was changed"
                    );
                }
            }
        }
        stop.cancelled().await;
    }
}
