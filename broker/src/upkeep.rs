//! What is done from time to time: starting fsyncs, retention, checkpoints, forgetting producers.

pub(crate) mod checkpoints;

use std::rc::Rc;
use std::time::Duration;

use crate::cleaner;
use crate::controller;
use crate::partition::Partition;
use crate::shard::Shard;
use crate::tasks;

/// Starts the tasks; they end with the runtime.
pub(crate) fn start(shard: &Rc<Shard>) {
    let config = shard.config();
    let every = |interval, work: fn(&Rc<Shard>)| {
        tasks::spawn(repeat(shard.clone(), interval, interval, work));
    };
    every(config.log.flush_scheduler_interval, Shard::flush_due);
    every(TICK_INTERVAL, tick_replicas);
    tasks::spawn(repeat(
        shard.clone(),
        config.log.initial_task_delay,
        config.log.retention_check_interval,
        apply_retention,
    ));
    tasks::spawn(open_missing(shard.clone()));
    cleaner::start(shard);
    let intervals = [
        config.log.recovery_point_checkpoint_interval,
        config.log.log_start_checkpoint_interval,
        config.log.high_watermark_checkpoint_interval,
    ];
    // One file each, but written together: as often as the most frequent of them.
    let checkpoint_interval = intervals.into_iter().min().expect("there are three");
    tasks::spawn(checkpoints::repeat(shard.clone(), checkpoint_interval));
    every(
        config.producers.id_expiration_check_interval,
        expire_producers,
    );
}

async fn repeat(shard: Rc<Shard>, first_after: Duration, interval: Duration, work: fn(&Rc<Shard>)) {
    tokio::time::sleep(first_after).await;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        work(&shard);
    }
}

/// Tries again, ever more rarely, to open what could not be opened.
async fn open_missing(shard: Rc<Shard>) {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = FIRST;
        while shard.take_unopened() && !controller::open_missing(&shard).await {
            tokio::time::sleep(wait).await;
            wait = LONGEST.min(wait * 2);
        }
    }
}

fn partitions(shard: &Shard) -> Vec<Rc<Partition>> {
    shard.topics.borrow().partitions().cloned().collect()
}

/// How often replicas are asked whether their time has come. One that leads alone has no deadline:
/// this is for partitions whose election met a full disk.
const TICK_INTERVAL: Duration = Duration::from_millis(500);

fn tick_replicas(shard: &Rc<Shard>) {
    let now = shard.clock.now();
    let mut due = partitions(shard);
    due.push(shard.controller.partition().clone());
    due.retain(|partition| {
        let deadline = partition.driver().next_deadline();
        deadline.is_some_and(|deadline| deadline <= now)
    });
    if due.is_empty() {
        return;
    }
    for partition in &due {
        partition.tick(now);
    }
    let shard = shard.clone();
    tasks::spawn(async move {
        let config = shard.config();
        shard.opener(&config).sync_journals(&due).await;
        shard.settle(&due);
    });
}

/// Drops segments that are too old, or too many; their files go in the background.
fn apply_retention(shard: &Rc<Shard>) {
    let now = shard.clock.wall();
    for partition in partitions(shard) {
        let dropped = {
            let mut driver = partition.driver_mut();
            let bound = driver.committed_offset();
            driver.log_mut().apply_retention(now, bound)
        };
        match dropped {
            Ok(None) => {}
            Ok(Some(ticket)) => {
                let shard = shard.clone();
                tasks::spawn(async move {
                    if let Err(error) = shard.drop_segments(&partition, ticket).await {
                        tracing::error!(partition = %partition.id(), %error, "old segments cannot be deleted");
                    }
                });
            }
            Err(error) => {
                tracing::error!(partition = %partition.id(), %error, "retention cannot be applied");
            }
        }
    }
}

fn expire_producers(shard: &Rc<Shard>) {
    let now = shard.clock.wall();
    for partition in partitions(shard) {
        partition.driver_mut().log_mut().expire_producers(now);
    }
}
