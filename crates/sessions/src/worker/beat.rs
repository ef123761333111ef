//! That this process is alive: said every second, believed for a few. So the death of one is noticed within seconds, while
//! a grace for reuse may still run.

use crate::capability::Inner;
use crate::store::claim::Beat;
use std::sync::Arc;
use std::time::Duration;
use work::Tick;

/// Between two beats.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// For how long one is believed.
pub(crate) const LIFE: Duration = Duration::from_secs(4);

/// One beat.
pub(crate) async fn beat(inner: Arc<Inner>) -> Tick {
    // Counted from before it is sent: nobody believes for longer than we do.
    let alive_until = inner.now().plus(LIFE);
    match inner.store.run(Beat { owner: inner.owner.to_string(), alive_until }).await {
        Ok(()) => {
            inner.believed_until(alive_until);
            Tick::Idle
        }
        Err(error) => {
            tracing::warn!(%error, "cannot say that this process is alive: it refreshes nothing meanwhile");
            Tick::Failed
        }
    }
}
