use super::channel::Line;
use super::{IdToken, Login};
use account::Millis;
use std::time::Duration;

/// How things stand with keeping logins at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginState {
    /// The token endpoint's breaker: `closed`, `open`, or `half_open` while one request finds out whether it is back.
    pub breaker: &'static str,
    /// How long the token endpoint is left alone from now; zero when it may be asked.
    pub spared_for: Duration,
    /// How many refreshes in the background could be begun at once: zero while it is left alone, one to find out.
    pub room: usize,
    /// How many requests are on their way to it.
    pub in_flight: usize,
    /// Whether it is known where to ask.
    pub is_discovered: bool,
    /// The last thing that went wrong, whatever came after.
    pub last_error: Option<LastError>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Millis,
    /// What kind of thing: the name of a [`FailureClass`](super::FailureClass), or `userinfo`, `revocation`, `mismatch`.
    pub class: &'static str,
    /// What, for people. No secret is in it.
    pub text: Box<str>,
    /// Whether a request has gone well since.
    pub is_over: bool,
}

impl Login {
    /// How things stand, for health, metrics and whoever claims work: claim no more than there is room for.
    pub fn state(&self, now: Millis) -> LoginState {
        let (breaker, spared_for) = self.channel.breaker(Line::Token, now);
        let room = self.room(Line::Token, now);
        let state = LoginState {
            breaker,
            spared_for,
            room,
            in_flight: self.channel.in_flight(),
            is_discovered: self.directory.is_known(),
            last_error: self.last_error.lock().clone(),
        };
        self.meters.show(&state);
        state
    }

    /// How many users could be asked about at once: zero while that endpoint is left alone, one to find out.
    pub fn userinfo_room(&self, now: Millis) -> usize {
        self.room(Line::UserInfo, now)
    }

    fn room(&self, line: Line, now: Millis) -> usize {
        match self.channel.breaker(line, now) {
            (_, spared_for) if !spared_for.is_zero() => 0,
            ("closed", _) => self.channel.room(now),
            _ => self.channel.room(now).min(1),
        }
    }

    /// Keeps what went wrong; logs it when trouble begins, or is of another kind.
    pub(super) fn note(&self, class: &'static str, text: &str, now: Millis) {
        let mut last = self.last_error.lock();
        let is_news = last.as_ref().is_none_or(|last| last.is_over || last.class != class);
        *last = Some(LastError { at: now, class, text: Box::from(text), is_over: false });
        drop(last);
        // A grant that is over is no trouble.
        if is_news && class != "terminal" {
            tracing::warn!(idp = %self.idp, class, error = text, "a request to the identity provider failed");
        }
    }

    pub(super) fn is_well(&self) {
        if let Some(last) = self.last_error.lock().as_mut() {
            last.is_over = true;
        }
    }

    /// An ID token that is of somebody else is shouted about; one of no use is counted.
    pub(super) fn note_id_token(&self, id_token: &IdToken, now: Millis) {
        let outcome = match id_token {
            IdToken::Absent => "absent",
            IdToken::Verified(_) => "verified",
            IdToken::NotNow { .. } => "not_now",
            IdToken::Unusable(why) => why.as_str(),
            IdToken::Mismatch(which) => {
                let text = format!("an ID token has another {which} than its login");
                self.note("mismatch", &text, now);
                "mismatch"
            }
        };
        self.meters.id_token(outcome);
    }
}
