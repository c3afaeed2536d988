//! What the tests of this crate share: a log directory in memory, batches, and reading it all back.

use std::path::Path;
use std::sync::Arc;

use klamm_model::raft::{DataEntry, MetaEntry, MetaKind, Placement};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{
    BrokerId, Offset, PartitionIndex, ProducerEpoch, ProducerId, RecordBatch, Term, Timestamp,
    TopicId, TopicName, TopicPartition,
};

use crate::{
    AppendError, Appended, CompactionRule, Disk, Log, LogCheckpoint, LogConfig, LogDir,
    LogDirError, LogDirIdentity, LogDirOptions, MemDisk, Pace, ReadError,
};

pub(crate) const ROOT: &str = "/data";
pub(crate) const TOPIC_ID: TopicId = TopicId::from_bytes([7; 16]);
pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

/// Compacts whatever there is.
pub(crate) const RULE: CompactionRule = CompactionRule {
    delete_retention_ms: 1000,
    min_compaction_lag_ms: 0,
    max_compaction_lag_ms: i64::MAX,
    min_cleanable_dirty_ratio: 0.0,
};

/// A compaction that is in no hurry and never stopped.
pub(crate) struct Unhurried;

impl Pace for Unhurried {
    fn moved(&mut self, _bytes: u64) -> bool {
        true
    }
}

pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").unwrap(), PartitionIndex(0))
}

pub(crate) fn options() -> LogDirOptions {
    LogDirOptions {
        identity: LogDirIdentity {
            cluster_id: "cluster".to_owned(),
            node_id: BrokerId(1),
            directory_id: TopicId::from_bytes([9; 16]),
        },
        ballast_bytes: 0,
        mappings_max: 4,
    }
}

pub(crate) fn open_dir(disk: &MemDisk) -> Result<LogDir, LogDirError> {
    LogDir::open(Arc::new(disk.clone()), Path::new(ROOT), options())
}

/// Settings that make segments and index entries many.
pub(crate) fn small_config() -> LogConfig {
    LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 200,
        ..LogConfig::default()
    }
}

/// A directory with one log in it.
pub(crate) struct World {
    pub(crate) disk: MemDisk,
    pub(crate) dir: LogDir,
    pub(crate) log: Log,
}

impl World {
    /// On a new disk, with a leader of term 1.
    pub(crate) fn new(config: LogConfig) -> Self {
        let mut world = Self::open(MemDisk::new(1), config);
        lead(&mut world.log, 1).unwrap();
        world
    }

    pub(crate) fn open(disk: MemDisk, config: LogConfig) -> Self {
        let dir = open_dir(&disk).unwrap();
        let log = dir.open_log(&partition(), TOPIC_ID, config, NOW).unwrap();
        Self { disk, dir, log }
    }

    pub(crate) fn checkpoint(&self) -> LogCheckpoint {
        LogCheckpoint {
            recovery_point: self.log.recovery_point(),
            high_watermark: self.log.log_end_offset(),
            log_start_offset: self.log.log_start_offset(),
            cleaned_to: self.log.cleaned_to(),
        }
    }

    /// Closes in good order and opens again.
    pub(crate) fn reopen_clean(mut self) -> Self {
        self.log.close().unwrap();
        let checkpoint = self.checkpoint();
        let config = self.log.config().clone();
        self.dir.close(&[(partition(), checkpoint)]).unwrap();
        drop(self.dir);
        Self::open(self.disk, config)
    }

    /// Goes down and opens again.
    pub(crate) fn reopen_after(self, crash: crate::Crash) -> Self {
        let config = self.log.config().clone();
        self.disk.restart(crash);
        Self::open(self.disk, config)
    }

    pub(crate) fn write_checkpoints(&self) {
        let checkpoint = self.checkpoint();
        self.dir
            .write_checkpoints(&[(partition(), checkpoint)])
            .unwrap();
    }

    /// The names in the partition's directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = self.disk.list(&Path::new(ROOT).join("orders-0")).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    pub(crate) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let path = Path::new(ROOT).join("orders-0").join(name);
        crate::disk::read_small(&self.disk, &path, 1 << 20).unwrap()
    }
}

/// Begins a term: the no-op, durable.
pub(crate) fn lead(log: &mut Log, term: u64) -> Result<(), AppendError> {
    log.append_meta(&MetaEntry {
        index: log.last_index().next(),
        term: Term::new(term),
        at_offset: log.log_end_offset(),
        kind: MetaKind::Noop,
    })?;
    log.journal().sync().map_err(AppendError::from)
}

/// A batch of records with these values, one millisecond apart.
pub(crate) fn batch(first_time: i64, values: &[&str]) -> RecordBatch {
    fill(BatchBuilder::new(), first_time, values)
}

/// As [`batch`], of an idempotent producer.
pub(crate) fn produced(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> RecordBatch {
    let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    fill(builder, NOW.millis(), values)
}

pub(crate) fn fill(mut builder: BatchBuilder, first_time: i64, values: &[&str]) -> RecordBatch {
    for (at, value) in values.iter().enumerate() {
        let time = Timestamp(first_time + at as i64);
        builder.append(time, None, Some(value.as_bytes()), &[]);
    }
    builder.build()
}

/// Stamps batches as the leader does.
pub(crate) fn entries(log: &Log, batches: Vec<RecordBatch>) -> Vec<DataEntry> {
    let mut offset = log.log_end_offset();
    let mut index = log.last_index();
    let term = log.last_term();
    let entry = |mut batch: RecordBatch| {
        batch.stamp(offset, term.leader_epoch());
        offset = batch.next_offset();
        index = index.next();
        DataEntry {
            index,
            term,
            batch,
            placement: Placement::Undecided,
        }
    };
    batches.into_iter().map(entry).collect()
}

pub(crate) fn append(log: &mut Log, batches: Vec<RecordBatch>) -> Result<Appended, AppendError> {
    let entries = entries(log, batches);
    log.append(&entries, NOW)
}

/// A value of about 100 bytes that tells its number.
pub(crate) fn value(number: usize) -> String {
    format!("{number:0>100}")
}

/// Appends `count` batches of one record, one call each.
pub(crate) fn append_many(log: &mut Log, count: usize) {
    for _ in 0..count {
        let number = log.log_end_offset().get();
        let value = value(number as usize);
        append(log, vec![batch(1000 + number, &[&value])]).unwrap();
    }
}

/// Every record that can be read, with its offset.
pub(crate) fn read_all(log: &mut Log) -> Vec<(i64, String)> {
    let (records, _) = read_around(log);
    records
}

/// Records with their offsets.
pub(crate) type Records = Vec<(i64, String)>;

/// Ranges of offsets.
pub(crate) type Holes = Vec<(i64, i64)>;

/// Every record that can be read, and the ranges of offsets that cannot.
pub(crate) fn read_around(log: &mut Log) -> (Records, Holes) {
    let (mut records, mut holes) = (Vec::new(), Vec::new());
    let mut next = log.log_start_offset();
    let end = log.log_end_offset();
    while next < end {
        match log.read(next, end, 1000, true) {
            Ok(result) => {
                assert!(result.next_offset > next, "reading goes on at {next}");
                take_records(result.records, next, &mut records);
                next = result.next_offset;
            }
            Err(ReadError::Corrupt(damage)) => {
                assert!(damage.first_offset <= next && damage.next_offset > next);
                holes.push((damage.first_offset.get(), damage.next_offset.get()));
                next = damage.next_offset;
            }
            Err(error) => panic!("{error}"),
        }
    }
    (records, holes)
}

fn take_records(mut bytes: bytes::Bytes, from: Offset, records: &mut Vec<(i64, String)>) {
    while !bytes.is_empty() {
        let batch = RecordBatch::parse(&mut bytes).unwrap();
        for record in batch.records(1 << 22).unwrap() {
            let record = record.unwrap();
            let value = record.value.map_or_else(String::new, |value| {
                String::from_utf8(value.to_vec()).unwrap()
            });
            if record.offset >= from {
                records.push((record.offset.get(), value));
            }
        }
    }
}
