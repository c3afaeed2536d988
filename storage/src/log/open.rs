//! Opening a log: what is there, what is left over, and where recovery has to begin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use klamm_model::{LogIndex, Offset, Timestamp, TopicPartition};

use super::sync::{Durable, Synced};
use super::{Log, LogConfig, OpenLogError, Place};
use crate::ProducerState;
use crate::disk::DiskError;
use crate::log_dir::BootKind;
use crate::segment::{FoundFiles, Segment};

/// What opening a log needs to know.
#[derive(Debug)]
pub(crate) struct OpenLog {
    pub(crate) place: Place,
    pub(crate) topic_partition: TopicPartition,
    pub(crate) config: LogConfig,
    pub(crate) boot: BootKind,
    /// As checkpointed.
    pub(crate) recovery_point: Offset,
    /// As checkpointed.
    pub(crate) log_start: Offset,
    /// As checkpointed.
    pub(crate) cleaned_to: Offset,
    pub(crate) now: Timestamp,
}

/// Files of a partition directory, by segment.
#[derive(Debug, Default)]
struct Found {
    segments: BTreeMap<Offset, FoundFiles>,
    snapshots: BTreeSet<Offset>,
    leftovers: Vec<String>,
}

impl OpenLog {
    /// Opens the log, recovering what needs it. The directory exists.
    pub(crate) fn open(self) -> Result<Log, OpenLogError> {
        let raft = self.place.journal.group(self.place.group);
        let mut recovery_point = self.recovery_point;
        if let Some((end, _)) = raft.cut_to {
            recovery_point = recovery_point.min(end);
        }
        let first_offset = raft
            .anchor
            .as_ref()
            .map_or(Offset::ZERO, |anchor| anchor.first_offset);
        let log_start = raft.anchor.as_ref().map_or(Offset::ZERO, |anchor| {
            anchor.log_start_offset.max(first_offset)
        });
        super::swap::complete_all(&*self.place.disk, &self.place.directory)?;
        let found = self.find(first_offset)?;
        let whole_from = raft.whole_from();
        let segments = self.segments(&found, first_offset, whole_from)?;
        let start = Synced {
            offset: whole_from,
            index: LogIndex(raft.first_index().0 - 1),
        };
        let tail = super::tail::Tail::new(self.place.appended.clone());
        let mut log = Log {
            next_index: raft.first_index(),
            log_start: log_start.max(self.log_start),
            place: self.place,
            topic_partition: self.topic_partition,
            config: self.config,
            segments,
            raft,
            epochs: crate::LeaderEpochs::default(),
            producers: ProducerState::default(),
            snapshots: found.snapshots,
            bytes_since_snapshot: 0,
            durable: Durable::new(start),
            spare: None,
            spare_wanted: true,
            spares_made: 0,
            appending: false,
            placed: None,
            spare_runs: Vec::new(),
            cleaned_to: self.cleaned_to,
            uncleanable: false,
            swapping: None,
            cursors: super::cursors::Cursors::default(),
            tail,
            cuts: 0,
            offline: None,
            closed: false,
        };
        log.recover(self.boot, recovery_point, &found.segments)?;
        log.expire_producers(self.now);
        Ok(log)
    }

    fn find(&self, first_offset: Offset) -> Result<Found, DiskError> {
        let mut found = Found::default();
        for entry in self.place.disk.list(&self.place.directory)? {
            if !entry.is_dir {
                found.sort(entry.name, entry.length);
            }
        }
        // Deleted, but for the files: the journal knew first.
        let kept = found.segments.split_off(&first_offset);
        for base in std::mem::replace(&mut found.segments, kept).into_keys() {
            Segment::remove_files(&*self.place.disk, &self.place.directory, base)?;
        }
        // Without the records, the rest of a segment means nothing.
        let orphans: Vec<Offset> = found
            .segments
            .iter()
            .filter(|(_, files)| files.log.is_none())
            .map(|(base, _)| *base)
            .collect();
        for base in orphans {
            found.segments.remove(&base);
            Segment::remove_files(&*self.place.disk, &self.place.directory, base)?;
        }
        for name in found.leftovers.drain(..) {
            self.place
                .disk
                .remove_file(&self.place.directory.join(name))?;
        }
        Ok(found)
    }

    fn segments(
        &self,
        found: &Found,
        first_offset: Offset,
        whole_from: Offset,
    ) -> Result<Vec<Segment>, DiskError> {
        let place = &self.place;
        let directory: &Arc<Path> = &place.directory;
        let mut segments = Vec::with_capacity(found.segments.len() + 2);
        segments.extend(found.segments.iter().map(|(base, files)| {
            Segment::found(directory, *base, *files, &place.mappings, self.now)
        }));
        // The log begins there, and its whole part, whatever else is found: what lies between is
        // lost, or what follows was cut and came back.
        for base in [first_offset, whole_from] {
            if let Err(at) = segments.binary_search_by_key(&base, Segment::base_offset) {
                let (disk, now) = (&*place.disk, self.now);
                let new = Segment::create(disk, directory, base, None, &place.mappings, now)?;
                segments.insert(at, new);
            }
        }
        let sparse = segments.partition_point(|segment| segment.base_offset() < whole_from);
        segments[..sparse].iter_mut().for_each(Segment::set_sparse);
        Ok(segments)
    }
}

impl Found {
    fn sort(&mut self, name: String, length: u64) {
        let leftover = [".prepared", ".tmp", ".deleted", ".cleaned", ".swap"];
        if leftover.iter().any(|suffix| name.ends_with(suffix)) {
            self.leftovers.push(name);
            return;
        }
        let Some((base, suffix)) = parse_name(&name) else {
            return;
        };
        if suffix == "snapshot" {
            self.snapshots.insert(base);
            return;
        }
        let known = ["log", "index", "timeindex", "raftindex", "txnindex"];
        if !known.contains(&suffix) {
            return;
        }
        let files = self.segments.entry(base).or_default();
        let place = match suffix {
            "log" => &mut files.log,
            "index" => &mut files.offset_index,
            "timeindex" => &mut files.time_index,
            "raftindex" => &mut files.raft_index,
            _ => &mut files.transaction_index,
        };
        *place = Some(length);
    }
}

/// Reads a name of the form of [`file_name`](crate::segment::file_name).
pub(crate) fn parse_name(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let base = digits.parse().ok().filter(|_| plain)?;
    Some((Offset::checked(base)?, suffix))
}
