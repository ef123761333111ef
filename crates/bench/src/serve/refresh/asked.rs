//! The identity provider's process, as it is told and asked.

use crate::serve::house::IDP;
use crate::serve::provider::{CLIENT, LoggedIn, Place, SECRET, Seen};
use account::IdpId;
use anyhow::Result;
use bytes::Bytes;
use idp::{IdpConfig, Idps, LoginConfig, Secret};
use outbound::{Client, Manners, Url};
use serde::de::DeserializeOwned;
use sessions::upstream::LoginIdps;
use std::time::Duration;

/// So many log in at a time.
const LOT: u64 = 2_000;

pub(super) struct Provider {
    client: Client,
    control: Url,
    issuer: String,
}

impl Provider {
    /// By what it said of its place.
    pub(super) fn at(place: &str) -> Result<Self> {
        let Place { issuer, control } = serde_json::from_str(place)?;
        let manners = Manners { deadline: Duration::from_mins(1), max_answer: 1 << 26, ..Manners::default() };
        let client = Client::for_operator_addresses(&manners)?;
        Ok(Self { client, control: format!("http://{control}/").parse()?, issuer })
    }

    /// As the product asks it, with so many places.
    pub(super) fn logins(&self, places: u32) -> Result<LoginIdps> {
        let mut config = IdpConfig::new(IdpId::new(IDP)?, &self.issuer, "idp.example");
        let mut login = LoginConfig::new(CLIENT);
        login.client_secret = Some(Secret::new(SECRET));
        login.max_in_flight = usize::try_from(places)?;
        config.login = Some(login);
        Ok(LoginIdps::of(Idps::new(&[config])?))
    }

    /// These users log in.
    pub(super) async fn log_in(&self, first: u64, count: u64) -> Result<Vec<LoggedIn>> {
        let mut all = Vec::new();
        for first in (first..first + count).step_by(usize::try_from(LOT)?) {
            all.extend(self.post::<Vec<LoggedIn>>(&format!("logins/{first}/{LOT}")).await?);
        }
        all.truncate(usize::try_from(count)?);
        Ok(all)
    }

    /// From now on its access tokens last so long, and its answers take so long.
    pub(super) async fn answer(&self, life_seconds: u64, delay: Duration) -> Result<()> {
        let path = format!("answers/{life_seconds}/{}", delay.as_millis());
        self.client.post(&self.control.join(&path)?, Bytes::new()).send().await?.success()?;
        Ok(())
    }

    pub(super) async fn seen(&self) -> Result<Seen> {
        Ok(self.client.get(&self.control.join("seen")?).send().await?.success()?.json()?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.client.post(&self.control.join(path)?, Bytes::new()).send().await?;
        Ok(answer.success()?.json()?)
    }
}
