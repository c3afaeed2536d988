//! Writes a log directory with one partition of everything a log can hold, for Kafka's
//! `DumpLogSegments` to read:
//!
//! `cargo run -p klamm-storage --example write_log_dir -- DIRECTORY [open]`
//!
//! With `open`, the log is left as a killed broker leaves it; otherwise it is closed.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use klamm_model::raft::{DataEntry, MetaEntry, MetaKind, Placement};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{
    BrokerId, PartitionIndex, ProducerEpoch, ProducerId, RecordBatch, Term, Timestamp, TopicId,
    TopicName, TopicPartition,
};
use klamm_storage::{
    FileDisk, Log, LogCheckpoint, LogConfig, LogDir, LogDirIdentity, LogDirOptions,
};

/// 2026-01-01, in milliseconds.
const START: i64 = 1_767_225_600_000;
const TOPIC_ID: TopicId = TopicId::from_bytes([0x42; 16]);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(root) = arguments.next() else {
        eprintln!("usage: write_log_dir DIRECTORY [open]");
        return ExitCode::from(2);
    };
    let close = arguments.next().as_deref() != Some("open");
    match write(Path::new(&root), close) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path, close: bool) -> Result<(), Box<dyn std::error::Error>> {
    let identity = LogDirIdentity {
        cluster_id: "dump-log-segments".to_owned(),
        node_id: BrokerId(1),
        directory_id: TopicId::from_bytes([0x17; 16]),
    };
    let options = LogDirOptions {
        identity,
        ballast_bytes: 0,
        mappings_max: 16,
    };
    let directory = LogDir::open(Arc::new(FileDisk::new()), root, options)?;
    let partition = TopicPartition::new(TopicName::new("orders")?, PartitionIndex(0));
    let config = LogConfig {
        segment_bytes: 64 << 10,
        index_interval_bytes: 512,
        ..LogConfig::default()
    };
    let mut log = directory.open_log(&partition, TOPIC_ID, config, Timestamp(START))?;
    fill(&mut log)?;
    log.sync()?;
    if close {
        log.close()?;
        let checkpoint = LogCheckpoint {
            recovery_point: log.recovery_point(),
            high_watermark: log.log_end_offset(),
            log_start_offset: log.log_start_offset(),
            cleaned_to: log.cleaned_to(),
        };
        directory.close(&[(partition, checkpoint)])?;
    }
    Ok(())
}

/// Leaders come and go; producers are plain, idempotent and transactional; times go back and
/// forth; a call appends one batch or several.
fn fill(log: &mut Log) -> Result<(), Box<dyn std::error::Error>> {
    for term in 1..=4 {
        begin_term(log, term)?;
        for round in 0..60 {
            let time = START + term as i64 * 100_000 + (round * 7919) % 1000;
            let plain = records(BatchBuilder::new(), time, 1 + round as usize % 9);
            append(log, vec![plain])?;
            let sequence = ((term as i32 - 1) * 60 + round as i32) * 3;
            let idempotent =
                BatchBuilder::new().producer(ProducerId(1000), ProducerEpoch(0), sequence);
            let again = records(BatchBuilder::new(), time - 500, 2);
            append(log, vec![records(idempotent, time + 3, 3), again])?;
            if round % 10 == 9 {
                transaction(log, time, round % 20 == 9, sequence / 3)?;
            }
        }
    }
    Ok(())
}

fn begin_term(log: &mut Log, term: u64) -> Result<(), Box<dyn std::error::Error>> {
    log.append_meta(&MetaEntry {
        index: log.last_index().next(),
        term: Term::new(term),
        at_offset: log.log_end_offset(),
        kind: MetaKind::Noop,
    })?;
    log.journal().sync()?;
    Ok(())
}

fn transaction(
    log: &mut Log,
    time: i64,
    aborts: bool,
    sequence: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let of = |sequence| {
        BatchBuilder::new()
            .producer(ProducerId(2000), ProducerEpoch(1), sequence)
            .transactional()
    };
    append(log, vec![records(of(sequence), time, 1)])?;
    append(log, vec![records(BatchBuilder::new(), time, 1)])?;
    let mut marker = of(-1).control();
    let key = [0, 0, 0, u8::from(!aborts)];
    marker.append(Timestamp(time), Some(&key), Some(&[0, 0, 0, 0, 0, 7]), &[]);
    append(log, vec![marker.build()])
}

fn records(mut builder: BatchBuilder, time: i64, count: usize) -> RecordBatch {
    for number in 0..count {
        let key = format!("key-{number}");
        let value = "v".repeat(20 + number * 13);
        let time = Timestamp(time + (number as i64 * 37) % 50);
        let headers = [("trace", Some(&b"abc"[..])), ("none", None)];
        builder.append(time, Some(key.as_bytes()), Some(value.as_bytes()), &headers);
    }
    builder.build()
}

fn append(log: &mut Log, batches: Vec<RecordBatch>) -> Result<(), Box<dyn std::error::Error>> {
    let mut offset = log.log_end_offset();
    let mut index = log.last_index();
    let term = log.last_term();
    let mut entries = Vec::new();
    for mut batch in batches {
        batch.stamp(offset, term.leader_epoch());
        offset = batch.next_offset();
        index = index.next();
        entries.push(DataEntry {
            index,
            term,
            batch,
            placement: Placement::Undecided,
        });
    }
    log.append(&entries, Timestamp(START))?;
    Ok(())
}
