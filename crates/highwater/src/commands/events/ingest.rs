//! `events ingest FILE|-`: a file of events, part by part, each committed before the next is sent.

use super::parts::{Fill, Part, Parts};
use crate::client::Admin;
use crate::commands::progress::bar;
use crate::output::Shown;
use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::{Request, header};
use indicatif::ProgressBar;
use ingest::sources::file::digest;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokio::io::{AsyncBufRead, BufReader};
use url::form_urlencoded::Serializer;

/// What is read at once.
const BUFFER: usize = 256 * 1024;

/// What the lines came to, in all.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    events: u64,
    news: u64,
    known: u64,
    junk: u64,
    bytes: u64,
}

/// Takes the file in.
pub(crate) async fn run(file: &Path, idp: Option<&str>, admin: &Admin) -> Result<Shown> {
    let sum = if file == Path::new("-") {
        // A pipe has no name; its messages are known by this run, its events by what they say.
        let origin = format!("stdin-{}", uuid::Uuid::new_v4());
        let input = Parts::new(BufReader::with_capacity(BUFFER, tokio::io::stdin()), Fill::AtHand);
        send_all(input, &origin, idp, admin, &bar(None)).await?
    } else {
        let named = || format!("{} cannot be read", file.display());
        let origin = digest(file).await.with_context(named)?;
        let input = tokio::fs::File::open(file).await.with_context(named)?;
        let length = input.metadata().await.with_context(named)?.len();
        let parts = Parts::new(BufReader::with_capacity(BUFFER, input), Fill::Full);
        send_all(parts, &origin, idp, admin, &bar(Some(length))).await?
    };
    let text = said(&sum);
    Ok(Shown::new(serde_json::to_value(&sum)?, text))
}

async fn send_all<R: AsyncBufRead + Unpin>(
    mut parts: Parts<R>,
    origin: &str,
    idp: Option<&str>,
    admin: &Admin,
    bar: &ProgressBar,
) -> Result<Sum> {
    let mut sum = Sum::default();
    while let Some(part) = parts.next().await.context("the input cannot be read")? {
        let at = part.offset;
        let stopped = || format!("stopped before byte {at}; run it again, nothing is applied twice");
        let came_to = admin.send(request(part, origin, idp)?).await.with_context(stopped)?;
        let came_to: Sum = serde_json::from_value(came_to)?;
        sum.events += came_to.events;
        sum.news += came_to.news;
        sum.known += came_to.known;
        sum.junk += came_to.junk;
        sum.bytes = parts.read();
        bar.set_position(sum.bytes);
        bar.set_message(format!("{} events, {} dead letters", sum.events, sum.junk));
    }
    bar.finish_and_clear();
    Ok(sum)
}

fn request(part: Part, origin: &str, idp: Option<&str>) -> Result<Request<Body>> {
    let mut query = Serializer::new(String::new());
    query.append_pair("origin", origin).append_pair("offset", &part.offset.to_string());
    if let Some(idp) = idp {
        query.append_pair("idp", idp);
    }
    let request = Request::post(format!("/events?{}", query.finish()));
    let request =
        request.header(header::HOST, "highwater").header(header::CONTENT_TYPE, "application/x-ndjson");
    Ok(request.body(Body::from(part.lines))?)
}

fn said(sum: &Sum) -> String {
    let Sum { events, news, known, junk, .. } = sum;
    let letters = match junk {
        0 => String::new(),
        1 => "\n1 line became a dead letter; `highwater events dead list` shows why.".to_owned(),
        junk => format!("\n{junk} lines became dead letters; `highwater events dead list` shows why."),
    };
    let events = if *events == 1 { "1 event".to_owned() } else { format!("{events} events") };
    format!("{events}: {news} new, {known} known before.{letters}")
}
