use super::Refusal;
use account::Millis;
use serde::Serialize;
use serde_json::Value;

/// How something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A token in `Authorization`, as fxa-event-broker sends it.
    FxaHeader,
    /// A token as a body (RFC 8935).
    Push,
    /// A Standard Webhook.
    Webhook,
    /// A token that was asked for (RFC 8936).
    Poll,
    /// None of them.
    Unknown,
}

/// Something that came, verified or not.
#[derive(Clone, Debug, Serialize)]
pub struct Heard {
    /// When it came.
    pub at: Millis,
    /// How it came.
    pub way: Way,
    /// Its id (`jti`, `webhook-id`): the same whenever it is sent again.
    pub id: Option<String>,
    /// The key that signed it, where the token says so.
    pub kid: Option<String>,
    /// Its event's URI, or a webhook's type; the first where there are several.
    pub event: Option<String>,
    /// Whom it is about: `sub`, or the `sub` or `id` of `sub_id`.
    pub subject: Option<String>,
    /// The claims of a token or the body of a webhook, as far as they can be read. Not to be believed unless
    /// [`Heard::is_good`].
    pub said: Option<Value>,
    /// Whether something with this id came before, and was good.
    pub duplicate: bool,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// The status that was answered; absent for what was asked for.
    pub answered: Option<u16>,
}

impl Heard {
    pub(super) fn nothing(at: Millis, way: Way) -> Self {
        Self {
            at,
            way,
            id: None,
            kid: None,
            event: None,
            subject: None,
            said: None,
            duplicate: false,
            refusal: None,
            answered: None,
        }
    }

    /// Whether everything about it is right.
    pub const fn is_good(&self) -> bool {
        self.refusal.is_none()
    }

    /// Takes in what it says, whether that can be believed or not.
    pub(super) fn says(&mut self, said: Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let first = |events: &Value| events.as_object()?.keys().next().cloned();
        if self.way == Way::Webhook {
            self.event = text(&said["type"]);
            self.subject = text(&said["data"]["sub"]);
        } else {
            let id = &said["sub_id"];
            self.id = text(&said["jti"]);
            self.event = first(&said["events"]);
            self.subject = text(&said["sub"]).or_else(|| text(&id["sub"])).or_else(|| text(&id["id"]));
        }
        self.said = Some(said);
    }
}
