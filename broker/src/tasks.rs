//! Tasks of the data plane.

use tokio::task::JoinHandle;

/// Starts a task on this thread. A panic in it ends the process: it is a mistake of ours, state
/// may be half changed, and what was acknowledged is on the disk. (The replica's own panics are
/// caught before they come here.)
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let guard = EndOnPanic;
        future.await;
        drop(guard);
    })
}

struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a task has panicked, the message is above; the process ends");
            std::process::abort();
        }
    }
}
