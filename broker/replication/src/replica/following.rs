//! What comes from other replicas: messages, and entries that a leader appends here.

use klamm_model::raft::{LogEntry, MetaKind};
use klamm_model::{Instant, LogIndex};

use super::Replica;
use crate::consensus::Ready;
use crate::envelope::{EntryId, Envelope, PeerMessage};
use crate::{Effect, Members, Position};

impl Replica {
    pub(super) fn receive(
        &mut self,
        now: Instant,
        envelope: Envelope,
        entries: Vec<LogEntry>,
        effects: &mut Vec<Effect>,
    ) {
        if !carries(&envelope, &entries) {
            return;
        }
        self.learn_commit(&envelope.message);
        if !self.may_hear(&envelope) {
            return self.ask_candidate(&envelope, effects);
        }
        let headers = entries.iter().map(|entry| (entry.index(), entry.term()));
        self.consensus.receive(&envelope, headers);
        self.take_received(entries, effects);
        if envelope.term == self.consensus.term() && self.consensus.is_leader() {
            self.peers.heard(envelope.from, now);
        }
        match &envelope.message {
            PeerMessage::Recovering { life } => {
                return self.answer_recovering(envelope.from, *life, effects);
            }
            PeerMessage::Holds {
                life,
                last,
                configuration,
                ..
            } => self.note_holds(envelope.from, *life, *last, configuration),
            _ => {}
        }
        // Older messages have been dropped, newer ones have raised our term.
        if envelope.term != self.consensus.term() {
            return;
        }
        match envelope.message {
            PeerMessage::Written { through } if self.consensus.is_leader() => {
                self.peer_wrote(envelope.from, through);
            }
            PeerMessage::Accepted { through, commit } if self.consensus.is_leader() => {
                self.peer_wrote(envelope.from, through);
                self.peers.knows_commit(envelope.from, commit);
            }
            PeerMessage::HeartbeatResponse { commit, .. } if self.consensus.is_leader() => {
                self.peers.knows_commit(envelope.from, commit);
                self.rest(&envelope);
            }
            PeerMessage::Append { flush, .. } => {
                self.heard(&envelope);
                self.flush_wanted |= flush;
            }
            PeerMessage::TakeCopy { unless } => self.take_copy(envelope.from, unless, effects),
            PeerMessage::Heartbeat { .. } => {
                self.heard(&envelope);
                self.rest(&envelope);
            }
            PeerMessage::CatchUpTo { life, through } => self.catch_up_to(life, through),
            _ => {}
        }
    }

    /// What is committed stays so in any term, and raft-rs does not listen to older ones. Who has left
    /// the group knows that it has, but stands for no election, and those who are left, and who would
    /// need no vote of it, may have no other way to learn that.
    fn learn_commit(&mut self, message: &PeerMessage) {
        if let PeerMessage::VoteRequest { commit, .. }
        | PeerMessage::VoteResponse { commit, .. }
        | PeerMessage::Holds { commit, .. } = message
        {
            self.consensus.learn_commit(*commit);
        }
    }

    fn heard(&mut self, leader: &Envelope) {
        let (term, visible) = &mut self.leader_visible;
        *visible = match *term == leader.term {
            true => leader.visible.max(*visible),
            false => leader.visible,
        };
        *term = leader.term;
    }

    /// Takes what raft-rs found new among entries that came.
    fn take_received(&mut self, mut entries: Vec<LogEntry>, effects: &mut Vec<Effect>) {
        if entries.is_empty() {
            return;
        }
        while let Some(ready) = self.consensus.next_ready() {
            if let Some(&(first, _)) = ready.entries.first() {
                let known = entries.iter().take_while(|entry| entry.index() < first);
                entries.drain(..known.count());
                self.replace(first, &ready, std::mem::take(&mut entries), effects);
            }
            self.take(ready, effects);
        }
    }

    /// Goes on with `entries`, in place of what is there from the first of them on.
    fn replace(
        &mut self,
        first: LogIndex,
        ready: &Ready,
        entries: Vec<LogEntry>,
        effects: &mut Vec<Effect>,
    ) {
        let as_told = ready.entries.iter().copied();
        let as_come = entries.iter().map(|entry| (entry.index(), entry.term()));
        assert!(as_told.eq(as_come), "raft-rs takes what came");
        if first <= self.last().index {
            let end = Position {
                index: LogIndex(first.0 - 1),
                offset: entries[0].base_offset(),
            };
            self.cut(end, effects);
        }
        for entry in entries {
            self.push(entry);
        }
    }

    /// The log ends here now: what was behind did not agree with the leader's.
    fn cut(&mut self, end: Position, effects: &mut Vec<Effect>) {
        let from = end.index.next();
        assert!(from > self.commit.index, "what is committed stays");
        let lost_visible = from <= self.visible.index;
        if lost_visible {
            self.visible = end;
        }
        self.positions.cut(end);
        self.configurations.cut(end.index);
        self.archives.cut(end.index);
        self.written.cut(end.index);
        self.persistence.cut(end.index);
        self.outbox.cut(end.index);
        if self.sequence.cut(end.index) {
            effects.push(Effect::Truncate {
                from,
                end: end.offset,
                lost_visible,
            });
        }
    }

    /// What the leader shows, as far as this log is known to agree with its.
    pub(super) fn shown_by_leader(&self) -> LogIndex {
        let term = self.consensus.term();
        match self.leader_visible {
            (of, visible) if of == term => visible.min(self.outbox.agreed(term)),
            _ => LogIndex::ZERO,
        }
    }
}

/// Whether the entries that came are those that the message speaks of: without gaps, of terms that do
/// not fall, and understood. They come from outside.
fn carries(envelope: &Envelope, entries: &[LogEntry]) -> bool {
    let PeerMessage::Append {
        previous, count, ..
    } = envelope.message
    else {
        return entries.is_empty();
    };
    let mut end: (EntryId, Option<_>) = (previous, None);
    let follows = |entry: &LogEntry| {
        let (last, offset) = end;
        let fits = entry.index() == last.index.next()
            && entry.term() >= last.term
            && offset.is_none_or(|offset| entry.base_offset() == offset)
            && is_understood(entry);
        end = (EntryId::of(entry), Some(entry.next_offset()));
        fits
    };
    entries.len() == count as usize && entries.iter().all(follows)
}

/// Whether a membership entry names members.
fn is_understood(entry: &LogEntry) -> bool {
    match entry {
        LogEntry::Meta(entry) => match &entry.kind {
            MetaKind::Noop | MetaKind::Archive(_) => true,
            MetaKind::Membership(bytes) => Members::decode(bytes).is_ok(),
        },
        LogEntry::Records(_) => true,
    }
}
