//! What a replica wants done.

use klamm_model::archive::ArchiveState;
use klamm_model::raft::{DataEntry, HardState, MetaEntry, MetaKind};
use klamm_model::{LogIndex, Offset, Term};

use crate::{Envelope, Members, Position, ReplicaId};

/// Something to be done, in the order given.
#[derive(Debug)]
pub enum Effect {
    /// Put these into the journal, fsync it, and answer
    /// [`Event::JournalSynced`](crate::Event::JournalSynced). Many groups may share one fsync. Entries
    /// stand behind the batches that were given before them.
    Journal {
        /// To be given back; tickets rise.
        ticket: JournalTicket,
        /// Term and vote, if they changed.
        hard_state: Option<HardState>,
        /// Entries without records, in order of index.
        metas: Vec<MetaEntry>,
    },
    /// Append these to the log and answer [`Event::Written`](crate::Event::Written).
    Append(Vec<DataEntry>),
    /// Entries from here on disagree with the leader's: take them out of log and journal. Writes of
    /// them that are on their way must be over before.
    Truncate {
        /// The first of them.
        from: LogIndex,
        /// The log end offset without them.
        end: Offset,
        /// Whether one of them had been below the high watermark: an acknowledged record is lost,
        /// which no fault within the promise can cause.
        lost_visible: bool,
    },
    /// Somebody waits for what has been given to be durable: fsync the log as soon as possible.
    Flush,
    /// Give this to another replica, with the entries that it speaks of. What it depends on has been
    /// made durable.
    Send(Envelope),
    /// The leader cannot give this replica what it lacks: take a copy of the log, of that replica or
    /// another that has it, and begin anew with it. Said again until that is done, or not needed any
    /// more: see [`Replica::wants_copy`](crate::Replica::wants_copy).
    TakeCopy {
        /// Whom from.
        from: ReplicaId,
    },
    /// This replica leads: its no-op is in the journal, and batches may be proposed.
    BecameLeader {
        /// Its term, which clients know as the leader epoch.
        term: Term,
        /// Where the term's records begin.
        start_offset: Offset,
    },
    /// This replica has ceased to lead.
    LostLeadership {
        /// The term it now knows of.
        term: Term,
    },
    /// A replica that [began](crate::ReplicaSettings::recovering) without some of what it had
    /// acknowledged has all of it again, and may vote. Until this is remembered across restarts, it
    /// begins so again.
    Recovered,
    /// The group has other members. Remember in the journal, behind what was given before, that the log
    /// is committed up to here; it need not be waited for. A replica that has forgotten it goes on with
    /// the configuration before, and may ask votes of those who have left.
    Members {
        /// The entry that says so, which is committed.
        index: LogIndex,
        /// All of them, from here on.
        members: Members,
    },
    /// The group has agreed on another state of its archive. What was agreed on before the replica began is
    /// known to [`Replica::archive`](crate::Replica::archive).
    Archive(ArchiveState),
    /// The batches of a proposal were not taken; nothing of it is in the log.
    ProposalDropped,
    /// The high watermark has risen: consumers may read below it, producers be answered.
    Visible(Position),
    /// A majority has fsynced the log up to here: it may be archived, compacted, deleted.
    Commit(Position),
}

/// Orders what goes into the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct JournalTicket(pub u64);

impl Effect {
    /// The last index an [`Effect::Append`] carries.
    pub(crate) fn append(entries: Vec<DataEntry>) -> Option<Self> {
        let ordered = |pair: &[DataEntry]| pair[0].index.next() == pair[1].index;
        assert!(entries.windows(2).all(ordered), "entries follow each other");
        (!entries.is_empty()).then_some(Self::Append(entries))
    }
}

impl std::fmt::Display for Effect {
    /// One line per effect, as scripts show it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Journal {
                ticket,
                hard_state,
                metas,
            } => {
                write!(f, "journal ticket={}", ticket.0)?;
                if let Some(state) = hard_state {
                    write!(f, " term={} vote={}", state.term.get(), state.vote)?;
                }
                for meta in metas {
                    write_meta(f, meta)?;
                }
                Ok(())
            }
            Self::Append(entries) => {
                f.write_str("append")?;
                entries.iter().try_for_each(|entry| write_entry(f, entry))
            }
            Self::Truncate {
                from,
                end,
                lost_visible,
            } => {
                write!(f, "truncate #{from}@{end}")?;
                f.write_str(if *lost_visible { " LOST" } else { "" })
            }
            Self::Flush => f.write_str("flush"),
            Self::Send(envelope) => write!(f, "send {envelope}"),
            Self::TakeCopy { from } => write!(f, "take-copy from={}", from.get()),
            Self::BecameLeader { term, start_offset } => {
                write!(f, "became-leader term={} start={start_offset}", term.get())
            }
            Self::LostLeadership { term } => write!(f, "lost-leadership term={}", term.get()),
            Self::Recovered => f.write_str("recovered"),
            Self::Members { index, members } => write!(f, "members #{index} {members}"),
            Self::Archive(state) => write!(f, "archive {state}"),
            Self::ProposalDropped => f.write_str("proposal-dropped"),
            Self::Visible(position) => write!(f, "visible {position}"),
            Self::Commit(position) => write!(f, "commit {position}"),
        }
    }
}

fn write_meta(f: &mut std::fmt::Formatter<'_>, meta: &MetaEntry) -> std::fmt::Result {
    let (index, term, offset) = (meta.index, meta.term.get(), meta.at_offset);
    match &meta.kind {
        MetaKind::Noop => write!(f, " noop#{index}/{term}@{offset}"),
        MetaKind::Archive(state) => write!(f, " archive#{index}/{term}@{offset} {state}"),
        MetaKind::Membership(bytes) => {
            write!(f, " members#{index}/{term}@{offset}")?;
            match Members::decode(bytes) {
                Ok(members) => write!(f, " {members}"),
                Err(error) => write!(f, " ({error})"),
            }
        }
    }
}

fn write_entry(f: &mut std::fmt::Formatter<'_>, entry: &DataEntry) -> std::fmt::Result {
    let (first, last) = (entry.batch.base_offset(), entry.batch.last_offset());
    let (index, term): (LogIndex, Term) = (entry.index, entry.term);
    write!(f, " #{index}/{}@{first}..{last}", term.get())
}
