use futures::FutureExt;
use parking_lot::Mutex;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A task that ended although nobody had asked it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task {name:?} {how}")]
pub struct Died {
    /// The task's name.
    pub name: &'static str,
    /// Whether it panicked or just ended.
    pub how: &'static str,
}

/// The life of a process: tasks are started here, so that one that dies stops the process.
///
/// A soft stop asks every task to finish what it has begun; a hard stop, when the grace is over, drops them.
#[derive(Clone, Default)]
pub struct Lifecycle {
    tasks: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    died: Arc<Mutex<Option<Died>>>,
}

impl Lifecycle {
    /// A life with no tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled at the soft stop: finish what you have begun, begin nothing new.
    pub fn stopping(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Asks for the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Asks for the hard stop: whatever still runs is dropped.
    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Starts a task that runs until the soft stop. If it ends or panics before, the whole process is stopped.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let life = self.clone();
        let watched = async move {
            let outcome = life.hard.run_until_cancelled(AssertUnwindSafe(task).catch_unwind()).await;
            let how = match outcome {
                None | Some(Ok(())) if life.soft.is_cancelled() => return,
                None | Some(Ok(())) => "ended by itself",
                Some(Err(_)) => "panicked",
            };
            tracing::error!(task = name, how, "a task died: stopping");
            life.died.lock().get_or_insert(Died { name, how });
            life.soft.cancel();
        };
        self.tasks.spawn(watched);
    }

    /// Starts a task that may end when it likes (one connection, one delivery). The soft stop waits for it.
    pub fn spawn_short(&self, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            hard.run_until_cancelled(task).await;
        });
    }

    /// Waits for the soft stop, then for the tasks to finish; after `grace` they are dropped.
    ///
    /// # Errors
    /// [`Died`] when the stop came from a task that died.
    pub async fn ended(&self, grace: Duration) -> Result<(), Died> {
        self.soft.cancelled().await;
        self.tasks.close();
        let in_time = tokio::select! {
            outcome = tokio::time::timeout(grace, self.tasks.wait()) => outcome.is_ok(),
            () = self.hard.cancelled() => false,
        };
        if !in_time {
            tracing::warn!(left = self.tasks.len(), "not everything finished in time: dropping the rest");
            self.hard.cancel();
            self.tasks.wait().await;
        }
        self.died.lock().clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_task_that_dies_stops_the_process() {
        let life = Lifecycle::new();
        life.spawn("steady", life.stopping().cancelled_owned());
        life.spawn("fragile", async { panic!("no reason") });
        assert_eq!(life.ended(GRACE).await, Err(Died { name: "fragile", how: "panicked" }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_soft_stop_waits_for_what_was_begun() {
        let life = Lifecycle::new();
        let finished = Arc::new(Mutex::new(false));
        let (stopping, flag) = (life.stopping(), Arc::clone(&finished));
        life.spawn("drains", async move {
            stopping.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            *flag.lock() = true;
        });
        life.stop();
        assert_eq!(life.ended(GRACE).await, Ok(()));
        assert!(*finished.lock());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_dropped_after_the_grace() {
        let life = Lifecycle::new();
        life.spawn("stubborn", std::future::pending());
        life.stop();
        assert_eq!(life.ended(GRACE).await, Ok(()));
    }
}
