use crate::Now;
use crate::hawk::{HawkHeader, HawkRequest, InvalidHawk};
use crate::running::Running;
use crate::ticket::{InvalidTicket, Ticket, TicketKeys};
use account::Millis;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::uri::Authority;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

/// A request may have been signed this far from now: a year. Devices' clocks are what they are.
const SKEW_SECONDS: u64 = 365 * 24 * 60 * 60;

/// Why a node turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No readable Hawk header, or no readable `Host`.
    #[error("not signed with Hawk: {0}")]
    Header(#[from] InvalidHawk),
    /// The token was not made with the secret we share.
    #[error("not a token of ours: {0}")]
    Ticket(#[from] InvalidTicket),
    /// The token has ended.
    #[error("the token has ended")]
    Over,
    /// The MAC is not that of this request, or the signing lies more than a year away.
    #[error("the signature does not fit this request")]
    Mac,
    /// Signed for another user's data.
    #[error("the token is another user's")]
    Uid,
}

/// A service node: `GET /1.5/{uid}/…` and `DELETE /1.5/{uid}` of a sync storage server, as far as its door. Whoever was
/// let in has data there from then on, until it is deleted.
///
/// It lets in what a real one lets in: the token's signature, its end (which `info/collections` overlooks, so that a
/// client learns the time there), the Hawk MAC over method, path, host and port, and that the token is for the user in
/// the path. It does not look for `Forwarded` headers: it is reached directly.
#[derive(Debug)]
pub struct StandInNode {
    running: Running,
    counts: Arc<Counts>,
    keys: Keys,
}

/// The secrets it knows: a token of any of them is let in.
#[derive(Clone)]
struct Keys(Arc<Mutex<Vec<TicketKeys>>>);

impl Keys {
    fn new(secrets: &[&str]) -> Self {
        Self(Arc::new(Mutex::new(secrets.iter().copied().map(TicketKeys::new).collect())))
    }

    /// Opens a token with the first secret that fits; its Hawk key beside it.
    fn open(&self, token: &str) -> Result<(Ticket, String), InvalidTicket> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opened = Err(InvalidTicket::Signature);
        for keys in &*keys {
            opened = keys.open(token).map(|ticket| {
                let key = keys.hawk_key(token, &ticket);
                (ticket, key)
            });
            if opened.is_ok() {
                break;
            }
        }
        opened
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

#[derive(Debug, Default)]
struct Counts {
    served: AtomicU64,
    refused: AtomicU64,
    deleted: AtomicU64,
    /// What every request is answered with; 0: as it deserves.
    fails_with: AtomicU16,
    /// Whose data is here.
    data: Mutex<BTreeSet<String>>,
}

struct Door {
    keys: Keys,
    now: Now,
    counts: Arc<Counts>,
}

impl StandInNode {
    /// Starts it; `secret` is the Tokenserver's master secret.
    pub async fn start(secret: &str, now: Now) -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let keys = Keys::new(&[secret]);
        let door = Door { keys: keys.clone(), now, counts: Arc::clone(&counts) };
        let router = Router::new()
            .route("/1.5/{uid}/{*rest}", get(answer))
            .route("/1.5/{uid}", delete(erase))
            .with_state(Arc::new(door));
        Ok(Self { running: Running::start(router).await?, counts, keys })
    }

    /// Knows these secrets from now on, and no other.
    pub fn know(&self, secrets: &[&str]) {
        let known = Keys::new(secrets);
        let mut known = known.0.lock().unwrap_or_else(PoisonError::into_inner);
        *self.keys.0.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut *known);
    }

    /// Its URL, with no slash at the end: what `highwater node add` takes.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// How many requests it has answered with 200.
    pub fn served(&self) -> u64 {
        self.counts.served.load(Relaxed)
    }

    /// How many times it has deleted somebody's data.
    pub fn deleted(&self) -> u64 {
        self.counts.deleted.load(Relaxed)
    }

    /// Whether it has data under that id.
    pub fn has(&self, uid: i64) -> bool {
        self.counts.data.lock().unwrap_or_else(PoisonError::into_inner).contains(&uid.to_string())
    }

    /// Puts data under an id, as if its user had.
    pub fn put(&self, uid: i64) {
        self.counts.data.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_string());
    }

    /// Answers everything with this status from now on; with what it deserves again when it is 0.
    pub fn fail_with(&self, status: u16) {
        self.counts.fails_with.store(status, Relaxed);
    }

    /// How many it has turned away with 401.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Relaxed)
    }
}

async fn answer(
    State(door): State<Arc<Door>>,
    Path((uid, rest)): Path<(String, String)>,
    request: Request,
) -> Response {
    let now = (door.now)();
    let timestamp =
        [("x-weave-timestamp", format!("{}.{:02}", now.seconds(), now.get().rem_euclid(1000) / 10))];
    if let Some(failure) = door.failure() {
        return failure;
    }
    match door.admit(&request, &uid, &rest, now) {
        Ok(()) => {
            door.counts.served.fetch_add(1, Relaxed);
            door.counts.data.lock().unwrap_or_else(PoisonError::into_inner).insert(uid);
            (timestamp, Json(json!({}))).into_response()
        }
        Err(refusal) => {
            door.counts.refused.fetch_add(1, Relaxed);
            let body = Json(json!({ "status": refusal.to_string() }));
            (StatusCode::UNAUTHORIZED, timestamp, [(header::WWW_AUTHENTICATE, "Hawk")], body).into_response()
        }
    }
}

/// All of a user's data, at the user's own word: a signature by a token for that id.
async fn erase(State(door): State<Arc<Door>>, Path(uid): Path<String>, request: Request) -> Response {
    if let Some(failure) = door.failure() {
        return failure;
    }
    if let Err(refusal) = door.admit(&request, &uid, "", (door.now)()) {
        door.counts.refused.fetch_add(1, Relaxed);
        let body = Json(json!({ "status": refusal.to_string() }));
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Hawk")], body).into_response();
    }
    if !door.counts.data.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid) {
        return (StatusCode::NOT_FOUND, Json(json!(0))).into_response();
    }
    door.counts.deleted.fetch_add(1, Relaxed);
    Json(json!({})).into_response()
}

impl Door {
    fn failure(&self) -> Option<Response> {
        let status = self.counts.fails_with.load(Relaxed);
        (status != 0).then(|| StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY).into_response())
    }

    fn admit(&self, request: &Request, uid: &str, rest: &str, now: Millis) -> Result<(), Refusal> {
        let hawk =
            HawkHeader::parse(text(request.headers(), &header::AUTHORIZATION).ok_or(InvalidHawk::Scheme)?)?;
        let (ticket, key) = self.keys.open(&hawk.id)?;
        if rest != "info/collections" && ticket.is_over(now) {
            return Err(Refusal::Over);
        }
        let host = text(request.headers(), &header::HOST).and_then(|host| host.parse::<Authority>().ok());
        let host = host.ok_or(InvalidHawk::Missing)?;
        let signed = HawkRequest {
            method: request.method().as_str(),
            target: request.uri().path_and_query().map_or("/", |target| target.as_str()),
            host: host.host(),
            port: host.port_u16().unwrap_or(80),
        };
        let is_signed = hawk.is_signed(&key, signed);
        if !is_signed || !is_recent(&hawk.ts, now) {
            return Err(Refusal::Mac);
        }
        if ticket.uid.to_string() == uid { Ok(()) } else { Err(Refusal::Uid) }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_recent(ts: &str, now: Millis) -> bool {
    ts.parse::<i64>().is_ok_and(|ts| ts.abs_diff(now.seconds()) <= SKEW_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::tests::VECTORS;
    use axum::body::Body;

    const NOW: Millis = Millis::new(1_700_000_000_000);

    fn door() -> Door {
        Door { keys: Keys::new(&["secret0"]), now: Arc::new(|| NOW), counts: Arc::default() }
    }

    fn signed(id: &str, key: &str, target: &str, ts: i64) -> Request {
        let request = HawkRequest { method: "GET", target, host: "example.com", port: 80 };
        let authorization = HawkHeader::sign(id, key, ts, "abcdef", request).to_string();
        let builder = Request::builder().uri(target).header("host", "example.com");
        builder.header("authorization", authorization).body(Body::empty()).expect("a request")
    }

    #[test]
    fn a_signed_request_for_ones_own_data_is_let_in() {
        for (id, key) in VECTORS {
            let request = signed(id, key, "/1.5/42/storage/tabs?full=1", NOW.seconds());
            assert_eq!(door().admit(&request, "42", "storage/tabs", NOW), Ok(()));
        }
    }

    #[test]
    fn a_token_that_has_ended_still_learns_the_collections() {
        let (id, key) = VECTORS[0];
        let late = Millis::new(1_700_003_600_000);
        let tabs = signed(id, key, "/1.5/42/storage/tabs", late.seconds());
        assert_eq!(door().admit(&tabs, "42", "storage/tabs", late), Err(Refusal::Over));
        let collections = signed(id, key, "/1.5/42/info/collections", late.seconds());
        assert_eq!(door().admit(&collections, "42", "info/collections", late), Ok(()));
    }

    #[test]
    fn anothers_data_another_path_and_another_year_are_refused() {
        let (id, key) = VECTORS[0];
        let target = "/1.5/42/info/collections";
        let at = |request: &Request, uid: &str| door().admit(request, uid, "info/collections", NOW);
        assert_eq!(at(&signed(id, key, target, NOW.seconds()), "43"), Err(Refusal::Uid));
        assert_eq!(at(&signed(id, key, target, NOW.seconds() - 366 * 86_400), "42"), Err(Refusal::Mac));
        assert_eq!(at(&signed(id, "a key", target, NOW.seconds()), "42"), Err(Refusal::Mac));
        assert_eq!(at(&signed("AAAA", key, target, NOW.seconds()), "42"), Err(InvalidTicket::Shape.into()));
        let unsigned = Request::builder().uri(target).body(Body::empty()).expect("a request");
        assert_eq!(at(&unsigned, "42"), Err(InvalidHawk::Scheme.into()));
    }
}
