//! Carries changed timing over to grants that wait.

use crate::capability::{Inner, chance};
use crate::rules::refresh_at;
use crate::store::respread::{FindWaiting, Respread};
use std::sync::Arc;
use store::StoreError;
use work::Tick;

/// Signalled, in this process, when timing was changed.
pub(crate) const TOPIC: &str = "sessions.timing";

/// One turn: a chunk, if timing was changed and not everything that waits has been looked at since.
pub(crate) async fn respread(inner: Arc<Inner>) -> Tick {
    let Some(after) = inner.respread_from.lock().clone() else { return Tick::Idle };
    match chunk(&inner, after.clone()).await {
        Ok(last) => {
            let mut from = inner.respread_from.lock();
            // Changed again meanwhile: it begins anew.
            if from.as_ref() == Some(&after) {
                *from = last;
            }
            if from.is_some() { Tick::More } else { Tick::Idle }
        }
        Err(error) => {
            tracing::warn!(%error, "changed timing cannot be carried over to grants that wait");
            Tick::Failed
        }
    }
}

/// Looks at those after that id; the last of them, if there may be more.
async fn chunk(inner: &Inner, after: String) -> Result<Option<String>, StoreError> {
    let waiting = inner.store.scan(FindWaiting { after }).await?;
    let Some(last) = waiting.last().map(|it| it.id.to_string()) else {
        inner.store.signals().send(super::TOPIC);
        return Ok(None);
    };
    let settings = inner.settings();
    let anew = waiting.into_iter().map(|it| {
        let timing = settings.policy(&it.idp).timing;
        (it.id, it.generation, refresh_at(it.issued_at, it.expires_at, &timing, chance()))
    });
    inner.store.run(Respread(anew.collect())).await?;
    Ok(Some(last))
}
