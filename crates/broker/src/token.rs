//! What a delivery says, as the bytes that are signed: the same at every attempt. Pure.

use crate::store::rows::{About, Delivery};
use crate::{EventType, Format};
use account::{IdpId, Millis};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Who speaks in tokens.
#[derive(Clone, Debug)]
pub(crate) struct Issuers {
    /// `iss` of every token.
    pub(crate) own: String,
    /// The issuer of the accounts of each identity provider, for subject identifiers (RFC 9493 section 3.2.3).
    pub(crate) of_accounts: BTreeMap<IdpId, String>,
}

/// The one event of a token.
struct Events<'a> {
    event_type: EventType,
    payload: &'a RawValue,
}

impl Serialize for Events<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.event_type.uri(), self.payload)?;
        map.end()
    }
}

/// As fxa-event-broker writes it, in its order; `iat` is whole seconds, and there is neither `exp` nor `txn`.
#[derive(Serialize)]
struct FxaClaims<'a> {
    aud: &'a str,
    events: Events<'a>,
    iat: i64,
    jti: &'a str,
    sub: &'a str,
    iss: &'a str,
}

/// SSF 1.0 section 4.1: `sub_id` at the top, neither `sub` nor `exp`.
#[derive(Serialize)]
struct SsfClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: i64,
    txn: &'a str,
    sub_id: SubjectId<'a>,
    events: Events<'a>,
}

#[derive(Serialize)]
#[serde(tag = "format", rename_all = "snake_case")]
enum SubjectId<'a> {
    IssSub { iss: &'a str, sub: &'a str },
    Opaque { id: &'a str },
}

/// Standard Webhooks 1.0: the body.
#[derive(Serialize)]
struct WebhookBody<'a> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    data: WebhookData<'a>,
}

#[derive(Serialize)]
struct WebhookData<'a> {
    iss: &'a str,
    sub: &'a str,
    event: &'a RawValue,
}

/// What is signed: a token's claims, or the body of a Standard Webhook.
pub(crate) fn content(delivery: &Delivery, format: Format, issuers: &Issuers) -> Vec<u8> {
    let payload: &RawValue = serde_json::from_str(&delivery.payload).unwrap_or(RawValue::NULL);
    let events = Events { event_type: delivery.event_type, payload };
    let (iss, aud, jti, iat) =
        (issuers.own.as_str(), delivery.client_id.as_str(), delivery.jti.as_str(), delivery.iat);
    let sub = delivery.about.columns().1;
    let bytes = match format {
        Format::FxaHeader => serde_json::to_vec(&FxaClaims { aud, events, iat, jti, sub, iss }),
        Format::Push | Format::Poll => {
            let sub_id = subject_id(&delivery.about, issuers);
            serde_json::to_vec(&SsfClaims { iss, aud, jti, iat, txn: &delivery.txn, sub_id, events })
        }
        Format::WebhookHmac | Format::WebhookEd25519 => serde_json::to_vec(&WebhookBody {
            kind: webhook_type(delivery.event_type),
            timestamp: rfc_3339(delivery.event_at),
            data: WebhookData { iss, sub, event: payload },
        }),
    };
    bytes.expect("texts, numbers and JSON that was read always serialise")
}

fn subject_id<'a>(about: &'a About, issuers: &'a Issuers) -> SubjectId<'a> {
    match about {
        About::Account(account) => {
            let iss = issuers.of_accounts.get(&account.idp).unwrap_or(&issuers.own);
            SubjectId::IssSub { iss, sub: account.subject.as_str() }
        }
        About::Stream(id) => SubjectId::Opaque { id },
    }
}

/// An event type as Standard Webhooks names them: `caep.session_revoked`.
pub(crate) fn webhook_type(event_type: EventType) -> String {
    let uri = event_type.uri();
    let family = if uri.contains("/caep/") {
        "caep"
    } else if uri.contains("/risc/") {
        "risc"
    } else if uri.contains("/ssf/") {
        "ssf"
    } else if event_type.is_operational() {
        "highwater"
    } else {
        "fxa"
    };
    format!("{family}.{}", event_type.name().replace('-', "_"))
}

/// `2026-09-10T01:46:40.123Z` (RFC 3339).
pub(crate) fn rfc_3339(at: Millis) -> String {
    let (days, of_day) = (at.get().div_euclid(86_400_000), at.get().rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since the epoch, in the Gregorian calendar: years are counted from March, so
/// that a leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468; // from 0000-03-01
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + next, month, day)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ClientId;
    use account::{AccountId, Subject};

    pub(crate) fn delivery(about: About, event_type: EventType, payload: &str) -> Delivery {
        Delivery {
            id: 1,
            client_id: ClientId::new("5882386c6d801776").expect("valid"),
            about,
            kind: "password_change".into(),
            event_type,
            payload: payload.into(),
            jti: "0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11".into(),
            txn: "6d1c4c57-9f6e-4b4a-9a0d-9e110b8c0d0e".into(),
            iat: 1_789_000_002,
            event_at: Millis::new(1_789_000_000_123),
            created_at: Millis::new(1_789_000_002_417),
            failures: 0,
            fence: 1,
        }
    }

    pub(crate) fn account() -> About {
        let idp = IdpId::new("main").expect("valid");
        About::Account(AccountId::new(idp, Subject::new("0f1e2d3c4b5a69788796a5b4c3d2e1f0").expect("valid")))
    }

    pub(crate) fn issuers() -> Issuers {
        Issuers {
            own: "https://accounts.example".into(),
            of_accounts: [(IdpId::new("main").expect("valid"), "https://idp.example".into())].into(),
        }
    }

    fn text(delivery: &Delivery, format: Format) -> String {
        String::from_utf8(content(delivery, format, &issuers())).expect("UTF-8")
    }

    #[test]
    fn a_token_of_the_fxa_format_has_mozillas_claims_in_their_order() {
        let delivery = delivery(account(), EventType::PasswordChange, r#"{"changeTime":1789000000100}"#);
        assert_eq!(
            text(&delivery, Format::FxaHeader),
            r#"{"aud":"5882386c6d801776","events":{"https://schemas.accounts.firefox.com/event/password-change":{"changeTime":1789000000100}},"iat":1789000002,"jti":"0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11","sub":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","iss":"https://accounts.example"}"#
        );
    }

    #[test]
    fn a_token_of_the_ssf_profile_has_a_subject_identifier_and_no_sub() {
        let revoked = delivery(account(), EventType::SessionRevoked, "{}");
        assert_eq!(
            text(&revoked, Format::Push),
            r#"{"iss":"https://accounts.example","aud":"5882386c6d801776","jti":"0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11","iat":1789000002,"txn":"6d1c4c57-9f6e-4b4a-9a0d-9e110b8c0d0e","sub_id":{"format":"iss_sub","iss":"https://idp.example","sub":"0f1e2d3c4b5a69788796a5b4c3d2e1f0"},"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{}}}"#
        );
        let verification = delivery(About::Stream("s1".into()), EventType::Verification, r#"{"state":"x"}"#);
        assert!(text(&verification, Format::Poll).contains(r#""sub_id":{"format":"opaque","id":"s1"}"#));
    }

    #[test]
    fn a_webhook_has_a_type_a_time_and_data() {
        let delivery = delivery(account(), EventType::SessionRevoked, r#"{"a":1}"#);
        assert_eq!(
            text(&delivery, Format::WebhookHmac),
            r#"{"type":"caep.session_revoked","timestamp":"2026-09-10T00:26:40.123Z","data":{"iss":"https://accounts.example","sub":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","event":{"a":1}}}"#
        );
    }

    #[test]
    fn days_become_dates_through_leap_years() {
        for (millis, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc_3339(Millis::new(millis)), date);
        }
    }
}
