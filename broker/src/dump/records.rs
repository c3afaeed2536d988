//! `.log` files: batches, and the records in them.
#![expect(
    clippy::disallowed_methods,
    reason = "files are read as they are, without a broker"
)]

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use klamm_model::RecordBatch;
use klamm_model::record_batch::{BatchHeader, Compression, Record, TimestampType};
use serde_json::{Value, json};

use super::line::Line;
use super::{Depth, Printer};

/// Largest batch that is inflated to show its records.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// A `.log` file, batch by batch.
pub(super) struct Batches {
    reader: BufReader<File>,
    position: u64,
    length: u64,
}

impl Batches {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|error: std::io::Error| error.to_string())?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 20, file),
            position: 0,
            length,
        })
    }

    /// The next batch and where it begins; an error says what is wrong there, and ends it.
    pub(super) fn next(&mut self) -> Option<(u64, Result<RecordBatch, String>)> {
        let position = self.position;
        if position >= self.length {
            return None;
        }
        let batch = self.read();
        self.position = match &batch {
            Ok(batch) => position + batch.size_bytes() as u64,
            Err(_) => self.length,
        };
        Some((position, batch))
    }

    fn read(&mut self) -> Result<RecordBatch, String> {
        let left = self.length - self.position;
        let mut bytes = vec![0; BatchHeader::SIZE_BYTES.min(left as usize)];
        let read = |error: std::io::Error| error.to_string();
        self.reader.read_exact(&mut bytes).map_err(read)?;
        let size = match BatchHeader::peek(&bytes) {
            Ok(header) => header.size_bytes(),
            Err(error) => return Err(error.to_string()),
        };
        // Not on the word of a length alone.
        if size as u64 <= left {
            let at = bytes.len();
            bytes.resize(size, 0);
            self.reader.read_exact(&mut bytes[at..]).map_err(read)?;
        }
        RecordBatch::parse(&mut Bytes::from(bytes)).map_err(|error| error.to_string())
    }
}

pub(super) fn dump(path: &Path, depth: Depth, printer: &mut Printer) -> std::io::Result<()> {
    let mut batches = match Batches::open(path) {
        Ok(batches) => batches,
        Err(problem) => return printer.print(&Line::problem(path, problem)),
    };
    let mut last = -1;
    while let Some((position, batch)) = batches.next() {
        let batch = match batch {
            Ok(batch) => batch,
            Err(problem) => {
                let line = Line::problem(path, problem).field("position", position);
                let unread = batches.length - position;
                return printer.print(&line.field("unreadBytes", unread));
            }
        };
        printer.print(&line_of(path, position, &batch))?;
        if batch.base_offset().get() <= last {
            let text = format!("offsets go back from {last} to {}", batch.base_offset());
            printer.print(&Line::problem(path, text).field("position", position))?;
        }
        last = batch.last_offset().get();
        if depth != Depth::Batches {
            dump_records(path, &batch, depth, printer)?;
        }
    }
    Ok(())
}

/// Names and order as Kafka's `DumpLogSegments` has them.
fn line_of(path: &Path, position: u64, batch: &RecordBatch) -> Line {
    let header = batch.header();
    Line::of(path)
        .field("baseOffset", header.base_offset().get())
        .field("lastOffset", header.last_offset().get())
        .field("count", header.record_count())
        .field("baseSequence", header.base_sequence())
        .field("lastSequence", header.last_sequence())
        .field("producerId", header.producer_id().0)
        .field("producerEpoch", header.producer_epoch().0)
        .field("partitionLeaderEpoch", header.leader_epoch().0)
        .field("isTransactional", header.is_transactional())
        .field("isControl", header.is_control())
        .field(
            "deleteHorizonMs",
            header.delete_horizon().map(|at| at.millis()),
        )
        .field("position", position)
        .field(
            match header.timestamp_type() {
                TimestampType::CreateTime => "createTime",
                TimestampType::LogAppendTime => "logAppendTime",
            },
            header.max_timestamp().millis(),
        )
        .field("size", header.size_bytes())
        .field("magic", header.magic())
        .field("compresscodec", codec(header))
        .field("crc", header.checksum())
        .field("isvalid", true)
}

fn codec(header: &BatchHeader) -> &'static str {
    match header.compression() {
        Some(Compression::None) => "none",
        Some(Compression::Gzip) => "gzip",
        Some(Compression::Snappy) => "snappy",
        Some(Compression::Lz4) => "lz4",
        Some(Compression::Zstd) => "zstd",
        None => "unknown",
    }
}

fn dump_records(
    path: &Path,
    batch: &RecordBatch,
    depth: Depth,
    printer: &mut Printer,
) -> std::io::Result<()> {
    let problem =
        |error: String| Line::problem(path, error).field("baseOffset", batch.base_offset().get());
    let records = match batch.records(INFLATED_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return printer.print(&problem(error.to_string())),
    };
    for record in records {
        match record {
            Ok(record) => printer.print(&line_of_record(path, &record, depth))?,
            Err(error) => printer.print(&problem(error.to_string()))?,
        }
    }
    Ok(())
}

fn line_of_record(path: &Path, record: &Record, depth: Depth) -> Line {
    let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
    let line = Line::of(path)
        .field("offset", record.offset.get())
        .field("timestamp", record.timestamp.millis())
        .field("keySize", size(&record.key))
        .field("valueSize", size(&record.value));
    if depth != Depth::Data {
        return line;
    }
    let headers = record.headers.iter();
    let headers: Vec<Value> = headers
        .map(|header| json!({"key": header.key, "value": text(&header.value)}))
        .collect();
    line.field("headers", headers)
        .field("key", text(&record.key))
        .field("payload", text(&record.value))
}

/// What is no text shows its bytes as `\xNN`.
fn text(bytes: &Option<Bytes>) -> Value {
    let Some(bytes) = bytes else {
        return Value::Null;
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::from(bytes.escape_ascii().to_string()),
    }
}
