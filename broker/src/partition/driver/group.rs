//! The partition's group: what its other replicas say, who belongs to it, and how far each has come.

use std::time::Duration;

use klamm_model::raft::LogEntry;
use klamm_model::{Instant, LogIndex};
use klamm_replication::{EntryId, Envelope, Event, Members, Replica, ReplicaId};

use super::peers::Recent;
use super::{Holding, Outcome, Outgoing, PartitionDriver};

/// How many entries a follower that has caught up may be behind.
const LAG_MAX: u64 = 1_000;

impl PartitionDriver {
    /// A message of another replica has come, with the entries that it speaks of.
    pub fn received(
        &mut self,
        now: Instant,
        envelope: Envelope,
        entries: Vec<LogEntry>,
        outcomes: &mut Vec<Outcome>,
    ) {
        self.step(now, Event::Received(envelope, entries), outcomes);
    }

    /// Another replica has a new life, or what was under way to it is lost.
    pub fn peer_restarted(&mut self, now: Instant, peer: ReplicaId, outcomes: &mut Vec<Outcome>) {
        self.step(now, Event::PeerRestarted(peer), outcomes);
    }

    /// The broker of another replica is known to be gone: if that one leads, nobody needs to wait for
    /// it to fall silent. Others are better leaders than the newcomers: see
    /// [`Event::LeaderUnreachable`].
    pub fn peer_unreachable(
        &mut self,
        now: Instant,
        peer: ReplicaId,
        newcomers: Vec<ReplicaId>,
        outcomes: &mut Vec<Outcome>,
    ) {
        let leader = peer;
        self.step(
            now,
            Event::LeaderUnreachable { leader, newcomers },
            outcomes,
        );
    }

    /// The group is to have these voters and learners, and no others. Nothing happens unless
    /// [`can_change_members`](Self::can_change_members): whoever wants it says it again.
    pub fn change_members(&mut self, now: Instant, wanted: Members, outcomes: &mut Vec<Outcome>) {
        self.step(now, Event::ChangeMembers(wanted), outcomes);
    }

    /// The leader is to tell the others at once how far its log is shown.
    pub fn announce(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        self.step(now, Event::Announce, outcomes);
    }

    /// The leader is to give its place to another replica; meanwhile it takes nothing.
    pub fn transfer_leadership(
        &mut self,
        now: Instant,
        to: ReplicaId,
        outcomes: &mut Vec<Outcome>,
    ) {
        self.step(now, Event::TransferLeadership(to), outcomes);
    }

    /// Whether the log can only go on as a copy of another replica's ([`Outcome::CopyWanted`]), and one that
    /// ends with this entry may take its place: see [`Replica::wants_copy`].
    pub fn wants_copy(&self, end: LogIndex) -> bool {
        let replica = self.replica.get();
        replica.is_some_and(|replica| replica.wants_copy(end))
    }

    /// The last entry that a copy of this log may have: what is known to be committed, which after a restart
    /// may be no more than what is gone already.
    pub fn copy_end(&self) -> LogIndex {
        let before_first = LogIndex(self.log.first_index().0 - 1);
        self.commit.index.max(before_first)
    }

    /// This replica.
    pub fn replica_id(&self) -> ReplicaId {
        self.id
    }

    /// What the replica holds; `None` when it is offline. Entries that are written count.
    pub fn holding(&self) -> Option<Holding> {
        let replica = self.replica.get().filter(|_| self.offline.is_none())?;
        Some(Holding {
            replica: self.id,
            last: EntryId {
                index: self.log.last_index(),
                term: self.log.last_term(),
            },
            end_offset: self.log.log_end_offset(),
            term: replica.term(),
            leads: replica.is_leading(),
            may_vote: !replica.is_recovering(),
            configuration: replica.configuration(),
        })
    }

    /// The members in force; none if this replica has not been told yet.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Whether this replica leads, and no change of members is on its way.
    pub fn can_change_members(&self) -> bool {
        self.replica.get().is_some_and(Replica::can_change_members)
    }

    /// See [`Replica::members_are_known`].
    pub fn members_are_known(&self) -> bool {
        self.replica.get().is_some_and(Replica::members_are_known)
    }

    /// See [`Replica::responsive_voters`].
    pub fn responsive_voters(&self, now: Instant, within: Duration) -> usize {
        let replica = self.replica.get();
        replica.map_or(0, |replica| replica.responsive_voters(now, within))
    }

    /// See [`Replica::written_by`].
    pub fn written_by(&self, count: usize) -> LogIndex {
        let replica = self.replica.get();
        replica.map_or(LogIndex::ZERO, |replica| replica.written_by(count))
    }

    /// See [`Replica::followers`].
    pub fn followers(&self) -> impl Iterator<Item = (ReplicaId, LogIndex)> + '_ {
        let replica = self.replica.get().into_iter();
        replica.flat_map(Replica::followers)
    }

    /// The followers that are behind by at most 1,000 entries, all of them in memory, so that they may vote,
    /// lead, or be read from: they catch up with the rest in no time. Not those that have not said in this
    /// life that they have anything: perhaps nobody is there. Only known to a leader.
    pub fn caught_up(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let end = self.log.last_index();
        let recent = self.recent.as_ref().and_then(Recent::first);
        let is_close = move |written: LogIndex| {
            let has_rest_in_memory = recent.is_some_and(|recent| written.next() >= recent);
            let is_near = written.0 + LAG_MAX >= end.0 && has_rest_in_memory;
            written > LogIndex::ZERO && (written >= end || is_near)
        };
        let followers = self.followers();
        followers
            .filter(move |(_, written)| is_close(*written))
            .map(|(replica, _)| replica)
    }

    /// Whether a follower is one of them.
    pub fn has_caught_up(&self, follower: ReplicaId) -> bool {
        self.caught_up().any(|replica| replica == follower)
    }

    /// What is to be sent to other replicas, in order. To be asked after everything else.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }
}
