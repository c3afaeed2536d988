//! What the bytes of a log directory's files say, for people who look into them.
//!
//! Pure: bytes in, rows out. Nothing here is used by a [`Log`](crate::Log), which reads what it
//! needs and no more; the formats are the same.

use klamm_model::raft::MetaKind;
use klamm_model::{Offset, PartitionIndex, ProducerId, Timestamp, TopicId};

use crate::journal::{self, GroupId};
use crate::producer_state::{self, AbortedTransaction, ProducerEntry};
use crate::segment::{self, transaction_index};

/// A row of `.index` or `.raftindex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// Less the base of the segment: its first offset, or its first Raft index.
    pub relative: u32,
    /// Where the batch begins in the `.log`, in bytes.
    pub position: u32,
}

/// A row of `.timeindex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRow {
    /// The largest timestamp so far.
    pub timestamp: Timestamp,
    /// The last offset of its batch, less the segment's first.
    pub relative: u32,
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Whose.
    pub topic_id: TopicId,
    /// Whose.
    pub partition: PartitionIndex,
    /// Which kind of record.
    pub kind: &'static str,
    /// Names and numbers.
    pub fields: Vec<(&'static str, i64)>,
}

/// The rows of `.index` or `.raftindex`, and how many bytes are left over.
pub fn offset_index(bytes: &[u8]) -> (Vec<IndexRow>, usize) {
    let (rows, rest) = bytes.as_chunks();
    let row = |row: &[u8; 8]| {
        let (relative, position) = segment::parse_pair(row);
        IndexRow { relative, position }
    };
    (rows.iter().map(row).collect(), rest.len())
}

/// The rows of `.timeindex`, and how many bytes are left over.
pub fn time_index(bytes: &[u8]) -> (Vec<TimeRow>, usize) {
    let (rows, rest) = bytes.as_chunks();
    let row = |row: &[u8; 12]| {
        let (timestamp, relative) = segment::parse_time(row);
        TimeRow {
            timestamp,
            relative,
        }
    };
    (rows.iter().map(row).collect(), rest.len())
}

/// The rows of `.txnindex`; `None` if one cannot be read.
pub fn transaction_index(bytes: &[u8]) -> Option<Vec<AbortedTransaction>> {
    transaction_index::decode_all(bytes)
}

/// The producers of a `.snapshot`; `None` if it is damaged.
pub fn snapshot(bytes: &[u8]) -> Option<Vec<(ProducerId, ProducerEntry)>> {
    let state = producer_state::decode(bytes)?;
    let entries = state.iter().map(|(id, entry)| (id, entry.clone()));
    Some(entries.collect())
}

/// The records of a journal, in order, up to the first that is damaged; and where that is, in bytes.
/// An error says why it is no journal.
pub fn journal(bytes: &[u8]) -> Result<(Vec<JournalRow>, Option<u64>), &'static str> {
    let mut rows = Vec::new();
    let scan = journal::scan_records(bytes, |record| rows.push(row(record)))?;
    Ok((rows, scan))
}

fn row(record: &journal::Record) -> JournalRow {
    use journal::Record;
    let GroupId {
        topic_id,
        partition,
    } = record.group();
    let (kind, fields) = match record {
        Record::HardState { hard_state, .. } => (
            "HardState",
            vec![
                ("term", hard_state.term.get() as i64),
                ("vote", hard_state.vote as i64),
                ("commit", hard_state.commit.0 as i64),
            ],
        ),
        Record::Meta { entry, .. } => (
            match entry.kind {
                MetaKind::Noop => "Noop",
                MetaKind::Membership(_) => "Membership",
                MetaKind::Archive(_) => "Archive",
            },
            vec![
                ("index", entry.index.0 as i64),
                ("term", entry.term.get() as i64),
                ("atOffset", entry.at_offset.get()),
            ],
        ),
        Record::TruncateFrom {
            index, end_offset, ..
        } => (
            "TruncateFrom",
            vec![("index", index.0 as i64), ("endOffset", end_offset.get())],
        ),
        Record::Checkpointed { .. } => ("Checkpointed", Vec::new()),
        Record::Segment {
            base_offset,
            base_index,
            ..
        } => (
            "Segment",
            vec![
                ("baseOffset", base_offset.get()),
                ("baseIndex", base_index.0 as i64),
            ],
        ),
        Record::Anchor { anchor, .. } => ("Anchor", anchor_fields(anchor)),
        Record::ClosedAt {
            end_offset,
            next_index,
            ..
        } => (
            "ClosedAt",
            vec![
                ("endOffset", end_offset.get()),
                ("nextIndex", next_index.0 as i64),
            ],
        ),
        Record::DropGroup { .. } => ("DropGroup", Vec::new()),
        Record::Copied { copied, .. } => {
            let mut fields = vec![
                ("endOffset", copied.end_offset.get()),
                ("lastIndex", copied.last_index.0 as i64),
                ("lastTerm", copied.last_term.get() as i64),
            ];
            fields.extend(anchor_fields(&copied.anchor));
            ("Copied", fields)
        }
        Record::CopyPlaced { .. } => ("CopyPlaced", Vec::new()),
    };
    JournalRow {
        topic_id,
        partition,
        kind,
        fields,
    }
}

fn anchor_fields(anchor: &journal::Anchor) -> Vec<(&'static str, i64)> {
    let mut fields = vec![
        ("firstIndex", anchor.first_index.0 as i64),
        ("prevTerm", anchor.prev_term.get() as i64),
        ("firstOffset", anchor.first_offset.get()),
        ("logStartOffset", anchor.log_start_offset.get()),
    ];
    let compacted = anchor.compacted.as_ref();
    fields.extend(compacted.map(|part| ("compactedTo", part.end_offset.get())));
    fields
}

/// The base offset that a file's name tells, and its kind: `("00…042", "index")` of
/// `00…042.index`. `None` for a file of another form.
pub fn segment_file(name: &str) -> Option<(Offset, &str)> {
    crate::log::parse_name(name)
}
