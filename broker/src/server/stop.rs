//! Stopping in good order: nothing is lost either way, but the next start is quicker.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ServeError;
use crate::hosting;
use crate::shard::Shard;
use crate::upkeep::{checkpoints, replicas};

/// The signals that end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How long what is led here may take to be led elsewhere.
const HANDING_OVER_TIME: Duration = Duration::from_secs(4);
/// Between two looks at what is left: one that was asked to lead may have been unable to.
const HANDING_OVER_PAUSE: Duration = Duration::from_millis(20);
/// How often those that are left are asked anew, in pauses: an election takes a moment.
const HANDING_OVER_ROUND: u32 = 15;

/// How long clients are served when nothing is led here any more: whoever has waited for the outcome is
/// told where to go on, and need not find out from a connection that ends.
const FAREWELL_TIME: Duration = Duration::from_millis(30);

/// Gives what is led here to other brokers, closes every log, writes the checkpoints, and marks the
/// directories as closed.
pub(super) async fn stop(shard: &Rc<Shard>) -> Result<(), ServeError> {
    hand_over(shard).await;
    shard.net.close_all().await;
    shard.cleaner.stop();
    let mut partitions = shard.topics.borrow_mut().take_all();
    partitions.push(shard.controller.partition().clone());
    shard.finish_writes(&partitions).await;
    let in_order = hosting::close_all(&partitions);
    let checkpoints: Vec<_> = partitions
        .iter()
        .map(|partition| (partition.id().clone(), checkpoints::of(partition)))
        .collect();
    if in_order {
        // Kept to the end: what is written from here on is the last word.
        let _turn = shard.log_dirs.checkpointing().await;
        shard.log_dirs.close(&checkpoints)?;
        tracing::info!("stopped in good order");
    }
    Ok(())
}

/// Clients are served meanwhile, and told where to go on.
async fn hand_over(shard: &Rc<Shard>) {
    if shard.peers.is_alone() {
        return;
    }
    let deadline = tokio::time::Instant::now() + HANDING_OVER_TIME;
    let mut left = replicas::hand_over_all(shard);
    let mut pauses = 0;
    while left > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(HANDING_OVER_PAUSE).await;
        pauses += 1;
        left = match pauses % HANDING_OVER_ROUND {
            0 => replicas::hand_over_all(shard),
            _ => replicas::count_inheritable(shard),
        };
    }
    if left > 0 {
        tracing::warn!(partitions = left, "not everything could be handed over");
    }
    tokio::time::sleep(FAREWELL_TIME).await;
}
