use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What one turn of a worker came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There was nothing (more) to do.
    Idle,
    /// There may be more: go on at once.
    More,
    /// It failed: wait, longer each time.
    Failed,
}

/// How often a worker looks when nothing wakes it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks, ± 10 %, so that nodes do not look in step.
    pub poll: Duration,
    /// The longest wait after failures.
    pub longest_wait: Duration,
}

impl Pace {
    /// Looks every `poll`; after failures waits up to half a minute.
    pub const fn every(poll: Duration) -> Self {
        Self { poll, longest_wait: Duration::from_secs(30) }
    }
}

/// A worker's loop: work while there is work, then wait for a signal or the next poll; after a failure back off.
/// Ends at the soft stop, between two turns.
pub async fn work_through<F: Future<Output = Tick> + Send>(
    stop: CancellationToken,
    mut wake: watch::Receiver<u64>,
    pace: Pace,
    mut turn: impl FnMut() -> F + Send,
) {
    let mut failures = 0_u32;
    let mut turns = 0_u32;
    while !stop.is_cancelled() {
        wake.mark_unchanged();
        turns = turns.wrapping_add(1);
        let wait = match turn().await {
            Tick::More => {
                failures = 0;
                tokio::task::yield_now().await;
                continue;
            }
            Tick::Idle => {
                failures = 0;
                jittered(pace.poll, turns)
            }
            Tick::Failed => {
                failures = failures.saturating_add(1);
                let doubled = Duration::from_millis(100).saturating_mul(1 << failures.min(16));
                jittered(doubled.min(pace.longest_wait), turns)
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            // After a failure a signal says nothing about whether it would go better now.
            Ok(()) = wake.changed(), if failures == 0 => {}
        }
    }
}

/// ± 10 %, by a sequence that spreads evenly (multiples of the golden ratio).
fn jittered(wait: Duration, turn: u32) -> Duration {
    let spread = f64::from(turn.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX);
    wait.mul_f64(0.9 + 0.2 * spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_worker_goes_on_while_there_is_more_and_then_waits_for_the_poll() {
        let stop = CancellationToken::new();
        let (_wake, woken) = watch::channel(0);
        let began = Instant::now();
        let mut looks = Vec::new();
        work_through(stop.clone(), woken, Pace::every(Duration::from_secs(10)), || {
            looks.push(began.elapsed());
            if looks.len() == 5 {
                stop.cancel();
            }
            ready(if looks.len() < 4 { Tick::More } else { Tick::Idle })
        })
        .await;
        assert_eq!(looks[3], Duration::ZERO);
        assert!(looks[4] >= Duration::from_secs(9) && looks[4] <= Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_wakes_an_idle_worker_at_once() {
        let stop = CancellationToken::new();
        let (wake, woken) = watch::channel(0);
        let began = Instant::now();
        let mut looks = 0;
        work_through(stop.clone(), woken, Pace::every(Duration::from_mins(1)), || {
            looks += 1;
            wake.send_modify(|count| *count += 1);
            if looks == 3 {
                stop.cancel();
            }
            ready(Tick::Idle)
        })
        .await;
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_waited_out_longer_each_time_up_to_a_bound() {
        let stop = CancellationToken::new();
        let (_wake, woken) = watch::channel(0);
        let mut looks = Vec::new();
        work_through(stop.clone(), woken, Pace::every(Duration::from_millis(1)), || {
            looks.push(Instant::now());
            if looks.len() == 14 {
                stop.cancel();
            }
            ready(Tick::Failed)
        })
        .await;
        let waits: Vec<_> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits[0] < Duration::from_millis(250));
        assert!(waits[4] > waits[1]);
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(33)));
    }
}
