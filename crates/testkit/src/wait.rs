use std::time::Duration;
use tokio::time::{Instant, sleep};

const STEP: Duration = Duration::from_millis(10);

/// Asks until `holds` says yes; panics with `what` when it has not by `deadline` (a time span from now).
///
/// For what another process does in its own time. Within a process, wait for the thing itself.
pub async fn wait_until(what: &str, deadline: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !holds().await {
        assert!(Instant::now() < end, "{what}: not so within {deadline:?}");
        sleep(STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_returns_as_soon_as_it_holds() {
        let mut asked = 0;
        wait_until("asked three times", Duration::from_secs(1), async || {
            asked += 1;
            asked == 3
        })
        .await;
        assert_eq!(asked, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the moon is blue: not so within 50ms")]
    async fn it_panics_with_what_it_waited_for() {
        wait_until("the moon is blue", Duration::from_millis(50), async || false).await;
    }
}
