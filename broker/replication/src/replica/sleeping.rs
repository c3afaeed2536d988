//! Falling asleep, and waking.
//!
//! A leader whose followers hold, know committed and show all that it does, and to whom nothing has
//! happened for a while, marks its heartbeats: who is in the same state stops its clock, and says so in
//! the answer. When all have, the leader stops its own. Everything else that happens to a sleeping
//! replica wakes it: the clock goes on where it stood, heartbeats included.
//!
//! - A follower sleeps under the leader of its term only, so that it wakes others, or they it, before a
//!   leader of another term can come.
//! - It does not matter whether an answer is lost, late or from before: a leader goes on marking, a
//!   leader that is awake wakes its followers with each heartbeat, and a follower that is awake while
//!   its leader sleeps asks for votes after a time-out, which wakes the leader.
//! - A leader wakes when the broker of any other replica is lost or begins anew, a follower when that of
//!   its leader is.

use klamm_model::{Instant, LogIndex};

use super::Replica;
use crate::envelope::{Envelope, PeerMessage};
use crate::{Effect, Event, ReplicaId};

impl Replica {
    /// Whether this replica waits for nothing: neither for a time, nor for a message.
    pub fn is_asleep(&self) -> bool {
        self.sleep.is_asleep()
    }

    /// Ends the sleep, or the way into it, if the event is one that does.
    pub(super) fn notice_disturbance(&mut self, now: Instant, event: &Event) {
        if self.disturbs(event) && self.sleep.disturb() {
            self.wake(now);
        }
    }

    fn disturbs(&self, event: &Event) -> bool {
        match event {
            Event::Received(envelope, _) => !self.is_restful(envelope),
            Event::PeerRestarted(peer) | Event::LeaderUnreachable { leader: peer, .. } => {
                self.consensus.is_leader() || self.consensus.leader() == Some(*peer)
            }
            Event::Start
            | Event::Propose(_)
            | Event::ChangeMembers(_)
            | Event::Archive(_)
            | Event::TransferLeadership(_)
            | Event::Announce => true,
            // Whoever sleeps has written and fsynced everything, so no rule shows less.
            Event::Written { .. }
            | Event::Synced { .. }
            | Event::JournalSynced(_)
            | Event::SentThrough { .. }
            | Event::LogBegins { .. }
            | Event::VisibleWhen(_)
            | Event::Tick => false,
        }
    }

    /// Whether a message is part of falling asleep.
    fn is_restful(&self, envelope: &Envelope) -> bool {
        let is_current = envelope.term == self.consensus.term();
        match envelope.message {
            PeerMessage::Heartbeat { sleep, .. } => {
                sleep && is_current && self.consensus.leader() == Some(envelope.from)
            }
            PeerMessage::HeartbeatResponse { asleep, .. } => {
                is_current && (asleep || !self.is_asleep())
            }
            _ => false,
        }
    }

    fn wake(&mut self, now: Instant) {
        // Those whose brokers were there all the time.
        self.peers.heard_all(now);
        self.consensus.begin_anew_to_listen();
        self.next_tick = None;
    }

    /// The time of a sleep is over: a leader puts its followers to sleep anew, a follower waits for
    /// that as for any heartbeat.
    pub(super) fn end_nap(&mut self, now: Instant) {
        if !self.is_asleep() {
            return;
        }
        self.wake(now);
        match self.consensus.is_leader() {
            true => self.sleep.look_around(),
            false => drop(self.sleep.disturb()),
        }
    }

    /// A leader counts how long nothing has happened.
    pub(super) fn count_silence(&mut self) {
        if !self.is_leading() {
            return;
        }
        match self.could_rest() && self.followers_have(self.last().index) {
            true => self.sleep.quiet_tick(),
            false => drop(self.sleep.disturb()),
        }
    }

    /// A message has been taken in; `from` may have fallen asleep, or this replica may.
    pub(super) fn rest(&mut self, envelope: &Envelope) {
        let Envelope { from, visible, .. } = *envelope;
        match envelope.message {
            PeerMessage::Heartbeat {
                sleep: true,
                commit,
            } => {
                let last = self.last().index;
                if commit == last && visible == last && self.consensus.leader() == Some(from) {
                    self.sleep_offered = true;
                }
            }
            PeerMessage::HeartbeatResponse {
                asleep: true,
                commit,
            } if commit == self.last().index => self.sleep.taken_by(from),
            _ => {}
        }
    }

    /// Falls asleep if nothing keeps this replica awake any more.
    pub(super) fn fall_asleep_when_due(&mut self, now: Instant) {
        let offered = std::mem::take(&mut self.sleep_offered);
        let due = match self.consensus.is_leader() {
            true => self.sleep.is_offering() && self.all_took_the_offer(),
            false => offered,
        };
        if due && self.could_rest() {
            self.sleep.fall_asleep();
            self.next_tick = Some(now + self.sleep.nap(self.consensus.is_leader()));
        }
    }

    fn all_took_the_offer(&self) -> bool {
        let mut others = self.peers.written();
        others.all(|(peer, _)| self.sleep.is_taken_by(peer))
    }

    /// Whether all that is here is durable, committed and shown, and nothing is under way.
    fn could_rest(&self) -> bool {
        let last = self.last().index;
        last > LogIndex::ZERO
            && self.commit.index == last
            && self.visible.index == last
            && self.persistence.len() == 0
            && self.persistence.durable() == last
            && self.recovery.is_none()
            && !self.configurations.is_changing()
            && !self.members().is_joint()
            && !self.consensus.is_transferring()
    }

    /// Whether all other members are known to have fsynced the log up to there.
    fn followers_have(&self, last: LogIndex) -> bool {
        let mut others = self.peers.written();
        others.all(|(peer, _)| self.consensus.matched(peer) == Some(last))
    }

    /// Marks a message with what this replica offers, or has accepted.
    pub(super) fn mark(&self, message: &mut PeerMessage) {
        match message {
            PeerMessage::Heartbeat { sleep, commit } => {
                *sleep = self.sleep.is_offering() && *commit == self.last().index;
            }
            PeerMessage::HeartbeatResponse { asleep, .. } => *asleep = self.is_asleep(),
            _ => {}
        }
    }

    /// What a replica that is about to stop leaves to the others, so that nobody goes on sleeping beside
    /// it: a heartbeat of a leader that will send no other, or an answer that offers no sleep.
    pub fn farewell(&self) -> Vec<Effect> {
        let commit = LogIndex::ZERO;
        let (to, message): (Vec<ReplicaId>, _) = match self.consensus.is_leader() {
            true => (
                self.peers.written().map(|(peer, _)| peer).collect(),
                PeerMessage::Heartbeat {
                    commit,
                    sleep: false,
                },
            ),
            false => (
                self.consensus.leader().into_iter().collect(),
                PeerMessage::HeartbeatResponse {
                    commit,
                    asleep: false,
                },
            ),
        };
        to.into_iter()
            .map(|to| self.say(to, message.clone()))
            .collect()
    }
}
