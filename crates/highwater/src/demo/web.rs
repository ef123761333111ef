//! A service that the user logs in to by the identity provider, and that lets Highwater keep the login.

use super::stage::{IDP, Stage};
use super::walk::{PATIENCE, USER, header};
use anyhow::{Context, Result, ensure};
use outbound::header::AUTHORIZATION;
use outbound::{Answer, StatusCode, Url};
use serde_json::{Value, json};
use standins::{LoginClient, LoginTokens};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The client that users log in to, and its secret.
pub(super) const CLIENT: &str = "web";
pub(super) const SECRET: &str = "the web's secret";
/// How long an access token lasts: short, so that the walk sees it refreshed.
const LIFE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);

/// The service, and the login that it has.
pub(super) struct Web<'a> {
    stage: &'a Stage,
    login: OnceLock<(Url, LoginTokens)>,
}

impl<'a> Web<'a> {
    /// The identity provider knows it.
    pub(super) fn known_to_the_idp(stage: &'a Stage) -> Self {
        let logins = stage.idp.logins();
        logins.register(LoginClient::new(CLIENT, SECRET));
        logins.access_tokens_last(LIFE);
        Self { stage, login: OnceLock::new() }
    }

    /// The user logs in, and Highwater keeps the session.
    pub(super) async fn logs_in(&self) -> Result<String> {
        let tokens = self.stage.idp.logins().log_in(CLIENT, USER).context("the user is there")?;
        let new = json!({
            "idp": IDP, "subject": USER, "sid": tokens.sid,
            "tokens": {
                "access_token": tokens.access_token, "refresh_token": tokens.refresh_token,
                "expires_in": tokens.expires_in,
            },
        });
        let sessions = self.stage.url("service", "/sessions")?;
        let answer = self.post(&sessions, &new).await?;
        ensure!(answer.status() == StatusCode::CREATED, "not kept: {}", answer.status());
        let made: Value = answer.json()?;
        let id = made["id"].as_str().context("a session has an id")?;
        let token = Url::parse(&format!("{sessions}/{id}/access-token"))?;
        let _ = self.login.set((token, tokens));
        Ok(format!("kept: the session of a login whose access token lasts {} s", LIFE.as_secs()))
    }

    /// Nobody asks for it: there is another access token before the first one ends, and the identity provider takes it.
    pub(super) async fn is_refreshed(&self) -> Result<String> {
        let (_, first) = self.login()?;
        let until = Instant::now() + PATIENCE;
        let mut token = self.access_token().await?;
        while token == first.access_token && Instant::now() < until {
            tokio::time::sleep(STEP).await;
            token = self.access_token().await?;
        }
        ensure!(token != first.access_token, "not refreshed within {} s", PATIENCE.as_secs());
        let logins = self.stage.idp.logins();
        let (once, back) = (logins.presentations(&first.refresh_token), logins.reuses_detected());
        ensure!((once, back) == (1, 0), "its refresh token was presented {once} times");
        let userinfo = Url::parse(&format!("{}/oauth2/userinfo", self.stage.idp.url()))?;
        let bearer = header(&format!("Bearer {token}"))?;
        let told: Value =
            self.stage.client.get(&userinfo).header(AUTHORIZATION, bearer).send().await?.json()?;
        ensure!(told["sub"] == USER, "the identity provider does not take the new token: {told}");
        Ok("refreshed ahead of its end, and each refresh token was presented once".to_owned())
    }

    /// There are no more access tokens for it.
    pub(super) async fn has_ended(&self, changed: Instant) -> Result<String> {
        let answer = self.ask_for_a_token().await?;
        let after = changed.elapsed().as_secs_f64() * 1_000.0;
        let status = answer.status().as_u16();
        ensure!(answer.status() == StatusCode::GONE, "not refused: {status}");
        let problem: Value = answer.json()?;
        let title = problem["title"].as_str().unwrap_or_default();
        Ok(format!("refused: {status} {title}, {after:.2} ms after the change"))
    }

    fn login(&self) -> Result<&(Url, LoginTokens)> {
        self.login.get().context("nobody has logged in")
    }

    async fn access_token(&self) -> Result<String> {
        let answer = self.ask_for_a_token().await?;
        ensure!(answer.status() == StatusCode::OK, "no access token: {}", answer.status());
        let token: Value = answer.json()?;
        Ok(token["access_token"].as_str().context("a token is a text")?.to_owned())
    }

    async fn ask_for_a_token(&self) -> Result<Answer> {
        self.post(&self.login()?.0, &json!({})).await
    }

    async fn post(&self, url: &Url, body: &Value) -> Result<Answer> {
        let bearer = header(&format!("Bearer {}", self.stage.web))?;
        let request = self.stage.client.post_json(url, body);
        Ok(request.header(AUTHORIZATION, bearer).send().await?)
    }
}
