//! `sessions list|show|end|refresh|acts|idps`.

use crate::cli::{SessionActsOptions, SessionListOptions, SessionsCommand};
use crate::client::{Admin, path};
use crate::output::{self, Column, Shown};
use anyhow::Result;
use axum::http::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("IDP", "idp"),
    ("SUBJECT", "subject"),
    ("STATE", "state"),
    ("REASON", "reason"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
    ("GRANT", "grant.state"),
    ("REFRESHED", "grant.generation"),
    ("NEXT", "grant.next_attempt_at"),
    ("FAILED", "grant.failures"),
];
const MEMBERS: &[Column] = &[
    ("id", "id"),
    ("identity provider", "idp"),
    ("subject", "subject"),
    ("login there", "sid"),
    ("state", "state"),
    ("reason", "reason"),
    ("version", "version"),
    ("authenticated", "authenticated_at"),
    ("created", "created_at"),
    ("used", "touched_at"),
    ("expires", "expires_at"),
    ("ended", "ended_at"),
    ("grant", "grant.id"),
    ("grant is", "grant.state"),
    ("because", "grant.reason"),
    ("login needed", "login_needed"),
    ("refreshed, times", "grant.generation"),
    ("token since", "grant.issued_at"),
    ("token until", "grant.expires_at"),
    ("next refresh", "grant.next_attempt_at"),
    ("failures", "grant.failures"),
    ("last error", "grant.last_error.class"),
    ("it said", "grant.last_error.text"),
    ("that was", "grant.last_error.at"),
    ("user looked at", "userinfo.fetched_at"),
    ("next look", "userinfo.next_fetch_at"),
    ("looks failed", "userinfo.failures"),
    ("last look said", "userinfo.last_error.text"),
    ("and that was", "userinfo.last_error.at"),
];
const ACTS: &[Column] = &[
    ("NUMBER", "id"),
    ("AT", "at"),
    ("ACT", "act"),
    ("BY", "actor"),
    ("NAME", "name"),
    ("SESSION", "session"),
    ("IDP", "idp"),
    ("SUBJECT", "subject"),
    ("SESSIONS", "sessions"),
];
const IDPS: &[Column] = &[
    ("IDP", "idp"),
    ("BREAKER", "breaker"),
    ("LAST ERROR", "last_error.class"),
    ("AT", "last_error.at"),
    ("TEXT", "last_error.text"),
];

/// Carries the command out.
pub(crate) async fn run(command: SessionsCommand, admin: &Admin) -> Result<Shown> {
    match command {
        SessionsCommand::List(options) => list(&options, admin).await,
        SessionsCommand::Show { id } => {
            let session = admin.get(&path(&["sessions", &id])).await?;
            let text = output::card(&session, MEMBERS);
            Ok(Shown::new(session, text))
        }
        SessionsCommand::End { idp: Some(idp), subject: Some(subject), .. } => {
            let place = path(&["accounts", &idp, &subject, "end-sessions"]);
            let ended = admin.ask(Method::POST, &place, None::<&()>).await?;
            let count = ended["sessions"].as_u64().unwrap_or_default();
            Ok(Shown::new(ended, format!("{count} ended.")))
        }
        SessionsCommand::End { ids, .. } => {
            each(&ids, "end", admin).await?;
            Ok(Shown::new(json!({ "ended": ids }), format!("{} ended.", ids.len())))
        }
        SessionsCommand::Refresh { ids } => {
            each(&ids, "refresh", admin).await?;
            let text = format!(
                "{} due now; `highwater sessions show ID` tells how it went.",
                if ids.len() == 1 { "It is".to_owned() } else { format!("{} are", ids.len()) }
            );
            Ok(Shown::new(json!({ "due": ids }), text))
        }
        SessionsCommand::Acts(options) => {
            let acts = admin.get(&format!("/session-acts?{}", about(&options))).await?;
            let table = output::table(output::rows(&acts), ACTS, "Nobody had sessions ended or refreshed.");
            Ok(Shown::new(acts, table))
        }
        SessionsCommand::Idps => {
            let idps = admin.get("/session-idps").await?;
            let nothing = "No identity provider that users log in by is configured.";
            let table = output::table(output::rows(&idps), IDPS, nothing);
            Ok(Shown::new(idps, table))
        }
    }
}

async fn each(ids: &[String], what: &str, admin: &Admin) -> Result<()> {
    for id in ids {
        admin.ask(Method::POST, &path(&["sessions", id, what]), None::<&()>).await?;
    }
    Ok(())
}

async fn list(options: &SessionListOptions, admin: &Admin) -> Result<Shown> {
    let listed = admin.get(&format!("/sessions?{}", query(options))).await?;
    let rows: &[Value] = output::rows(&listed);
    let table = output::table(rows, COLUMNS, "There are no such sessions.");
    let last = rows.last().filter(|_| i64::try_from(rows.len()) == Ok(options.limit));
    let more = last.and_then(|last| last["id"].as_str());
    let more = more.map(|last| format!("\n\nThere may be more: --after {last}.")).unwrap_or_default();
    let text = table + &more;
    Ok(Shown::new(listed, text))
}

fn about(options: &SessionActsOptions) -> String {
    let SessionActsOptions { session, idp, subject, before, limit } = options;
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    if let Some(before) = before {
        query.append_pair("before", &before.to_string());
    }
    for (name, value) in [("session", session), ("idp", idp), ("subject", subject)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

fn query(options: &SessionListOptions) -> String {
    let SessionListOptions { idp, subject, sid, ended, after, limit } = options;
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string()).append_pair("ended", &ended.to_string());
    for (name, value) in [("idp", idp), ("subject", subject), ("sid", sid), ("after", after)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}
