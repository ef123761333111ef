//! An app of the user's that reads from an API, which asks the token check before it serves anybody.

use super::stage::{API_PATH, Stage};
use super::walk::{PATIENCE, USER, header, said};
use anyhow::{Result, ensure};
use outbound::header::AUTHORIZATION;
use outbound::{Answer, StatusCode, Url};
use standins::Device;
use std::time::Instant;

/// An app with the device's access token reads from the API, which asks the token check first; `how` that knows the token.
pub(super) async fn reads(stage: &Stage, device: &Device, how: &str) -> Result<String> {
    let answer = read(stage, device).await?;
    ensure!(answer.status() == StatusCode::OK, "not served: {}", said(&answer));
    let told: serde_json::Value = answer.json()?;
    ensure!(told["subject"] == USER, "served as somebody else: {told}");
    ensure!(told["check"] == how, "served, but the check has not {how} the token: {told}");
    Ok(format!("served: the API let it read as the user; the check {how} its token"))
}

/// The API lets the app in no more. The check hears of a change a moment after its commit: asked until it has.
pub(super) async fn shut_out(stage: &Stage, device: &Device, changed: Instant) -> Result<String> {
    let mut answer = read(stage, device).await?;
    while answer.status() == StatusCode::OK && changed.elapsed() < PATIENCE {
        answer = read(stage, device).await?;
    }
    let after = changed.elapsed().as_secs_f64() * 1_000.0;
    let is_refusal = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    ensure!(is_refusal, "not refused: {}", said(&answer));
    Ok(format!("refused: {}, {after:.2} ms after the change", said(&answer)))
}

async fn read(stage: &Stage, device: &Device) -> Result<Answer> {
    let [(_, bearer), _] = device.credentials();
    let url = Url::parse(&format!("{}{API_PATH}", stage.api.url()))?;
    Ok(stage.client.get(&url).header(AUTHORIZATION, header(&bearer)?).send().await?)
}
