//! The relying parties of the walk: stand-ins, each told in a way of its own.

use anyhow::Result;
use serde_json::{Value, json};
use standins::{Now, StandInRp, TellWay};

/// The issuer of what they are told.
pub(crate) const ISSUER: &str = "https://highwater.example";

/// A relying party.
pub(crate) struct Party {
    /// What it is called.
    pub(crate) name: &'static str,
    pub(crate) client_id: &'static str,
    /// How it is told, for people.
    pub(crate) way: &'static str,
    pub(crate) rp: StandInRp,
    config: Value,
}

impl Party {
    /// One that is told as fxa-event-broker told, one by the standards that came after; both know where the keys are.
    pub(crate) async fn both(jwks_url: &str, now: &Now) -> Result<[Self; 2]> {
        let start = async |way, id| StandInRp::start(way, id, ISSUER, jwks_url, now.clone()).await;
        let (photos, notes) = ("0a1b2c3d4e5f6071", "1f2e3d4c5b6a7980");
        Ok([
            Self {
                name: "photos",
                client_id: photos,
                way: "by header",
                rp: start(TellWay::Header, photos).await?,
                config: json!({ "format": "fxa-header" }),
            },
            Self {
                name: "notes",
                client_id: notes,
                way: "by RFC 8935",
                rp: start(TellWay::Push, notes).await?,
                config: json!({ "format": "push", "vocabulary": "ssf", "algorithm": "EdDSA" }),
            },
        ])
    }

    /// What `highwater rp add` would send.
    pub(crate) fn registration(&self) -> Value {
        let mut config = self.config.clone();
        config["webhook"] = self.rp.webhook().into();
        // It listens on the loopback.
        config["allow_private"] = true.into();
        config["name"] = self.name.into();
        json!({ "client_id": self.client_id, "config": config })
    }
}
