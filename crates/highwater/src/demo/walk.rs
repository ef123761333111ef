//! The walk: what the user does, and what must come of it.

use super::app::{reads, shut_out};
use super::page::Page;
use super::party::Party;
use super::stage::{AUDIENCE, IDP, Stage};
use super::web::Web;
use crate::client::path;
use anyhow::{Context, Result, anyhow, bail, ensure};
use axum::body::Body;
use axum::http::Request;
use axum::http::header::HOST;
use outbound::header::{AUTHORIZATION, HeaderName, HeaderValue};
use outbound::{Answer, StatusCode, Url};
use serde::Serialize;
use serde_json::json;
use standins::{Device, SecurityEvent, TokenAnswer};
use std::time::{Duration, Instant};

/// The user of the walk, by the subject the identity provider knows.
pub(crate) const USER: &str = "0c1e5f3a9b7d4e62a8f01b2c3d4e5f60";
/// Somebody else, whom none of it concerns.
const NEIGHBOUR: &str = "7f6e5d4c3b2a19087f6e5d4c3b2a1908";
/// Whoever tries the lines printed at the end.
pub(crate) const VISITOR: &str = "11112222333344445555666677778888";
/// A relying party that has not heard by then was not told.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN_PATH: &str = "/1.0/sync/1.5";
const EVENT_PATH: &str = "/1.0/webhooks/fxa/events";

/// One step, and whether it held.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) who: &'static str,
    pub(crate) what: String,
    pub(crate) held: bool,
    /// How long the request took; absent where none was made.
    pub(crate) micros: Option<u64>,
}

/// The walk under way.
pub(crate) struct Walk<'a> {
    stage: &'a Stage,
    page: &'a Page,
    steps: Vec<Step>,
    /// When the account last changed at its identity provider.
    changed: Instant,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(stage: &'a Stage, page: &'a Page) -> Self {
        Self { stage, page, steps: Vec::new(), changed: Instant::now() }
    }

    /// All of it. A step that does not hold is told, and the walk goes on.
    pub(crate) async fn go(mut self) -> Result<Vec<Step>> {
        let stage = self.stage;
        stage.idp.sign_up(USER);
        stage.idp.sign_up(NEIGHBOUR);

        self.page.act(1, "Three devices sign in; each gets a token and signs a request with it", "")?;
        let [laptop, phone, tablet, neighbour] =
            [sign_in(stage, USER)?, sign_in(stage, USER)?, sign_in(stage, USER)?, sign_in(stage, NEIGHBOUR)?];
        for (who, device) in
            [("laptop", &laptop), ("phone", &phone), ("tablet", &tablet), ("neighbour", &neighbour)]
        {
            self.step(who, served(stage, device)).await?;
        }
        self.step("app", reads(stage, &laptop, "learned")).await?;
        self.step("app, again", reads(stage, &laptop, "remembered")).await?;
        self.step("logins", logged_in(stage)).await?;
        let web = Web::known_to_the_idp(stage);
        self.step("web session", web.logs_in()).await?;
        self.step("web, later", web.is_refreshed()).await?;

        self.page.act(
            2,
            "The password is changed on the phone",
            "The old access tokens are good JWTs for six more hours; nobody took them back.",
        )?;
        let changed_at = stage.idp.change_password(USER).context("the user is there")?;
        self.changed = Instant::now();
        self.step("event", told(stage, SecurityEvent::PasswordChange(changed_at))).await?;
        self.step("laptop", refused(stage, &laptop, self.changed)).await?;
        self.step("tablet", refused(stage, &tablet, self.changed)).await?;
        self.step("app", shut_out(stage, &laptop, self.changed)).await?;
        self.step("web session", web.has_ended(self.changed)).await?;
        self.heard(["password-change", "credential-change"]).await?;
        let phone = sign_in(stage, USER)?;
        self.step("phone, anew", served(stage, &phone)).await?;
        self.step("app, anew", reads(stage, &phone, "learned")).await?;

        self.page.act(3, "The account is deleted", "")?;
        stage.idp.delete(USER);
        self.changed = Instant::now();
        self.step("event", told(stage, SecurityEvent::DeleteUser)).await?;
        self.step("phone", refused(stage, &phone, self.changed)).await?;
        self.step("laptop", refused(stage, &laptop, self.changed)).await?;
        self.step("app", shut_out(stage, &phone, self.changed)).await?;
        self.heard(["delete-user", "account-purged"]).await?;
        self.step("receipts", confirmed(stage)).await?;
        self.step("neighbour", served(stage, &neighbour)).await?;
        Ok(self.steps)
    }

    /// Both relying parties were told, each in its words. That is no request of ours: it takes no time of its own.
    async fn heard(&mut self, events: [&str; 2]) -> Result<()> {
        for (party, event) in self.stage.parties.iter().zip(events) {
            let outcome = heard(party, event, self.changed).await;
            self.record(party.name, outcome, None)?;
        }
        Ok(())
    }

    async fn step(&mut self, who: &'static str, act: impl Future<Output = Result<String>>) -> Result<()> {
        let began = Instant::now();
        let outcome = act.await;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.record(who, outcome, Some(micros))
    }

    fn record(&mut self, who: &'static str, outcome: Result<String>, micros: Option<u64>) -> Result<()> {
        let held = outcome.is_ok();
        let what = outcome.unwrap_or_else(|error| format!("{error:#}"));
        let step = Step { who, what, held, micros };
        self.page.step(&step)?;
        self.steps.push(step);
        Ok(())
    }
}

/// A line that shows a fresh device's request.
pub(crate) fn visitor(stage: &Stage) -> Result<String> {
    stage.idp.sign_up(VISITOR);
    let headers = sign_in(stage, VISITOR)?.credentials().map(|(name, value)| format!("-H '{name}: {value}'"));
    Ok(format!("curl -s {} {}", headers.join(" "), stage.url("public", TOKEN_PATH)?))
}

fn sign_in(stage: &Stage, subject: &str) -> Result<Device> {
    stage.idp.sign_in(subject).map(Device::new).with_context(|| format!("there is no user {subject}"))
}

/// The device gets a token, and its node accepts a request signed with it.
async fn served(stage: &Stage, device: &Device) -> Result<String> {
    let answer = exchange(stage, device).await?;
    ensure!(answer.status() == StatusCode::OK, "not served: {}", said(&answer));
    let token: TokenAnswer = answer.json()?;
    let collections = Url::parse(&token.collections_url())?;
    let signed = header(&token.sign("GET", &collections, stage.clock.now()))?;
    let accepted = stage.client.get(&collections).header(AUTHORIZATION, signed).send().await?;
    ensure!(accepted.status() == StatusCode::OK, "its node refused the signed request: {}", said(&accepted));
    let node = stage.nodes.iter().position(|node| token.api_endpoint.starts_with(&node.url()));
    let node = node.ok_or_else(|| anyhow!("{} is none of the nodes", token.api_endpoint))? + 1;
    Ok(format!(
        "served: a token for node {node} as user {}, and node {node} accepted its signature",
        token.uid
    ))
}

/// The device gets no token, and is told why.
async fn refused(stage: &Stage, device: &Device, changed: Instant) -> Result<String> {
    let answer = exchange(stage, device).await?;
    ensure!(answer.status() == StatusCode::UNAUTHORIZED, "not refused: {}", said(&answer));
    let after = changed.elapsed().as_secs_f64() * 1_000.0;
    Ok(format!("refused: {}, {after:.2} ms after the change", said(&answer)))
}

/// Highwater is told by the identity provider: a signed Security Event Token, answered when it is committed.
async fn told(stage: &Stage, event: SecurityEvent) -> Result<String> {
    let token = stage.idp.security_event(AUDIENCE, USER, &event);
    let url = stage.url("public", EVENT_PATH)?;
    let bearer = header(&format!("Bearer {token}"))?;
    let answer = stage.client.post_json(&url, "").header(AUTHORIZATION, bearer).send().await?;
    if answer.status() != StatusCode::OK {
        bail!("the event was not taken: {}", said(&answer));
    }
    Ok("the identity provider's signed event was taken in and committed".to_owned())
}

/// The user has logged in to both relying parties, and Highwater remembers it: the identity provider's own events, as its
/// queue or a file would bring them.
async fn logged_in(stage: &Stage) -> Result<String> {
    let at = stage.clock.now().get();
    let event = |party: &Party| json!({ "event": "login", "uid": USER, "clientId": party.client_id, "timestamp": at, "email": "", "deviceCount": 3 });
    let lines = stage.parties.iter().map(|party| event(party).to_string()).collect::<Vec<_>>().join("\n");
    let admin = stage.admin().await?;
    let request = Request::post("/events?origin=demo&offset=0").header(HOST, "highwater");
    let taken = admin.send(request.body(Body::from(lines))?).await?;
    ensure!(taken["news"] == 2, "the logins were not taken in: {taken}");
    let logins = admin.get(&path(&["accounts", IDP, USER, "logins"])).await?;
    ensure!(logins.as_array().is_some_and(|it| it.len() == 2), "they are not remembered: {logins}");
    Ok("the user logs in to photos and notes; both are remembered".to_owned())
}

/// The relying party was told, and believes it: the signature is by a published key.
async fn heard(party: &Party, event: &str, changed: Instant) -> Result<String> {
    let told = tokio::time::timeout(PATIENCE, party.rp.hears(event, USER)).await;
    let told = told.map_err(|_| anyhow!("not told of {event} within {} s", PATIENCE.as_secs()))?;
    let after = told.at.saturating_duration_since(changed).as_secs_f64() * 1_000.0;
    let Party { way, .. } = party;
    Ok(format!("told {way}: {event}, {} verified, {after:.2} ms after the change", told.algorithm))
}

/// Every relying party has confirmed the deletion: it answered, and that is kept.
async fn confirmed(stage: &Stage) -> Result<String> {
    let admin = stage.admin().await?;
    let asked = path(&["accounts", IDP, USER, "deletion-receipts"]);
    let all = stage.parties.len();
    let mut confirmed = 0;
    let until = Instant::now() + PATIENCE;
    while confirmed < all && Instant::now() < until {
        let receipts = admin.get(&asked).await?;
        let kept = receipts.as_array().context("a list")?;
        confirmed = kept.iter().filter(|it| it["state"] == "delivered").count();
        tokio::task::yield_now().await;
    }
    ensure!(confirmed == all, "{confirmed} of {all} relying parties confirmed the deletion");
    Ok(format!("{confirmed} of {all} relying parties confirmed the deletion; their receipts are kept"))
}

async fn exchange(stage: &Stage, device: &Device) -> Result<Answer> {
    let mut request = stage.client.get(&stage.url("public", TOKEN_PATH)?);
    for (name, value) in device.credentials() {
        request = request.header(HeaderName::from_static(name), header(&value)?);
    }
    Ok(request.send().await?)
}

pub(super) fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).context("a header holds visible characters")
}

/// An answer in short: its status, and what the body calls it.
pub(super) fn said(answer: &Answer) -> String {
    let body: serde_json::Value = answer.json().unwrap_or_default();
    let word = body["status"].as_str().or(body["error_code"].as_str());
    let called = word.map(|word| format!(" {word}")).unwrap_or_default();
    format!("{}{called}", answer.status().as_u16())
}
