//! Everything but records: indexes, compared with the `.log` beside them, producers, the journal.
#![expect(
    clippy::disallowed_methods,
    reason = "files are read as they are, without a broker"
)]

use std::collections::BTreeMap;
use std::path::Path;

use klamm_storage::inspect;

use super::Printer;
use super::files::Kind;
use super::line::Line;
use super::records::Batches;

pub(super) fn dump(path: &Path, kind: Kind, printer: &mut Printer) -> std::io::Result<()> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return printer.print(&Line::problem(path, error.to_string())),
    };
    let lines = match kind {
        Kind::Log => unreachable!("records are read batch by batch"),
        Kind::Index => offset_index(path, &bytes),
        Kind::RaftIndex => raft_index(path, &bytes),
        Kind::TimeIndex => time_index(path, &bytes),
        Kind::TransactionIndex => transaction_index(path, &bytes),
        Kind::Snapshot => snapshot(path, &bytes),
        Kind::Journal => journal(path, &bytes),
    };
    lines.iter().try_for_each(|line| printer.print(line))
}

/// What an index may point at.
struct Target {
    last_offset: i64,
    max_timestamp: i64,
}

/// The batches of the `.log` beside a file, by position; empty if there is none.
fn batches_beside(path: &Path) -> BTreeMap<u64, Target> {
    let mut targets = BTreeMap::new();
    let Ok(mut batches) = Batches::open(&path.with_extension("log")) else {
        return targets;
    };
    while let Some((position, Ok(batch))) = batches.next() {
        let target = Target {
            last_offset: batch.last_offset().get(),
            max_timestamp: batch.header().max_timestamp().millis(),
        };
        targets.insert(position, target);
    }
    targets
}

/// The base offset in a file's name; it was looked at before.
fn base_of(path: &Path) -> i64 {
    let name = path.file_name().and_then(|name| name.to_str());
    let base = name.and_then(inspect::segment_file);
    base.map_or(0, |(base, _)| base.get())
}

fn left_over(path: &Path, bytes: usize) -> Option<Line> {
    (bytes > 0).then(|| Line::problem(path, format!("{bytes} bytes are no whole entry")))
}

fn offset_index(path: &Path, bytes: &[u8]) -> Vec<Line> {
    let (rows, rest) = inspect::offset_index(bytes);
    let (base, batches) = (base_of(path), batches_beside(path));
    let mut lines = Vec::new();
    for row in rows {
        let offset = base + i64::from(row.relative);
        let line = Line::of(path).field("offset", offset);
        lines.push(line.field("position", row.position));
        let found = batches.get(&u64::from(row.position));
        if found.is_none_or(|batch| batch.last_offset != offset) {
            let text = format!(
                "no batch at position {} ends with offset {offset}",
                row.position
            );
            lines.push(Line::problem(path, text));
        }
    }
    lines.extend(left_over(path, rest));
    lines
}

fn raft_index(path: &Path, bytes: &[u8]) -> Vec<Line> {
    let (rows, rest) = inspect::offset_index(bytes);
    let batches = batches_beside(path);
    let mut lines = Vec::new();
    for row in rows {
        let line = Line::of(path).field("relativeIndex", row.relative);
        lines.push(line.field("position", row.position));
        if !batches.contains_key(&u64::from(row.position)) {
            let text = format!("no batch begins at position {}", row.position);
            lines.push(Line::problem(path, text));
        }
    }
    lines.extend(left_over(path, rest));
    lines
}

fn time_index(path: &Path, bytes: &[u8]) -> Vec<Line> {
    let (rows, rest) = inspect::time_index(bytes);
    let base = base_of(path);
    let batches = batches_beside(path);
    let times: BTreeMap<i64, i64> = batches
        .values()
        .map(|batch| (batch.last_offset, batch.max_timestamp))
        .collect();
    let mut lines = Vec::new();
    let mut latest = i64::MIN;
    for row in rows {
        let (timestamp, offset) = (row.timestamp.millis(), base + i64::from(row.relative));
        let line = Line::of(path).field("timestamp", timestamp);
        lines.push(line.field("offset", offset));
        if times.get(&offset) != Some(&timestamp) {
            let text = format!("no batch with timestamp {timestamp} ends with offset {offset}");
            lines.push(Line::problem(path, text));
        }
        if timestamp < latest {
            lines.push(Line::problem(path, format!("times go back to {timestamp}")));
        }
        latest = latest.max(timestamp);
    }
    lines.extend(left_over(path, rest));
    lines
}

fn transaction_index(path: &Path, bytes: &[u8]) -> Vec<Line> {
    let Some(rows) = inspect::transaction_index(bytes) else {
        return vec![Line::problem(path, "an entry cannot be read")];
    };
    let rows = rows.iter().map(|row| {
        Line::of(path)
            .field("producerId", row.producer_id.0)
            .field("firstOffset", row.first_offset.get())
            .field("lastOffset", row.last_offset.get())
            .field("lastStableOffset", row.last_stable_offset.get())
    });
    rows.collect()
}

fn snapshot(path: &Path, bytes: &[u8]) -> Vec<Line> {
    let Some(producers) = inspect::snapshot(bytes) else {
        return vec![Line::problem(path, "it is damaged, or of another version")];
    };
    let lines = producers.iter().map(|(id, entry)| {
        let last = entry.last_batch();
        Line::of(path)
            .field("producerId", id.0)
            .field("producerEpoch", entry.epoch().0)
            .field("coordinatorEpoch", entry.coordinator_epoch())
            .field(
                "currentTxnFirstOffset",
                entry.transaction_start().map(|offset| offset.get()),
            )
            .field("lastTimestamp", entry.last_timestamp().millis())
            .field("lastSequence", entry.last_sequence())
            .field("lastOffset", last.map(|last| last.last_offset.get()))
            .field("offsetDelta", last.map(|last| last.offset_delta))
    });
    lines.collect()
}

fn journal(path: &Path, bytes: &[u8]) -> Vec<Line> {
    let (rows, damage) = match inspect::journal(bytes) {
        Ok(found) => found,
        Err(problem) => return vec![Line::problem(path, problem)],
    };
    let mut lines: Vec<Line> = rows
        .into_iter()
        .map(|row| {
            Line::of(path)
                .field("topicId", row.topic_id.to_string())
                .field("partition", row.partition.0)
                .field("record", row.kind)
                .fields(row.fields)
        })
        .collect();
    lines.extend(damage.map(|position| {
        Line::problem(path, "it cannot be read any further").field("position", position)
    }));
    lines
}
