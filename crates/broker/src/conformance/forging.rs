//! The requests of the cases: good ones as deliveries are made, and forged ones.

use super::CannotTry;
use super::cases::Forgery;
use crate::format::{CannotMake, Outgoing, carrying, token, webhook};
use crate::rp::Secrets;
use crate::signer::Sign;
use crate::store::rows::{About, Delivery};
use crate::token::{Issuers, content, webhook_type};
use crate::trial::{Trial, TrialKeys, about, unknown_subject};
use crate::{ClientId, EventType, Format, RelyingParty, Secret, Vocabulary, tellings};
use account::{Change, DeleteReason, Subject};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use jose::to_base64url;
use serde_json::json;
use std::time::Duration;

const A_YEAR: Duration = Duration::from_hours(365 * 24);
const THREE_DAYS: Duration = Duration::from_hours(72);
const AN_HOUR: Duration = Duration::from_hours(1);
const AHEAD_SECONDS: i64 = 2;
const UNHEARD_OF: &str = "https://schemas.example.org/event/unheard-of";
const ANOTHER_CLIENT: &str = "another-relying-party";
const ANOTHER_ISSUER: &str = "https://another-issuer.example.org";

/// Makes the requests of one run.
pub(super) struct Forge<'a> {
    trial: &'a Trial,
    known: Option<Subject>,
    stranger: TrialKeys,
    /// The good one, to be sent again.
    good: Option<Outgoing>,
}

/// A Standard Webhook or a token before it is signed.
struct Unsigned {
    jti: String,
    content: Vec<u8>,
}

impl<'a> Forge<'a> {
    pub(super) async fn new(trial: &'a Trial, known: Option<Subject>) -> Result<Self, CannotTry> {
        let algorithm = trial.rp.config.algorithm;
        // An RSA key takes a while to find.
        let stranger = tokio::task::spawn_blocking(move || TrialKeys::fresh(algorithm)).await;
        let stranger = stranger.map_err(|error| CannotTry(error.to_string()))?;
        let stranger = stranger.map_err(|error| CannotTry(error.to_string()))?;
        Ok(Self { trial, known, stranger, good: None })
    }

    /// The request of a case.
    pub(super) fn request(&mut self, forgery: Forgery) -> Result<Outgoing, CannotMake> {
        let trial = self.trial;
        let change = || self.told(&Change::PasswordChange, &unknown_subject(), Duration::ZERO);
        match forgery {
            Forgery::Nothing => {
                let good = self.signed(&self.content(&self.harmless()))?;
                self.good = Some(good.clone());
                Ok(good)
            }
            Forgery::Again => self.good.clone().map_or_else(|| self.request(Forgery::Nothing), Ok),
            Forgery::UnknownAccount => {
                let deletion = Change::Delete { reason: Some(DeleteReason::User) };
                let gone = self.told(&deletion, &unknown_subject(), Duration::ZERO);
                self.signed(&self.content(&gone))
            }
            Forgery::UnknownEvent => self.signed(&self.unheard_of()),
            Forgery::OldChange => {
                self.signed(&self.content(&self.told(&Change::PasswordChange, &self.somebody(), A_YEAR)))
            }
            Forgery::IssuedLongAgo => {
                let then = trial.clock.now().minus(THREE_DAYS);
                let harmless = self.harmless();
                self.signed(&self.content(&Delivery { iat: then.seconds(), event_at: then, ..harmless }))
            }
            Forgery::IssuedAhead => {
                let harmless = self.harmless();
                let iat = harmless.iat + AHEAD_SECONDS;
                self.signed(&self.content(&Delivery { iat, ..harmless }))
            }
            Forgery::StreamVerification => {
                let id = trial.rp.config.stream.as_ref().map_or("trial", |stream| stream.id.as_str());
                let about = About::Stream(id.to_owned());
                self.signed(&self.content(&trial.delivery(about, EventType::Verification, "{}".to_owned())))
            }
            Forgery::AlteredAfterSigning => self.altered(&self.content(&change()), &self.content(&change())),
            Forgery::Unsigned => carrying(&trial.rp, unsigned(&self.content(&change()).content)),
            Forgery::UnknownKey => self.signed_by_a_stranger(&self.content(&change())),
            Forgery::OtherAudience => {
                let client_id = ClientId::new(ANOTHER_CLIENT).expect("letters and dashes are a client id");
                self.signed(&self.content(&Delivery { client_id, ..change() }))
            }
            Forgery::OtherIssuer => self.signed(&self.content_of(&change(), ANOTHER_ISSUER)),
            Forgery::NoToken => self.garbage(),
            Forgery::StaleTimestamp => {
                let Unsigned { jti, content } = self.content(&change());
                webhook(&trial.rp, &jti, trial.clock.now().minus(AN_HOUR), content)
            }
        }
    }

    /// A change that changes nothing, in the words of the receiver.
    fn harmless(&self) -> Delivery {
        let seconds = self.trial.clock.now().seconds();
        let (event_type, payload) = match self.trial.rp.config.vocabulary {
            Vocabulary::Fxa => (EventType::ProfileChange, json!({})),
            Vocabulary::Ssf => {
                (EventType::TokenClaimsChange, json!({ "claims": {}, "event_timestamp": seconds }))
            }
        };
        self.trial.delivery(about(&self.somebody()), event_type, payload.to_string())
    }

    /// The account that the receiver has, else one that nobody has.
    fn somebody(&self) -> Subject {
        self.known.clone().unwrap_or_else(unknown_subject)
    }

    /// A change of so long ago, as the receiver is told of it first.
    fn told(&self, change: &Change, subject: &Subject, ago: Duration) -> Delivery {
        let trial = self.trial;
        let at = trial.clock.now().minus(ago);
        let telling = tellings(trial.rp.config.vocabulary, change, at, &[]).into_iter().next();
        let telling = telling.expect("every vocabulary has a word for passwords and deletions");
        let delivery = trial.delivery(about(subject), telling.event_type, telling.payload);
        Delivery { event_at: at, ..delivery }
    }

    fn content(&self, delivery: &Delivery) -> Unsigned {
        self.content_of(delivery, &self.trial.issuers.own)
    }

    fn content_of(&self, delivery: &Delivery, issuer: &str) -> Unsigned {
        let of_accounts = self.trial.issuers.of_accounts.clone();
        let issuers = Issuers { own: issuer.to_owned(), of_accounts };
        let content = content(delivery, self.trial.rp.config.format, &issuers);
        Unsigned { jti: delivery.jti.clone(), content }
    }

    /// The closed set of event types has no word for it: the name is exchanged in the text.
    fn unheard_of(&self) -> Unsigned {
        let delivery = self.harmless();
        let Unsigned { jti, content } = self.content(&delivery);
        let text = String::from_utf8_lossy(&content);
        let text = text.replace(delivery.event_type.uri(), UNHEARD_OF);
        let content = text.replace(&webhook_type(delivery.event_type), "fxa.unheard_of").into_bytes();
        Unsigned { jti, content }
    }

    fn signed(&self, unsigned: &Unsigned) -> Result<Outgoing, CannotMake> {
        self.signed_by(&self.trial.rp, &self.trial.keys, unsigned)
    }

    fn signed_by(
        &self,
        rp: &RelyingParty,
        keys: &impl Sign,
        Unsigned { jti, content }: &Unsigned,
    ) -> Result<Outgoing, CannotMake> {
        if rp.config.format.is_token() {
            carrying(rp, token(rp, keys, content)?)
        } else {
            webhook(rp, jti, self.trial.clock.now(), content.clone())
        }
    }

    /// The signature of the one under the words of the other.
    fn altered(&self, signed: &Unsigned, said: &Unsigned) -> Result<Outgoing, CannotMake> {
        let trial = self.trial;
        if !trial.rp.config.format.is_token() {
            let good = self.signed(signed)?;
            return Ok(Outgoing { body: said.content.clone().into(), ..good });
        }
        let token = token(&trial.rp, &trial.keys, &signed.content)?;
        let (head, rest) = token.split_once('.').unwrap_or_default();
        let (_, signature) = rest.split_once('.').unwrap_or_default();
        carrying(&trial.rp, format!("{head}.{}.{signature}", to_base64url(&said.content)))
    }

    fn signed_by_a_stranger(&self, unsigned: &Unsigned) -> Result<Outgoing, CannotMake> {
        let prefix = match self.trial.rp.config.format {
            Format::WebhookHmac => "whsec_",
            _ => "whsk_",
        };
        let mut seed = [0; 32];
        rand::fill(&mut seed).map_err(|_| CannotMake::WebhookSecret)?;
        let webhook = vec![Secret::new(format!("{prefix}{}", STANDARD.encode(seed)))];
        let secrets = Secrets { webhook, ..self.trial.rp.secrets.clone() };
        self.signed_by(&RelyingParty { secrets, ..self.trial.rp.clone() }, &self.stranger, unsigned)
    }

    fn garbage(&self) -> Result<Outgoing, CannotMake> {
        if self.trial.rp.config.format.is_token() {
            return carrying(&self.trial.rp, "this-is-no-token".to_owned());
        }
        Ok(Outgoing { headers: HeaderMap::new(), body: Bytes::from_static(b"this is no webhook") })
    }
}

/// RFC 7519 section 6: an unsecured token.
fn unsigned(claims: &[u8]) -> String {
    let header = json!({ "alg": "none", "typ": "secevent+jwt" }).to_string();
    format!("{}.{}.", to_base64url(header.as_bytes()), to_base64url(claims))
}
