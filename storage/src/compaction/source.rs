//! A segment that is to be compacted, read from its file.

use klamm_model::{Offset, RecordBatch};

use super::CompactionError;
use crate::DiskError;
use crate::disk::Open;
use crate::log::{Damage, Place};
use crate::segment::file_name;
use crate::segment::residency::{Unread, Waiting};
use crate::segment::walk::Written;

/// A segment as the log knew it when the compaction began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) base_offset: Offset,
    pub(crate) end_offset: Offset,
    pub(crate) length: u64,
    /// Bytes of the larger of its indexes.
    pub(crate) index_bytes: u64,
    pub(crate) is_sparse: bool,
    /// Whether it has a `.txnindex`.
    pub(crate) has_transactions: bool,
}

impl Source {
    /// Gives all its batches, their checksums verified. Waits for the disk.
    pub(super) fn walk(
        &self,
        place: &Place,
        mut each: impl FnMut(&RecordBatch) -> Result<(), CompactionError>,
    ) -> Result<(), CompactionError> {
        let written = self.open(place)?;
        let (mut position, mut expected) = (0, self.base_offset);
        while position < self.length {
            let batch = self.batch(&written, position, expected).map_err(unread)?;
            let Some(batch) = batch else {
                return Err(CompactionError::Damaged(Damage {
                    file: place.directory.join(file_name(self.base_offset, "log")),
                    position,
                    first_offset: expected,
                    next_offset: self.end_offset,
                }));
            };
            position += batch.size_bytes() as u64;
            expected = batch.next_offset();
            each(&batch)?;
        }
        Ok(())
    }

    fn batch(
        &self,
        written: &Written,
        position: u64,
        expected: Offset,
    ) -> Result<Option<RecordBatch>, Unread> {
        match written.header(position, expected)? {
            Some(header) => written.batch(position, &header),
            None => Ok(None),
        }
    }

    fn open(&self, place: &Place) -> Result<Written, CompactionError> {
        let path = place.directory.join(file_name(self.base_offset, "log"));
        let mapping = place.disk.open(&path, Open::Existing).and_then(|file| {
            match file.length()? < self.length {
                // Of the same name, but not the same.
                true => Err(DiskError::NotFound { path: path.clone() }),
                false => file.map_read_only(self.length as usize),
            }
        });
        let mapping = mapping.map_err(unreadable)?;
        let at = (place.directory.clone(), self.base_offset);
        let written = Written::new(mapping, self.length, self.length, Waiting::Here, at);
        Ok(match self.is_sparse {
            true => written.sparse(self.end_offset),
            false => written,
        })
    }
}

fn unread(unread: Unread) -> CompactionError {
    unreadable(DiskError::from(unread))
}

fn unreadable(error: DiskError) -> CompactionError {
    match error.is_not_found() {
        true => CompactionError::Gone,
        false => CompactionError::Unreadable(error),
    }
}
