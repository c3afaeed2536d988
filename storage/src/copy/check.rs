//! Whether the bytes of a copy are the log that its manifest speaks of: every batch from the first
//! to the last, and every entry between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_model::{LogIndex, Offset, RecordBatch, Term};

use super::{CopiedSegment, CopyError, LogManifest, Part, disk_failed};
use crate::ProducerState;
use crate::disk::{self, Disk, Open};
use crate::log::{AppendError, epochs_of, is_noop, is_of_its_epoch};
use crate::producer_state::{self, AbortedTransaction};
use crate::segment::file_name;
use crate::segment::residency::{Unread, Waiting};
use crate::segment::walk::Written;

/// Largest snapshot that is read.
const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// The files of a copy, walked over once.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    disk: &'a dyn Disk,
    directory: &'a Arc<Path>,
    manifest: &'a LogManifest,
    /// The next entry, its offset, and the term of the one before.
    index: LogIndex,
    offset: Offset,
    term: Term,
    /// Entries without records that have been passed.
    metas: usize,
    /// As far as the walk has come, to know which transactions were aborted.
    producers: ProducerState,
}

/// Rows for the `.txnindex` of a segment.
pub(super) type Aborted = (Offset, Vec<AbortedTransaction>);

impl<'a> Walk<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        directory: &'a Arc<Path>,
        manifest: &'a LogManifest,
    ) -> Self {
        let anchor = manifest.anchor();
        let first_index = anchor.first_index;
        let metas = manifest.metas();
        Self {
            disk,
            directory,
            manifest,
            index: first_index,
            offset: anchor.whole_from(),
            term: anchor.prev_term,
            metas: metas.partition_point(|meta| meta.index < first_index),
            producers: ProducerState::default(),
        }
    }

    /// Walks over all of it. Returns the transactions that were aborted, by segment: of what was
    /// compacted none, since no record of them is left there.
    pub(super) fn run(mut self) -> Result<Vec<Aborted>, CopyError> {
        let mut aborted = Vec::new();
        let whole_from = self.offset;
        let segments = self.manifest.segments();
        for (at, segment) in segments.iter().enumerate() {
            let snapshot = self.snapshot(segment)?;
            if segment.base_offset == whole_from {
                self.producers = snapshot.unwrap_or_default();
            }
            let next = segments.get(at + 1).map(|next| next.base_offset);
            if segment.base_offset < whole_from {
                self.compacted(segment, next.unwrap_or(whole_from))?;
            } else {
                let rows = self.whole(segment, next.unwrap_or(self.manifest.end().offset))?;
                aborted.extend((!rows.is_empty()).then_some((segment.base_offset, rows)));
            }
        }
        self.pass_metas(segments.last().expect("a copy has a segment"))?;
        let end = self.manifest.end();
        match self.index == end.index.next() && self.offset == end.offset {
            true => Ok(aborted),
            false => Err(self.unsound(segments.last(), 0, "it does not end with its last entry")),
        }
    }

    /// Batches may be missing, but never the last; what there is has its checksum and its epoch.
    fn compacted(&self, segment: &CopiedSegment, end: Offset) -> Result<(), CopyError> {
        let written = self.open(segment)?.sparse(end);
        let anchor = self.manifest.anchor();
        let epochs = epochs_of(&self.manifest.group_state(), anchor.first_index);
        let (mut position, mut expected) = (0, segment.base_offset);
        while position < segment.log_bytes {
            let batch = self.batch(&written, position, expected)?;
            let Some(batch) = batch else {
                return Err(self.unsound(Some(segment), position, "no batch that belongs there"));
            };
            if !is_of_its_epoch(&epochs, anchor.log_start_offset, batch.header()) {
                return Err(self.unsound(Some(segment), position, "a batch of another epoch"));
            }
            position += batch.size_bytes() as u64;
            expected = batch.next_offset();
        }
        Ok(())
    }

    /// Entry for entry, to `end`.
    fn whole(
        &mut self,
        segment: &CopiedSegment,
        end: Offset,
    ) -> Result<Vec<AbortedTransaction>, CopyError> {
        let written = self.open(segment)?;
        let mut rows = Vec::new();
        let mut position = 0;
        while position < segment.log_bytes {
            self.pass_metas(segment)?;
            let batch = self.batch(&written, position, self.offset)?;
            let Some(batch) = batch else {
                return Err(self.unsound(Some(segment), position, "no batch that belongs there"));
            };
            if batch.header().leader_epoch() != self.term.leader_epoch() {
                return Err(self.unsound(Some(segment), position, "a batch of another epoch"));
            }
            if position == 0 && segment.base_index != Some(self.index) {
                return Err(self.unsound(Some(segment), position, "a batch of another index"));
            }
            rows.extend(self.producers.record(&batch));
            position += batch.size_bytes() as u64;
            self.offset = batch.next_offset();
            self.index = self.index.next();
        }
        match self.offset == end {
            true => Ok(rows),
            false => Err(self.unsound(Some(segment), position, "it does not reach the next one")),
        }
    }

    /// Entries without records that come next: each stands where the log ends before it.
    fn pass_metas(&mut self, segment: &CopiedSegment) -> Result<(), CopyError> {
        while let Some(meta) = self.manifest.metas().get(self.metas)
            && meta.index == self.index
        {
            if meta.at_offset != self.offset {
                let reason = "an entry without records stands elsewhere";
                return Err(self.unsound(Some(segment), 0, reason));
            }
            if is_noop(meta) {
                self.term = meta.term;
            }
            self.index = self.index.next();
            self.metas += 1;
        }
        Ok(())
    }

    fn snapshot(&self, segment: &CopiedSegment) -> Result<Option<ProducerState>, CopyError> {
        if segment.snapshot_bytes.is_none() {
            return Ok(None);
        }
        let path = self.path(segment, Part::ProducerSnapshot);
        let bytes = disk::read_small(self.disk, &path, SNAPSHOT_BYTES_MAX).map_err(disk_failed)?;
        match producer_state::decode(&bytes) {
            Some(state) => Ok(Some(state)),
            None => Err(CopyError::Unsound {
                reason: "no snapshot of producers",
                file: path,
                position: 0,
            }),
        }
    }

    /// The bytes of a segment. Nothing is written to it any more.
    fn open(&self, segment: &CopiedSegment) -> Result<Written, CopyError> {
        let path = self.path(segment, Part::Log);
        let file = self.disk.open(&path, Open::Existing).map_err(disk_failed)?;
        let length = file.length().map_err(disk_failed)?;
        if length != segment.log_bytes {
            return Err(self.unsound(Some(segment), length, "it has another length"));
        }
        let mapping = file.map_read_only(length as usize).map_err(disk_failed)?;
        let at = (Arc::clone(self.directory), segment.base_offset);
        Ok(Written::new(mapping, length, length, Waiting::Here, at))
    }

    fn batch(
        &self,
        written: &Written,
        position: u64,
        expected: Offset,
    ) -> Result<Option<RecordBatch>, AppendError> {
        let read = || match written.header(position, expected)? {
            Some(header) => written.batch(position, &header),
            None => Ok(None),
        };
        read().map_err(|unread: Unread| disk_failed(unread.into()))
    }

    fn path(&self, segment: &CopiedSegment, part: Part) -> PathBuf {
        let name = file_name(segment.base_offset, part.suffix());
        self.directory.join(name)
    }

    fn unsound(
        &self,
        segment: Option<&CopiedSegment>,
        position: u64,
        reason: &'static str,
    ) -> CopyError {
        let file = segment.map(|segment| self.path(segment, Part::Log));
        CopyError::Unsound {
            reason,
            file: file.unwrap_or_else(|| self.directory.to_path_buf()),
            position,
        }
    }
}
