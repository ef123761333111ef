//! What could be had at most: the signatures alone, and the posts alone, by the same library and the same client to the
//! same receivers.

use super::Told;
use crate::serve::Places;
use crate::usage::Usage;
use anyhow::{Context, Result, ensure};
use axum::http::HeaderValue;
use bytes::Bytes;
use jose::{Algorithm, JwkSet, SigningKey};
use outbound::{Client, Manners, Reach, Url, header::AUTHORIZATION};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Posts under way at once: as many as the relying parties take together.
const SIDE_BY_SIDE: usize = 32;

pub(super) struct Limits {
    key: Arc<SigningKey>,
    client: Client,
    places: Vec<Url>,
    /// What is signed.
    message: String,
    /// A token as they are sent.
    bearer: HeaderValue,
}

impl Limits {
    pub(super) fn new(algorithm: &str, places: &Places) -> Result<Self> {
        let algorithm =
            Algorithm::from_name(algorithm).with_context(|| format!("no algorithm {algorithm}"))?;
        let key = SigningKey::generate(algorithm)?;
        let token = key.sign_compact(&header(&key), claims().as_bytes())?;
        let (message, _) = token.rsplit_once('.').context("a token has a signature")?;
        let manners =
            Manners { connect_timeout: Duration::from_secs(5), max_answer: 2048, ..Manners::default() };
        let place = |hook| Ok(format!("http://{hook}/bare").parse()?);
        Ok(Self {
            key: Arc::new(key),
            client: Client::for_outsiders(&manners, Reach::Everywhere)?,
            places: places.hooks.iter().map(place).collect::<Result<_>>()?,
            message: message.to_owned(),
            bearer: format!("Bearer {token}").parse()?,
        })
    }

    /// A set with its own key besides.
    pub(super) fn keys(&self, others: &[u8]) -> Result<Vec<u8>> {
        let mut set = JwkSet::parse(others)?;
        set.keys.push(self.key.jwk().clone());
        Ok(serde_json::to_vec(&set)?)
    }

    /// Signs for so long, on one thread.
    pub(super) async fn sign(&self, duration: Duration) -> Result<Told> {
        let key = Arc::clone(&self.key);
        let message = self.message.clone();
        let signed = tokio::task::spawn_blocking(move || {
            timed(|began| {
                let mut items = 0;
                while began.elapsed() < duration {
                    key.sign(message.as_bytes())?;
                    items += 1;
                }
                Ok(items)
            })
        });
        signed.await?
    }

    /// Posts for so long.
    pub(super) async fn post(&self, duration: Duration) -> Result<Told> {
        let cpu_us = Usage::of("self")?.cpu_us;
        let began = Instant::now();
        // A task each, as the worker has one for each delivery.
        let mut loops = JoinSet::new();
        for place in (0..SIDE_BY_SIDE).flat_map(|_| &self.places) {
            let (client, place, bearer) = (self.client.clone(), place.clone(), self.bearer.clone());
            loops.spawn(async move { post_until(began + duration, &client, &place, &bearer).await });
        }
        let mut items = 0;
        while let Some(posted) = loops.join_next().await {
            items += posted??;
        }
        Ok(Told { items, seconds: began.elapsed().as_secs_f64(), cpu_us: Usage::of("self")?.cpu_us - cpu_us })
    }
}

async fn post_until(end: Instant, client: &Client, place: &Url, bearer: &HeaderValue) -> Result<u32> {
    let mut items = 0;
    while Instant::now() < end {
        let answer = client.post(place, Bytes::new()).header(AUTHORIZATION, bearer.clone()).glance().await?;
        ensure!(answer.status().is_success(), "a receiver refuses what is good: {}", answer.status());
        items += 1;
    }
    Ok(items)
}

fn timed(work: impl FnOnce(Instant) -> Result<u32>) -> Result<Told> {
    let (cpu_us, began) = (Usage::of("self")?.cpu_us, Instant::now());
    let items = work(began)?;
    Ok(Told { items, seconds: began.elapsed().as_secs_f64(), cpu_us: Usage::of("self")?.cpu_us - cpu_us })
}

fn header(key: &SigningKey) -> Vec<u8> {
    json!({ "alg": key.algorithm().name(), "kid": key.kid() }).to_string().into_bytes()
}

/// Claims of the shape and the length of a delivery's.
fn claims() -> String {
    let events = json!({ "https://schemas.accounts.firefox.com/event/password-change": { "changeTime": 1_700_000_000_000_i64 } });
    json!({
        "aud": "0000000000000000", "events": events, "iat": 1_700_000_000,
        "jti": "0b8c0d0e-6d1c-4c57-9f6e-3b4a5a0d9e11", "sub": testkit::data::uid(0), "iss": "https://accounts.example",
    })
    .to_string()
}
