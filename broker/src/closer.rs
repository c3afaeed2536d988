//! Closes files and mappings for the data plane, which must not wait for the disk: the last
//! reference to a removed segment gives back its blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;

use crate::background::Background;

/// More than this waiting, and the data plane closes itself: files that wait to be closed count as
/// open.
const WAITING_MAX: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Closer {
    data_plane: ThreadId,
    thread: Background,
    waiting: Arc<AtomicUsize>,
}

impl Closer {
    /// Made by the data plane's thread; `thread` does nothing else.
    pub(crate) fn new(thread: Background) -> Self {
        Self {
            data_plane: std::thread::current().id(),
            thread,
            waiting: Arc::default(),
        }
    }

    /// Closes what closes when it is dropped: here if this thread may wait for a disk.
    pub(crate) fn close(&self, closing: impl Send + 'static) {
        let may_wait = std::thread::current().id() != self.data_plane;
        if may_wait || self.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            return drop(closing);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Arc::clone(&self.waiting);
        // It has begun already, and nobody waits for it.
        drop(self.thread.start_work(move || {
            drop(closing);
            waiting.fetch_sub(1, Ordering::Relaxed);
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    /// Says which thread dropped it.
    struct File(Sender<Option<String>>);

    impl Drop for File {
        fn drop(&mut self) {
            self.0.send(thread_name()).expect("it is received");
        }
    }

    fn thread_name() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    fn closed_by(closed: &Receiver<Option<String>>) -> Option<String> {
        closed.recv().expect("it is closed")
    }

    #[test]
    fn the_data_plane_has_files_closed_and_others_close_themselves() {
        let (_runtime, thread) = Background::start("closer", 1).unwrap();
        let (_other_runtime, other) = Background::start("other", 1).unwrap();
        let closer = Closer::new(thread);
        let (sender, closed) = channel();

        closer.close(File(sender.clone()));
        assert_eq!(closed_by(&closed).as_deref(), Some("closer"));

        drop(other.start_work(move || closer.close(File(sender))));
        assert_eq!(closed_by(&closed).as_deref(), Some("other"));
    }

    #[test]
    fn not_more_than_a_few_hundred_wait() {
        let (_runtime, thread) = Background::start("closer", 1).unwrap();
        let closer = Closer::new(thread);
        let (sender, closed) = channel();
        // The thread stands still until it is released.
        let (release, released) = channel::<()>();
        drop(closer.thread.start_work(move || released.recv().unwrap()));
        for _ in 0..WAITING_MAX {
            closer.close(File(sender.clone()));
        }
        assert!(closed.try_recv().is_err());
        closer.close(File(sender));
        assert_eq!(closed_by(&closed), thread_name());
        release.send(()).unwrap();
        for _ in 0..WAITING_MAX {
            assert_eq!(closed_by(&closed).as_deref(), Some("closer"));
        }
    }
}
