//! What is fed with bytes from outside, shared with the endless fuzzers in `fuzz/`: nothing may
//! panic, and what comes out must hold together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use klamm_model::raft::{DataEntry, MetaEntry, MetaKind, Placement};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{
    BrokerId, LogIndex, Offset, PartitionIndex, RecordBatch, Term, Timestamp, TopicId, TopicName,
    TopicPartition,
};
use klamm_protocol::Request;
use klamm_storage::disk::Open;
use klamm_storage::{
    Crash, Disk, Log, LogCheckpoint, LogConfig, LogDir, LogDirIdentity, LogDirOptions, MemDisk,
    OpenLogError, ReadError,
};

/// Most that a batch may inflate to.
const INFLATED_BYTES_MAX: usize = 1 << 20;
const TOPIC_ID: TopicId = TopicId::from_bytes([7; 16]);
const NOW: Timestamp = Timestamp(1_000_000);

/// A request, without its length.
pub(crate) fn request(frame: Bytes) -> bool {
    Request::decode(frame).is_ok()
}

/// One or more record batches, as a consumer of a log would read them.
pub(crate) fn batches(mut bytes: Bytes) {
    while let Ok(batch) = RecordBatch::parse(&mut bytes) {
        if let Ok(records) = batch.records(INFLATED_BYTES_MAX) {
            records.for_each(drop);
        }
        if let Ok(inflated) = batch.inflated_record_bytes(INFLATED_BYTES_MAX) {
            let whole: Result<Vec<_>, _> = batch.facts(&inflated).collect();
            if let Ok(records) = whole
                && !records.is_empty()
            {
                let again = batch.keeping(&records, None);
                assert_eq!(again.last_offset(), batch.last_offset());
            }
        }
    }
}

/// A log with some segments and all of its indexes, closed in good order.
pub(crate) struct Sample {
    disk: MemDisk,
    end: Offset,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let disk = MemDisk::new(1);
        let dir = open_dir(&disk).expect("a new directory");
        let mut log = open_log(&dir).expect("a new log");
        for term in 1..=3 {
            fill(&mut log, term);
        }
        log.sync().expect("nothing fails");
        log.close().expect("nothing fails");
        let end = log.log_end_offset();
        let checkpoint = LogCheckpoint {
            recovery_point: log.recovery_point(),
            high_watermark: end,
            log_start_offset: Offset::ZERO,
            cleaned_to: None,
        };
        dir.close(&[(partition(), checkpoint)])
            .expect("nothing fails");
        Self { disk, end }
    }

    /// Its files that hold more than a name.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let told = [
            "log",
            "index",
            "timeindex",
            "raftindex",
            "snapshot",
            "journal",
        ];
        let is_told = |path: &PathBuf| {
            let kind = path.extension().and_then(|kind| kind.to_str());
            kind.is_some_and(|kind| told.contains(&kind))
        };
        self.disk.files().into_iter().filter(is_told).collect()
    }

    pub(crate) fn bytes_of(&self, path: &Path) -> Vec<u8> {
        let file = self.disk.open(path, Open::Existing).expect("it is there");
        let mut bytes = vec![0; file.length().expect("nothing fails") as usize];
        file.read_at(&mut bytes, 0).expect("nothing fails");
        bytes
    }

    /// Opens the log with other bytes in one of its files, after a clean stop or a crash, reads it
    /// whole, and writes on.
    pub(crate) fn open_with(&self, path: &Path, bytes: &[u8], crash: Option<Crash>) {
        let disk = self.disk.fork();
        let file = disk.open(path, Open::Truncate).expect("nothing fails");
        file.write_at(&mut [std::io::IoSlice::new(bytes)], 0)
            .expect("nothing fails");
        file.sync_data().expect("nothing fails");
        drop(file);
        if let Some(crash) = crash {
            // Without the mark of a clean stop.
            let mark = Path::new("/data/.kafka_cleanshutdown");
            disk.remove_file(mark).ok();
            disk.restart(crash);
        }
        // A damaged journal is refused, and a log that does not fit to it.
        let Ok(dir) = open_dir(&disk) else { return };
        let Ok(mut log) = open_log(&dir) else { return };
        let records = read_all(&mut log);
        let is_index = path
            .extension()
            .is_some_and(|kind| kind != "log" && kind != "journal");
        if is_index && crash.is_none() {
            assert_eq!(records, self.end.get(), "an index hides no record");
        }
        look_up(&mut log);
        let term = log.last_term().get() + 1;
        fill(&mut log, term);
        read_all(&mut log);
    }
}

fn partition() -> TopicPartition {
    let topic = TopicName::new("fuzzed").expect("a legal name");
    TopicPartition::new(topic, PartitionIndex(0))
}

fn open_dir(disk: &MemDisk) -> Result<LogDir, klamm_storage::LogDirError> {
    let options = LogDirOptions {
        identity: LogDirIdentity {
            cluster_id: "fuzz".to_owned(),
            node_id: BrokerId(1),
            directory_id: TopicId::from_bytes([9; 16]),
        },
        ballast_bytes: 0,
        mappings_max: 4,
    };
    LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options)
}

fn open_log(dir: &LogDir) -> Result<Log, OpenLogError> {
    let config = LogConfig {
        segment_bytes: 3_000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    };
    dir.open_log(&partition(), TOPIC_ID, config, NOW)
}

/// A term of a few batches.
fn fill(log: &mut Log, term: u64) {
    let noop = MetaEntry {
        index: log.last_index().next(),
        term: Term::new(term),
        at_offset: log.log_end_offset(),
        kind: MetaKind::Noop,
    };
    log.append_meta(&noop).expect("nothing fails");
    log.journal().sync().expect("nothing fails");
    for number in 0..20 {
        let mut builder = BatchBuilder::new();
        for record in 0..3 {
            let time = Timestamp(1_000 * i64::from(number) + record);
            builder.append(time, Some(b"key"), Some(&[b'v'; 40]), &[]);
        }
        let mut batch = builder.build();
        batch.stamp(log.log_end_offset(), Term::new(term).leader_epoch());
        let entry = DataEntry {
            index: log.last_index().next(),
            term: Term::new(term),
            batch,
            placement: Placement::Undecided,
        };
        log.append(&[entry], NOW).expect("nothing fails");
    }
}

/// How many records can be read.
fn read_all(log: &mut Log) -> i64 {
    let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
    let mut records = 0;
    while next < end {
        match log.read(next, end, 2_000, true) {
            Ok(read) => {
                assert!(read.next_offset > next, "reading goes on");
                let mut bytes = read.records;
                while let Ok(batch) = RecordBatch::parse(&mut bytes) {
                    records += i64::from(batch.header().record_count());
                }
                next = read.next_offset;
            }
            Err(ReadError::Corrupt(damage)) => {
                assert!(damage.next_offset > next, "reading goes on behind damage");
                next = damage.next_offset;
            }
            Err(error) => panic!("{error}"),
        }
    }
    records
}

fn look_up(log: &mut Log) {
    let end = log.log_end_offset();
    for time in [0, 5_000, 19_002, i64::MAX] {
        drop(log.offset_for_timestamp(Timestamp(time), end));
    }
    drop(log.max_timestamp());
    drop(log.entries(LogIndex(1), 1_000));
}
