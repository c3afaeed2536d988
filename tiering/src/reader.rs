//! Reads records from an archive.
//!
//! The index says from where to walk, the chunk cache gives the bytes, and whole batches are returned as they
//! are, each checked. A chunk with a wrong batch is read once more from the store before it is called damaged:
//! what was wrong may have been the disk or the way.

mod indexes;
mod time;
mod walk;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use klamm_model::{Offset, Timestamp};
use klamm_storage::{GroupId, TimestampOffset};
use tokio::runtime::Handle;

use crate::archived_object::ArchivedObject;
use crate::chunk_cache::{ChunkCache, ChunkCacheConfig, ChunkCacheStats, Whole};
use crate::layout;
use crate::object_store::{ObjectKey, ObjectStore, StoreError};
use crate::partition_archive::ArchiveError;
use crate::read_ahead::{ReadAheadLimits, Readers};
use crate::segment_index::{AbortedSearch, INTERVAL_BYTES, SegmentIndex, SegmentIndexError};
use indexes::Indexes;
use walk::{Found, Walked, Wanted, Window};

/// How an archive is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveReaderConfig {
    /// What is kept on the disk.
    pub cache: ChunkCacheConfig,
    /// Bytes of indexes in memory, at most.
    pub index_bytes_max: u64,
    /// How far ahead of those who read in order.
    pub read_ahead: ReadAheadLimits,
}

impl ArchiveReaderConfig {
    /// The usual bytes of indexes in memory: those of a hundred objects of a gigabyte.
    pub const INDEX_BYTES_MAX: u64 = 64 << 20;
}

/// Reads the archives of all partitions of a store. See the [module](self).
#[derive(Debug)]
pub struct ArchiveReader {
    cache: ChunkCache,
    indexes: Indexes,
    readers: Mutex<Readers>,
    runtime: Handle,
}

/// Whole batches of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedRecords {
    /// The bytes of the batches, one after the other. Empty if the object holds none that was asked for: where a
    /// log was compacted, batches are missing.
    pub records: Bytes,
    /// The first offset of the first batch, which may be below what was asked for.
    pub base_offset: Offset,
    /// Where to read on: in this object, or at its end.
    pub next_offset: Offset,
}

/// Why records of an archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveReadError {
    /// An object is not there: it was deleted just now, or the archive has lost it.
    #[error("an object of the archive is missing key={key}")]
    Missing {
        /// Where it should be.
        key: ObjectKey,
    },
    /// The store does not answer. Try again later.
    #[error("the archive is not available: {reason}")]
    Unavailable {
        /// What is known.
        reason: String,
    },
    /// Credentials or permissions: a person has to look.
    #[error("access to the archive is refused: {reason}")]
    Denied {
        /// What the store says, and of what.
        reason: String,
    },
    /// An object is not what was written, also when it is read again.
    #[error("an object of the archive is damaged key={key} position={position}")]
    Corrupt {
        /// Which.
        key: ObjectKey,
        /// Where in it, in bytes.
        position: u64,
    },
    /// A newer program wrote it.
    #[error("an object of the archive is of a newer version version={version} key={key}")]
    Newer {
        /// Which.
        key: ObjectKey,
        /// As found.
        version: u8,
    },
}

/// Most that is read at once; what a client may ask for is bounded elsewhere, and lower.
const READ_BYTES_MAX: usize = 64 << 20;

/// Batches that are looked through at once for a time.
const SEARCH_BYTES: usize = 1 << 20;

impl ArchiveReader {
    /// A reader of this store. Tasks, and what waits for the disk, run on `runtime`; this call itself waits
    /// for the disk while it clears the cache's directory.
    pub fn open(
        store: Arc<dyn ObjectStore>,
        config: &ArchiveReaderConfig,
        runtime: Handle,
    ) -> Self {
        Self {
            cache: ChunkCache::open(store.clone(), &config.cache, runtime.clone()),
            indexes: Indexes::new(store, config.index_bytes_max, runtime.clone()),
            readers: Mutex::new(Readers::new(config.read_ahead)),
            runtime,
        }
    }

    /// Sets how many bytes the cache may have on the disk; 0 switches it off for the time being.
    pub fn set_cache_bytes_max(&self, bytes_max: u64) {
        self.cache.set_bytes_max(bytes_max);
    }

    /// What the cache has done.
    pub fn cache_stats(&self) -> ChunkCacheStats {
        self.cache.stats()
    }

    /// Reads batches of an object from the one that holds `offset` on: up to `bytes_max` bytes, but at least
    /// one batch. Dropping the future is fine: what was asked of the store is kept for the next reader.
    ///
    /// # Panics
    /// If the object does not hold `offset`.
    pub async fn read(
        &self,
        group: GroupId,
        object: &ArchivedObject,
        offset: Offset,
        bytes_max: usize,
    ) -> Result<ArchivedRecords, ArchiveReadError> {
        assert!(
            object.name.contains(offset),
            "an object is asked for what it holds"
        );
        let index = self.index(group, object).await?;
        let key = layout::log_key(group, &object.name);
        let whole = Whole {
            key: &key,
            bytes: object.bytes,
        };
        let read = Reading {
            cache: &self.cache,
            index: &index,
            object: whole,
        };
        let wanted = Wanted {
            from: offset,
            bytes_max: bytes_max.min(READ_BYTES_MAX),
        };
        let Some(found) = read.find(wanted).await? else {
            return Ok(ArchivedRecords {
                records: Bytes::new(),
                base_offset: object.end(),
                next_offset: object.end(),
            });
        };
        let position = found.at.position;
        let records = found.into_records(object);
        let end = position + records.records.len() as u64;
        self.read_on(group, whole, (offset, records.next_offset), position..end);
        Ok(records)
    }

    /// Has fetched what the reader of these bytes and offsets will want next.
    fn read_on(
        &self,
        group: GroupId,
        object: Whole<'_>,
        offsets: (Offset, Offset),
        bytes: Range<u64>,
    ) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = readers.have_read(group, offsets, &bytes, object.bytes);
        drop(readers);
        if let Some(ahead) = ahead {
            self.cache.read_ahead(object, &ahead);
        }
    }

    /// The first record of an object at or above `from` whose time is `timestamp` or later; `None` if there is
    /// none.
    pub async fn offset_for_timestamp(
        &self,
        group: GroupId,
        object: &ArchivedObject,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<TimestampOffset>, ArchiveReadError> {
        let index = self.index(group, object).await?;
        let Some(entry) = index.position_of_time(timestamp) else {
            return Ok(None);
        };
        let mut next = entry.offset.max(from);
        while object.name.contains(next) {
            let read = self.read(group, object, next, SEARCH_BYTES).await?;
            let search = move || time::first_record(read.records, timestamp, from);
            // Inflating takes its time.
            let found = self.runtime.spawn_blocking(search).await;
            let found = found.map_err(|gone| ArchiveReadError::Unavailable {
                reason: gone.to_string(),
            })?;
            if found.is_some() {
                return Ok(found);
            }
            next = read.next_offset;
        }
        Ok(None)
    }

    /// The aborted transactions that end in an object and that a reader of `range` must know. As long as the
    /// search is not complete, the objects that follow are to be asked too, and then the local log.
    pub async fn aborted_transactions(
        &self,
        group: GroupId,
        object: &ArchivedObject,
        range: &Range<Offset>,
    ) -> Result<AbortedSearch, ArchiveReadError> {
        Ok(self.index(group, object).await?.aborted(range))
    }

    /// The index of an object, kept in memory.
    pub async fn index(
        &self,
        group: GroupId,
        object: &ArchivedObject,
    ) -> Result<Arc<SegmentIndex>, ArchiveReadError> {
        let key = || layout::index_key(group, &object.name);
        let fetched = self.indexes.get(group, object.name).await;
        let index = fetched.ok_or_else(|| ArchiveReadError::Unavailable {
            reason: "what read it came to no end".to_owned(),
        })?;
        let index = index.map_err(|error| of_index(error, key))?;
        match index.facts().bytes == object.bytes {
            true => Ok(index),
            false => Err(ArchiveReadError::Corrupt {
                key: key(),
                position: 0,
            }),
        }
    }
}

/// One read of one object.
struct Reading<'a> {
    cache: &'a ChunkCache,
    index: &'a SegmentIndex,
    object: Whole<'a>,
}

impl Reading<'_> {
    /// Batches that are wanted; `None` if the object holds none.
    async fn find(&self, wanted: Wanted) -> Result<Option<Found>, ArchiveReadError> {
        let mut at = self.index.position_of(wanted.from);
        let mut bytes = INTERVAL_BYTES + wanted.bytes_max as u64;
        let mut is_read_again = false;
        loop {
            let range = at.position..(at.position + bytes).min(self.object.bytes);
            let window = self.cache.read(self.object, range.clone()).await;
            let window = window.map_err(of_store)?;
            let is_short = (window.len() as u64) < range.end - range.start;
            let walked = Window {
                index: self.index,
                at,
                bytes: &window,
            };
            match walked.walk(wanted) {
                Walked::Found(found) => return Ok(Some(found)),
                Walked::Nothing => return Ok(None),
                Walked::Earlier(next) if !is_short => at = next,
                Walked::Needs(next, needed) if !is_short => (at, bytes) = (next, needed.max(bytes)),
                // A batch that is right as far as it goes, in an object that ends too early.
                Walked::Earlier(next) | Walked::Needs(next, _) if is_read_again => {
                    return Err(self.corrupt(next.position));
                }
                Walked::Bad(position) if is_read_again => return Err(self.corrupt(position)),
                Walked::Earlier(_) | Walked::Needs(..) | Walked::Bad(_) => {
                    is_read_again = true;
                    self.cache.forget(self.object, &range);
                }
            }
        }
    }

    fn corrupt(&self, position: u64) -> ArchiveReadError {
        ArchiveReadError::Corrupt {
            key: self.object.key.clone(),
            position,
        }
    }
}

impl Found {
    fn into_records(self, object: &ArchivedObject) -> ArchivedRecords {
        let end = self.at.position + self.records.len() as u64;
        // Behind the last batch there may be offsets whose records were compacted away.
        let is_last = end == object.bytes;
        ArchivedRecords {
            records: self.records,
            base_offset: self.at.offset,
            next_offset: if is_last {
                object.end()
            } else {
                self.next_offset
            },
        }
    }
}

fn of_store(error: StoreError) -> ArchiveReadError {
    match error {
        StoreError::NotFound(key) => ArchiveReadError::Missing { key },
        StoreError::Denied { reason } => ArchiveReadError::Denied { reason },
        // Nothing is written here.
        StoreError::Unavailable { reason } | StoreError::Unreadable { reason } => {
            ArchiveReadError::Unavailable { reason }
        }
        // No read has a condition.
        StoreError::ConditionFailed(key) => ArchiveReadError::Unavailable {
            reason: format!("the store refuses a read key={key}"),
        },
    }
}

fn of_index(error: ArchiveError, key: impl Fn() -> ObjectKey) -> ArchiveReadError {
    match error {
        ArchiveError::Store(error) => of_store(error),
        ArchiveError::Index {
            key,
            error: SegmentIndexError::Newer(version),
        } => ArchiveReadError::Newer { key, version },
        ArchiveError::Index { key, .. } => ArchiveReadError::Corrupt { key, position: 0 },
        ArchiveError::Hole { .. } | ArchiveError::Manifest { .. } => ArchiveReadError::Corrupt {
            key: key(),
            position: 0,
        },
    }
}
