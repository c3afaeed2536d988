//! After the segments are known: what follows from them. The end in Raft's count, the epochs, the
//! producers; and what does not fit them any more goes.

use klamm_model::{LogIndex, Offset};

use super::sync::{Durable, Synced};
use super::{Log, OpenLogError, next_data_index};
use crate::LeaderEpochs;
use crate::disk::DiskError;
use crate::log_dir::BootKind;
use crate::segment::residency::Waiting;

impl Log {
    /// What follows from the segments: the end, the epochs, the producers; and makes it durable.
    pub(super) fn finish(
        &mut self,
        boot: BootKind,
        recovery_point: Offset,
    ) -> Result<(), OpenLogError> {
        let end = self.log_end_offset();
        self.log_start = self.log_start.min(end);
        self.drop_metas_beyond(end)?;
        let last = self.segments.len() - 1;
        let data_end = self.index_of_end(last)?;
        let meta_end = self
            .raft
            .metas
            .last()
            .map_or(LogIndex::ZERO, |meta| meta.index.next());
        self.next_index = data_end.max(meta_end).max(self.raft.first_index());
        if let Some((offset, index)) = self.raft.closed_at
            && offset == end
        {
            // The journal knows even if the last batches are damaged.
            self.next_index = self.next_index.max(index);
        }
        self.drop_stale_segments(end)?;
        self.rebuild_epochs();
        let beyond: Vec<Offset> = self.snapshots.range(end..).copied().collect();
        for snapshot in beyond.into_iter().filter(|snapshot| *snapshot > end) {
            self.remove_snapshot(snapshot)?;
        }
        self.reload_producers()?;
        match super::write_epochs(&self.place, &self.epochs) {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {}
            Err(error) => return Err(error.into()),
        }
        self.make_durable(boot, recovery_point)
    }

    /// The index after the last batch.
    fn index_of_end(&mut self, last: usize) -> Result<LogIndex, OpenLogError> {
        for at in (0..=last).rev() {
            if let Some(index) = self.index_after(at)? {
                // Steps over entries without records at the end; those beyond are gone.
                return Ok(index);
            }
        }
        Ok(LogIndex::ZERO)
    }

    /// Entries without records that stood after records which are gone, are gone, too.
    fn drop_metas_beyond(&mut self, end: Offset) -> Result<(), OpenLogError> {
        let beyond = self.raft.metas.iter().find(|meta| meta.at_offset > end);
        if let Some(index) = beyond.map(|meta| meta.index) {
            let journal = &self.place.journal;
            journal.truncate_from(self.place.group, index, end)?;
            self.raft = journal.group(self.place.group);
        }
        Ok(())
    }

    /// Where a segment began whose batches are gone says nothing about the batches that will come:
    /// it is forgotten, so that another of the same name is not taken for it.
    fn drop_stale_segments(&mut self, end: Offset) -> Result<(), OpenLogError> {
        let next = self.next_index;
        if self.raft.segments.values().any(|base| *base >= next) {
            let journal = &self.place.journal;
            journal.truncate_from(self.place.group, next, end)?;
            self.raft = journal.group(self.place.group);
        }
        Ok(())
    }

    /// The rows of `leader-epoch-checkpoint`, from the journal.
    pub(super) fn rebuild_epochs(&mut self) {
        self.epochs = epochs_of(&self.raft, self.raft.first_index());
        self.epochs.truncate_from_start(self.log_start);
    }

    /// Raft takes what it finds as durable: so it has to be, before anybody looks.
    fn make_durable(&mut self, boot: BootKind, recovery_point: Offset) -> Result<(), OpenLogError> {
        let end = self.end();
        if boot == BootKind::Clean && recovery_point == end.offset {
            self.durable = Durable::new(end);
            return Ok(());
        }
        let disk = self.disk();
        let last = self.segments.len() - 1;
        let mut files = Vec::new();
        for (at, segment) in self.segments.iter_mut().enumerate() {
            if segment.is_unsynced() {
                segment.flush_indexes(&*disk)?;
                segment.take_unsynced(&*disk, true, &mut files)?;
                if at < last {
                    segment.close_files();
                }
            }
        }
        for file in files {
            file.sync_data()?;
        }
        disk.sync_dir(&self.place.directory)?;
        self.place.journal.sync()?;
        self.durable = Durable::new(Synced {
            offset: end.offset,
            index: end.index,
        });
        Ok(())
    }

    /// Finds out again, after the end was cut, what an append needs to know: how far the last
    /// index entry is and the largest timestamp.
    pub(super) fn reindex_end(&mut self) -> Result<(), DiskError> {
        let at = self.segments.len() - 1;
        let disk = self.disk();
        let written = self.written(at, Waiting::Here);
        let written = written.map_err(|offline| offline.cause)?;
        let (end, length) = {
            let segment = &self.segments[at];
            (segment.end_offset(), segment.length())
        };
        let first_index = self.segments[at].base_index();
        let resume = self.segments[at].resume(&*disk, end)?;
        let segment = &mut self.segments[at];
        let mut index = match resume {
            Some(resume) => {
                let base = written.any_header(resume.position)?;
                let base = base.map_or(segment.base_offset(), |header| header.base_offset());
                segment.rewind(resume.position, base, resume.max_time);
                Some(resume.index)
            }
            None => {
                let base = segment.base_offset();
                segment.reset_indexes(&*disk)?;
                segment.rewind(0, base, None);
                first_index
            }
        };
        while self.segments[at].length() < length {
            let segment = &mut self.segments[at];
            let (position, expected) = (segment.length(), segment.end_offset());
            if let Some(header) = written.header(position, expected)? {
                let next = index.unwrap_or(self.raft.first_index());
                segment.note(&*disk, &header, next, self.config.index_interval_bytes)?;
                index = Some(next_data_index(&self.raft.metas, next));
            } else if let Some(hole) = segment.hole_of(expected) {
                segment.skip_to(hole.end_position, hole.next_offset);
                index = index.map(|index| next_data_index(&self.raft.metas, index));
            } else {
                // Found bad only now: the reader will dig.
                segment.skip_to(length, end);
            }
        }
        Ok(())
    }
}

/// All epochs that the journal still knows.
pub(crate) fn epochs_of(raft: &crate::GroupState, first_index: LogIndex) -> LeaderEpochs {
    let mut epochs = LeaderEpochs::default();
    if let Some(anchor) = &raft.anchor {
        let compacted = anchor.compacted.iter().flat_map(|part| &part.epochs);
        for row in compacted {
            epochs.assign(row.epoch, row.start_offset);
        }
        let prev_epoch = anchor.prev_term.leader_epoch();
        if anchor.prev_term.get() > 0 && epochs.latest() != Some(prev_epoch) {
            epochs.assign(prev_epoch, anchor.whole_from());
        }
    }
    for meta in raft.metas.iter().filter(|meta| super::is_noop(meta)) {
        if meta.index >= first_index {
            epochs.assign(meta.term.leader_epoch(), meta.at_offset);
        }
    }
    epochs
}
