//! A stream's configuration on the wire (SSF 1.0 section 8.1.1).

use super::metadata::{POLL, PUSH};
use super::{Fault, poll_url};
use crate::capability::Inner;
use crate::store::registry::KeptRp;
use crate::{Config, EventType, Format, Secret, Stream, Vocabulary};
use serde::Deserialize;
use serde_json::{Value, json};

const MOST_EVENTS: usize = 100;
const LONGEST_TEXT: usize = 1_000;

/// What a receiver says of its stream. What the transmitter decides may be said too, as it is.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    pub(super) stream_id: Option<String>,
    #[serde(default)]
    events_requested: Option<Vec<String>>,
    #[serde(default)]
    delivery: Option<Delivery>,
    #[serde(default)]
    description: Option<String>,
    // Of the transmitter.
    #[serde(default)]
    iss: Option<Value>,
    #[serde(default)]
    aud: Option<Value>,
    #[serde(default)]
    events_supported: Option<Value>,
    #[serde(default)]
    events_delivered: Option<Value>,
    #[serde(default)]
    min_verification_interval: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct Delivery {
    method: String,
    #[serde(default)]
    endpoint_url: Option<String>,
    #[serde(default)]
    authorization_header: Option<String>,
}

/// What a receiver may ask for: what account events are told as, in the words of the framework.
pub(super) fn supported() -> impl Iterator<Item = EventType> {
    EventType::ALL
        .into_iter()
        .filter(|it| !it.is_control() && !it.is_operational())
        .filter(|it| !matches!(it, EventType::PasswordChange | EventType::DeleteUser))
}

/// The stream as the receiver is shown it. Its `authorization_header` is a secret and is not.
pub(super) fn shown(inner: &Inner, kept: &KeptRp) -> Value {
    let config = &kept.rp.config;
    let Some(stream) = &config.stream else { return Value::Null };
    let delivery = match config.format {
        Format::Push => json!({ "method": PUSH, "endpoint_url": config.webhook }),
        _ => json!({ "method": POLL, "endpoint_url": poll_url(inner) }),
    };
    let mut shown = json!({
        "stream_id": stream.id,
        "iss": inner.issuers.own,
        "aud": kept.rp.client_id,
        "events_supported": supported().collect::<Vec<_>>(),
        "events_requested": stream.events_requested,
        "events_delivered": config.events,
        "delivery": delivery,
        "min_verification_interval": inner.settings.verification_interval_seconds,
    });
    if let Some(description) = &stream.description {
        shown["description"] = json!(description);
    }
    shown
}

impl Wanted {
    /// Whether what is the transmitter's to say is said as it is.
    pub(super) fn agrees(&self, shown: &Value) -> Result<(), Fault> {
        let said = [
            ("iss", &self.iss),
            ("aud", &self.aud),
            ("events_supported", &self.events_supported),
            ("events_delivered", &self.events_delivered),
            ("min_verification_interval", &self.min_verification_interval),
        ];
        match said.into_iter().find(|(name, value)| value.as_ref().is_some_and(|it| *it != shown[*name])) {
            Some((name, _)) => Err(Fault::invalid(format!("{name} is not the receiver's to change"))),
            None => Ok(()),
        }
    }

    /// Applies what is said and leaves the rest as it is.
    pub(super) fn update(&self, kept: &mut KeptRp) -> Result<(), Fault> {
        let config = &mut kept.rp.config;
        let stream = config.stream.as_mut().ok_or(Fault::NoStream)?;
        if let Some(description) = &self.description {
            if description.len() > LONGEST_TEXT {
                return Err(Fault::invalid("the description is over 1000 bytes"));
            }
            stream.description = Some(description.clone());
        }
        if let Some(requested) = &self.events_requested {
            if requested.len() > MOST_EVENTS || requested.iter().any(|uri| uri.len() > LONGEST_TEXT) {
                return Err(Fault::invalid("over 100 events are requested, or one has over 1000 bytes"));
            }
            stream.events_requested.clone_from(requested);
            config.events =
                Some(supported().filter(|it| requested.iter().any(|uri| uri == it.uri())).collect());
        }
        if let Some(delivery) = &self.delivery {
            set_delivery(config, &mut kept.rp.secrets, delivery)?;
        }
        config.check(&kept.rp.secrets).map_err(|invalid| Fault::invalid(invalid.to_string()))
    }

    /// As [`update`](Self::update), but what is not said is as it would be in a new stream.
    pub(super) fn replace(&self, kept: &mut KeptRp) -> Result<(), Fault> {
        let stream = kept.rp.config.stream.as_mut().ok_or(Fault::NoStream)?;
        stream.description = None;
        stream.events_requested.clear();
        kept.rp.config.events = Some([].into());
        if self.delivery.is_none() {
            become_polled(&mut kept.rp.config, &mut kept.rp.secrets);
        }
        self.update(kept)
    }
}

/// Begins a stream: the relying party is told in the framework's words and form from now on.
pub(super) fn begin(kept: &mut KeptRp, stream: Stream) {
    let config = &mut kept.rp.config;
    config.vocabulary = Vocabulary::Ssf;
    config.stream = Some(stream);
    config.events = Some([].into());
    become_polled(config, &mut kept.rp.secrets);
}

/// Ends a stream: nothing is told any more.
pub(super) fn end(kept: &mut KeptRp) {
    kept.rp.config.stream = None;
    kept.rp.config.webhook = None;
    kept.rp.config.format = Format::Push;
    kept.rp.secrets.authorization = None;
}

fn become_polled(config: &mut Config, secrets: &mut crate::Secrets) {
    (config.format, config.webhook) = (Format::Poll, None);
    secrets.authorization = None;
}

fn set_delivery(config: &mut Config, secrets: &mut crate::Secrets, wanted: &Delivery) -> Result<(), Fault> {
    match wanted.method.as_str() {
        POLL => {
            become_polled(config, secrets);
            Ok(())
        }
        PUSH => {
            let url = wanted.endpoint_url.as_ref();
            let url = url.ok_or_else(|| Fault::invalid("delivery.endpoint_url is needed to push"))?;
            if config.webhook.as_ref() != Some(url) || wanted.authorization_header.is_some() {
                secrets.authorization = wanted.authorization_header.clone().map(Secret::new);
            }
            (config.format, config.webhook) = (Format::Push, Some(url.clone()));
            Ok(())
        }
        other => Err(Fault::invalid(format!("delivery.method {other:?} is neither {PUSH} nor {POLL}"))),
    }
}
