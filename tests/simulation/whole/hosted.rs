//! One partition on one broker: the product's driver with what is under way for it, who waits for it, and
//! the coordinator on top of it if it is one of `__consumer_offsets`.

use klamm_broker::partition::driver::PartitionDriver;
use klamm_coordinator::AppendId;
use klamm_model::record_batch::{Record, RecordBatch};
use klamm_model::{Instant, LeaderEpoch, Offset, TopicPartition};
use klamm_replication::ReplicaId;
use klamm_storage::{AppendTicket, Log, ReadError, SyncTicket};

use super::groups::Groups;
use super::messages::Asker;

/// See the module.
pub(super) struct Hosted {
    pub(super) id: TopicPartition,
    pub(super) replica: ReplicaId,
    /// Which broker holds which replica.
    pub(super) holders: Vec<(ReplicaId, usize)>,
    pub(super) driver: PartitionDriver,
    pub(super) write: Option<AppendTicket>,
    pub(super) sync: Option<SyncTicket>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) coordinator: Option<Groups>,
    /// How far what it shows has been looked at.
    pub(super) looked_to: Offset,
}

/// Somebody waits until the high watermark is there.
pub(super) struct Waiting {
    pub(super) end: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) who: Who,
}

pub(super) enum Who {
    Producer { asker: Asker, base_offset: Offset },
    Coordinator(AppendId),
}

impl Hosted {
    pub(super) fn broker_of(&self, replica: ReplicaId) -> Option<usize> {
        let mut holders = self.holders.iter();
        let found = holders.find(|(held, _)| *held == replica);
        found.map(|(_, broker)| *broker)
    }

    pub(super) fn replica_on(&self, broker: usize) -> Option<ReplicaId> {
        let mut holders = self.holders.iter();
        let found = holders.find(|(_, holder)| *holder == broker);
        found.map(|(replica, _)| *replica)
    }

    /// Those who wait here for an answer.
    pub(super) fn take_askers(&mut self) -> Vec<Asker> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let producers = waiting.filter_map(|waiting| match waiting.who {
            Who::Producer { asker, .. } => Some(asker),
            Who::Coordinator(_) => None,
        });
        producers.collect()
    }

    /// Ends what is under way, and closes the log in good order if the disk lets it.
    pub(super) fn close_log(mut self, now: Instant) {
        let mut outcomes = Vec::new();
        if let Some(ticket) = self.write.take() {
            let written = ticket.run();
            self.driver.write_finished(now, written, &mut outcomes);
        }
        if let Some(ticket) = self.sync.take() {
            let synced = ticket.run();
            self.driver.sync_finished(now, synced, &mut outcomes);
        }
        // A disk that is not there any more is noticed elsewhere.
        let _ = self.driver.close();
    }

    pub(super) fn leads(&self) -> bool {
        self.driver.is_leader() && self.driver.offline().is_none()
    }
}

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// More than any batch inflates to.
const INFLATED_BYTES_MAX: usize = 1 << 20;

/// The batches from one offset to another; the first may begin before it.
///
/// # Errors
/// The disk does not give them, or the process has ended in the middle of it.
pub(super) fn batches(
    log: &mut Log,
    from: Offset,
    end: Offset,
) -> Result<Vec<RecordBatch>, ReadError> {
    let mut batches = Vec::new();
    let mut next = from;
    while next < end {
        let read = log.read(next, end, READ_BYTES, true)?;
        let mut bytes = read.records;
        assert!(!bytes.is_empty(), "nothing to read at {next} below {end}");
        while !bytes.is_empty() {
            batches.push(RecordBatch::parse(&mut bytes).expect("a whole batch"));
        }
        next = read.next_offset;
    }
    Ok(batches)
}

/// The records of a batch.
pub(super) fn records(batch: &RecordBatch) -> impl Iterator<Item = Record> {
    let records = batch.records(INFLATED_BYTES_MAX).expect("sound records");
    records.map(|record| record.expect("a sound record"))
}
