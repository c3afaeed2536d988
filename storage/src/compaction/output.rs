//! The copy of a group: a segment in the making, beside those that it will replace.

use std::io::IoSlice;
use std::sync::Arc;

use klamm_model::{LogIndex, RecordBatch};

use super::{CompactionError, Plan, Source};
use crate::disk::{DiskError, DiskFile};
use crate::log::Place;
use crate::producer_state::AbortedTransaction;
use crate::segment::{FoundFiles, Segment};

/// Bytes after which the copy is synced: much at once would hold up the fsyncs of the data plane.
const SYNC_BYTES: u64 = 8 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    segment: Segment,
    file: Arc<dyn DiskFile>,
    /// Batches that are noted in the segment and not yet written.
    buffer: Vec<u8>,
    buffer_bytes: usize,
    unsynced_bytes: u64,
    records: u64,
    index_interval_bytes: u32,
}

impl Output {
    pub(super) fn create(
        plan: &Plan,
        group: &[Source],
        buffer_bytes: usize,
    ) -> Result<Self, CompactionError> {
        Self::try_create(plan, group, buffer_bytes).map_err(CompactionError::Unwritable)
    }

    fn try_create(plan: &Plan, group: &[Source], buffer_bytes: usize) -> Result<Self, DiskError> {
        let place = plan.place.clone();
        let mut segment = place.create_cleaned(group[0].base_offset, plan.now)?;
        let file = segment.file(&*place.disk)?;
        if group.iter().any(|source| source.has_transactions) {
            // Even if it stays empty: it has to take the place of the old one.
            segment.transactions().create(&*place.disk)?;
        }
        Ok(Self {
            segment,
            file,
            place,
            buffer: Vec::with_capacity(buffer_bytes),
            buffer_bytes,
            unsynced_bytes: 0,
            records: 0,
            index_interval_bytes: plan.index_interval_bytes,
        })
    }

    /// Bytes of batches.
    pub(super) fn length(&self) -> u64 {
        self.segment.length()
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn append(&mut self, batch: &RecordBatch) -> Result<(), CompactionError> {
        for slice in batch.as_slices() {
            self.buffer.extend_from_slice(slice);
        }
        let header = batch.header();
        self.records += u64::from(header.record_count().max(0).unsigned_abs());
        let disk = Arc::clone(&self.place.disk);
        let interval = self.index_interval_bytes;
        // It has no index: compacted entries are not Raft's.
        let noted = self.segment.note(&*disk, header, LogIndex::ZERO, interval);
        noted.map_err(CompactionError::Unwritable)?;
        match self.buffer.len() >= self.buffer_bytes {
            true => self.write().map_err(CompactionError::Unwritable),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<(), DiskError> {
        let bytes = self.buffer.len() as u64;
        let position = self.segment.length() - bytes;
        let slices = &mut [IoSlice::new(&self.buffer)];
        self.file.write_at(slices, position)?;
        self.buffer.clear();
        self.unsynced_bytes += bytes;
        if self.unsynced_bytes >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// Adds rows to the index of aborted transactions.
    pub(super) fn note_aborted(
        &mut self,
        rows: Vec<AbortedTransaction>,
    ) -> Result<(), CompactionError> {
        let disk = Arc::clone(&self.place.disk);
        let transactions = self.segment.transactions();
        let append = |row| transactions.append(&*disk, row);
        let appended = rows.into_iter().try_for_each(append);
        appended.map_err(CompactionError::Unwritable)
    }

    /// Makes the copy durable.
    pub(super) fn finish(self) -> Result<FoundFiles, CompactionError> {
        self.try_finish().map_err(CompactionError::Unwritable)
    }

    fn try_finish(mut self) -> Result<FoundFiles, DiskError> {
        if !self.buffer.is_empty() {
            self.write()?;
        }
        let disk = Arc::clone(&self.place.disk);
        self.segment.seal(&*disk)?;
        self.segment.set_wholly_unsynced();
        let mut files = Vec::new();
        self.segment.take_unsynced(&*disk, true, &mut files)?;
        files.iter().try_for_each(|file| file.sync_data())?;
        self.segment.found_files(&*disk)
    }
}
