//! `rp import FILE|-`: documents of fxa-event-broker, part by part.

use crate::client::Admin;
use crate::commands::events::parts::{Fill, Part, Parts};
use crate::commands::progress::bar;
use crate::output::Shown;
use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::{Request, header};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokio::io::{AsyncBufRead, BufReader};
use url::form_urlencoded::Serializer;

/// So many of the refused lines are told.
const MOST_TOLD: usize = 100;

/// What the lines came to.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    relying_parties: u64,
    logins: u64,
    deleted_accounts: u64,
    refused: u64,
    refusals: Vec<Refusal>,
}

/// A line that could not be taken over.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    line: usize,
    why: String,
}

/// Takes the file over. Done only when every line could be.
pub(super) async fn run(file: &Path, idp: &str, admin: &Admin) -> Result<Shown> {
    let sum = if file == Path::new("-") {
        send_all(Parts::new(BufReader::new(tokio::io::stdin()), Fill::Full), idp, admin, &bar(None)).await?
    } else {
        let named = || format!("{} cannot be read", file.display());
        let input = tokio::fs::File::open(file).await.with_context(named)?;
        let length = input.metadata().await.with_context(named)?.len();
        send_all(Parts::new(BufReader::new(input), Fill::Full), idp, admin, &bar(Some(length))).await?
    };
    let shown = Shown::new(serde_json::to_value(&sum)?, said(&sum));
    Ok(match sum.refused {
        0 => shown,
        refused => shown.but(format!("{refused} lines were not taken over; see above")),
    })
}

async fn send_all<R: AsyncBufRead + Unpin>(
    mut parts: Parts<R>,
    idp: &str,
    admin: &Admin,
    bar: &ProgressBar,
) -> Result<Sum> {
    let (mut sum, mut lines) = (Sum::default(), 0);
    while let Some(part) = parts.next().await.context("the input cannot be read")? {
        let here = part.lines.split(|byte| *byte == b'\n').count() - 1;
        let came_to = admin.send(request(part, idp)?).await;
        let came_to = came_to.with_context(|| format!("stopped before line {}; run it again", lines + 1))?;
        sum.add(serde_json::from_value(came_to)?, lines);
        lines += here;
        bar.set_position(parts.read());
        bar.set_message(format!("{} logins", sum.logins));
    }
    bar.finish_and_clear();
    Ok(sum)
}

impl Sum {
    /// The next part's, which begins after so many lines.
    fn add(&mut self, part: Self, before: usize) {
        self.relying_parties += part.relying_parties;
        self.logins += part.logins;
        self.deleted_accounts += part.deleted_accounts;
        self.refused += part.refused;
        let told = part.refusals.into_iter().map(|it| Refusal { line: it.line + before, ..it });
        self.refusals.extend(told);
        self.refusals.truncate(MOST_TOLD);
    }
}

fn request(part: Part, idp: &str) -> Result<Request<Body>> {
    let query = Serializer::new(String::new()).append_pair("idp", idp).finish();
    let request = Request::post(format!("/rps/import?{query}"));
    let request =
        request.header(header::HOST, "highwater").header(header::CONTENT_TYPE, "application/x-ndjson");
    Ok(request.body(Body::from(part.lines))?)
}

fn said(sum: &Sum) -> String {
    let Sum { relying_parties, logins, deleted_accounts, refusals, .. } = sum;
    let deleted = match deleted_accounts {
        0 => String::new(),
        some => format!(" {some} accounts are deleted here and were left so."),
    };
    let refused: Vec<String> = refusals.iter().map(|it| format!("\nline {}: {}", it.line, it.why)).collect();
    format!(
        "{relying_parties} relying parties and {logins} logins are taken over.{deleted}{}",
        refused.concat()
    )
}
