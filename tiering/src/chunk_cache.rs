//! What was read from the archive, on the disk for the next reader.
//!
//! Objects are read in aligned chunks, each with one request however many want it. Chunks are kept in files, the
//! least recently used go first. All of it may be lost at any time: an error of the disk, or a checksum that
//! does not match, means that a chunk is not there, and the store is asked.

mod files;
mod kept;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::lru::Lru;
use crate::object_store::{ObjectKey, ObjectStore, StoreError};
use crate::single_flight::{Flight, Landing, SingleFlight};
use files::Files;
use kept::KeptChunk;

/// Where chunks are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkCacheConfig {
    /// A directory that nothing else is in; made if it is not there, cleared if it is.
    pub directory: PathBuf,
    /// Bytes on the disk at most; 0 switches the cache off, and objects are read as they are asked for.
    pub bytes_max: u64,
    /// Bytes of a chunk, at least 1.
    pub chunk_bytes: u64,
}

impl ChunkCacheConfig {
    /// The usual size of a chunk: fewer requests than smaller ones, and one at a hundred megabytes a second
    /// is there in a tenth of a second.
    pub const CHUNK_BYTES: u64 = 8 << 20;
}

/// What the cache has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkCacheStats {
    /// Parts of chunks that were read from the disk.
    pub hits: u64,
    /// Chunks, or with no cache parts of objects, that the store was asked for.
    pub fetches: u64,
    /// Bytes on the disk now.
    pub bytes: u64,
}

/// Requests to the store at once. Each holds a chunk in memory.
const FETCHES_MAX: usize = 32;

/// Requests that must be free for one that nobody waits for yet.
const FETCHES_FREE_FOR_AHEAD: usize = FETCHES_MAX / 2;

/// Which chunk of which object.
type ChunkId = (ObjectKey, u64);

type Fetched = Result<Bytes, StoreError>;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct ChunkCache {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
    chunk_bytes: u64,
    disk: Arc<Disk>,
    flights: Arc<SingleFlight<ChunkId, Bytes, StoreError>>,
    fetching: Arc<Semaphore>,
    hits: AtomicU64,
    fetches: Arc<AtomicU64>,
}

/// The part that a task that outlives its caller needs.
#[derive(Debug)]
struct Disk {
    runtime: Handle,
    /// `None` if there is no directory.
    files: Option<Arc<Files>>,
    kept: Mutex<Lru<ChunkId, KeptChunk>>,
    next_file: AtomicU64,
    has_complained: AtomicBool,
}

/// An object of an archive that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) bytes: u64,
}

impl ChunkCache {
    /// Opens the cache; this thread waits for the disk. Tasks run on `runtime`.
    pub(crate) fn open(
        store: Arc<dyn ObjectStore>,
        config: &ChunkCacheConfig,
        runtime: Handle,
    ) -> Self {
        let is_on = config.bytes_max > 0;
        let files = is_on.then(|| Files::open(&config.directory)).transpose();
        let disk = Disk {
            runtime: runtime.clone(),
            has_complained: AtomicBool::new(false),
            kept: Mutex::new(Lru::new(config.bytes_max)),
            next_file: AtomicU64::new(0),
            files: None,
        };
        let files = files.unwrap_or_else(|error| {
            disk.complain(&error);
            None
        });
        let files = files.map(Arc::new);
        Self {
            store,
            runtime,
            chunk_bytes: config.chunk_bytes.max(1),
            disk: Arc::new(Disk { files, ..disk }),
            flights: Arc::new(SingleFlight::new()),
            fetching: Arc::new(Semaphore::new(FETCHES_MAX)),
            hits: AtomicU64::new(0),
            fetches: Arc::default(),
        }
    }

    /// Sets how many bytes may be on the disk; 0 switches the cache off for the time being.
    pub(crate) fn set_bytes_max(&self, bytes_max: u64) {
        let gone = self.disk.kept().set_bytes_max(bytes_max);
        self.disk.remove(gone);
    }

    pub(crate) fn stats(&self) -> ChunkCacheStats {
        ChunkCacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            fetches: self.fetches.load(Ordering::Relaxed),
            bytes: self.disk.kept().bytes(),
        }
    }

    fn is_on(&self) -> bool {
        self.disk.files.is_some() && self.disk.kept().bytes_max() > 0
    }

    /// Bytes `range` of an object; fewer if the object in the store ends before.
    pub(crate) async fn read(&self, object: Whole<'_>, range: Range<u64>) -> Fetched {
        if !self.is_on() {
            return self.read_uncached(object, range).await;
        }
        let mut chunks = self.chunks_of(&range);
        if let (Some(only), None) = (chunks.next(), chunks.next()) {
            return self.piece(object, only, &range).await;
        }
        // All that is not on the disk is asked for at once.
        let flights: Vec<_> = self
            .chunks_of(&range)
            .map(|chunk| (!self.is_kept(object, chunk)).then(|| self.fetch(object, chunk)))
            .collect();
        let mut bytes = BytesMut::new();
        for (chunk, flight) in self.chunks_of(&range).zip(flights) {
            let piece = match flight {
                Some(flight) => part_of(&landed(flight).await?, self.part(chunk, &range)),
                None => self.piece(object, chunk, &range).await?,
            };
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    async fn read_uncached(&self, object: Whole<'_>, range: Range<u64>) -> Fetched {
        let _permit = self.fetching.acquire().await;
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.store.get_range(object.key, range).await
    }

    /// Has chunks of `range` fetched that are not there, unless others are in greater need of the store.
    pub(crate) fn read_ahead(&self, object: Whole<'_>, range: &Range<u64>) {
        if !self.is_on() {
            return;
        }
        for chunk in self.chunks_of(range) {
            let is_quiet = self.fetching.available_permits() > FETCHES_FREE_FOR_AHEAD;
            if is_quiet && !self.is_kept(object, chunk) {
                drop(self.fetch(object, chunk));
            }
        }
    }

    /// Throws away what there is of `range`, so that the store is asked for it again.
    pub(crate) fn forget(&self, object: Whole<'_>, range: &Range<u64>) {
        for chunk in self.chunks_of(range) {
            let id = (object.key.clone(), chunk);
            self.flights.forget(&id);
            self.disk.forget(&id);
        }
    }

    /// The bytes of `range` that lie in a chunk.
    async fn piece(&self, object: Whole<'_>, chunk: u64, range: &Range<u64>) -> Fetched {
        let part = self.part(chunk, range);
        let id = (object.key.clone(), chunk);
        if let Some(bytes) = self.disk.read(&id, part.clone()).await {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(bytes);
        }
        let bytes = landed(self.fetch(object, chunk)).await?;
        Ok(part_of(&bytes, part))
    }

    /// Where in a chunk `range` lies.
    fn part(&self, chunk: u64, range: &Range<u64>) -> Range<usize> {
        let start = chunk * self.chunk_bytes;
        let from = range.start.saturating_sub(start);
        let to = range.end.saturating_sub(start).min(self.chunk_bytes);
        from as usize..to as usize
    }

    fn is_kept(&self, object: Whole<'_>, chunk: u64) -> bool {
        self.disk.kept().contains(&(object.key.clone(), chunk))
    }

    fn fetch(&self, object: Whole<'_>, chunk: u64) -> Flight<Bytes, StoreError> {
        let start = chunk * self.chunk_bytes;
        let range = start..(start + self.chunk_bytes).min(object.bytes);
        let length = range.end.saturating_sub(range.start);
        let id = (object.key.clone(), chunk);
        let work = || {
            let (store, fetching) = (self.store.clone(), self.fetching.clone());
            let (disk, fetches) = (self.disk.clone(), self.fetches.clone());
            let id = id.clone();
            async move {
                // The one who has just fetched it may be done, and we may have looked before it was.
                if let Some(bytes) = disk.read(&id, 0..length as usize).await {
                    return Ok(bytes);
                }
                let _permit = fetching.acquire_owned().await;
                fetches.fetch_add(1, Ordering::Relaxed);
                store.get_range(&id.0, range).await
            }
        };
        let disk = self.disk.clone();
        let kept_as = id.clone();
        let keep = move |bytes: Bytes, landing| async move {
            if bytes.len() as u64 == length {
                disk.keep(kept_as, bytes, &landing).await;
            }
        };
        self.flights.join(&self.runtime, &id, work, keep)
    }

    fn chunks_of(&self, range: &Range<u64>) -> Range<u64> {
        match range.is_empty() {
            true => 0..0,
            false => range.start / self.chunk_bytes..(range.end - 1) / self.chunk_bytes + 1,
        }
    }
}

impl Disk {
    fn kept(&self) -> MutexGuard<'_, Lru<ChunkId, KeptChunk>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a chunk, if it is there and what was written.
    async fn read(&self, id: &ChunkId, part: Range<usize>) -> Option<Bytes> {
        let files = self.files.clone()?;
        let chunk = self.kept().get(id)?.clone();
        let blocks = chunk.blocks_of(&part);
        let read = self.runtime.spawn_blocking(move || {
            let bytes = files.read(chunk.file, blocks.clone())?;
            if !chunk.is_right(blocks.start, &bytes) {
                let what = "the checksum of a cached chunk does not match";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            let start = part.start - blocks.start;
            Ok(part_of(&bytes.into(), start..start + part.len()))
        });
        match read
            .await
            .unwrap_or_else(|gone| Err(io::Error::other(gone)))
        {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                // Not there: it has just made room for another one.
                if error.kind() != io::ErrorKind::NotFound {
                    self.complain(&error);
                }
                self.forget(id);
                None
            }
        }
    }

    /// Keeps a chunk, unless somebody finds out meanwhile that it is not what it should be.
    async fn keep(&self, id: ChunkId, bytes: Bytes, landing: &Landing<ChunkId, Bytes, StoreError>) {
        let size = bytes.len() as u64;
        let Some(files) = self.files.clone() else {
            return;
        };
        let gone = {
            let mut kept = self.kept();
            if size > kept.bytes_max() || kept.contains(&id) {
                return;
            }
            kept.make_room(size)
        };
        self.remove(gone);
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let written = self.runtime.spawn_blocking(move || {
            files.write(number, &bytes)?;
            Ok(KeptChunk::new(number, &bytes))
        });
        match written
            .await
            .unwrap_or_else(|gone| Err(io::Error::other(gone)))
        {
            Ok(chunk) => {
                let mut kept = self.kept();
                // Asked under the lock: who forgets a chunk forgets the flight first.
                let gone = match landing.is_expected() {
                    true => kept.insert(id, chunk, size),
                    false => vec![chunk],
                };
                drop(kept);
                self.remove(gone);
            }
            Err(error) => self.complain(&error),
        }
    }

    fn forget(&self, id: &ChunkId) {
        let gone = self.kept().remove(id);
        self.remove(gone);
    }

    /// Removes files, when somebody gets to it.
    fn remove(&self, gone: impl IntoIterator<Item = KeptChunk>) {
        let numbers: Vec<_> = gone.into_iter().map(|chunk| chunk.file).collect();
        let Some(files) = self.files.clone().filter(|_| !numbers.is_empty()) else {
            return;
        };
        self.runtime.spawn_blocking(move || {
            for number in numbers {
                // What cannot be removed now goes at the next start.
                let _ = files.remove(number);
            }
        });
    }

    /// Says once that the disk of the cache does not do it.
    fn complain(&self, error: &io::Error) {
        if !self.has_complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error,
                "the cache of the archive does not work, and objects are read from the store");
        }
    }
}

/// A part of what there is. If that is little, it is copied, so that it does not keep the rest in memory.
fn part_of(bytes: &Bytes, part: Range<usize>) -> Bytes {
    let end = part.end.min(bytes.len());
    let start = part.start.min(end);
    match end - start < bytes.len() / 2 {
        true => Bytes::copy_from_slice(&bytes[start..end]),
        false => bytes.slice(start..end),
    }
}

async fn landed(flight: Flight<Bytes, StoreError>) -> Fetched {
    let outcome = flight.outcome().await;
    outcome.unwrap_or_else(|| {
        let reason = "what read it came to no end".to_owned();
        Err(StoreError::Unavailable { reason })
    })
}
