//! What is done from time to time: starting fsyncs, retention, checkpoints, forgetting producers.

pub(crate) mod checkpoints;
pub(crate) mod clocks;
pub(crate) mod in_sync;
pub(crate) mod log_starts;
pub(crate) mod replicas;

use std::rc::Rc;
use std::time::Duration;

use crate::cleaner;
use crate::controller;
use crate::controller::patience::Patience;
use crate::partition::Partition;
use crate::shard::Shard;
use crate::tasks;

/// Lets replicas know that time passes: before all else, since without the others' votes there is no
/// metadata to start with.
pub(crate) fn start_ticking(shard: &Rc<Shard>) {
    let interval = match shard.peers.is_alone() {
        true => TICK_INTERVAL_ALONE,
        false => TICK_INTERVAL,
    };
    tasks::spawn(repeat(
        shard.clone(),
        interval,
        interval,
        Shard::tick_replicas,
    ));
}

/// Starts the tasks; they end with the runtime.
pub(crate) fn start(shard: &Rc<Shard>) {
    let config = shard.config();
    let every = |interval, work: fn(&Rc<Shard>)| {
        tasks::spawn(repeat(shard.clone(), interval, interval, work));
    };
    every(config.log.flush_scheduler_interval, Shard::flush_due);
    every(RECOVERY_CHECK_INTERVAL, note_recovered);
    if !shard.peers.is_alone() {
        every(MOVE_INTERVAL, replicas::move_replicas);
        every(IN_SYNC_INTERVAL, in_sync::review);
        every(BALANCE_INTERVAL, replicas::restore_preferred_leaders);
        every(LOG_START_INTERVAL, log_starts::tell_all);
    }
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

/// How often reassignments take their next step.
const MOVE_INTERVAL: Duration = Duration::from_millis(200);
/// How often leaders look who is in sync.
const IN_SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// How often it is looked whether preferred leaders can lead again.
const BALANCE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether followers know where logs begin.
const LOG_START_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked whether all replicas have caught up after a loss of power.
const RECOVERY_CHECK_INTERVAL: Duration = Duration::from_secs(5);

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
    let mut patience = Patience::default();
    loop {
        tokio::time::sleep(patience.wait()).await;
        let all_are_open = !shard.take_unopened() || controller::open_missing(&shard).await;
        patience.looked(all_are_open);
    }
}

fn partitions(shard: &Shard) -> Vec<Rc<Partition>> {
    shard.topics.borrow().partitions().cloned().collect()
}

/// How often replicas are asked whether their time has come.
const TICK_INTERVAL: Duration = Duration::from_millis(50);
/// The same where there are no others: a replica that leads alone has no deadline, so this is for
/// those whose election met a full disk.
const TICK_INTERVAL_ALONE: Duration = Duration::from_millis(500);

/// Writes down that nothing is missing any more of what a loss of power had taken.
fn note_recovered(shard: &Rc<Shard>) {
    let recovered = shard.log_dirs.recovered();
    // One that is not open may lack something.
    if recovered.is_empty() || !controller::missing(shard).is_empty() {
        return;
    }
    for dir in recovered {
        let shard = shard.clone();
        tasks::spawn(async move {
            let path = dir.path().to_owned();
            let noted = shard.background.run(move || dir.recovery_finished()).await;
            match noted {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "all replicas have caught up after the loss of power")
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the log directory cannot be marked as recovered")
                }
            }
        });
    }
}

/// Drops segments that are too old, or too many; their files go in the background.
fn apply_retention(shard: &Rc<Shard>) {
    let now = shard.clock.wall();
    for partition in partitions(shard) {
        let dropped = {
            let mut driver = partition.driver_mut();
            driver.apply_retention(now)
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
