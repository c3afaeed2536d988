//! `.snapshot` files: producers as of an offset, so that not the whole log has to be walked to
//! know them again. Taken when a segment is closed, when the log is closed, and after many bytes.

use std::io::IoSlice;
use std::path::PathBuf;

use klamm_model::Offset;

use super::read::At;
use super::{Log, Place, ReadError};
use crate::disk::{self, DiskError, Open};
use crate::producer_state::{self, ProducerState};
use crate::segment::file_name;
use crate::segment::residency::Waiting;

/// Bytes appended after which a snapshot is taken although no segment was closed: bounds what an
/// unclean start has to walk.
const SNAPSHOT_EVERY_BYTES: u64 = 64 << 20;

/// Snapshots kept beside those of segments.
const SNAPSHOTS_KEPT: usize = 2;

/// Largest snapshot that is read: 22 million producers.
const SNAPSHOT_BYTES_MAX: usize = 1 << 30;

/// How far before a snapshot batches are looked at, to know of each producer more than the last
/// one: with several batches in flight, any of them may be sent again.
const LOOK_BACK_BYTES: u64 = 1 << 20;

/// The bytes of a snapshot; `None` if it was torn when power was lost, and so is none.
pub(super) fn read_whole(place: &Place, offset: Offset) -> Result<Option<Vec<u8>>, DiskError> {
    let path = place.directory.join(file_name(offset, "snapshot"));
    let bytes = disk::read_small(&*place.disk, &path, SNAPSHOT_BYTES_MAX)?;
    let is_whole = producer_state::decode(&bytes).is_some();
    Ok(is_whole.then_some(bytes))
}

impl Log {
    fn snapshot_path(&self, offset: Offset) -> PathBuf {
        self.place.directory.join(file_name(offset, "snapshot"))
    }

    pub(super) fn snapshot_if_due(&mut self) -> Result<(), DiskError> {
        if self.bytes_since_snapshot >= SNAPSHOT_EVERY_BYTES && !self.producers.is_empty() {
            self.take_snapshot()?;
        }
        Ok(())
    }

    /// Saves the producers as of the log end. If the disk refuses it, there is none: it only saves time.
    pub(super) fn take_snapshot(&mut self) -> Result<(), DiskError> {
        let offset = self.log_end_offset();
        if self.snapshots.contains(&offset) {
            return Ok(());
        }
        let path = self.snapshot_path(offset);
        let bytes = producer_state::encode(&self.producers);
        let written = self
            .place
            .disk
            .open(&path, Open::Truncate)
            .and_then(|file| {
                file.write_at(&mut [IoSlice::new(&bytes)], 0)?;
                Ok(file)
            });
        match written {
            Ok(file) => {
                self.durable.also(file);
                self.durable.directory_changed();
                self.snapshots.insert(offset);
                self.bytes_since_snapshot = 0;
                self.remove_old_snapshots()
            }
            // A torn one has a wrong checksum, and goes at the next start.
            Err(error) if error.is_refusal() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remove_old_snapshots(&mut self) -> Result<(), DiskError> {
        let newest: Vec<Offset> = self.snapshots.iter().rev().copied().collect();
        for offset in newest.into_iter().skip(SNAPSHOTS_KEPT) {
            let at_segment = self
                .segments
                .binary_search_by_key(&offset, |segment| segment.base_offset());
            if at_segment.is_err() {
                self.remove_snapshot(offset)?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_snapshot(&mut self, offset: Offset) -> Result<(), DiskError> {
        self.snapshots.remove(&offset);
        match self.place.disk.remove_file(&self.snapshot_path(offset)) {
            Ok(()) | Err(DiskError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Learns the producers anew: from the latest snapshot that is whole and not beyond the end,
    /// and the log after it.
    pub(super) fn reload_producers(&mut self) -> Result<(), DiskError> {
        self.producers = ProducerState::default();
        let mut from = self.segments[0].base_offset();
        while let Some(offset) = self.snapshots.last().copied() {
            if offset <= self.log_end_offset() && offset >= from {
                let path = self.snapshot_path(offset);
                let bytes = disk::read_small(&*self.place.disk, &path, SNAPSHOT_BYTES_MAX)?;
                if let Some(state) = producer_state::decode(&bytes) {
                    self.producers = state;
                    from = offset;
                    break;
                }
            }
            self.remove_snapshot(offset)?;
        }
        if !self.producers.is_empty() {
            self.prefill_producers(from)?;
        }
        self.replay_producers(from)
    }

    /// Walks over the batches before a snapshot, also those of older segments: a producer's batches
    /// in flight do not end where a segment does.
    fn prefill_producers(&mut self, until: Offset) -> Result<(), DiskError> {
        let Some(before) = Offset::checked(until.get() - 1) else {
            return Ok(());
        };
        let disk = self.disk();
        let last = self.segment_of(before);
        let mut at = last;
        let segment = &mut self.segments[at];
        let mut bytes = segment.position_before(&*disk, before, Waiting::Here)?.0;
        while at > 0 && bytes < LOOK_BACK_BYTES {
            at -= 1;
            bytes += self.segments[at].length();
        }
        let mut limit = bytes.saturating_sub(LOOK_BACK_BYTES);
        for at in at..=last {
            self.prefill_from_segment(at, limit, until)?;
            limit = 0;
        }
        Ok(())
    }

    /// The batches of one segment from about position `limit` on.
    fn prefill_from_segment(
        &mut self,
        at: usize,
        limit: u64,
        until: Offset,
    ) -> Result<(), DiskError> {
        let disk = self.disk();
        let segment = &mut self.segments[at];
        let (position, ends_with) = segment.last_entry_before(&*disk, limit, Waiting::Here)?;
        let written = self.written(at, Waiting::Here);
        let written = written.map_err(|offline| offline.cause)?;
        let base = self.segments[at].base_offset();
        let start = self.believe(at, &written, position, ends_with)?;
        let (mut position, mut expected) = start.unwrap_or((0, base));
        while expected < until {
            match self.at(at, &written, position, expected)? {
                At::Batch(found) => {
                    self.producers.prefill(&found.header);
                    (position, expected) = (found.end_position(), found.next_offset());
                }
                At::Hole(hole) => (position, expected) = (hole.end_position, hole.next_offset),
                At::End => break,
            }
        }
        Ok(())
    }

    /// Takes note of the batches from `from` on.
    fn replay_producers(&mut self, from: Offset) -> Result<(), DiskError> {
        let mut expected = from;
        for at in self.segment_of(from)..self.segments.len() {
            let written = self.written(at, Waiting::Here);
            let written = written.map_err(|offline| offline.cause)?;
            let start = match self.seek(at, &written, expected).map_err(ReadError::from) {
                Ok(Some(found)) => Some((found.position, found.header.base_offset())),
                Ok(None) => None,
                Err(ReadError::Corrupt(damage)) => {
                    expected = damage.next_offset;
                    self.segments[at]
                        .hole_of(damage.first_offset)
                        .map(|hole| (hole.end_position, hole.next_offset))
                }
                Err(ReadError::Unreadable(error)) => return Err(error),
                Err(ReadError::Offline(_) | ReadError::OffsetOutOfRange { .. }) => None,
            };
            let Some((mut position, mut next)) = start else {
                continue;
            };
            loop {
                match self.at(at, &written, position, next)? {
                    At::Batch(found) => {
                        if found.header.producer_id().0 >= 0 {
                            self.replay(at, &written, &found)?;
                        }
                        (position, next) = (found.end_position(), found.next_offset());
                    }
                    At::Hole(hole) => (position, next) = (hole.end_position, hole.next_offset),
                    At::End => break,
                }
            }
            expected = next;
        }
        Ok(())
    }

    fn replay(
        &mut self,
        at: usize,
        written: &crate::segment::walk::Written,
        found: &super::read::Found,
    ) -> Result<(), DiskError> {
        let mut bytes = written.slice(found.position, found.end_position())?;
        let Ok(batch) = klamm_model::RecordBatch::parse_trusted(&mut bytes) else {
            return Ok(());
        };
        let Some(aborted) = self.producers.record(&batch) else {
            return Ok(());
        };
        // The index may have been lost where the log was not.
        let disk = self.disk();
        let transactions = self.segments[at].transactions();
        let known = transactions.entries(&*disk)?.last();
        if known.is_none_or(|known| known.last_offset < aborted.last_offset) {
            transactions.append(&*disk, aborted)?;
        }
        Ok(())
    }
}
