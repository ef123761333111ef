//! How sessions are, for whoever looks after them.

use crate::Sessions;
use crate::capability::Inner;
use crate::store::retention::ReadOverdue;
use crate::store::revocations::ReadDepth;
use std::time::Duration;
use store::StoreError;

/// What is due for longer than this is late.
const LATE: Duration = Duration::from_mins(1);
/// What is not revoked for longer than this waits for somebody to look.
const LONG: Duration = Duration::from_hours(1);

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// Whether somebody should look too. Sessions are kept all the same.
    pub is_degraded: bool,
    /// What was found, in a few words.
    pub detail: String,
}

impl Sessions {
    /// Looks at what is due, at identity providers, and at what is to be revoked.
    pub async fn findings(&self) -> Vec<Finding> {
        match look(&self.0).await {
            Ok(findings) => findings,
            Err(error) => vec![Finding { name: "sessions", is_degraded: true, detail: error.to_string() }],
        }
    }
}

async fn look(inner: &Inner) -> Result<Vec<Finding>, StoreError> {
    let now = inner.now();
    let (mut late, mut spared) = (Vec::new(), Vec::new());
    let mut due = 0;
    for lane in inner.lanes.iter() {
        let (count, oldest) = inner.store.scan(ReadOverdue { idp: lane.idp.clone(), now }).await?;
        due += count;
        let age = now.since(oldest);
        if count > 0 && age > LATE {
            late.push(format!("{} for {} s", lane.idp, age.as_secs()));
        }
        let standing = lane.standing(now);
        if standing.breaker != "closed" {
            spared.push(format!("{} for {} s", lane.idp, standing.spared_for.as_secs()));
        }
    }
    let detail = match late.as_slice() {
        [] => format!("{due} due"),
        _ => format!("{due} due, {}", late.join(", ")),
    };
    let refreshes = Finding { name: "refreshes", is_degraded: !late.is_empty(), detail };
    let detail = match spared.as_slice() {
        [] => "every identity provider is asked".to_owned(),
        _ => format!("spared: {}", spared.join(", ")),
    };
    let idps = Finding { name: "identity_providers", is_degraded: !spared.is_empty(), detail };
    let (pending, oldest) = inner.store.scan(ReadDepth).await?;
    let is_long = pending > 0 && now.since(oldest) > LONG;
    let detail = format!("{pending} pending");
    Ok(vec![refreshes, idps, Finding { name: "revocations", is_degraded: is_long, detail }])
}
