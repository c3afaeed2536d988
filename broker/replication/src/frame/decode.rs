//! Bytes to messages. They come from outside: nothing is believed, and no memory is reserved on the
//! word of a number.

use bytes::{Buf, Bytes};
use klamm_model::archive::ArchiveState;
use klamm_model::raft::{DataEntry, LogEntry, MetaEntry, MetaKind, Placement};
use klamm_model::{LogIndex, Offset, RecordBatch, Term};

use super::{Format, FrameError, entry, flag, kind};
use crate::envelope::{Configuration, EntryId, Envelope, PeerMessage};
use crate::{Members, ReplicaId};

/// Reads a whole message. The entries share its bytes.
pub fn decode(frame: Bytes) -> Result<(Envelope, Vec<LogEntry>), FrameError> {
    let mut reader = Reader { bytes: frame };
    let format = match reader.u8()? {
        1 => Format::One,
        2 => Format::Two,
        3 => Format::Three,
        other => return Err(FrameError::Format(other)),
    };
    let (kind, flags) = (reader.u8()?, reader.u8()?);
    let from = reader.replica()?;
    let to = reader.replica()?;
    let term = reader.term()?;
    let visible = reader.index()?;
    let message = reader.message(kind, flags)?;
    let mut entries = Vec::new();
    if let PeerMessage::Append {
        previous, count, ..
    } = message
    {
        let mut index = previous.index;
        for _ in 0..count {
            index = index.next();
            entries.push(reader.entry(index, format)?);
        }
    }
    match reader.bytes.len() {
        0 => Ok((
            Envelope {
                from,
                to,
                term,
                visible,
                message,
            },
            entries,
        )),
        more => Err(FrameError::Trailing(more)),
    }
}

struct Reader {
    bytes: Bytes,
}

impl Reader {
    fn u8(&mut self) -> Result<u8, FrameError> {
        self.bytes.try_get_u8().map_err(|_| FrameError::Truncated)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.bytes.try_get_u32().map_err(|_| FrameError::Truncated)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.bytes.try_get_u64().map_err(|_| FrameError::Truncated)
    }

    fn replica(&mut self) -> Result<ReplicaId, FrameError> {
        ReplicaId::new(self.u64()?).ok_or(FrameError::Number("replica"))
    }

    fn term(&mut self) -> Result<Term, FrameError> {
        let term = self.u32()?;
        let fits = i32::try_from(term).is_ok();
        fits.then(|| Term::new(term.into()))
            .ok_or(FrameError::Number("term"))
    }

    /// As large as an offset can be: there is always a next one.
    fn index(&mut self) -> Result<LogIndex, FrameError> {
        let index = self.u64()?;
        let fits = i64::try_from(index).is_ok();
        fits.then_some(LogIndex(index))
            .ok_or(FrameError::Number("index"))
    }

    fn entry_id(&mut self) -> Result<EntryId, FrameError> {
        Ok(EntryId {
            index: self.index()?,
            term: self.term()?,
        })
    }

    fn sized(&mut self) -> Result<Bytes, FrameError> {
        let length = self.u32()? as usize;
        if length > self.bytes.len() {
            return Err(FrameError::Truncated);
        }
        Ok(self.bytes.split_to(length))
    }

    fn configuration(&mut self) -> Result<Configuration, FrameError> {
        let since = self.index()?;
        let bytes = self.sized()?;
        let members = match bytes.is_empty() {
            true => Members::default(),
            false => Members::decode(&bytes)?,
        };
        Ok(Configuration { since, members })
    }

    fn message(&mut self, kind: u8, flags: u8) -> Result<PeerMessage, FrameError> {
        let is = |flag: u8| flags & flag != 0;
        Ok(match kind {
            kind::VOTE_REQUEST => PeerMessage::VoteRequest {
                pre: is(flag::PRE),
                last: self.entry_id()?,
                commit: self.entry_id()?,
                transfer: is(flag::TRANSFER),
            },
            kind::VOTE_RESPONSE => PeerMessage::VoteResponse {
                pre: is(flag::PRE),
                granted: is(flag::GRANTED),
                commit: self.entry_id()?,
            },
            kind::APPEND => PeerMessage::Append {
                previous: self.entry_id()?,
                commit: self.index()?,
                count: self.u32()?,
                flush: is(flag::FLUSH),
            },
            kind::ACCEPTED => PeerMessage::Accepted {
                through: self.index()?,
                commit: self.index()?,
            },
            kind::WRITTEN => PeerMessage::Written {
                through: self.index()?,
            },
            kind::REJECTED => PeerMessage::Rejected {
                previous: self.index()?,
                hint: self.entry_id()?,
                commit: self.index()?,
            },
            kind::TAKE_COPY => PeerMessage::TakeCopy {
                unless: self.entry_id()?,
            },
            kind::HEARTBEAT => PeerMessage::Heartbeat {
                commit: self.index()?,
                sleep: is(flag::SLEEP),
            },
            kind::HEARTBEAT_RESPONSE => PeerMessage::HeartbeatResponse {
                commit: self.index()?,
                asleep: is(flag::SLEEP),
            },
            kind::TIMEOUT_NOW => PeerMessage::TimeoutNow,
            kind::RECOVERING => PeerMessage::Recovering { life: self.u64()? },
            kind::CATCH_UP_TO => PeerMessage::CatchUpTo {
                life: self.u64()?,
                through: self.index()?,
            },
            kind::HOLDS => PeerMessage::Holds {
                life: self.u64()?,
                last: self.entry_id()?,
                commit: self.entry_id()?,
                configuration: Box::new(self.configuration()?),
            },
            unknown => return Err(FrameError::Kind(unknown)),
        })
    }

    fn entry(&mut self, index: LogIndex, format: Format) -> Result<LogEntry, FrameError> {
        let kind = self.u8()?;
        if let Some(placement) = placement(kind, format) {
            let batch = RecordBatch::parse(&mut self.bytes)?;
            let term = batch.header().leader_epoch().term();
            let term = term.ok_or(FrameError::Number("leader epoch"))?;
            return Ok(LogEntry::Records(DataEntry {
                index,
                term,
                batch,
                placement,
            }));
        }
        let term = self.term()?;
        let at_offset = self.u64()?;
        let at_offset = i64::try_from(at_offset).map_err(|_| FrameError::Number("offset"))?;
        let kind = match kind {
            entry::NOOP => MetaKind::Noop,
            entry::MEMBERSHIP => MetaKind::Membership(self.sized()?),
            entry::ARCHIVE => MetaKind::Archive(ArchiveState::decode(&self.sized()?)?),
            unknown => return Err(FrameError::Kind(unknown)),
        };
        Ok(LogEntry::Meta(MetaEntry {
            index,
            term,
            at_offset: Offset::new(at_offset),
            kind,
        }))
    }
}

/// Of an entry with records; `None` for any other.
fn placement(kind: u8, format: Format) -> Option<Placement> {
    match (kind, format) {
        (entry::RECORDS, _) => Some(Placement::Undecided),
        (entry::BEGINS, Format::Two | Format::Three) => Some(Placement::Begins),
        (entry::CONTINUES, Format::Two | Format::Three) => Some(Placement::Continues),
        _ => None,
    }
}
