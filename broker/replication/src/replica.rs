//! The replica: events in, effects out.

use klamm_model::raft::{DataEntry, MetaEntry, MetaKind};
use klamm_model::{Instant, LogIndex, RecordBatch, Term};

use crate::consensus::{Consensus, Ready, Setup};
use crate::election::TICK;
use crate::outbox::Outbox;
use crate::persistence::Persistence;
use crate::position::Positions;
use crate::{
    Effect, Envelope, Event, JournalTicket, Position, ReplicaId, RestoreError, Restored,
    VisibleWhen,
};

/// One replica of one partition.
///
/// It may panic where raft-rs finds its own state impossible; the driver catches that, drops the
/// replica and takes the partition offline.
#[derive(Debug)]
pub struct Replica {
    consensus: Consensus,
    id: ReplicaId,
    voters: Vec<ReplicaId>,
    positions: Positions,
    persistence: Persistence,
    outbox: Outbox,
    leadership: Leadership,
    visible_when: VisibleWhen,
    /// The last entry that can be read back here.
    written: LogIndex,
    visible: Position,
    commit: Position,
    next_tick: Option<Instant>,
}

/// What distinguishes one replica from another.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// This replica.
    pub id: ReplicaId,
    /// All that vote, this one among them.
    pub voters: Vec<ReplicaId>,
    /// Where its election time-outs come from; different for each replica.
    pub seed: u64,
    /// The rule for the high watermark.
    pub visible_when: VisibleWhen,
}

/// How far this replica is on its way to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leadership {
    None,
    /// Elected; its no-op is on its way into the journal.
    Elected {
        noop: LogIndex,
        ticket: JournalTicket,
    },
    /// Its no-op is in the journal: batches may follow.
    Leading,
}

impl Replica {
    /// Proposals beyond this many uncommitted entries are dropped: the disk has fallen behind.
    pub const UNCOMMITTED_ENTRIES_MAX: usize = Positions::ENTRIES_MAX;

    /// A replica with a past. Nothing happens before [`Event::Start`].
    ///
    /// Panics if it is not among the voters.
    pub fn new(settings: ReplicaSettings, restored: &Restored) -> Result<Self, RestoreError> {
        let ReplicaSettings { id, voters, .. } = settings;
        assert!(voters.contains(&id), "a replica votes in its own group");
        let terms = restored.check()?;
        let last = restored.last;
        let consensus = Consensus::new(Setup {
            id,
            voters: voters.clone(),
            seed: settings.seed,
            hard_state: restored.hard_state,
            terms,
            last_index: last.index,
        });
        Ok(Self {
            positions: Positions::new(last),
            persistence: Persistence::new(last.index),
            outbox: Outbox::default(),
            leadership: Leadership::None,
            visible_when: settings.visible_when,
            written: last.index,
            // Of a log with other voters nothing is known to be held by a majority until a leader
            // says so; what a lone voter has on its disk is.
            visible: if voters == [id] {
                last
            } else {
                Position::START
            },
            commit: if voters == [id] {
                last
            } else {
                Position::START
            },
            next_tick: None,
            consensus,
            id,
            voters,
        })
    }

    /// Takes one event and says what is to be done about it.
    pub fn handle(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Start => self.start(now),
            Event::Propose(batches) => self.propose(batches, effects),
            Event::Written { through } => self.note_written(through),
            Event::Synced { through } => self.persistence.batches_synced(through),
            Event::JournalSynced(ticket) => self.journal_synced(ticket, effects),
            Event::Tick => self.tick(now),
            Event::Received(envelope) => self.receive(envelope),
            Event::VisibleWhen(rule) => self.visible_when = rule,
        }
        self.settle(effects);
    }

    /// When [`Event::Tick`] is due. A lone voter has nothing to wait for, so an idle partition of a
    /// single broker costs nothing.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Whether batches may be proposed.
    pub fn is_leading(&self) -> bool {
        self.leadership == Leadership::Leading
    }

    /// The latest term known.
    pub fn term(&self) -> Term {
        self.consensus.term()
    }

    /// The last entry, and the log end offset.
    pub fn last(&self) -> Position {
        self.positions.last()
    }

    /// The last entry that may be shown, and the high watermark.
    pub fn visible(&self) -> Position {
        self.visible
    }

    /// The last entry that a majority has fsynced, and the offset after it.
    pub fn commit(&self) -> Position {
        self.commit
    }

    /// How many entries wait for an fsync somewhere, and how many turns they came in: what this
    /// replica holds in memory grows with both until [`Event::Synced`].
    pub fn uncommitted(&self) -> (usize, usize) {
        (self.positions.len(), self.persistence.len())
    }

    fn start(&mut self, now: Instant) {
        if self.voters == [self.id] {
            self.consensus.campaign();
        } else {
            self.next_tick = Some(now + TICK);
        }
    }

    fn propose(&mut self, batches: Vec<RecordBatch>, effects: &mut Vec<Effect>) {
        if batches.is_empty() {
            return;
        }
        let first = match self.leadership {
            Leadership::Leading if self.positions.has_room_for(batches.len()) => {
                self.consensus.propose(batches.len())
            }
            _ => None,
        };
        let Some(first) = first else {
            effects.push(Effect::ProposalDropped);
            return;
        };
        assert_eq!(first, self.last().index.next(), "indexes as predicted");
        let entries: Vec<_> = batches.into_iter().map(|b| self.stamp(b)).collect();
        let mut stamped = entries.iter().map(|entry| (entry.index, entry.term));
        while let Some(ready) = self.consensus.next_ready() {
            let as_stamped = |entry: &(LogIndex, Term)| stamped.next() == Some(*entry);
            assert!(ready.entries.iter().all(as_stamped), "raft-rs agrees");
            let through = ready.entries.last().map(|&(index, _)| index);
            self.take(ready, through.unwrap_or(LogIndex::ZERO), None, effects);
        }
        assert_eq!(stamped.next(), None, "raft-rs gave out every entry");
        effects.extend(Effect::append(entries));
    }

    /// Gives a batch its place: the next index, the log end offset, the current term.
    fn stamp(&mut self, mut batch: RecordBatch) -> DataEntry {
        let (last, term) = (self.last(), self.consensus.term());
        batch.stamp(last.offset, term.leader_epoch());
        let index = last.index.next();
        let offset = batch.next_offset();
        self.positions.push(Position { index, offset });
        DataEntry { index, term, batch }
    }

    fn note_written(&mut self, through: LogIndex) {
        assert!(through <= self.last().index, "written beyond the log");
        self.written = self.written.max(through);
    }

    fn journal_synced(&mut self, ticket: JournalTicket, effects: &mut Vec<Effect>) {
        self.persistence.journal_synced(ticket);
        let Leadership::Elected { noop, ticket: own } = self.leadership else {
            return;
        };
        if ticket >= own && self.consensus.is_leader() {
            self.leadership = Leadership::Leading;
            self.note_written(noop);
            effects.push(Effect::BecameLeader {
                term: self.consensus.term(),
                start_offset: self.positions.at(noop).offset,
            });
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.next_tick.is_some_and(|due| now >= due) {
            // One tick however late: after a pause the others are heard before an election.
            self.next_tick = Some(now + TICK);
            self.consensus.tick();
        }
    }

    fn receive(&mut self, envelope: Envelope) {
        if !envelope.carries_entries() {
            self.consensus.receive(envelope);
        }
    }

    /// Drives raft-rs until it is quiet, then moves the watermarks.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        loop {
            if let Some(ready) = self.consensus.next_ready() {
                self.take_with_noops(ready, effects);
            } else if let Some(number) = self.persistence.take_persisted() {
                self.consensus.persisted(number);
            } else {
                break;
            }
        }
        self.notice_lost_leadership(effects);
        self.outbox.release(&self.persistence, effects);
        self.move_watermarks(effects);
    }

    /// Outside a proposal the only new entry is the no-op of a leader just elected.
    fn take_with_noops(&mut self, ready: Ready, effects: &mut Vec<Effect>) {
        let noop = ready.entries.first().map(|&(index, term)| {
            assert_eq!(ready.entries.len(), 1, "a no-op comes alone");
            assert_eq!(index, self.last().index.next(), "indexes as predicted");
            let at_offset = self.last().offset;
            let offset = at_offset;
            self.positions.push(Position { index, offset });
            MetaEntry {
                index,
                term,
                at_offset,
                kind: MetaKind::Noop,
            }
        });
        self.take(ready, LogIndex::ZERO, noop, effects);
    }

    /// Journals what a ready has for the journal, and notes what it waits for.
    fn take(
        &mut self,
        ready: Ready,
        batches_through: LogIndex,
        noop: Option<MetaEntry>,
        effects: &mut Vec<Effect>,
    ) {
        if ready.hard_state.is_some() || noop.is_some() {
            let ticket = self.persistence.issue_ticket();
            if let Some(noop) = &noop {
                let noop = noop.index;
                self.leadership = Leadership::Elected { noop, ticket };
            }
            effects.push(Effect::Journal {
                ticket,
                hard_state: ready.hard_state,
                metas: noop.into_iter().collect(),
            });
        }
        self.persistence.push(ready.number, batches_through);
        for message in ready.messages {
            self.outbox
                .push(message, self.positions.last().index, &self.persistence);
        }
        self.consensus.recycle(ready.entries);
    }

    fn notice_lost_leadership(&mut self, effects: &mut Vec<Effect>) {
        if self.consensus.is_leader() {
            return;
        }
        let was_leading = self.is_leading();
        self.leadership = Leadership::None;
        if was_leading {
            let term = self.consensus.term();
            effects.push(Effect::LostLeadership { term });
        }
    }

    fn move_watermarks(&mut self, effects: &mut Vec<Effect>) {
        let committed = self.consensus.committed();
        let commit_moved = committed > self.commit.index;
        if commit_moved {
            self.commit = self.positions.at(committed);
        }
        let visible = self.visible_index();
        if visible > self.visible.index {
            self.visible = self.positions.at(visible);
            effects.push(Effect::Visible(self.visible));
        }
        if commit_moved {
            effects.push(Effect::Commit(self.commit));
            self.positions.drop_before(committed);
        }
        assert!(self.commit.index <= self.visible.index, "commit ≤ visible");
    }

    /// The last entry that a majority is known to have written (or, if so ruled, fsynced). Entries
    /// of older terms count only with one of the leader's own above them (Raft 5.4.2).
    fn visible_index(&self) -> LogIndex {
        if self.visible_when == VisibleWhen::Synced || !self.is_leading() {
            return self.commit.index;
        }
        let by_majority = self.written_by_majority();
        let own_term = self.consensus.term_at(by_majority) == Some(self.consensus.term());
        if own_term && by_majority > self.commit.index {
            by_majority
        } else {
            self.commit.index
        }
    }

    /// What the others have written is not heard before it is fsynced: then it is in `commit`.
    fn written_by_majority(&self) -> LogIndex {
        if self.voters == [self.id] {
            self.written
        } else {
            self.commit.index
        }
    }
}
