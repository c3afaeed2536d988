//! Taking a copy in: its files, in a directory that nobody opens.
//!
//! Each file is synced before it is left, and every 8 MiB: much at once would hold up the fsyncs of
//! the data plane.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use klamm_model::{Offset, TopicId, TopicPartition};

use super::check::Walk;
use super::{CopyError, LogManifest, Part, disk_failed, sync_failed};
use crate::disk::{Disk, DiskError, DiskFile, Open};
use crate::log::{AppendError, Offline};
use crate::producer_state::AbortedTransaction;
use crate::segment::file_name;
use crate::segment::transaction_index::TransactionIndex;

/// Bytes after which a file is synced.
const SYNC_BYTES: u64 = 8 << 20;

/// A copy that is being taken in, or waits for its place. If it is dropped without that, its files
/// stay until another copy of the partition begins, or the log directory is opened anew.
#[derive(Debug)]
pub struct LogCopy {
    disk: Arc<dyn Disk>,
    /// Where its files are.
    directory: Arc<Path>,
    topic_partition: TopicPartition,
    topic_id: TopicId,
    manifest: LogManifest,
    /// Bytes of each part that are there.
    written: BTreeMap<(Offset, Part), u64>,
    open: Option<OpenPart>,
    /// Complete, sound and durable.
    is_finished: bool,
    /// The disk failed: nothing is tried again.
    failed: Option<Offline>,
    _turn: Turn,
}

/// The file that was written last.
#[derive(Debug)]
struct OpenPart {
    name: (Offset, Part),
    file: Arc<dyn DiskFile>,
    unsynced_bytes: u64,
}

/// Partitions of which a copy is on its way: one at a time for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<BTreeSet<TopicPartition>>>);

/// Held as long as the copy lives.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    topic_partition: TopicPartition,
}

impl Turns {
    /// `None` if another holds it.
    pub(crate) fn take(&self, topic_partition: &TopicPartition) -> Option<Turn> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(topic_partition.clone()).then(|| Turn {
            turns: self.clone(),
            topic_partition: topic_partition.clone(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.topic_partition);
    }
}

impl LogCopy {
    /// Makes the directory, empty.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        directory: PathBuf,
        (topic_partition, topic_id): (&TopicPartition, TopicId),
        manifest: &LogManifest,
        turn: Turn,
    ) -> Result<Self, DiskError> {
        remove_directory(&**disk, &directory)?;
        disk.create_dir_all(&directory)?;
        Ok(Self {
            disk: Arc::clone(disk),
            directory: directory.into(),
            topic_partition: topic_partition.clone(),
            topic_id,
            manifest: manifest.clone(),
            written: BTreeMap::new(),
            open: None,
            is_finished: false,
            failed: None,
            _turn: turn,
        })
    }

    /// Of which partition it is.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Of which topic.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// What it consists of.
    pub fn manifest(&self) -> &LogManifest {
        &self.manifest
    }

    /// Whether [`finish`](Self::finish) succeeded.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Bytes of a part that are there: where to go on.
    pub fn written_bytes(&self, base_offset: Offset, part: Part) -> u64 {
        let written = self.written.get(&(base_offset, part));
        written.copied().unwrap_or(0)
    }

    /// The first bytes that are missing; `None` if all are there.
    pub fn next_missing(&self) -> Option<(Offset, Part, u64)> {
        let missing =
            |&(base, part, size): &(Offset, Part, u64)| self.written_bytes(base, part) < size;
        let (base, part, _) = self.parts().find(missing)?;
        Some((base, part, self.written_bytes(base, part)))
    }

    /// All parts, and the bytes they are to have.
    fn parts(&self) -> impl Iterator<Item = (Offset, Part, u64)> + '_ {
        let kinds = [Part::Log, Part::ProducerSnapshot];
        self.manifest.segments().iter().flat_map(move |segment| {
            let of = |part| Some((segment.base_offset, part, segment.part_bytes(part)?));
            kinds.into_iter().filter_map(of)
        })
    }

    /// Writes bytes of a part at `position`, where those written before end. Parts come in any
    /// order. Waits for the disk. After a refusal the same bytes may be tried again.
    pub fn write(
        &mut self,
        base_offset: Offset,
        part: Part,
        position: u64,
        bytes: &[Bytes],
    ) -> Result<(), CopyError> {
        assert!(!self.is_finished, "a finished copy takes nothing more");
        self.alive()?;
        let segment = self.manifest.segment(base_offset);
        let Some(size) = segment.and_then(|segment| segment.part_bytes(part)) else {
            return Err(CopyError::NotListed { base_offset, part });
        };
        let written = self.written_bytes(base_offset, part);
        let length: u64 = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        let end = position.saturating_add(length);
        if position != written || end > size {
            return Err(CopyError::OutOfOrder {
                base_offset,
                part,
                position,
                end,
                written,
                size,
            });
        }
        let done = self.write_part((base_offset, part), position, bytes, length);
        self.noting(done.map_err(CopyError::from))?;
        self.written.insert((base_offset, part), end);
        Ok(())
    }

    fn write_part(
        &mut self,
        name: (Offset, Part),
        position: u64,
        bytes: &[Bytes],
        length: u64,
    ) -> Result<(), AppendError> {
        let open = self.opened(name)?;
        let mut slices: Vec<IoSlice<'_>> = bytes.iter().map(|bytes| IoSlice::new(bytes)).collect();
        // Before: a write that is refused may have been done in part.
        open.unsynced_bytes += length;
        let written = open.file.write_at(&mut slices, position);
        written.map_err(disk_failed)?;
        if open.unsynced_bytes >= SYNC_BYTES {
            open.file.sync_data().map_err(sync_failed)?;
            open.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// The file of a part, open for writing; the one before it is synced.
    fn opened(&mut self, name: (Offset, Part)) -> Result<&mut OpenPart, AppendError> {
        if self.open.as_ref().is_none_or(|open| open.name != name) {
            self.sync_open()?;
            let (base_offset, part) = name;
            let path = self.directory.join(file_name(base_offset, part.suffix()));
            // One of another manifest may be there.
            let open = match self.written_bytes(base_offset, part) {
                0 => Open::Truncate,
                _ => Open::Create,
            };
            let file = self.disk.open(&path, open).map_err(disk_failed)?;
            self.open = Some(OpenPart {
                name,
                file,
                unsynced_bytes: 0,
            });
        }
        Ok(self.open.as_mut().expect("just opened"))
    }

    fn sync_open(&mut self) -> Result<(), AppendError> {
        if let Some(open) = &self.open {
            if open.unsynced_bytes > 0 {
                open.file.sync_data().map_err(sync_failed)?;
            }
            self.open = None;
        }
        Ok(())
    }

    /// Goes on with a newer manifest of the same log, after a part was gone: segments that are what
    /// they were stay, as far as they have come. Waits for the disk. After a refusal it may be tried
    /// again.
    pub fn renew(&mut self, manifest: &LogManifest) -> Result<(), CopyError> {
        assert!(!self.is_finished, "a finished copy takes nothing more");
        self.alive()?;
        let before = std::mem::replace(&mut self.manifest, manifest.clone());
        let stays = |(base_offset, part): (Offset, Part), written: u64| {
            let now = manifest.segment(base_offset)?;
            let then = before.segment(base_offset)?;
            let same = before.directory_id() == manifest.directory_id()
                && then.generation == now.generation
                && now.part_bytes(part)? >= written;
            same.then_some(())
        };
        self.written
            .retain(|name, written| stays(*name, *written).is_some());
        let done = self.sync_open().and_then(|()| {
            let removed = self.remove_others();
            removed.map_err(disk_failed)
        });
        self.noting(done.map_err(CopyError::from))
    }

    /// Removes files that are not part of the copy, or not yet.
    fn remove_others(&self) -> Result<(), DiskError> {
        let name = |(base, part): &(Offset, Part)| file_name(*base, part.suffix());
        let ours: BTreeSet<String> = self.written.keys().map(name).collect();
        for entry in self.disk.list(&self.directory)? {
            if !ours.contains(&entry.name) {
                self.disk.remove_file(&self.directory.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Checks that everything is there and sound, reading all of it once more, and makes it durable.
    /// Waits for the disk.
    pub fn finish(&mut self) -> Result<(), CopyError> {
        self.alive()?;
        if self.is_finished {
            return Ok(());
        }
        let incomplete = |&(base_offset, part, size): &(Offset, Part, u64)| {
            self.written_bytes(base_offset, part) != size
        };
        if let Some((base_offset, part, size)) = self.parts().find(incomplete) {
            return Err(CopyError::Incomplete {
                base_offset,
                part,
                written: self.written_bytes(base_offset, part),
                size,
            });
        }
        let done = self.check_and_sync();
        self.noting(done)?;
        self.is_finished = true;
        Ok(())
    }

    fn check_and_sync(&mut self) -> Result<(), CopyError> {
        self.remove_others().map_err(disk_failed)?;
        // Those of which nothing was to be written.
        let empty: Vec<_> = self.parts().filter(|(_, _, size)| *size == 0).collect();
        for (base_offset, part, _) in empty {
            self.opened((base_offset, part))?;
        }
        self.sync_open()?;
        let aborted = Walk::new(&*self.disk, &self.directory, &self.manifest).run()?;
        for (base_offset, rows) in aborted {
            let path = self.directory.join(file_name(base_offset, "txnindex"));
            let file = self.write_aborted(path, rows).map_err(disk_failed)?;
            file.map_or(Ok(()), |file| file.sync_data())
                .map_err(sync_failed)?;
        }
        crate::log_dir::write_metadata(&*self.disk, &self.directory, self.topic_id)
            .map_err(sync_failed)?;
        let root = self.directory.parent().unwrap_or(&self.directory);
        for directory in [&*self.directory, root] {
            self.disk.sync_dir(directory).map_err(sync_failed)?;
        }
        Ok(())
    }

    /// The index of aborted transactions of a segment; its file is yet to be synced.
    fn write_aborted(
        &self,
        path: PathBuf,
        rows: Vec<AbortedTransaction>,
    ) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
        let mut index = TransactionIndex::new(path, None);
        // Anew, after a try that was cut short.
        index.create(&*self.disk)?;
        for row in rows {
            index.append(&*self.disk, row)?;
        }
        Ok(index.take_unsynced())
    }

    /// Removes what has been taken in.
    pub fn discard(self) -> Result<(), DiskError> {
        remove_directory(&*self.disk, &self.directory)
    }

    fn alive(&self) -> Result<(), Offline> {
        match &self.failed {
            Some(offline) => Err(offline.clone()),
            None => Ok(()),
        }
    }

    /// Passes a result on, and remembers a failure of the disk.
    fn noting(&mut self, result: Result<(), CopyError>) -> Result<(), CopyError> {
        if let Err(CopyError::Offline(offline)) = &result {
            self.failed = Some(offline.clone());
        }
        result
    }
}

fn remove_directory(disk: &dyn Disk, directory: &Path) -> Result<(), DiskError> {
    match disk.remove_dir_all(directory) {
        Ok(()) | Err(DiskError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
