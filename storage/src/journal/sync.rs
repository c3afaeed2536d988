//! Making the journal durable, and short.

use std::io::IoSlice;
use std::sync::Arc;

use super::{Journal, JournalError, REWRITE_BYTES_MIN, State};
use crate::disk::{self, DiskError, DiskFile, Open};

impl Journal {
    /// Makes everything appended so far durable, on this thread.
    pub fn sync(&self) -> Result<(), JournalError> {
        match self.begin_sync()? {
            Some(ticket) => self.sync_done(ticket.run()),
            None => Ok(()),
        }
    }

    /// What has to be synced, to be run on any thread; `None` if everything is durable.
    pub fn begin_sync(&self) -> Result<Option<JournalSyncTicket>, JournalError> {
        let state = self.lock();
        if let Some(cause) = &state.offline {
            return Err(JournalError::Offline {
                cause: cause.clone(),
            });
        }
        Ok((state.synced < state.length).then(|| JournalSyncTicket {
            file: Arc::clone(&state.file),
            generation: state.generation,
            through: state.length,
        }))
    }

    /// Takes note of a ticket that has run. After a failure the journal is offline.
    pub fn sync_done(&self, done: JournalSyncDone) -> Result<(), JournalError> {
        let mut state = self.lock();
        match done.result {
            Ok(()) => {
                if done.generation == state.generation {
                    state.synced = state.synced.max(done.through);
                }
                Ok(())
            }
            Err(cause) => {
                state.offline = Some(cause.clone());
                Err(JournalError::Offline { cause })
            }
        }
    }

    /// Whether so much of the file is out of date that [`rewrite`](Self::rewrite) is worth it.
    pub fn wants_rewrite(&self) -> bool {
        let state = self.lock();
        state.offline.is_none() && state.length > state.rewrite_at
    }

    /// Writes the live state to a new file and puts it in place of the old one. Belongs on a
    /// background thread: it syncs while it holds the lock.
    pub fn rewrite(&self) -> Result<(), JournalError> {
        let mut state = self.lock();
        if let Some(cause) = &state.offline {
            return Err(JournalError::Offline {
                cause: cause.clone(),
            });
        }
        self.rewrite_locked(&mut state)
    }

    pub(super) fn rewrite_locked(&self, state: &mut State) -> Result<(), JournalError> {
        // Synced before it gets its name: all of it is durable once it can be found.
        let length = state.encode_whole(0).len() as u64;
        let bytes = state.encode_whole(length);
        let file = match self.write_beside(&bytes) {
            Ok(file) => file,
            // The old file is untouched and goes on serving.
            Err(error) => return Err(self.failed(error)),
        };
        if let Err(error) = self.put_in_place() {
            // Which of the two files the name means is unknown now.
            state.offline = Some(error.clone());
            return Err(JournalError::Offline { cause: error });
        }
        state.file = file;
        state.generation += 1;
        state.length = bytes.len() as u64;
        state.synced = state.length;
        state.allocated = state.length;
        state.rewrite_at = REWRITE_BYTES_MIN.max(2 * state.length);
        Ok(())
    }

    fn write_beside(&self, bytes: &[u8]) -> Result<Arc<dyn DiskFile>, DiskError> {
        let beside = disk::temporary_name(&self.path);
        let file = self.disk.open(&beside, Open::Truncate)?;
        file.write_at(&mut [IoSlice::new(bytes)], 0)?;
        file.sync_data()?;
        Ok(file)
    }

    fn put_in_place(&self) -> Result<(), DiskError> {
        self.disk
            .rename(&disk::temporary_name(&self.path), &self.path)?;
        match self.path.parent() {
            Some(parent) => self.disk.sync_dir(parent),
            None => Ok(()),
        }
    }
}

/// An fsync of the journal that has to be run.
#[derive(Debug)]
pub struct JournalSyncTicket {
    file: Arc<dyn DiskFile>,
    generation: u64,
    through: u64,
}

/// An fsync of the journal that has been run; to be handed to [`Journal::sync_done`].
#[derive(Debug)]
#[must_use = "the journal has to learn of it"]
pub struct JournalSyncDone {
    generation: u64,
    through: u64,
    result: Result<(), DiskError>,
}

impl JournalSyncTicket {
    /// Syncs. Blocks for as long as the disk takes.
    pub fn run(self) -> JournalSyncDone {
        JournalSyncDone {
            generation: self.generation,
            through: self.through,
            result: self.file.sync_data(),
        }
    }
}
