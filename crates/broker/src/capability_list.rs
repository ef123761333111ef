//! The identity provider's list of its clients' capabilities: fetched on an interval, replaced as a whole, the last good
//! one kept. When it cannot be fetched, what is known goes on being true.

use crate::capability::Inner;
use crate::rp::Secret;
use crate::settings::InvalidSettings;
use crate::store::registry::{Capabilities, ReplaceCapabilities, TOPIC};
use crate::{ClientId, worker};
use account::Millis;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use metrics::{counter, gauge};
use outbound::{Answer, Client, Manners, OutboundError, Url};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;
use work::Tick;

const LARGEST: usize = 8 * 1024 * 1024;

/// The section `broker.capability_list`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapabilityList {
    /// Where it is: Mozilla accounts has it at `/v1/oauth/subscriptions/clients`.
    pub url: String,
    /// The shared secret, sent as it is in `Authorization`.
    pub token: Secret,
    /// Seconds between two fetches.
    pub interval_seconds: u32,
}

impl Default for CapabilityList {
    fn default() -> Self {
        Self { url: String::new(), token: Secret::default(), interval_seconds: 300 }
    }
}

impl CapabilityList {
    /// Fetches it once and keeps nothing: how many clients it has, or why it cannot be fetched.
    pub async fn probe(&self) -> Result<usize, String> {
        let source = Source::new(self).map_err(|error| error.to_string())?;
        source.fetch().await.map(|clients| clients.len()).map_err(|error| error.to_string())
    }
}

/// Where and how it is fetched.
pub(crate) struct Source {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    pub(crate) interval: Duration,
    /// When this process last had a good list; before the first one, since when it has been trying.
    since: Mutex<Fetched>,
}

/// How the last fetches went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    first_tried_at: Option<Millis>,
    last_good_at: Option<Millis>,
}

impl Fetched {
    fn tried(&mut self, now: Millis, is_good: bool) {
        self.first_tried_at.get_or_insert(now);
        if is_good {
            self.last_good_at = Some(now);
        }
    }

    /// How long ago the last good one was; while there was none, how long it has been tried for.
    pub(crate) fn age(&self, now: Millis) -> Duration {
        self.last_good_at.or(self.first_tried_at).map_or(Duration::ZERO, |at| now.since(at))
    }

    /// Whether it was tried at all: not every node fetches.
    pub(crate) fn was_tried(&self) -> bool {
        self.first_tried_at.is_some()
    }

    /// Whether there was a good one in this process's life.
    pub(crate) fn was_good(&self) -> bool {
        self.last_good_at.is_some()
    }
}

impl Source {
    /// Nothing is asked of the network yet.
    pub(crate) fn new(list: &CapabilityList) -> Result<Self, InvalidSettings> {
        let invalid = |why: &str| InvalidSettings::new("capability_list", why);
        let url = list.url.parse().map_err(|_| invalid("url is no URL"))?;
        let authorization = match list.token.reveal() {
            "" => None,
            token => {
                let mut value =
                    HeaderValue::from_str(token).map_err(|_| invalid("token cannot stand in a header"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let manners = Manners { max_answer: LARGEST, ..Manners::default() };
        let client = Client::for_operator_addresses(&manners).map_err(|error| invalid(&error.to_string()))?;
        let interval = Duration::from_secs(u64::from(list.interval_seconds.max(1)));
        Ok(Self { client, url, authorization, interval, since: Mutex::default() })
    }

    /// How the last fetches went.
    pub(crate) fn fetched(&self) -> Fetched {
        *self.since.lock()
    }

    fn note(&self, now: Millis, is_good: bool) {
        let mut since = self.since.lock();
        since.tried(now, is_good);
        gauge!("broker.capability_list_age").set(since.age(now).as_secs_f64());
    }

    async fn fetch(&self) -> Result<Capabilities, OutboundError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry {
            client_id: String,
            capabilities: Vec<String>,
        }
        let mut request = self.client.get(&self.url).accept_json();
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let entries: Vec<Entry> = request.send().await.and_then(Answer::success)?.json()?;
        let mut capabilities = Capabilities::new();
        for Entry { client_id, capabilities: own } in entries {
            match ClientId::new(&client_id) {
                Ok(client_id) => capabilities.entry(client_id).or_default().extend(own),
                Err(error) => tracing::warn!(%error, "the capability list has an entry that is no client's"),
            }
        }
        Ok(capabilities)
    }
}

/// One turn: fetches the list and keeps it.
pub(crate) async fn refresh(inner: Arc<Inner>, source: Arc<Source>) -> Tick {
    let fetched = source.fetch().await;
    source.note(inner.now(), fetched.is_ok());
    let fetched = match fetched {
        Ok(fetched) => fetched,
        Err(error) => {
            tracing::warn!(%error, "the capability list cannot be fetched; the last one holds");
            counter!("broker.capability_list_failures").increment(1);
            return Tick::Failed;
        }
    };
    match keep(&inner, fetched).await {
        Ok(()) => Tick::Idle,
        Err(error) => {
            tracing::warn!(%error, "the capability list cannot be kept");
            Tick::Failed
        }
    }
}

async fn keep(inner: &Inner, fetched: Capabilities) -> Result<(), StoreError> {
    gauge!("broker.capability_list_clients").set(u32::try_from(fetched.len()).unwrap_or(u32::MAX));
    if inner.store.run(ReplaceCapabilities(fetched)).await? {
        inner.store.signals().send(TOPIC);
        inner.store.signals().send(worker::TOPIC);
    }
    Ok(())
}
