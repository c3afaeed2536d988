//! Between replica and log: events in, effects performed, in order.

use klamm_model::raft::LogEntry;
use klamm_model::{Instant, LogIndex, Offset};
use klamm_replication::{Effect, Envelope, Event, Members, Position, Replica};
use klamm_storage::AppendError;

use super::peers::{self, Recent};
use super::steps::Step;
use super::{OfflineReason, Outcome, PartitionDriver, is_alone};

impl PartitionDriver {
    /// Hands an event to the replica and performs what comes of it.
    pub(super) fn step(&mut self, now: Instant, event: Event, outcomes: &mut Vec<Outcome>) {
        let mut effects = std::mem::take(&mut self.effects);
        if let Err(panic) = self.replica.handle(now, event, &mut effects) {
            self.go_offline(OfflineReason::Replica(panic), outcomes);
        }
        for effect in effects.drain(..) {
            if self.offline.is_some() {
                break;
            }
            self.perform(effect, outcomes);
        }
        self.effects = effects;
        if self.offline.is_none()
            && let Err(error) = self.steps.advance(now, &mut self.log, &mut self.writes)
        {
            self.go_offline(error.into(), outcomes);
        }
        self.report_cuts(now, outcomes);
    }

    /// Tells the replica of messages that carried less than it meant.
    fn report_cuts(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        for (to, through) in std::mem::take(&mut self.cuts) {
            self.step(now, Event::SentThrough { to, through }, outcomes);
        }
    }

    /// Performs one effect, as far as it needs no disk.
    fn perform(&mut self, effect: Effect, outcomes: &mut Vec<Outcome>) {
        match effect {
            Effect::Journal {
                ticket,
                hard_state,
                metas,
            } => {
                self.remember(metas.iter().cloned().map(LogEntry::Meta));
                self.staging.entries_stand_before(metas.len());
                let metas = metas.into();
                let step = Step::Journal {
                    ticket,
                    hard_state,
                    metas,
                };
                self.steps.push(step, &mut self.writes);
            }
            Effect::Append(mut entries) => {
                // The followers are told where segments begin, also of what had to wait until its
                // leader leads no more; what is left over of another leadership is theirs to decide
                // who lead next.
                let first = entries.first().map(|entry| entry.term.leader_epoch());
                if self.is_leader() || first == Some(self.led) {
                    self.log.place(&mut entries, self.wall);
                }
                self.remember(entries.iter().cloned().map(LogEntry::Records));
                self.steps.push(Step::Append(entries), &mut self.writes);
            }
            Effect::Truncate {
                from,
                end,
                lost_visible,
            } => self.truncate(from, end, lost_visible, outcomes),
            Effect::Flush => {
                let last = self.replica.get().map(Replica::last);
                self.flush_wanted = last.map_or(self.flush_wanted, |last| last.index);
            }
            Effect::Send(envelope) => self.send(envelope),
            Effect::TakeCopy { from } => outcomes.push(Outcome::CopyWanted { from }),
            Effect::Members { index, members } => self.members_changed(index, members, outcomes),
            Effect::Recovered => outcomes.push(Outcome::Recovered),
            Effect::BecameLeader { term, start_offset } => {
                self.epoch = term.leader_epoch();
                self.epoch_start = start_offset;
                self.led = self.epoch;
                if let Some(recent) = &mut self.recent {
                    recent.settle(&self.log);
                }
                let epoch = self.epoch;
                self.replica_moved();
                outcomes.push(Outcome::BecameLeader {
                    epoch,
                    start_offset,
                });
            }
            Effect::LostLeadership { term } => {
                self.epoch = term.leader_epoch();
                outcomes.push(Outcome::LostLeadership);
                self.drop_staged(outcomes);
            }
            Effect::Archive(state) => {
                self.archive = Some(state);
                outcomes.push(Outcome::ArchiveMoved { state });
            }
            Effect::ProposalDropped => self.drop_staged(outcomes),
            Effect::Visible(position) => self.visible_moved(position, outcomes),
            Effect::Commit(position) => {
                self.commit = position;
                let Position { index, offset } = position;
                outcomes.push(Outcome::CommitMoved { offset, index });
            }
        }
    }

    /// The journal remembers that the change is committed, though nobody waits for that.
    fn members_changed(&mut self, index: LogIndex, members: Members, outcomes: &mut Vec<Outcome>) {
        self.steps.push(Step::Committed(index), &mut self.writes);
        if is_alone(self.id, &members) {
            self.recent = None;
        } else if self.recent.is_none() {
            self.recent = Some(Recent::new(self.message_bytes));
        }
        self.members = members.clone();
        outcomes.push(Outcome::MembersChanged { members });
    }

    /// Keeps entries that other replicas may be given, if there are any.
    fn remember(&mut self, entries: impl Iterator<Item = LogEntry>) {
        let written = self.log.last_index();
        if let Some(recent) = &mut self.recent {
            entries.for_each(|entry| recent.push(entry, written));
        }
    }

    fn truncate(
        &mut self,
        from: LogIndex,
        end: Offset,
        lost_visible: bool,
        outcomes: &mut Vec<Outcome>,
    ) {
        if let Some(recent) = &mut self.recent {
            recent.truncate(from);
        }
        self.steps
            .push(Step::Truncate { from, end }, &mut self.writes);
        let last = LogIndex(from.0 - 1);
        self.flush_wanted = last.min(self.flush_wanted);
        while self.invisible.pop_back_if(|(at, _)| *at > end).is_some() {}
        if lost_visible && let Some(replica) = self.replica.get() {
            self.visible = replica.visible();
        }
        outcomes.push(Outcome::Truncated {
            end_offset: end,
            lost_visible,
        });
    }

    /// A message whose entries cannot be read is not sent: it counts as lost on the way.
    fn send(&mut self, mut envelope: Envelope) {
        let Some(recent) = &self.recent else {
            return;
        };
        let committed = self.commit.offset;
        peers::refer_to_copy(
            &mut envelope,
            &self.log,
            committed,
            self.begin_by_copy_bytes,
        );
        let to = envelope.to;
        match peers::with_entries(envelope, recent, &mut self.log) {
            Ok((outgoing, cut)) => {
                self.outgoing.push(outgoing);
                self.cuts.extend(cut.map(|through| (to, through)));
            }
            Err(error) => {
                let partition = self.log.topic_partition();
                tracing::warn!(%partition, %error, "entries for a follower cannot be read");
            }
        }
    }

    /// A no-op of the replica takes an index: the next batch goes behind it.
    fn replica_moved(&mut self) {
        if let Some(replica) = self.replica.get() {
            self.staging.log_ends_at(replica.last());
        }
    }

    fn drop_staged(&mut self, outcomes: &mut Vec<Outcome>) {
        let from_offset = self.staging.drop_all(self.writes.are_done());
        outcomes.push(Outcome::StagedDropped { from_offset });
    }

    fn visible_moved(&mut self, position: Position, outcomes: &mut Vec<Outcome>) {
        let Position { index, offset } = position;
        let mut bytes = 0;
        while let Some((_, size)) = self.invisible.pop_front_if(|(end, _)| *end <= offset) {
            bytes += size;
        }
        self.visible = position;
        self.log.high_watermark_moved(offset);
        outcomes.push(Outcome::HighWatermarkMoved {
            offset,
            index,
            bytes,
        });
    }

    /// Takes note of what happened to the log outside of appends: it may have been shortened at its
    /// beginning, and it may have gone offline.
    pub(super) fn notice_log(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) {
        let first = self.log.first_index();
        if self.offline.is_none() && first > self.first_index {
            self.first_index = first;
            self.step(now, Event::LogBegins { first }, outcomes);
        }
        if self.is_failing()
            && let Some(error) = self.log.offline()
        {
            let error = AppendError::from(error.clone());
            self.go_offline(error.into(), outcomes);
        }
    }

    /// The others may count on this replica without hearing of it.
    fn say_farewell(&mut self) {
        let farewell = self.replica.get().map(Replica::farewell);
        for effect in farewell.unwrap_or_default() {
            if let Effect::Send(envelope) = effect {
                self.send(envelope);
            }
        }
    }

    /// The first reason stays; what was staged is forgotten with the replica that it was for.
    pub(super) fn go_offline(&mut self, error: OfflineReason, outcomes: &mut Vec<Outcome>) {
        self.say_farewell();
        self.replica.stop();
        if self.offline.is_none() {
            self.offline = Some(error.clone());
            outcomes.push(Outcome::Offline { error });
        }
    }
}
