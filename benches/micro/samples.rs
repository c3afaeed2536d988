//! What is measured with: batches, and a log on the disk.

use std::path::PathBuf;
use std::sync::Arc;

use klamm_model::raft::{DataEntry, HardState, MetaEntry, MetaKind, Placement};
use klamm_model::record_batch::{BatchBuilder, Compression};
use klamm_model::{
    BrokerId, PartitionIndex, RecordBatch, Term, Timestamp, TopicId, TopicName, TopicPartition,
};
use klamm_storage::log_dir::{LogDirIdentity, LogDirOptions};
use klamm_storage::{FileDisk, Log, LogConfig, LogDir};

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The term of all entries.
const TERM: Term = Term::new(1);

/// Bytes of a value.
const VALUE_BYTES: usize = 200;

/// A batch of so many records of 200 bytes, with keys that no other batch has if `first` is far
/// enough from theirs.
pub(crate) fn batch(first: usize, records: usize, codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new().compression(codec, codec.default_level());
    for number in first..first + records {
        let key = format!("device-{number:08}");
        let value = reading(number);
        builder.append(NOW, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    }
    builder.build()
}

/// As a sensor sends it: names that repeat, and digits that do not.
fn reading(number: usize) -> String {
    let mut text = format!("{{\"device\":{number}");
    let mut state = number as u64;
    for sensor in 0.. {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let field = format!(",\"s{sensor}\":{}", (state >> 33) % 100_000);
        if text.len() + field.len() >= VALUE_BYTES {
            break;
        }
        text.push_str(&field);
    }
    text.push('}');
    format!("{text:<VALUE_BYTES$}")
}

/// A log on the real disk, in a folder that goes with it.
pub(crate) struct Disk {
    pub(crate) log: Log,
    _dir: LogDir,
    path: PathBuf,
}

impl Disk {
    /// An empty log, whose leader has begun.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("klamm-bench-{}-{name}", std::process::id()));
        let options = LogDirOptions {
            identity: LogDirIdentity {
                cluster_id: "bench".to_owned(),
                node_id: BrokerId(1),
                directory_id: TopicId::from_bytes([1; 16]),
            },
            ballast_bytes: 0,
            mappings_max: 64,
        };
        let dir = LogDir::open(Arc::new(FileDisk::new()), &path, options).expect("a directory");
        let name = TopicPartition {
            topic: TopicName::new("topic").expect("a name"),
            partition: PartitionIndex(0),
        };
        let id = TopicId::from_bytes([2; 16]);
        let mut log = dir
            .open_log(&name, id, LogConfig::default(), NOW)
            .expect("a log");
        let state = HardState {
            term: TERM,
            ..HardState::default()
        };
        log.save_hard_state(state).expect("there is room");
        let noop = MetaEntry {
            index: log.last_index().next(),
            term: TERM,
            at_offset: log.log_end_offset(),
            kind: MetaKind::Noop,
        };
        log.append_meta(&noop).expect("there is room");
        Self {
            log,
            _dir: dir,
            path,
        }
    }

    /// Appends as a turn of a partition does.
    pub(crate) fn append(&mut self, batches: Vec<RecordBatch>) {
        let bytes = batches.iter().map(|batch| batch.size_bytes() as u64);
        self.log.reserve(bytes.sum()).expect("there is room");
        let mut index = self.log.last_index();
        let mut offset = self.log.log_end_offset();
        let entries = batches.into_iter().map(|mut batch| {
            batch.stamp(offset, TERM.leader_epoch());
            index = index.next();
            offset = batch.next_offset();
            let term = TERM;
            DataEntry {
                index,
                term,
                batch,
                placement: Placement::Undecided,
            }
        });
        let ticket = self.log.begin_append(entries.collect(), NOW);
        let done = ticket.expect("there is room").run();
        self.log.append_done(done).expect("it is written");
    }
}

impl Drop for Disk {
    #[expect(
        clippy::disallowed_methods,
        reason = "a directory of the benchmark itself"
    )]
    fn drop(&mut self) {
        // What is left in the folder for temporary files is no failure.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
