//! Relying parties, and accounts that have logged in to them, each to one or to a few.

use crate::serve::house::{House, IDP};
use account::{AccountEvent, AccountId, Change, IdpId, Login, Millis, Subject};
use anyhow::{Result, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use ledger::{Received, SourceId};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;
use testkit::data;
use tower::ServiceExt;

/// How many accounts there are. Their events come in turn, so that none of them waits for the one before it.
const ACCOUNTS: u64 = 16_384;
/// When the first of them changed, milliseconds since the epoch; each event is a millisecond later.
const BEGIN: i64 = 1_700_000_000_000;
/// How many logins are taken in at once.
const LOT: u64 = 256;
const TRIES: usize = 1_000;
const STEP: Duration = Duration::from_millis(20);

/// Who is to be told.
pub(super) struct Plan<'a> {
    pub(super) hooks: &'a [SocketAddr],
    pub(super) algorithm: &'a str,
    /// How many relying parties know an account.
    pub(super) known_to: usize,
}

/// A port where nobody listens: the discard service's, which nobody runs any more.
const NOBODY: &str = "http://127.0.0.1:9/";

/// Everybody.
pub(super) struct Crowd {
    accounts: Vec<AccountId>,
    keys: Bytes,
}

impl Crowd {
    /// Registers the relying parties and lets everybody log in.
    pub(super) async fn gather(house: &House, plan: &Plan<'_>) -> Result<Self> {
        for (number, hook) in plan.hooks.iter().enumerate() {
            let webhook = format!("http://{hook}/hook/{}", rp(number));
            let config = json!({ "webhook": webhook, "allow_private": true, "algorithm": plan.algorithm });
            register(&house.admin, &rp(number), &config).await?;
        }
        let idp = IdpId::new(IDP)?;
        let account = |number| Ok(AccountId::new(idp.clone(), Subject::new(&data::uid(number))?));
        let accounts = (0..ACCOUNTS).map(account).collect::<Result<Vec<_>>>()?;
        let keys = published(&house.public).await?;
        let crowd = Self { accounts, keys };
        for first in (0..ACCOUNTS).step_by(usize::try_from(LOT)?) {
            for nth in 0..plan.known_to {
                let logins = (first..first + LOT).map(|number| crowd.login(number, nth, plan.hooks.len()));
                house.ledger.apply_batch(logins.collect()).await?;
            }
        }
        Ok(crowd)
    }

    /// The keys that sign, as they are published.
    pub(super) fn keys(&self) -> &[u8] {
        &self.keys
    }

    /// An account's nth login, each to the next relying party.
    fn login(&self, number: u64, nth: usize, rps: usize) -> Received {
        let rp = rp((usize::try_from(number).unwrap_or_default() + nth) % rps);
        let login = Login { client_id: Some(rp.clone()), ..Login::default() };
        let at = BEGIN.saturating_add_unsigned(nth as u64) - 100;
        let received = self.event(number, at, Change::Login(login));
        Received { message_id: format!("{number} login to {rp}"), ..received }
    }

    /// Password changes, by their numbers, each an account's after the other's.
    pub(super) fn changes(&self, numbers: Range<u64>) -> Vec<Received> {
        numbers.map(|number| self.event(number, change_time(number), Change::PasswordChange)).collect()
    }

    /// Registers a relying party that is told of every account, and is not there.
    pub(super) async fn add_dead(house: &House) -> Result<()> {
        let config = json!({ "webhook": NOBODY, "allow_private": true, "resource_server": true });
        register(&house.admin, "dead", &config).await
    }

    /// Password changes of accounts that have logged in nowhere, each another.
    pub(super) fn changes_of_strangers(numbers: Range<u64>) -> Result<Vec<Received>> {
        let idp = IdpId::new(IDP)?;
        let account =
            |number| anyhow::Ok(AccountId::new(idp.clone(), Subject::new(&data::uid(ACCOUNTS + number))?));
        let received = |number| {
            let event = AccountEvent {
                account: account(number)?,
                at: Some(Millis::new(change_time(number))),
                change: Change::PasswordChange,
            };
            Ok(Received { source: SourceId::new("strangers"), message_id: number.to_string(), event })
        };
        numbers.map(received).collect()
    }

    fn event(&self, number: u64, at: i64, change: Change) -> Received {
        let accounts = u64::try_from(self.accounts.len()).unwrap_or(u64::MAX);
        let account = self.accounts[usize::try_from(number % accounts).unwrap_or_default()].clone();
        let message_id = format!("{number} {}", change.kind().as_str());
        let event = AccountEvent { account, at: Some(Millis::new(at)), change };
        Received { source: SourceId::new("bench"), message_id, event }
    }
}

/// The change time of a password change, by its number.
pub(super) fn change_time(number: u64) -> i64 {
    BEGIN.saturating_add_unsigned(number)
}

fn rp(number: usize) -> String {
    format!("{number:016x}")
}

async fn register(admin: &Router, client_id: &str, config: &Value) -> Result<()> {
    let body = json!({ "client_id": client_id, "config": config }).to_string();
    let request = Request::post("/rps").header("content-type", "application/json").body(Body::from(body))?;
    let response = admin.clone().oneshot(request).await?;
    let status = response.status();
    let said = to_bytes(response.into_body(), usize::MAX).await?;
    ensure!(status == StatusCode::CREATED, "{client_id} is refused: {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// The published keys, once there is one of each algorithm.
async fn published(public: &Router) -> Result<Bytes> {
    for _ in 0..TRIES {
        let request = Request::get("/.well-known/jwks.json").body(Body::empty())?;
        let response = public.clone().oneshot(request).await?;
        let keys = to_bytes(response.into_body(), usize::MAX).await?;
        let set: Value = serde_json::from_slice(&keys)?;
        if set["keys"].as_array().is_some_and(|keys| keys.len() >= 6) {
            return Ok(keys);
        }
        tokio::time::sleep(STEP).await;
    }
    bail!("no signing keys appear")
}
