//! That sessions are used, gathered for a few seconds: a thousand touches of one session are one row.

use crate::SessionId;
use crate::capability::Inner;
use crate::store::touch::Touch;
use account::Millis;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use work::Tick;

/// What is gathered at most; beyond it a touch is lost, which makes a session look a little less used than it is.
const MOST: usize = 100_000;
const CHUNK: usize = 500;

/// Touches that are not kept yet.
#[derive(Default)]
pub(crate) struct Touches(Mutex<HashMap<SessionId, Millis>>);

impl Touches {
    /// A session was used.
    pub(crate) fn touch(&self, session: &SessionId, now: Millis) {
        let mut gathered = self.0.lock();
        if let Some(at) = gathered.get_mut(session) {
            *at = (*at).max(now);
        } else if gathered.len() < MOST {
            gathered.insert(session.clone(), now);
        }
    }

    fn take(&self) -> Vec<(SessionId, Millis)> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }
}

/// Keeps what was gathered.
pub(crate) async fn flush(inner: Arc<Inner>) -> Tick {
    let mut gathered = inner.touches.take();
    // Two nodes that keep the same rows do so in one order.
    gathered.sort();
    for chunk in gathered.chunks(CHUNK) {
        let touch = Touch { touches: chunk.to_vec(), now: inner.now() };
        if let Err(error) = inner.store.run(touch).await {
            tracing::warn!(%error, "that sessions were used cannot be kept");
            for (session, at) in &gathered {
                inner.touches.touch(session, *at);
            }
            return Tick::Failed;
        }
    }
    Tick::Idle
}
