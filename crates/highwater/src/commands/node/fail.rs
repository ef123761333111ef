//! `node fail`.

use super::{at, url};
use crate::cli::FailOptions;
use crate::client::OfService;
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use serde_json::Value;

const WHO: &[Column] =
    &[("UID", "uid"), ("USER", "email"), ("MOVED", "moved_at"), ("NEW UID", "new_uid"), ("TO", "new_node")];

pub(super) async fn run(node: &str, options: &FailOptions, admin: &OfService<'_>) -> Result<Shown> {
    let path = at(node, &["failure"]);
    if options.undo {
        let node = admin.ask(Method::DELETE, &path, None::<&()>).await?;
        let text = format!("{} is as it was before; nobody had moved.", url(&node));
        return Ok(Shown::new(node, text));
    }
    if options.report {
        let query = format!("{path}?after={}&limit={}", options.after, options.limit);
        return Ok(report(admin.get(&query).await?, options.limit));
    }
    let failed = admin.ask(Method::PUT, &path, None::<&()>).await?;
    let text = format!(
        "{} has failed: its {} users move as they come. `--report` tells who has, `--undo` takes it back while nobody has.",
        url(&failed["node"]),
        failed["left"]
    );
    Ok(Shown::new(failed, text))
}

fn report(failure: Value, limit: i64) -> Shown {
    let who = output::rows(&failure["who"]);
    let table = output::table(who, WHO, "Nobody (else) has moved.");
    let last = who.last().filter(|_| i64::try_from(who.len()) == Ok(limit));
    let more =
        last.map(|last| format!("\n\nThere may be more: --after {}.", last["uid"])).unwrap_or_default();
    let text =
        format!("{} users have moved, {} have not.\n\n{table}{more}", failure["moved"], failure["left"]);
    Shown::new(failure, text)
}
