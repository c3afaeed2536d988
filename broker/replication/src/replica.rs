//! The replica: events in, effects out.

mod archiving;
mod changing;
mod copying;
mod following;
mod leading;
mod peers;
mod recovering;
mod sleeping;

use klamm_model::raft::{HardState, LogEntry, MetaEntry, MetaKind};
use klamm_model::{Instant, LogIndex, Term};

use crate::archives::Archives;
use crate::configurations::Configurations;
use crate::consensus::{Consensus, Ready, Setup};
use crate::election::TICK;
use crate::outbox::Outbox;
use crate::persistence::Persistence;
use crate::position::Positions;
use crate::reach::{Kind, Reach};
use crate::recovery::Recovery;
use crate::sequence::Sequence;
use crate::sleep::Sleep;
use crate::standing::{Standing, Turn};
use crate::{
    Effect, EntryId, Event, JournalTicket, PeerMessage, Position, ReplicaId, RestoreError,
    Restored, VisibleWhen,
};
use peers::Peers;

/// One replica of one partition.
///
/// It may panic where raft-rs finds its own state impossible; the driver catches that, drops the
/// replica and takes the partition offline.
#[derive(Debug)]
pub struct Replica {
    consensus: Consensus,
    id: ReplicaId,
    configurations: Configurations,
    archives: Archives,
    positions: Positions,
    sequence: Sequence,
    persistence: Persistence,
    outbox: Outbox,
    leadership: Leadership,
    visible_when: VisibleWhen,
    /// The entries that can be read back here.
    written: Reach,
    /// What the others have written, if this replica leads.
    peers: Peers,
    /// The high watermark of the leader of `.0`, as far as it has been heard.
    leader_visible: (Term, LogIndex),
    /// As long as it must not vote.
    recovery: Option<Recovery>,
    preferred: bool,
    standing: Standing,
    sleep: Sleep,
    /// The leader has just said that this replica may sleep.
    sleep_offered: bool,
    /// Whether a leader waits for this log's fsync.
    flush_wanted: bool,
    /// What comes next in this log can only be copied, as far as it has heard; a copy has this entry.
    wants_copy: Option<EntryId>,
    visible: Position,
    commit: Position,
    started: bool,
    next_tick: Option<Instant>,
}

/// What distinguishes one replica from another.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// This replica.
    pub id: ReplicaId,
    /// Where its election time-outs come from; different for each replica.
    pub seed: u64,
    /// Tells the lives of a replica apart: different for each start.
    pub life: u64,
    /// Whether entries that were acknowledged may be missing from the log: the machine has lost power
    /// since, or lost it before and the replica has not [`Recovered`](Effect::Recovered).
    pub recovering: bool,
    /// Whether it should lead: it asks for votes when it starts, and in a new group until there is a
    /// leader.
    pub preferred: bool,
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
    },
    /// Its no-op is in the journal: batches may follow.
    Leading,
}

impl Replica {
    /// Proposals beyond this many uncommitted entries are dropped: the disk has fallen behind.
    pub const UNCOMMITTED_ENTRIES_MAX: usize = Positions::ENTRIES_MAX;

    /// A replica with a past. Nothing happens before [`Event::Start`].
    ///
    /// It need not be a member: one that is about to be, or was, takes what a leader appends, and does
    /// not stand for election.
    pub fn new(settings: ReplicaSettings, restored: &Restored) -> Result<Self, RestoreError> {
        let id = settings.id;
        let terms = restored.check()?;
        let last = restored.last;
        let configurations = Configurations::restored(restored, id);
        let members = configurations.in_force();
        let mut hard_state = restored.hard_state;
        hard_state.commit = hard_state.commit.max(configurations.since());
        let consensus = Consensus::new(Setup {
            id,
            members: members.clone(),
            seed: settings.seed,
            hard_state,
            terms,
            last_index: last.index,
        });
        // Of a log with other voters nothing is known to be held by a majority until a leader
        // says so; what a lone voter has on its disk is.
        let known = match members.has_lone_voter(id) {
            true => last,
            false => Position::START,
        };
        let archives = Archives::restored(restored, known.index.max(hard_state.commit));
        Ok(Self {
            positions: Positions::new(last),
            sequence: Sequence::new(last.index),
            persistence: Persistence::new(last.index),
            outbox: Outbox::default(),
            leadership: Leadership::None,
            visible_when: settings.visible_when,
            written: Reach::new(last.index),
            peers: Peers::new(id, members),
            leader_visible: (Term::ZERO, LogIndex::ZERO),
            recovery: settings.recovering.then(|| Recovery::new(settings.life)),
            preferred: settings.preferred,
            standing: Standing::new(settings.seed),
            sleep: Sleep::new(settings.seed),
            sleep_offered: false,
            flush_wanted: false,
            wants_copy: None,
            visible: known,
            commit: known,
            started: false,
            next_tick: None,
            configurations,
            archives,
            consensus,
            id,
        })
    }

    /// Takes one event and says what is to be done about it.
    pub fn handle(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        self.notice_disturbance(now, &event);
        match event {
            Event::Start => self.start(),
            Event::Propose(batches) => self.propose(batches, effects),
            Event::Written { through } => self.note_written(through),
            Event::Synced { through } => self.note_synced(through),
            Event::JournalSynced(ticket) => self.journal_synced(ticket, effects),
            Event::Tick => self.tick(now, effects),
            Event::Received(envelope, entries) => self.receive(now, envelope, entries, effects),
            Event::SentThrough { to, through } => self.consensus.sent_through(to, through),
            Event::LogBegins { first } => self.consensus.log_begins(first),
            Event::PeerRestarted(peer) => self.peer_restarted(peer),
            Event::LeaderUnreachable { leader, newcomers } => {
                self.leader_unreachable(leader, &newcomers);
            }
            Event::ChangeMembers(wanted) => self.change_members(wanted, effects),
            Event::Archive(state) => self.change_archive(state, effects),
            Event::TransferLeadership(to) => self.transfer_leadership(to),
            Event::Announce => self.consensus.announce(),
            Event::VisibleWhen(rule) => self.visible_when = rule,
        }
        self.settle(now, effects);
        self.wind_clock(now);
    }

    /// When [`Event::Tick`] is due. A lone member that leads has nothing to wait for, and who sleeps
    /// waits for minutes, so an idle partition costs nothing.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Whether batches may be proposed.
    pub fn is_leading(&self) -> bool {
        self.leadership == Leadership::Leading
    }

    /// Whether it leads, or knows who does: one that is cut off from the others knows of nobody.
    pub fn knows_leader(&self) -> bool {
        self.consensus.leader().is_some()
    }

    /// The latest term known.
    pub fn term(&self) -> Term {
        self.consensus.term()
    }

    /// The last entry, and the log end offset.
    pub fn last(&self) -> Position {
        self.positions.last()
    }

    /// The last entry, by name.
    pub fn last_entry(&self) -> EntryId {
        let index = self.consensus.last_index();
        EntryId {
            index,
            term: self.consensus.term_at(index).unwrap_or_default(),
        }
    }

    fn committed_entry(&self) -> EntryId {
        let index = self.consensus.committed();
        EntryId {
            index,
            term: self.consensus.term_at(index).unwrap_or_default(),
        }
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

    /// Whether the log can only go on as a copy of another, and one that ends with `end`, which is committed,
    /// may take its place: since the leader said so nothing has been acknowledged, and what was before is
    /// in the copy.
    pub fn wants_copy(&self, end: LogIndex) -> bool {
        let has_nothing = self.last().index == LogIndex::ZERO;
        let reaches = |unless: EntryId| has_nothing || unless.index <= end;
        self.wants_copy.is_some_and(reaches)
    }

    fn start(&mut self) {
        self.started = true;
        let members = self.configurations.in_force();
        if members.has_lone_voter(self.id) {
            // What a lone voter has lost nobody has, and once it leads it has recovered.
            self.consensus.campaign();
        } else if self.preferred && self.recovery.is_none() {
            self.consensus.campaign();
            if self.last().index == LogIndex::ZERO {
                self.standing.group_begins();
            }
        }
    }

    fn wind_clock(&mut self, now: Instant) {
        let is_alone = self.configurations.in_force().is_alone(self.id);
        if is_alone && self.consensus.is_leader() {
            self.next_tick = None;
        } else if self.started {
            self.next_tick.get_or_insert(now + TICK);
        }
    }

    fn note_written(&mut self, through: EntryId) {
        if self.consensus.has(through) {
            self.written.arrived(Kind::Batch, through.index);
        }
    }

    fn note_synced(&mut self, through: EntryId) {
        if self.consensus.has(through) {
            // It can be read back, too. A write is reported by its last entry; if that was cut
            // meanwhile, nobody said so of those that stay.
            self.written.arrived(Kind::Batch, through.index);
            self.persistence.entries_synced(Kind::Batch, through.index);
        }
    }

    fn journal_synced(&mut self, ticket: JournalTicket, effects: &mut Vec<Effect>) {
        self.persistence.journal_synced(ticket);
        let Some(through) = self.sequence.journal_synced(ticket) else {
            return;
        };
        self.written.arrived(Kind::Meta, through);
        self.persistence.entries_synced(Kind::Meta, through);
        self.begin_to_lead(effects);
    }

    fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.next_tick.is_none_or(|due| now < due) {
            return;
        }
        self.end_nap(now);
        // One tick however late: after a pause the others are heard before an election.
        self.next_tick = Some(now + TICK);
        match self.may_stand() {
            true => {
                self.stand_out_of_turn();
                self.consensus.tick();
            }
            false => self.consensus.tick_without_standing(),
        }
        self.announce_recovery(effects);
        self.count_silence();
    }

    fn stand_out_of_turn(&mut self) {
        if self.consensus.leader().is_some() {
            self.standing.end();
        } else if self.last().index > LogIndex::ZERO {
            self.standing.group_has_begun();
        }
        if self.standing.tick() {
            self.consensus.campaign();
        }
    }

    /// The leader's broker is gone. Those who still trust it refuse their votes: one that knows better
    /// gives its own, and tries until the others know, too.
    fn leader_unreachable(&mut self, leader: ReplicaId, newcomers: &[ReplicaId]) {
        if self.consensus.forget_leader(leader) {
            let voters = self.configurations.in_force().all_voters();
            let turn = Turn::of(self.id, leader, voters, newcomers);
            self.standing.leader_is_gone(turn);
        }
    }

    /// Drives raft-rs until it is quiet, then moves the watermarks.
    fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        loop {
            // Nothing is to be decided by a majority of those who decide no longer.
            if self.enforce_members(effects) {
                continue;
            }
            if let Some(ready) = self.consensus.next_ready() {
                self.take_with_noops(ready, effects);
            } else if let Some(number) = self.persistence.take_persisted() {
                self.consensus.persisted(number);
            } else if !self.leave_joint(effects) {
                break;
            }
        }
        self.notice_lost_leadership(effects);
        self.refer_to_copies(effects);
        self.give_out(None, effects);
        self.move_watermarks(effects);
        self.notice_recovery(effects);
        self.fall_asleep_when_due(now);
        self.send(effects);
    }

    /// Outside a proposal the only new entry of our own is the no-op of a leader just elected.
    fn take_with_noops(&mut self, ready: Ready, effects: &mut Vec<Effect>) {
        if let Some(&(index, term)) = ready.entries.first() {
            assert_eq!(ready.entries.len(), 1, "a no-op comes alone");
            self.push(LogEntry::Meta(MetaEntry {
                index,
                term,
                at_offset: self.last().offset,
                kind: MetaKind::Noop,
            }));
            self.leadership = Leadership::Elected { noop: index };
        }
        self.take(ready, effects);
    }

    /// The log goes on with this entry.
    fn push(&mut self, entry: LogEntry) {
        self.expect(&entry);
        self.sequence.push(entry);
    }

    fn expect(&mut self, entry: &LogEntry) {
        let index = entry.index();
        assert_eq!(
            entry.base_offset(),
            self.last().offset,
            "no offset is left out"
        );
        let offset = entry.next_offset();
        self.positions.push(Position { index, offset });
        self.note_membership(entry);
        self.note_archive(entry);
        let kind = match entry {
            LogEntry::Records(_) => Kind::Batch,
            LogEntry::Meta(_) => Kind::Meta,
        };
        self.written.expect(kind, index);
        self.persistence.expect(kind, index);
    }

    /// Notes what a ready waits for, after its entries have been pushed.
    fn take(&mut self, ready: Ready, effects: &mut Vec<Effect>) {
        self.give_out(ready.hard_state, effects);
        let last = self.positions.last().index;
        let through = match ready.entries.is_empty() {
            true => LogIndex::ZERO,
            false => last,
        };
        self.persistence.push(ready.number, through);
        let leader = self.consensus.leader();
        for envelope in ready.messages {
            // The log has been found to agree with a leader's.
            if let PeerMessage::Accepted { .. } = envelope.message {
                self.wants_copy = None;
            }
            if let PeerMessage::VoteResponse { granted: true, .. } = envelope.message {
                self.standing.other_stands();
            }
            self.outbox.push(envelope, leader, last, &self.persistence);
        }
        self.consensus.recycle(ready.entries);
    }

    /// Gives out what may go to the disk now.
    fn give_out(&mut self, hard_state: Option<HardState>, effects: &mut Vec<Effect>) {
        self.sequence.release_batches(effects);
        let metas = self.sequence.take_metas();
        if hard_state.is_none() && metas.is_empty() {
            return;
        }
        let ticket = self.persistence.issue_ticket();
        if let Some(last) = metas.last() {
            self.sequence.journaled(ticket, last.index);
        }
        effects.push(Effect::Journal {
            ticket,
            hard_state,
            metas,
        });
    }

    fn send(&mut self, effects: &mut Vec<Effect>) {
        let flush_wanted = std::mem::take(&mut self.flush_wanted);
        if flush_wanted && self.persistence.durable() < self.last().index
            || self.outbox.wants_flush(&self.persistence)
        {
            effects.push(Effect::Flush);
        }
        let first = effects.len();
        let term = self.consensus.term();
        let reach = (self.sequence.given(), self.written.reached());
        self.outbox.release(term, reach, &self.persistence, effects);
        for effect in &mut effects[first..] {
            if let Effect::Send(envelope) = effect {
                self.mark(&mut envelope.message);
                if self.consensus.is_leader() {
                    envelope.visible = self.visible.index;
                }
            }
        }
    }

    fn notice_lost_leadership(&mut self, effects: &mut Vec<Effect>) {
        if self.consensus.is_leader() {
            return;
        }
        let was_leading = self.is_leading();
        self.leadership = Leadership::None;
        self.peers.forget();
        if was_leading {
            let term = self.consensus.term();
            effects.push(Effect::LostLeadership { term });
        }
    }

    fn move_watermarks(&mut self, effects: &mut Vec<Effect>) {
        let committed = self.known(self.consensus.committed());
        let commit_moved = committed > self.commit.index;
        if commit_moved {
            self.commit = self.positions.at(committed);
        }
        let visible = self.known(self.visible_index()).max(self.commit.index);
        if visible > self.visible.index {
            self.visible = self.positions.at(visible);
            effects.push(Effect::Visible(self.visible));
        }
        if commit_moved {
            effects.push(Effect::Commit(self.commit));
            self.announce_archive(effects);
            self.positions.drop_before(committed);
        }
    }

    /// As much of a watermark as is here. After a restart it may lie below what is remembered of the
    /// log: then it is not known before it has risen, or what is above it has been cut.
    fn known(&self, watermark: LogIndex) -> LogIndex {
        let here = watermark.min(self.written.reached());
        match here < self.positions.base().index {
            true => LogIndex::ZERO,
            false => here,
        }
    }

    /// The last entry that may be shown.
    fn visible_index(&self) -> LogIndex {
        match (self.visible_when, self.consensus.is_leader()) {
            (VisibleWhen::Synced, _) => self.consensus.committed(),
            (VisibleWhen::Written, true) => self.written_by_majority(),
            (VisibleWhen::Written, false) => self.shown_by_leader(),
        }
    }
}
