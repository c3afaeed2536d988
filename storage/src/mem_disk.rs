//! A disk in memory that behaves as badly as a real one may.
//!
//! It keeps what a process sees (the page cache) apart from what is durable. After
//! [`Crash::Kill`] everything written is there; after [`Crash::PowerLoss`] what was synced is
//! there, and of the rest any part, chosen by seed: some sectors, in no order; a length without
//! its bytes; names created, renamed or removed up to some point, per directory. Any operation
//! can be made to fail, or to be the last one before a crash; the room can be limited.
//!
//! It also knows which pages are in memory: all that were written or read, until
//! [`evict`](MemDisk::evict) or a power loss. A mapping that is touched where it is not in memory
//! panics, since a real one would make its reader wait, or end the process.
//!
//! Public, because simulations outside of this crate run whole brokers on it.

mod cache;
mod faults;
mod tree;

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{DirEntry, Disk, DiskError, DiskFile, DiskLock, Mapping, Memory, Open, Space};
pub use faults::Fault;
use faults::{Faults, Verdict};
use tree::{FileId, Tree};

/// How a simulated machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; the page cache stays.
    Kill,
    /// The machine ends; what was not synced is lost in part.
    PowerLoss,
}

/// A disk in memory that can fail, fill up, tear and lose. Clones share one disk.
#[derive(Clone, Debug)]
pub struct MemDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Clone, Debug)]
struct World {
    tree: Tree,
    faults: Faults,
    locks: Vec<PathBuf>,
    /// Counts restarts; handles of an earlier life are dead.
    generation: u64,
    /// Counts power losses.
    boots: u64,
    /// Whether the kernel writes every page at once.
    writes_back: bool,
    capacity_bytes: Option<u64>,
    /// Whether nothing can be opened.
    out_of_files: bool,
    /// Whether an fsync has failed since the last restart.
    forgot_pages: bool,
}

/// What a disk without a limit says it has.
const UNLIMITED_BYTES: u64 = 1 << 40;

impl MemDisk {
    /// An empty disk whose misbehaviour follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let world = World {
            tree: Tree::new(),
            faults: Faults::new(seed),
            locks: Vec::new(),
            generation: 0,
            boots: 0,
            writes_back: false,
            capacity_bytes: None,
            out_of_files: false,
            forgot_pages: false,
        };
        Self {
            world: Arc::new(Mutex::new(world)),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An independent copy of the disk as it is, with its own future.
    #[must_use]
    pub fn fork(&self) -> Self {
        let world = self.world().clone();
        Self {
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// Operations that change something, since the disk was made: writes, syncs, renames, …
    pub fn operations(&self) -> u64 {
        self.world().faults.operations()
    }

    /// Crashes in the middle of operation number `operation` (counted from 1, see
    /// [`operations`](Self::operations)): it is done wholly, in part or not at all, and everything
    /// after it fails until [`restart`](Self::restart).
    pub fn crash_at(&self, operation: u64) {
        self.world().faults.plan(operation, Fault::Crash);
    }

    /// Makes operation number `operation` fail, once.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.world().faults.plan(operation, fault);
    }

    /// Forgets planned faults that have not happened.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Makes every sync from now on fail, or succeed again.
    pub fn fail_syncs(&self, fail: bool) {
        self.world().faults.fail_syncs(fail);
    }

    /// Makes the kernel write what is written back at once, as it may at any time: it is on the disk
    /// without a sync. Or makes it wait again.
    pub fn write_back(&self, at_once: bool) {
        self.world().writes_back = at_once;
    }

    /// Whether a planned crash has happened.
    pub fn is_crashed(&self) -> bool {
        self.world().faults.crashed()
    }

    /// Limits the room, or lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity_bytes = bytes;
    }

    /// Leaves the process without a file descriptor, or gives it some again.
    pub fn run_out_of_files(&self, out: bool) {
        self.world().out_of_files = out;
    }

    /// Whether pages have been forgotten since the last restart, for a sync that failed.
    pub fn has_forgotten(&self) -> bool {
        self.world().forgot_pages
    }

    /// Bytes in use, in blocks, with what is allocated ahead.
    pub fn used_bytes(&self) -> u64 {
        self.world().tree.used_bytes()
    }

    /// Goes down (unless a planned crash has done so) and comes up again. Open files and locks of
    /// the former life are dead.
    pub fn restart(&self, crash: Crash) {
        let mut world = self.world();
        let world = &mut *world;
        if crash == Crash::PowerLoss {
            world.tree.lose_power(world.faults.random());
            world.tree.evict();
            world.boots += 1;
        }
        world.faults.restart();
        world.locks.clear();
        world.out_of_files = false;
        world.forgot_pages = false;
        world.generation += 1;
    }

    /// Flips bits of a stored byte, in the page cache and below. `false` if there is no such byte.
    pub fn damage(&self, path: &Path, position: u64, flip: u8) -> bool {
        self.world().tree.damage(path, position, flip)
    }

    /// Takes everything out of memory, as if other files had needed it: what is mapped is to be
    /// populated before it is touched.
    pub fn evict(&self) {
        self.world().tree.evict();
    }

    /// Makes a part of a file (whole pages of it) fail to be read, until it is written again.
    /// `false` if there is no such file.
    pub fn fail_reads(&self, path: &Path, range: Range<u64>) -> bool {
        let range = range.start as usize..range.end as usize;
        self.world().tree.fail_reads(path, &range)
    }

    /// Paths of all files, as a process sees them.
    pub fn files(&self) -> Vec<PathBuf> {
        self.world().tree.files()
    }
}

impl World {
    /// Runs an operation that changes something, or lets it fail as planned. `apply` gets how much
    /// of it (of 0..=`extent`) is to be done.
    fn change<T>(
        &mut self,
        operation: &'static str,
        path: &Path,
        extent: usize,
        apply: impl FnOnce(&mut Tree, usize) -> Result<T, io::ErrorKind>,
    ) -> Result<T, DiskError> {
        let is_sync = operation.starts_with("sync");
        let fail = |kind: io::ErrorKind| DiskError::new(operation, path, kind.into());
        match self.faults.next(is_sync, extent) {
            Verdict::Proceed => apply(&mut self.tree, extent).map_err(fail),
            Verdict::Refuse { kind, done } => {
                if let Some(done) = done {
                    // What the half-done operation would have answered does not matter.
                    let _ = apply(&mut self.tree, done);
                }
                Err(fail(kind))
            }
        }
    }

    fn room_for(&self, more: u64) -> Result<(), io::ErrorKind> {
        match self.capacity_bytes {
            Some(capacity) if self.tree.used_bytes() + more > capacity => {
                Err(io::ErrorKind::StorageFull)
            }
            _ => Ok(()),
        }
    }

    /// For what needs a file descriptor of its own.
    fn files_left(&self, operation: &'static str, path: &Path) -> Result<(), DiskError> {
        self.alive(operation, path)?;
        match self.out_of_files {
            true => Err(DiskError::NoFiles {
                operation,
                path: path.to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn alive(&self, operation: &'static str, path: &Path) -> Result<(), DiskError> {
        if self.faults.crashed() {
            return Err(DiskError::new(operation, path, faults::dead()));
        }
        Ok(())
    }
}

impl Disk for MemDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        let mut world = self.world();
        world.alive("create directory", path)?;
        if world.tree.is_dir(path) {
            return Ok(());
        }
        world.change("create directory", path, 1, |tree, done| {
            if done == 0 {
                return Ok(());
            }
            tree.create_dir_all(path)
        })
    }

    fn open(&self, path: &Path, open: Open) -> Result<Arc<dyn DiskFile>, DiskError> {
        let mut world = self.world();
        world.files_left("open", path)?;
        let found = world.tree.file(path);
        let file = match (open, found) {
            (Open::Existing, None) => {
                return Err(DiskError::new("open", path, io::ErrorKind::NotFound.into()));
            }
            (Open::Existing | Open::Create, Some(file)) => file,
            (Open::Create | Open::Truncate, found) => {
                if found.is_none() {
                    world
                        .room_for(tree::BLOCK_BYTES)
                        .map_err(|kind| DiskError::new("open", path, kind.into()))?;
                }
                world.change("open", path, 1, |tree, done| {
                    if done == 0 {
                        return Err(io::ErrorKind::Other);
                    }
                    match found {
                        Some(file) => {
                            tree.truncate(file, 0);
                            Ok(file)
                        }
                        None => tree.create(path),
                    }
                })?
            }
        };
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            generation: world.generation,
            file,
            path: path.to_owned(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.world().change("rename", from, 1, |tree, done| {
            if done == 0 {
                return Ok(());
            }
            tree.rename(from, to)
        })
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.world().change("remove", path, 1, |tree, done| {
            if done == 0 {
                return Ok(());
            }
            tree.remove_file(path)
        })
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        let names = self.world().tree.names_below(path);
        self.world()
            .change("remove directory", path, names, |tree, done| {
                tree.remove_dir_all(path, done)
            })
    }

    fn list(&self, path: &Path) -> Result<Vec<DirEntry>, DiskError> {
        let world = self.world();
        world.files_left("list", path)?;
        world
            .tree
            .list(path)
            .map_err(|kind| DiskError::new("list", path, kind.into()))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        let mut world = self.world();
        world.files_left("sync directory", path)?;
        world.change("sync directory", path, 1, |tree, done| {
            if done == 0 {
                return Ok(());
            }
            tree.sync_dir(path)
        })
    }

    fn space(&self, path: &Path) -> Result<Space, DiskError> {
        let world = self.world();
        world.alive("statvfs", path)?;
        let total_bytes = world.capacity_bytes.unwrap_or(UNLIMITED_BYTES);
        Ok(Space {
            total_bytes,
            available_bytes: total_bytes.saturating_sub(world.tree.used_bytes()),
        })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, DiskError> {
        self.open(path, Open::Create)?;
        let mut world = self.world();
        let path = path.to_owned();
        if world.locks.contains(&path) {
            return Err(DiskError::Locked { path });
        }
        world.locks.push(path.clone());
        Ok(Box::new(MemLock {
            disk: self.clone(),
            generation: world.generation,
            path,
        }))
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("boot-{}", self.world().boots))
    }
}

#[derive(Debug)]
struct MemLock {
    disk: MemDisk,
    generation: u64,
    path: PathBuf,
}

impl DiskLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.generation == self.generation {
            world.locks.retain(|path| *path != self.path);
        }
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    generation: u64,
    file: FileId,
    path: PathBuf,
}

impl MemFile {
    fn world(&self, operation: &'static str) -> Result<MutexGuard<'_, World>, DiskError> {
        let world = self.disk.world();
        if world.generation != self.generation {
            return Err(DiskError::new(operation, &self.path, faults::dead()));
        }
        Ok(world)
    }
}

impl DiskFile for MemFile {
    fn write_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> Result<(), DiskError> {
        let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        for slice in slices.iter() {
            bytes.extend_from_slice(slice);
        }
        let mut world = self.world("write")?;
        let grows = world.tree.growth(self.file, position + bytes.len() as u64);
        let room = world.room_for(grows);
        let file = self.file;
        let writes_back = world.writes_back;
        world.change("write", &self.path, bytes.len(), |tree, done| {
            room?;
            tree.write(file, &bytes[..done], position);
            if writes_back {
                tree.sync(file);
            }
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, DiskError> {
        let mut world = self.world("read")?;
        world.alive("read", &self.path)?;
        let range = position as usize..position as usize + buffer.len();
        let read = world.tree.populate(self.file, &range);
        read.map_err(|kind| DiskError::new("read", &self.path, kind.into()))?;
        let content = world.tree.content(self.file);
        let start = content.len().min(position as usize);
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn read_at_once(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>, DiskError> {
        let range = position as usize..position as usize + buffer.len();
        if !self.world("read")?.tree.is_resident(self.file, &range) {
            return Ok(None);
        }
        self.read_at(buffer, position).map(Some)
    }

    fn sync_data(&self) -> Result<(), DiskError> {
        let file = self.file;
        let mut world = self.world("sync")?;
        let result = world.change("sync", &self.path, 1, |tree, done| {
            if done > 0 {
                tree.sync(file);
            }
            Ok(())
        });
        if result.is_err() && !world.faults.crashed() {
            // Linux marks the pages clean all the same: they will never be written.
            world.tree.forget_dirty(file);
            world.forgot_pages = true;
        }
        result
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let file = self.file;
        self.world("truncate")?
            .change("truncate", &self.path, 1, |tree, done| {
                if done > 0 {
                    tree.truncate(file, length as usize);
                }
                Ok(())
            })
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), DiskError> {
        let file = self.file;
        let mut world = self.world("allocate")?;
        let grows = world.tree.growth(file, position + length);
        let room = world.room_for(grows);
        world.change("allocate", &self.path, 1, |tree, done| {
            room?;
            if done > 0 {
                tree.allocate(file, position + length);
            }
            Ok(())
        })
    }

    fn length(&self) -> Result<u64, DiskError> {
        let world = self.world("stat")?;
        world.alive("stat", &self.path)?;
        Ok(world.tree.content(self.file).len() as u64)
    }

    fn map_read_only(&self, length: usize) -> Result<Mapping, DiskError> {
        let world = self.world("map")?;
        world.alive("map", &self.path)?;
        let memory = FileMemory {
            disk: self.disk.clone(),
            file: self.file,
        };
        Ok(Mapping::of_memory(Arc::new(memory), length))
    }
}

struct FileMemory {
    disk: MemDisk,
    file: FileId,
}

impl Memory for FileMemory {
    fn read(&self, buffer: &mut [u8], position: usize) {
        let world = self.disk.world();
        let range = position..position + buffer.len();
        assert!(
            world.tree.is_resident(self.file, &range),
            "what is touched is in memory range={range:?}"
        );
        let content = world.tree.content(self.file);
        let start = content.len().min(position);
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        buffer[count..].fill(0);
    }

    fn is_resident(&self, range: Range<usize>) -> bool {
        self.disk.world().tree.is_resident(self.file, &range)
    }

    fn populate(&self, range: Range<usize>) -> io::Result<()> {
        let mut world = self.disk.world();
        world.tree.populate(self.file, &range).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests;
