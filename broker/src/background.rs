//! Threads for what blocks: fsync, deleting files, reading what is not in memory, and writes where
//! they would hold up the data plane.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use klamm_storage::{PopulateTicket, Populated};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;

/// How often one reader has what it needs brought into memory. If it still is not there then, or
/// not any more, the machine has no memory to spare, and the reader waits where it is.
pub(crate) const POPULATE_ROUNDS_MAX: usize = 16;

/// The lowest priority (`nice`).
const NICE_MAX: i32 = 19;

/// From now on the thread that calls runs when no other wants to.
pub(crate) fn give_way() {
    // On Linux, of the thread that calls. Refused, it is merely as others are.
    rustix::process::setpriority_process(None, NICE_MAX).ok();
}

/// A pool of threads. They start when there is work and end when there has been none for a while.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    /// Half of the threads may bring records into memory: an fsync, for which producers wait, must
    /// not queue behind consumers of old records, or behind reads of a disk that fails slowly.
    populating: Semaphore,
}

impl Background {
    /// Makes a pool of at most `threads_max`. Whoever holds the runtime decides when they end.
    pub(crate) fn start(name: &str, threads_max: usize) -> std::io::Result<(Runtime, Self)> {
        Self::start_with(name, threads_max, || {})
    }

    /// As [`start`](Self::start), with threads that run when no other wants to.
    pub(crate) fn start_idle(name: &str, threads_max: usize) -> std::io::Result<(Runtime, Self)> {
        Self::start_with(name, threads_max, give_way)
    }

    fn start_with(
        name: &str,
        threads_max: usize,
        on_start: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<(Runtime, Self)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(threads_max)
            .thread_name(name)
            .on_thread_start(on_start)
            .build()?;
        let handle = runtime.handle().clone();
        let background = Self {
            handle,
            populating: Semaphore::new(threads_max.div_ceil(2)),
        };
        Ok((runtime, background))
    }

    /// Runs `work` on a background thread. A panic there goes on here.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.start_work(work).await
    }

    /// Brings into memory what a reader found missing, side by side, and returns what became of
    /// it in the same order. The logs have to be told.
    pub(crate) async fn populate_all(&self, tickets: Vec<PopulateTicket>) -> Vec<Populated> {
        let mut running: Vec<_> = tickets
            .into_iter()
            .map(|ticket| Running::Yet(Box::pin(self.populate(ticket))))
            .collect();
        poll_fn(|context| {
            let mut all_done = true;
            for one in &mut running {
                if let Running::Yet(future) = one {
                    match future.as_mut().poll(context) {
                        Poll::Ready(populated) => *one = Running::Done(populated),
                        Poll::Pending => all_done = false,
                    }
                }
            }
            if all_done {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let done = running.into_iter().map(|one| match one {
            Running::Done(populated) => populated,
            Running::Yet(_) => unreachable!("all were awaited"),
        });
        done.collect()
    }

    /// Brings into memory what a reader found missing; its log has to be told.
    pub(crate) async fn populate(&self, ticket: PopulateTicket) -> Populated {
        let turn = self.populating.acquire().await;
        let populated = self.run(move || ticket.run()).await;
        drop(turn);
        populated
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

/// One of several futures that are awaited together.
enum Running<F> {
    Yet(Pin<Box<F>>),
    Done(Populated),
}
