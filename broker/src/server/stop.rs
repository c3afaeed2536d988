//! Stopping in good order: nothing is lost either way, but the next start is quicker.

use std::io;
use std::rc::Rc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ServeError;
use crate::hosting;
use crate::shard::Shard;
use crate::upkeep::checkpoints;

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

/// Closes every log, writes the checkpoints, and marks the directories as closed.
pub(super) async fn stop(shard: &Rc<Shard>) -> Result<(), ServeError> {
    shard.net.close_all();
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
