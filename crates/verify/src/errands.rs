//! What goes on in the background, if whoever runs the process lets it.

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, mpsc};

/// How many errands may wait. One that finds no place is not run: it was only for the better.
const WAITING: usize = 1024;
/// How many are run at once.
const AT_ONCE: usize = 64;

type Errand = BoxFuture<'static, ()>;

pub(crate) struct Errands {
    queue: mpsc::Sender<Errand>,
    waiting: Mutex<mpsc::Receiver<Errand>>,
    runners: AtomicUsize,
}

/// Somebody runs the errands, as long as this lives.
struct Runner<'a>(&'a AtomicUsize);

impl Errands {
    pub(crate) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self { queue, waiting: Mutex::new(waiting), runners: AtomicUsize::new(0) }
    }

    /// Whether it makes sense to send any.
    pub(crate) fn are_run(&self) -> bool {
        self.runners.load(Ordering::Relaxed) > 0
    }

    /// Leaves an errand to whoever runs them; to nobody when nobody does, or when too many wait.
    pub(crate) fn send(&self, errand: impl Future<Output = ()> + Send + 'static) {
        if self.are_run() {
            // Full: it is left undone.
            drop(self.queue.try_send(Box::pin(errand)));
        }
    }

    /// Runs them until it is dropped; the one who comes second waits for the first to go.
    pub(crate) async fn run(&self) -> Infallible {
        let mut waiting = self.waiting.lock().await;
        self.runners.fetch_add(1, Ordering::Relaxed);
        let _runner = Runner(&self.runners);
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(errand) = waiting.recv(), if under_way.len() < AT_ONCE => under_way.push(errand),
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
            }
        }
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn errands_are_run_while_somebody_runs_them_and_not_kept_for_later() {
        let (errands, done) = (Errands::new(), Arc::new(Semaphore::new(0)));
        let errand = |done: &Arc<Semaphore>| {
            let done = Arc::clone(done);
            async move { done.add_permits(1) }
        };
        errands.send(errand(&done));
        for _ in 0..2 {
            let all_done = async {
                while !errands.are_run() {
                    tokio::task::yield_now().await;
                }
                for _ in 0..200 {
                    errands.send(errand(&done));
                }
                done.acquire_many(200).await.expect("open").forget();
            };
            tokio::select! { biased; never = errands.run() => match never {}, () = all_done => {} }
            assert!(!errands.are_run());
        }
        assert_eq!(done.available_permits(), 0, "the one nobody was there for was never run");
    }
}
