//! `.txnindex`: the aborted transactions whose markers lie in a segment.
//!
//! ```text
//! version i16 (0), producer id i64, first offset i64, last offset i64, last stable offset i64
//! ```
//! Source: Kafka's `AbortedTxn`, `TransactionIndex`. The file exists only if a transaction was
//! aborted in the segment.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use klamm_model::{Offset, ProducerId};

use crate::disk::{self, Disk, DiskError, DiskFile, Open};
use crate::producer_state::AbortedTransaction;

const VERSION: i16 = 0;
const ENTRY_BYTES: usize = 34;

/// Largest index that is read: 30 million aborted transactions in one segment.
const INDEX_BYTES_MAX: usize = 1 << 30;

/// The aborted transactions of one segment.
#[derive(Debug)]
pub(crate) struct TransactionIndex {
    path: PathBuf,
    /// Read at first use.
    entries: Option<Vec<AbortedTransaction>>,
    exists: bool,
    file: Option<Arc<dyn DiskFile>>,
    unsynced: bool,
}

impl TransactionIndex {
    /// An index of which `length` bytes are on disk; `None` if there is no file.
    pub(crate) fn new(path: PathBuf, length: Option<u64>) -> Self {
        Self {
            path,
            entries: None,
            exists: length.is_some(),
            file: None,
            unsynced: false,
        }
    }

    /// The entries, in the order of their markers. A damaged end is left out.
    pub(crate) fn entries(&mut self, disk: &dyn Disk) -> Result<&[AbortedTransaction], DiskError> {
        if self.entries.is_none() {
            let bytes = match self.exists {
                true => disk::read_small(disk, &self.path, INDEX_BYTES_MAX)?,
                false => Vec::new(),
            };
            self.entries = Some(bytes.chunks_exact(ENTRY_BYTES).map_while(decode).collect());
        }
        Ok(self.entries.as_deref().unwrap_or_default())
    }

    /// Whether there is a file.
    pub(crate) fn exists(&self) -> bool {
        self.exists
    }

    /// Bytes of all entries.
    pub(crate) fn length(&mut self, disk: &dyn Disk) -> Result<u64, DiskError> {
        Ok((self.entries(disk)?.len() * ENTRY_BYTES) as u64)
    }

    /// Creates the file, empty.
    pub(crate) fn create(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.file = Some(disk.open(&self.path, Open::Truncate)?);
        self.exists = true;
        self.entries = Some(Vec::new());
        self.unsynced = true;
        Ok(())
    }

    /// Adds an entry.
    pub(crate) fn append(
        &mut self,
        disk: &dyn Disk,
        entry: AbortedTransaction,
    ) -> Result<(), DiskError> {
        let position = (self.entries(disk)?.len() * ENTRY_BYTES) as u64;
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(disk.open(&self.path, Open::Create)?),
        };
        self.exists = true;
        file.write_at(&mut [IoSlice::new(&encode(&entry))], position)?;
        self.unsynced = true;
        if let Some(entries) = &mut self.entries {
            entries.push(entry);
        }
        Ok(())
    }

    /// Drops entries whose markers lie at `offset` or later.
    pub(crate) fn truncate(&mut self, disk: &dyn Disk, offset: Offset) -> Result<(), DiskError> {
        let entries = self.entries(disk)?;
        let kept = entries.partition_point(|entry| entry.last_offset < offset);
        if kept == entries.len() {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(disk.open(&self.path, Open::Create)?),
        };
        file.truncate((kept * ENTRY_BYTES) as u64)?;
        self.unsynced = true;
        if let Some(entries) = &mut self.entries {
            entries.truncate(kept);
        }
        Ok(())
    }

    /// The file, if it has to be synced; it counts as synced from now on.
    pub(crate) fn take_unsynced(&mut self) -> Option<Arc<dyn DiskFile>> {
        if std::mem::take(&mut self.unsynced) {
            self.file.clone()
        } else {
            None
        }
    }
}

/// All entries; `None` if one cannot be read, or bytes are left over.
pub(crate) fn decode_all(bytes: &[u8]) -> Option<Vec<AbortedTransaction>> {
    let entries = bytes.chunks(ENTRY_BYTES);
    entries
        .map(|entry| {
            (entry.len() == ENTRY_BYTES)
                .then_some(entry)
                .and_then(decode)
        })
        .collect()
}

fn encode(entry: &AbortedTransaction) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENTRY_BYTES);
    bytes.put_i16(VERSION);
    bytes.put_i64(entry.producer_id.0);
    bytes.put_i64(entry.first_offset.get());
    bytes.put_i64(entry.last_offset.get());
    bytes.put_i64(entry.last_stable_offset.get());
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<AbortedTransaction> {
    (bytes.get_i16() == VERSION).then_some(())?;
    Some(AbortedTransaction {
        producer_id: ProducerId(bytes.get_i64()),
        first_offset: Offset::checked(bytes.get_i64())?,
        last_offset: Offset::checked(bytes.get_i64())?,
        last_stable_offset: Offset::checked(bytes.get_i64())?,
    })
}
