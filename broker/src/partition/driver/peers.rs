//! What is said to the other replicas of the group, with the entries it speaks of.
//!
//! The last entries are kept in memory, so that they can leave while they are still being written;
//! a follower that is further behind is given what is in the log.

use std::collections::VecDeque;

use bytes::Bytes;
use klamm_model::raft::{DataEntry, LogEntry, Placement};
use klamm_model::record_batch::RecordBatch;
use klamm_model::{LogIndex, Offset};
use klamm_replication::{EntryId, Envelope, PeerMessage};
use klamm_storage::{EntryInfo, Log, ReadError};

/// A message for another replica, and the entries of [`PeerMessage::Append`].
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What is said.
    pub envelope: Envelope,
    /// Exactly as many as it speaks of.
    pub entries: Vec<LogEntry>,
}

/// The last entries of the log, of which some are not written yet.
#[derive(Debug)]
pub(super) struct Recent {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    /// What one message carries at most, unless its first batch is larger.
    message_bytes: usize,
}

impl Recent {
    /// Messages that can be made of what is kept of entries that are written.
    const KEPT_MESSAGES: usize = 4;
    /// Entries that are kept of them, if they are small.
    const KEPT_ENTRIES: usize = 4_096;

    pub(super) fn new(message_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            message_bytes,
        }
    }

    /// The log goes on with an entry; those up to `written` need not be kept.
    pub(super) fn push(&mut self, entry: LogEntry, written: LogIndex) {
        self.bytes += entry.size_bytes();
        self.entries.push_back(entry);
        let is_spare = |entry: &mut LogEntry| entry.index() <= written;
        let kept_bytes = Self::KEPT_MESSAGES * self.message_bytes;
        while self.bytes > kept_bytes || self.entries.len() > Self::KEPT_ENTRIES {
            let Some(oldest) = self.entries.pop_front_if(is_spare) else {
                return;
            };
            self.bytes -= oldest.size_bytes();
        }
    }

    /// All entries are in the log: whoever is given them is told where segments begin in it, also by
    /// those that came without a word of that.
    pub(super) fn settle(&mut self, log: &Log) {
        for entry in &mut self.entries {
            if let LogEntry::Records(entry) = entry
                && entry.placement == Placement::Undecided
            {
                entry.placement = log.placement_at(entry.batch.base_offset());
            }
        }
    }

    /// The first entry that is here.
    pub(super) fn first(&self) -> Option<LogIndex> {
        self.entries.front().map(LogEntry::index)
    }

    /// Forgets what stands from an entry on.
    pub(super) fn truncate(&mut self, from: LogIndex) {
        while let Some(last) = self.entries.pop_back_if(|last| last.index() >= from) {
            self.bytes -= last.size_bytes();
        }
    }

    /// Entries from `first` on, as many as are wanted and fit into a message; `None` if the first
    /// is not here.
    fn from(&self, first: LogIndex, count: usize) -> Option<Vec<LogEntry>> {
        let oldest = self.entries.front()?.index();
        let at = usize::try_from(first.0.checked_sub(oldest.0)?).ok()?;
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            let is_first = bytes == 0;
            bytes += entry.size_bytes();
            is_first || bytes <= self.message_bytes
        };
        let wanted = self.entries.iter().skip(at).take(count);
        let entries: Vec<_> = wanted.take_while(fits).cloned().collect();
        (!entries.is_empty()).then_some(entries)
    }
}

/// Makes of an append the advice to take a copy, for who has nothing of a large log, or lacks what was
/// removed a moment ago.
///
/// Only what is `committed` can be copied. If there is little of that, entries must go on: perhaps it is
/// for this very follower that no more is committed.
pub(super) fn refer_to_copy(
    envelope: &mut Envelope,
    log: &Log,
    committed: Offset,
    begin_by_copy_bytes: u64,
) {
    let PeerMessage::Append { previous, .. } = &envelope.message else {
        return;
    };
    let first = log.first_index();
    let has_nothing = previous.index == LogIndex::ZERO;
    let is_far = has_nothing && log.size_bytes_before(committed) >= begin_by_copy_bytes;
    let index = match previous.index.next() < first {
        true => LogIndex(first.0 - 1),
        false if is_far => first,
        false => return,
    };
    let term = log.term_at(index);
    let unless = EntryId { index, term };
    envelope.message = PeerMessage::TakeCopy { unless };
}

/// Puts the entries beside a message. Those that do not fit are left out, and the message says so:
/// the last entry that it speaks of, if it is not the one that was meant.
pub(super) fn with_entries(
    mut envelope: Envelope,
    recent: &Recent,
    log: &mut Log,
) -> Result<(Outgoing, Option<LogIndex>), ReadError> {
    let PeerMessage::Append {
        previous, count, ..
    } = &mut envelope.message
    else {
        let entries = Vec::new();
        return Ok((Outgoing { envelope, entries }, None));
    };
    let first = previous.index.next();
    let wanted = *count as usize;
    let mut entries = Vec::new();
    if wanted > 0 {
        entries = match recent.from(first, wanted) {
            Some(entries) => entries,
            None => from_log(log, first, wanted, recent.message_bytes)?,
        };
    }
    *count = u32::try_from(entries.len()).expect("not more than were wanted");
    let through = LogIndex(previous.index.0 + entries.len() as u64);
    let cut = (entries.len() < wanted).then_some(through);
    Ok((Outgoing { envelope, entries }, cut))
}

/// Entries that are written, up to the first that is damaged.
fn from_log(
    log: &mut Log,
    first: LogIndex,
    count: usize,
    message_bytes: usize,
) -> Result<Vec<LogEntry>, ReadError> {
    let mut entries = Vec::new();
    let mut next = first;
    for (info, bytes) in log.read_entries(first, count, message_bytes)? {
        let entry = entry(log, &info, bytes).filter(|_| info.index == next);
        let Some(entry) = entry else {
            break;
        };
        next = next.next();
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(log: &Log, info: &EntryInfo, mut bytes: Bytes) -> Option<LogEntry> {
    let EntryInfo { index, term, .. } = *info;
    let metas = log.metas();
    if let Ok(at) = metas.binary_search_by_key(&index, |meta| meta.index) {
        return Some(LogEntry::Meta(metas[at].clone()));
    }
    let batch = RecordBatch::parse_trusted(&mut bytes).ok()?;
    let placement = log.placement_at(batch.base_offset());
    Some(LogEntry::Records(DataEntry {
        index,
        term,
        batch,
        placement,
    }))
}
