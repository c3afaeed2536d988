//! Threads for what blocks: fsync, deleting files, reading large parts of the disk, and writes where
//! they would hold up the data plane.

use tokio::runtime::{Handle, Runtime};

/// A pool of threads. They start when there is work and end when there has been none for a while.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
}

impl Background {
    /// Makes a pool of at most `threads_max`. Whoever holds the runtime decides when they end.
    pub(crate) fn start(name: &str, threads_max: usize) -> std::io::Result<(Runtime, Self)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(threads_max)
            .thread_name(name)
            .build()?;
        let handle = runtime.handle().clone();
        Ok((runtime, Self { handle }))
    }

    /// Runs `work` on a background thread. A panic there goes on here.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.start_work(work).await
    }

    /// As [`run`](Self::run), but `work` begins before the future is awaited: for much that may
    /// go on side by side.
    pub(crate) fn start_work<T, W>(&self, work: W) -> impl Future<Output = T> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let started = self.handle.spawn_blocking(work);
        async move {
            match started.await {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => std::future::pending().await, // the process is ending
                },
            }
        }
    }
}
