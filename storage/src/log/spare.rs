//! The next segment's file, made before it is needed: so that a roll neither creates, allocates nor
//! maps on the thread that appends, and so that a full disk is found before Raft is touched.

use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use crate::disk::{Disk, DiskError, Open};
use crate::segment::{self, Spare};

/// Part of a segment, in percent, from which on the next is made ahead.
const PREPARE_PERCENT: u64 = 75;

/// Room asked for a segment made ahead.
const SPARE_BYTES: u64 = 1 << 20;

/// Smaller segments are made when they are needed.
const PREPARE_SEGMENT_BYTES_MIN: u64 = 16 << 20;

impl Log {
    /// Room for `bytes` here, and as much in a next segment: which of them it will be is decided
    /// batch by batch.
    pub(super) fn reserve_spare(&mut self, bytes: u64) -> Result<(), DiskError> {
        let disk = self.disk();
        let segment_bytes = u64::from(self.config.segment_bytes);
        let length = self.active().length();
        self.allocate_active((length + bytes).min(segment_bytes.max(length)))?;
        let mut spare = match self.spare.take() {
            Some(spare) => spare,
            None => make_spare(&*disk, self.next_spare_path())?,
        };
        let allocated = spare.allocate(bytes, segment_bytes, self.config.preallocate);
        self.spare = Some(spare);
        allocated
    }

    /// On a full disk: room was reserved in a next segment, but an append that was on its way
    /// then has begun one, and that is where the batches go. The spare gives its room back.
    pub(super) fn allocate_instead_of_spare(
        &mut self,
        error: DiskError,
        end: u64,
    ) -> Result<(), DiskError> {
        match self.spare.take() {
            Some(spare) if error.is_no_space() => {
                drop(spare.file);
                self.place.disk.remove_file(&spare.path)?;
                self.spare_wanted = true;
                self.allocate_active(end)
            }
            spare => {
                self.spare = spare;
                Err(error)
            }
        }
    }

    fn next_spare_path(&mut self) -> PathBuf {
        self.spares_made += 1;
        let name = format!("next-{}.prepared", self.spares_made);
        self.place.directory.join(name)
    }

    /// Asks for the next segment's file to be made ahead, when the active one is nearly full.
    pub fn prepare(&mut self) -> Option<PrepareTicket> {
        let segment_bytes = u64::from(self.config.segment_bytes);
        let nearly_full = self.active().length() * 100 >= segment_bytes * PREPARE_PERCENT;
        if !self.spare_wanted
            || self.spare.is_some()
            || !nearly_full
            || segment_bytes < PREPARE_SEGMENT_BYTES_MIN
        {
            return None;
        }
        self.spare_wanted = false;
        Some(PrepareTicket {
            disk: self.disk(),
            path: self.next_spare_path(),
            segment_bytes,
            preallocate: self.config.preallocate,
        })
    }

    /// Takes what a [`PrepareTicket`] made.
    pub fn prepared(&mut self, prepared: Prepared) {
        let Some(spare) = prepared.spare else {
            return;
        };
        if self.spare.is_none() && self.offline.is_none() && !self.closed {
            self.spare = Some(spare);
        } else {
            // One was made on the spot meanwhile. A leftover is removed at the next start.
            let _ = self.place.disk.remove_file(&spare.path);
        }
    }
}

impl Spare {
    fn allocate(
        &mut self,
        bytes: u64,
        segment_bytes: u64,
        preallocate: bool,
    ) -> Result<(), DiskError> {
        if self.allocated < bytes {
            let target =
                segment::allocation_target(self.allocated, bytes, segment_bytes, preallocate);
            self.file.allocate(0, target)?;
            self.allocated = target;
        }
        Ok(())
    }
}

fn make_spare(disk: &dyn Disk, path: PathBuf) -> Result<Spare, DiskError> {
    let file = disk.open(&path, Open::Truncate)?;
    Ok(Spare {
        path,
        file,
        mapping: None,
        allocated: 0,
    })
}

/// A next segment to be made, on any thread.
#[derive(Debug)]
pub struct PrepareTicket {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    segment_bytes: u64,
    preallocate: bool,
}

/// A next segment that was made (or not: a full disk is no harm yet).
#[derive(Debug)]
pub struct Prepared {
    spare: Option<Spare>,
}

impl PrepareTicket {
    /// Creates, allocates and maps the file.
    pub fn run(self) -> Prepared {
        let path = self.path.clone();
        match self.make() {
            Ok(spare) => Prepared { spare: Some(spare) },
            Err(error) => {
                tracing::debug!(%error, "the next segment could not be made ahead");
                let _ = self.disk.remove_file(&path);
                Prepared { spare: None }
            }
        }
    }

    fn make(&self) -> Result<Spare, DiskError> {
        let mut spare = make_spare(&*self.disk, self.path.clone())?;
        spare.allocate(SPARE_BYTES, self.segment_bytes, self.preallocate)?;
        let length = segment::active_mapping_bytes(self.segment_bytes, 0);
        spare.mapping = Some(spare.file.map_read_only(length as usize)?);
        Ok(spare)
    }
}
