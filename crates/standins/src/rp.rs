mod trust;

use crate::Now;
use crate::running::Running;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use trust::{Trust, Untrusted};

/// How a relying party is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellWay {
    /// As Mozilla's event broker does: a POST without a body, the token as `Authorization: Bearer`.
    Header,
    /// A body of `application/secevent+jwt` (RFC 8935).
    Push,
}

/// What a relying party was told, and believed.
#[derive(Clone, Debug)]
pub struct Told {
    /// The event's short name, the last part of its URI: `password-change`.
    pub event: String,
    /// Whose account.
    pub subject: String,
    /// With which algorithm it was signed.
    pub algorithm: String,
    /// The token's id.
    pub jti: String,
    /// When it was believed.
    pub at: Instant,
}

/// A relying party: it takes Security Event Tokens (RFC 8417) at its webhook and believes those that are good.
///
/// It checks what real ones check: the signature, by a key that the transmitter publishes, fetched when it is first
/// needed; issuer and audience, to the letter; that the token is not from the future, with no leeway; that there is one
/// event. A token it has had before is confirmed and not counted again.
#[derive(Debug)]
pub struct StandInRp {
    running: Running,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    trust: Trust,
    told: watch::Sender<Vec<Told>>,
}

impl StandInRp {
    /// Starts it: `client_id` is whom tokens must be for, `issuer` whose they must be, `jwks_url` where the keys are.
    pub async fn start(
        way: TellWay,
        client_id: &str,
        issuer: &str,
        jwks_url: &str,
        now: Now,
    ) -> io::Result<Self> {
        let trust = Trust::new(client_id, issuer, jwks_url, now);
        let desk = Arc::new(Desk { trust, told: watch::Sender::new(Vec::new()) });
        let router = match way {
            TellWay::Header => Router::new().route("/events", post(by_header)),
            TellWay::Push => Router::new().route("/events", post(by_push)),
        };
        Ok(Self { running: Running::start(router.with_state(Arc::clone(&desk))).await?, desk })
    }

    /// Its webhook: what `highwater rp add` takes.
    pub fn webhook(&self) -> String {
        format!("{}/events", self.running.url())
    }

    /// Everything it was told and believed, in its order.
    pub fn told(&self) -> Vec<Told> {
        self.desk.told.borrow().clone()
    }

    /// Waits until it was told of that event of that account. Pair it with a time-out.
    pub async fn hears(&self, event: &str, subject: &str) -> Told {
        let find = |told: &[Told]| told.iter().find(|it| it.event == event && it.subject == subject).cloned();
        let mut told = self.desk.told.subscribe();
        let told = told.wait_for(|told| find(told).is_some()).await.expect("the desk outlives its listeners");
        find(&told).expect("it was just there")
    }
}

impl Desk {
    async fn take(&self, token: &str, typ: Option<&str>) -> Result<(), Untrusted> {
        let opened = self.trust.open(token, typ).await?;
        self.told.send_if_modified(|told| {
            let is_new = told.iter().all(|it| it.jti != opened.jti);
            if is_new {
                let at = Instant::now();
                let trust::Opened { event, subject, algorithm, jti } = opened;
                told.push(Told { event, subject, algorithm, jti, at });
            }
            is_new
        });
        Ok(())
    }
}

/// 200, or 401 as the Tokenserver answers.
async fn by_header(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    let Some(token) = authorization.and_then(|it| it.strip_prefix("Bearer ")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    match desk.take(token, None).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(untrusted) => (StatusCode::UNAUTHORIZED, untrusted.to_string()).into_response(),
    }
}

/// RFC 8935 sections 2.2 and 2.3.
async fn by_push(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let is_event = headers.get(header::CONTENT_TYPE).is_some_and(|it| it == "application/secevent+jwt");
    let outcome = match std::str::from_utf8(&body) {
        Ok(token) if is_event => desk.take(token, Some("secevent+jwt")).await,
        _ => Err(Untrusted::Malformed),
    };
    match outcome {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(untrusted) => {
            let body = Json(json!({ "err": untrusted.code(), "description": untrusted.to_string() }));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecurityEvent, StandInIdp};
    use account::Millis;
    use axum::http::Request;

    const SUBJECT: &str = "0f1e2d3c";

    struct World {
        idp: StandInIdp,
        rp: StandInRp,
    }

    impl World {
        async fn new(way: TellWay) -> Self {
            let now: Now = Arc::new(|| Millis::new(1_700_000_000_000));
            let idp = StandInIdp::start(Arc::clone(&now)).await.expect("it starts");
            let jwks = format!("{}/v1/jwks", idp.url());
            let rp = StandInRp::start(way, "aaaa", &idp.url(), &jwks, now).await.expect("it starts");
            Self { idp, rp }
        }

        /// The status and the word for what is wrong.
        async fn told_by_push(&self, token: &str) -> (u16, String) {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, "application/secevent+jwt".parse().expect("a value"));
            let body = Bytes::copy_from_slice(token.as_bytes());
            let answer = by_push(State(Arc::clone(&self.rp.desk)), headers, body).await;
            let status = answer.status().as_u16();
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("a body");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            (status, body["err"].as_str().unwrap_or_default().to_owned())
        }

        async fn told_by_header(&self, token: &str) -> u16 {
            let request = Request::post("/").header("authorization", format!("Bearer {token}"));
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            by_header(State(Arc::clone(&self.rp.desk)), parts.headers).await.status().as_u16()
        }

        fn pushed(&self, claims: &serde_json::Value) -> String {
            let mut all = json!({
                "iss": self.idp.url(), "aud": "aaaa", "jti": "1", "iat": 1_700_000_000,
                "sub_id": {"format": "iss_sub", "iss": "https://idp.example", "sub": SUBJECT},
                "events": {"https://schemas.openid.net/secevent/caep/event-type/credential-change": {}},
            });
            all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
            self.idp.sign("secevent+jwt", &all)
        }
    }

    #[tokio::test]
    async fn a_good_token_is_believed_once() {
        let world = World::new(TellWay::Header).await;
        let token = world.idp.security_event("aaaa", SUBJECT, &SecurityEvent::PasswordChange(7));
        assert_eq!(world.told_by_header(&token).await, 200);
        assert_eq!(world.told_by_header(&token).await, 200);
        let told = world.rp.hears("password-change", SUBJECT).await;
        assert_eq!((told.subject.as_str(), told.algorithm.as_str()), (SUBJECT, "RS256"));
        assert_eq!(world.rp.told().len(), 1);
        assert!(world.rp.webhook().ends_with("/events"));
    }

    #[tokio::test]
    async fn anothers_token_a_strange_key_and_junk_are_not_believed() {
        let world = World::new(TellWay::Header).await;
        let delete = SecurityEvent::DeleteUser;
        assert_eq!(world.told_by_header(&world.idp.security_event("bbbb", SUBJECT, &delete)).await, 401);
        let stranger = World::new(TellWay::Header).await;
        assert_eq!(world.told_by_header(&stranger.idp.security_event("aaaa", SUBJECT, &delete)).await, 401);
        for junk in ["", "a.b.c", "....", "é"] {
            assert_eq!(world.told_by_header(junk).await, 401, "{junk}");
        }
        assert_eq!(world.rp.told().len(), 0);
    }

    #[tokio::test]
    async fn a_pushed_token_is_answered_as_the_specification_says() {
        let world = World::new(TellWay::Push).await;
        let push = async |claims| world.told_by_push(&world.pushed(&claims)).await;
        assert_eq!(push(json!({})).await, (202, String::new()));
        assert_eq!(push(json!({"aud": "bbbb"})).await, (400, "invalid_audience".into()));
        assert_eq!(push(json!({"iss": "https://other.example"})).await, (400, "invalid_issuer".into()));
        assert_eq!(push(json!({"iat": 1_700_000_001})).await, (400, "invalid_request".into()));
        assert_eq!(push(json!({"events": {}})).await, (400, "invalid_request".into()));
        let untyped = world.idp.security_event("aaaa", SUBJECT, &SecurityEvent::DeleteUser);
        assert_eq!(world.told_by_push(&untyped).await, (400, "invalid_request".into()));
        let mut forged = world.pushed(&json!({"jti": "2"}));
        forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
        assert_eq!(world.told_by_push(&forged).await, (400, "invalid_key".into()));
        let rp = &world.rp;
        assert_eq!(rp.told().iter().map(|it| it.event.as_str()).collect::<Vec<_>>(), ["credential-change"]);
        let nothing = by_push(State(Arc::clone(&rp.desk)), HeaderMap::new(), Bytes::new()).await;
        assert_eq!(nothing.status(), StatusCode::BAD_REQUEST);
    }
}
