//! Our own small clients: an idempotent producer, a consumer without a group, and a reader of
//! whole partitions. One request at a time, and nothing hidden: what they do not understand is an
//! error in the history.

mod consumer;
mod drain;
mod producer;
mod route;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use consumer::fetch;
pub(crate) use drain::drain;
pub(crate) use producer::send_one;

use crate::bed::Bed;
use crate::history::event::{Entry, Event, Partition};

/// How long a client waits for an answer before it looks for another broker. Of a host that
/// vanished nothing else tells.
const ANSWER_LIMIT: Duration = Duration::from_millis(1500);
/// Longer than this nobody waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients need to know.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) bootstrap: Vec<SocketAddr>,
    pub(crate) partition: Partition,
    /// Set when it is time to end.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Task {
    /// A client's of its own, which nobody ends.
    pub(crate) fn of(bed: &Bed, partition: Partition) -> Self {
        Self {
            bootstrap: bed.bootstrap(),
            partition,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Clients that run.
pub(crate) struct OwnClients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Entry>>>,
}

impl OwnClients {
    /// A producer and a consumer for each partition; producers are numbered from `first` on.
    pub(crate) fn start(bed: &Bed, topic: &str, partitions: i32, first: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (producer, index) in (first..).zip(0..partitions) {
            let task = Task {
                bootstrap: bed.bootstrap(),
                partition: Partition::new(topic, index),
                stop: stop.clone(),
            };
            let other = task.clone();
            threads.push(std::thread::spawn(move || producer::run(&task, producer)));
            threads.push(std::thread::spawn(move || consumer::run(&other)));
        }
        Self { stop, threads }
    }

    /// Ends them; what each did.
    pub(crate) fn stop(self) -> Vec<Vec<Entry>> {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        threads
            .map(|thread| thread.join().expect("the client does not panic"))
            .collect()
    }
}

/// A client's operation log.
struct Log {
    entries: Vec<Entry>,
}

impl Log {
    fn new() -> Self {
        let entries = Vec::new();
        Self { entries }
    }

    fn add(&mut self, event: Event) {
        let at_us = now_us();
        self.entries.push(Entry { at_us, event });
    }
}

/// Microseconds since 1970, as all clients of the machine count them.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.expect("it is after 1970").as_micros();
    u64::try_from(micros).expect("it is before the year 586,000")
}
