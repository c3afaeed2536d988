//! Reads that do not wait for the disk: what is not in memory leaves as a ticket.

use super::{Log, Offline, ReadError};
use crate::disk::DiskError;
use crate::segment::residency::{Cold, Unread};

/// A read that does not wait for the disk.
#[derive(Clone, Debug)]
#[must_use = "the read may have to be tried again"]
pub enum Attempt<T> {
    /// It is done.
    Done(T),
    /// Some of what has to be looked at is not in memory. After the ticket has run and
    /// [`Log::populated`] has been told, the read can be tried again; it may find more that is
    /// not there, or not there any more.
    Cold(PopulateTicket),
}

/// Bytes to be brought into memory, on any thread.
#[derive(Clone, Debug)]
#[must_use = "the bytes stay where they are until it is run"]
pub struct PopulateTicket {
    cold: Cold,
    cuts: u64,
}

/// A [`PopulateTicket`] that has run; to be handed to [`Log::populated`].
#[derive(Debug)]
#[must_use = "the log has to learn of it"]
pub struct Populated {
    result: Result<(), DiskError>,
    cuts: u64,
}

impl PopulateTicket {
    /// How many bytes it brings into memory, at most: what the read would return and what it has
    /// to look at, or an index file.
    pub fn size_bytes(&self) -> usize {
        self.cold.size_bytes()
    }

    /// Waits for the disk.
    pub fn run(self) -> Populated {
        Populated {
            result: self.cold.populate(),
            cuts: self.cuts,
        }
    }
}

/// Why a look at the log ends before its time.
#[derive(Debug)]
pub(super) enum Stop {
    /// Only where readers do not [wait](crate::segment::residency::Waiting).
    Cold(Cold),
    Failed(ReadError),
}

impl From<Unread> for Stop {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Cold(cold) => Self::Cold(cold),
            Unread::Failed(error) => Self::Failed(ReadError::Unreadable(error)),
        }
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

impl From<Offline> for Stop {
    fn from(offline: Offline) -> Self {
        Self::Failed(offline.into())
    }
}

/// For readers that wait where they are.
impl From<Stop> for ReadError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(error) => error,
            Stop::Cold(cold) => Self::Unreadable(Unread::Cold(cold).into()),
        }
    }
}

impl Log {
    /// Takes note of a ticket that has run.
    ///
    /// # Errors
    /// [`ReadError::Unreadable`]: the disk does not give the bytes, so there is nothing to try
    /// again for this reader. The log stays online, as it does where records are damaged: memory
    /// and disk do not differ, and all other records can be read and new ones appended.
    pub fn populated(&mut self, populated: Populated) -> Result<(), ReadError> {
        match populated.result {
            // What was to be populated may not be there any more; the next try says what is.
            Err(_) if populated.cuts != self.cuts => Ok(()),
            result => result.map_err(ReadError::Unreadable),
        }
    }

    /// What a reader that does not wait is told.
    pub(super) fn attempt<T>(&self, result: Result<T, Stop>) -> Result<Attempt<T>, ReadError> {
        match result {
            Ok(done) => Ok(Attempt::Done(done)),
            Err(Stop::Cold(cold)) => Ok(Attempt::Cold(PopulateTicket {
                cold,
                cuts: self.cuts,
            })),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}
