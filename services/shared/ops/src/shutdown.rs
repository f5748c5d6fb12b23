//! The end of a process in phases: a signal asks it to stop, tasks finish in their own time, a
//! second signal or the end of the grace period aborts what is left.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks get to end once they were told to abort.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Signals within this time of the first one mean the same stop.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Where a process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody asked for an end.
    Running,
    /// `token` is cancelled: become unready, drain, stop.
    Stopping,
    /// `abort` is cancelled: end now.
    Aborting,
}

/// Handles shared by all tasks of one process; clones are cheap and mean the same shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled at the first signal: stop in order. Also cancelled when `abort` is.
    pub token: CancellationToken,
    /// Cancelled at the second signal or when the grace period is over: end at once.
    pub abort: CancellationToken,
    /// Owns every task of the service, so that none is left behind.
    pub tracker: TaskTracker,
    failed: Arc<AtomicBool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A shutdown nobody has asked for yet. It does not listen to signals by itself.
    #[must_use]
    pub fn new() -> Self {
        let abort = CancellationToken::new();
        Self {
            token: abort.child_token(),
            abort,
            tracker: TaskTracker::new(),
            failed: Arc::new(AtomicBool::new(false)),
        }
    }

    /// A shutdown that begins with SIGTERM or SIGINT and aborts with the second of them. The
    /// handlers are in place when this returns; needs a tokio runtime.
    ///
    /// # Errors
    /// The system refused to install a signal handler.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (token, abort) = (shutdown.token.clone(), shutdown.abort.clone());
        // Not tracked: it waits for signals for as long as the process lives.
        tokio::spawn(async move {
            let mut first = None;
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if let Some(first) = first {
                    // A terminal or a supervisor may signal the process and its group.
                    if tokio::time::Instant::now() < first + SAME_SIGNAL {
                        continue;
                    }
                    tracing::warn!(signal = name, "second signal, aborting");
                    abort.cancel();
                } else {
                    first = Some(tokio::time::Instant::now());
                    tracing::info!(signal = name, "stopping");
                    token.cancel();
                }
            }
        });
        Ok(shutdown)
    }

    /// Where the process is on its way out.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.abort.is_cancelled() {
            Phase::Aborting
        } else if self.token.is_cancelled() {
            Phase::Stopping
        } else {
            Phase::Running
        }
    }

    /// Runs a task the service cannot do without: when it panics, the process stops and
    /// [`failed`](Self::failed) says so. A task that only returns ends nothing.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        use tracing::Instrument;

        let shutdown = self.clone();
        let task = tokio::spawn(task.in_current_span());
        self.tracker.spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!(task = name, "task panicked, stopping");
                shutdown.failed.store(true, Ordering::Relaxed);
                shutdown.token.cancel();
            }
        });
    }

    /// True when a task started with [`spawn`](Self::spawn) panicked or tasks had to be aborted:
    /// leave with [`crate::exit::FAILURE`].
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until every tracked task has ended. After `timeout`, or as soon as `abort` is
    /// cancelled, the rest is told to abort and gets one second more. True when all ended without
    /// that.
    pub async fn wait_all(&self, timeout: Duration) -> bool {
        self.tracker.close();
        let clean = tokio::select! {
            () = self.tracker.wait() => true,
            () = self.abort.cancelled() => false,
            () = tokio::time::sleep(timeout) => false,
        };
        if clean {
            return true;
        }
        tracing::warn!(
            tasks = self.tracker.len(),
            "tasks left at the end, aborting"
        );
        self.failed.store(true, Ordering::Relaxed);
        self.abort.cancel();
        let _ = tokio::time::timeout(ABORT_GRACE, self.tracker.wait()).await;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_tasks_that_stop_in_order() {
        let shutdown = Shutdown::new();
        let token = shutdown.token.clone();
        shutdown.spawn("drain", async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        assert_eq!(shutdown.phase(), Phase::Running);
        shutdown.token.cancel();
        assert_eq!(shutdown.phase(), Phase::Stopping);
        assert!(shutdown.wait_all(Duration::from_secs(6)).await);
        assert!(!shutdown.failed());
        assert_eq!(shutdown.phase(), Phase::Stopping);
    }

    #[tokio::test(start_paused = true)]
    async fn aborts_what_is_left_after_the_grace_period() {
        let shutdown = Shutdown::new();
        let abort = shutdown.abort.clone();
        let (ended, mut seen) = tokio::sync::oneshot::channel();
        shutdown.spawn("stubborn", async move {
            abort.cancelled().await;
            let _ = ended.send(());
        });
        shutdown.token.cancel();
        assert!(!shutdown.wait_all(Duration::from_secs(1)).await);
        assert_eq!(seen.try_recv(), Ok(()));
        assert!(shutdown.failed());
        assert_eq!(shutdown.phase(), Phase::Aborting);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_even_abort_does_not_hold_the_process() {
        let shutdown = Shutdown::new();
        shutdown.spawn("deaf", std::future::pending());
        let before = tokio::time::Instant::now();
        assert!(!shutdown.wait_all(Duration::from_secs(3)).await);
        assert_eq!(before.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_panic_ends_the_process_and_is_a_failure() {
        let shutdown = Shutdown::new();
        shutdown.spawn("fragile", async { panic!("the test's own panic") });
        shutdown.token.cancelled().await;
        assert!(shutdown.wait_all(Duration::from_secs(1)).await);
        assert!(shutdown.failed());
    }
}
