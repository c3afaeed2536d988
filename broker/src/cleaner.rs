//! Compacts the logs of topics with `cleanup.policy=compact`, the dirtiest first.
//!
//! The work is done by threads of the lowest priority, `log.cleaner.threads` of them; the data plane
//! only chooses, and takes each finished copy in place of its originals. Kafka's `LogCleaner` and
//! `LogCleanerManager`.
//!
//! Not here: what stays and what goes, and how a copy takes its place (crate `klamm-storage`).

mod pace;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use klamm_metadata::TopicConfig;
use klamm_model::{Offset, TopicPartition};
use klamm_storage::{
    AppendError, Cleanable, CleanedGroup, CleanerConfig, Compaction, CompactionError,
    CompactionRule,
};

use crate::background::Background;
use crate::entropy;
use crate::partition::Partition;
use crate::shard::Shard;
use crate::tasks;
use pace::{Brake, Throttle};

/// See the [module](self).
pub(crate) struct Cleaner {
    threads: Background,
    brake: Brake,
    hash_seed: u128,
    /// Logs that a thread is busy with.
    busy: RefCell<BTreeSet<TopicPartition>>,
}

/// How a compaction ended.
enum Ended {
    /// Everything that was asked for is done.
    Through,
    /// The log has changed or gone, or the process ends.
    Abandoned,
}

impl Cleaner {
    /// `threads` are for nothing else.
    pub(crate) fn new(threads: Background) -> Self {
        Self {
            threads,
            brake: Brake::default(),
            hash_seed: u128::from_ne_bytes(entropy::random_bytes()),
            busy: RefCell::default(),
        }
    }

    /// Lets compactions end soon, wherever they are.
    pub(crate) fn stop(&self) {
        self.brake.pull();
    }
}

/// Starts the tasks; they end with the runtime.
pub(crate) fn start(shard: &Rc<Shard>) {
    let config = shard.config();
    if config.cleaner.enabled {
        for _ in 0..config.cleaner.threads {
            tasks::spawn(clean_on(shard.clone()));
        }
    }
}

async fn clean_on(shard: Rc<Shard>) {
    loop {
        let found = filthiest(&shard);
        let Some((partition, cleanable, rule)) = found else {
            tokio::time::sleep(shard.config().cleaner.backoff).await;
            continue;
        };
        let id = partition.id().clone();
        shard.cleaner.busy.borrow_mut().insert(id.clone());
        let ended = clean(&shard, &partition, &cleanable, &rule).await;
        shard.cleaner.busy.borrow_mut().remove(&id);
        if !report(&partition, ended) {
            tokio::time::sleep(shard.config().cleaner.backoff).await;
        }
    }
}

/// The log that is due, and dirtier than all others that are.
fn filthiest(shard: &Shard) -> Option<(Rc<Partition>, Cleanable, CompactionRule)> {
    let busy = shard.cleaner.busy.borrow();
    let topics = shard.topics.borrow();
    let due = topics
        .partitions()
        .filter(|partition| !busy.contains(partition.id()))
        .filter_map(|partition| {
            let rule = rule_of(&partition.config())?;
            let cleanable = cleanable(shard, partition, &rule)?;
            cleanable
                .is_due(&rule)
                .then(|| (partition.clone(), cleanable, rule))
        });
    due.max_by(|(_, one, _), (_, other, _)| one.dirty_ratio().total_cmp(&other.dirty_ratio()))
}

/// `None` for a topic that is not compacted.
fn rule_of(config: &TopicConfig) -> Option<CompactionRule> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    config.cleanup_policy.compact.then(|| CompactionRule {
        delete_retention_ms: signed(config.delete_retention_ms),
        min_compaction_lag_ms: signed(config.min_compaction_lag_ms),
        max_compaction_lag_ms: signed(config.max_compaction_lag_ms),
        min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
    })
}

/// What of a log can be compacted: not what a leader may still take back, nor open transactions.
fn cleanable(shard: &Shard, partition: &Partition, rule: &CompactionRule) -> Option<Cleanable> {
    let mut driver = partition.driver_mut();
    let committed = driver.committed_offset();
    let stable = driver.log().last_stable_offset(driver.high_watermark());
    let bound: Offset = committed.min(stable);
    // A log that is offline has said so.
    let now = shard.clock.wall();
    driver.log_mut().cleanable(rule, now, bound).ok()?
}

async fn clean(
    shard: &Rc<Shard>,
    partition: &Rc<Partition>,
    cleanable: &Cleanable,
    rule: &CompactionRule,
) -> Result<Ended, CleanError> {
    let _work = partition.begin_work();
    let settings = shard.config().cleaner.clone();
    let config = CleanerConfig {
        dedupe_buffer_bytes: settings.dedupe_buffer_bytes / settings.threads.max(1),
        load_factor: settings.load_factor,
        io_buffer_bytes: settings.io_buffer_bytes / settings.threads.max(1),
        hash_seed: shard.cleaner.hash_seed,
    };
    let now = shard.clock.wall();
    let begun = {
        let mut driver = partition.driver_mut();
        driver
            .log_mut()
            .begin_compaction(cleanable, rule, &config, now)
    };
    let mut compaction = begun?;
    let rate = settings.io_max_bytes_per_second / settings.threads.max(1) as f64;
    let mut throttle = Throttle::new(shard.clock, rate, shard.cleaner.brake.clone());
    loop {
        let (after, result) = next_group(shard, compaction, throttle).await;
        (compaction, throttle) = after;
        let Some(group) = result? else {
            break;
        };
        if !put_in_place(shard, partition, group).await? {
            return Ok(Ended::Abandoned);
        }
    }
    finish(shard, partition, &compaction);
    Ok(Ended::Through)
}

type Running = (Compaction, Throttle);

/// The next copy, made by one of the cleaner's threads.
async fn next_group(
    shard: &Shard,
    mut compaction: Compaction,
    mut throttle: Throttle,
) -> (Running, Result<Option<CleanedGroup>, CompactionError>) {
    let work = move || {
        let result = compaction.next_group(&mut throttle);
        ((compaction, throttle), result)
    };
    shard.cleaner.threads.run(work).await
}

/// `false` if the log is not what it was, or nobody's any more.
async fn put_in_place(
    shard: &Shard,
    partition: &Partition,
    group: CleanedGroup,
) -> Result<bool, AppendError> {
    if partition.is_deleted() || shard.cleaner.brake.is_pulled() {
        return Ok(false);
    }
    let ticket = partition.driver_mut().log_mut().begin_swap(group)?;
    let Some(ticket) = ticket else {
        return Ok(false);
    };
    let swapped = shard.cleaner.threads.run(move || ticket.run()).await;
    let taken = partition.driver_mut().log_mut().swapped(swapped);
    match taken {
        // Its directory went away under the copy, with everything in it.
        Err(_) if partition.is_deleted() => Ok(false),
        taken => taken.map(|()| true),
    }
}

fn finish(shard: &Shard, partition: &Partition, compaction: &Compaction) {
    let stats = compaction.stats();
    let cleaned_to = compaction.cleaned_to();
    partition.driver_mut().log_mut().compacted(cleaned_to);
    let counters = shard.counters();
    counters.compactions.add(1);
    counters.compacted_bytes_before.add(stats.bytes_before);
    counters.compacted_bytes_after.add(stats.bytes_after);
    tracing::info!(partition = %partition.id(), %cleaned_to,
        bytes_before = stats.bytes_before, bytes_after = stats.bytes_after,
        records_before = stats.records_before, records_after = stats.records_after,
        "log compacted");
}

/// Why a compaction did not come to its end.
#[derive(Debug, thiserror::Error)]
enum CleanError {
    #[error(transparent)]
    Compaction(#[from] CompactionError),
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Says what went wrong; `true` if the next log can have its turn at once.
fn report(partition: &Partition, ended: Result<Ended, CleanError>) -> bool {
    use CompactionError::{Damaged, Gone, Stopped, Unreadable, Unwritable};
    let id = partition.id();
    let error = match ended {
        Ok(Ended::Through) => return true,
        Ok(Ended::Abandoned) | Err(CleanError::Compaction(Gone | Stopped)) => return false,
        Err(error) => error,
    };
    match &error {
        CleanError::Compaction(Unreadable(cause)) if cause.is_refusal() => {
            tracing::warn!(partition = %id, %error, "log cannot be compacted for now");
        }
        CleanError::Compaction(Damaged(_) | Unreadable(_)) => {
            // Every other try would read the log again as far as here.
            partition.driver_mut().log_mut().set_uncleanable();
            tracing::error!(partition = %id, %error,
                "log cannot be compacted; it is not tried again before the next start");
        }
        CleanError::Compaction(Unwritable(cause)) if !cause.is_refusal() => {
            partition.driver_mut().log_mut().set_offline(cause.clone());
            tracing::error!(partition = %id, %error, "log cannot be compacted");
        }
        CleanError::Compaction(_) | CleanError::Log(AppendError::NoSpace(_)) => {
            tracing::warn!(partition = %id, %error, "log cannot be compacted for now");
        }
        CleanError::Log(AppendError::Offline(_)) => {
            tracing::error!(partition = %id, %error, "log cannot be compacted");
        }
    }
    false
}
