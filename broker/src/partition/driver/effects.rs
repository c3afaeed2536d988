//! Between replica and log: events in, effects performed, in order.

use klamm_model::raft::DataEntry;
use klamm_model::{Instant, Timestamp};
use klamm_replication::{Effect, Event, Position};
use klamm_storage::AppendError;

use super::{OfflineReason, Outcome, PartitionDriver};

impl PartitionDriver {
    /// Hands an event to the replica and performs what comes of it, until it is quiet.
    pub(super) fn step(
        &mut self,
        now: Instant,
        wall: Timestamp,
        event: Event,
        outcomes: &mut Vec<Outcome>,
    ) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let mut effects = std::mem::take(&mut self.effects);
            if let Err(panic) = self.replica.handle(now, event, &mut effects) {
                self.go_offline(OfflineReason::Replica(panic), outcomes);
            }
            for effect in effects.drain(..) {
                if self.offline.is_some() {
                    break;
                }
                let answer = self.perform(wall, effect, outcomes);
                assert!(next.is_none() || answer.is_none(), "one write at a time");
                next = next.or(answer);
            }
            self.effects = effects;
        }
        if self.offline.is_none()
            && let Err(error) = self.journaling.write(now, &mut self.log)
        {
            self.go_offline(error.into(), outcomes);
        }
    }

    /// Performs one effect; an append answers with the event that it has been written.
    fn perform(
        &mut self,
        wall: Timestamp,
        effect: Effect,
        outcomes: &mut Vec<Outcome>,
    ) -> Option<Event> {
        match effect {
            Effect::Journal {
                ticket,
                hard_state,
                metas,
            } => self.journaling.push(ticket, hard_state, metas),
            Effect::Append(entries) => return self.append(wall, &entries, outcomes),
            // There is no other broker to send to: a group's only voter is on this one.
            Effect::Send(_) => {}
            Effect::BecameLeader { term, start_offset } => {
                self.epoch = term.leader_epoch();
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
            Effect::ProposalDropped => self.drop_staged(outcomes),
            Effect::Visible(position) => self.visible_moved(position, outcomes),
            Effect::Commit(position) => {
                self.commit = position;
                let Position { index, offset } = position;
                outcomes.push(Outcome::CommitMoved { offset, index });
            }
        }
        None
    }

    /// A no-op of the replica takes an index: the next batch goes behind it.
    fn replica_moved(&mut self) {
        if let Some(replica) = self.replica.get() {
            self.staging.log_ends_at(replica.last());
        }
    }

    fn drop_staged(&mut self, outcomes: &mut Vec<Outcome>) {
        self.staging.take();
        outcomes.push(Outcome::StagedDropped {
            from_offset: self.log.log_end_offset(),
        });
    }

    fn append(
        &mut self,
        wall: Timestamp,
        entries: &[DataEntry],
        outcomes: &mut Vec<Outcome>,
    ) -> Option<Event> {
        match self.log.append(entries, wall) {
            Ok(appended) => {
                let bytes = entries.iter().map(|entry| entry.batch.size_bytes()).sum();
                self.invisible.push_back((appended.log_end_offset, bytes));
                Some(Event::Written {
                    through: appended.last_index,
                })
            }
            // Also a full disk: room had been reserved, and Raft counts on these entries now.
            Err(error) => {
                self.go_offline(error.into(), outcomes);
                None
            }
        }
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

    /// Takes the partition offline if its log has gone so outside of an append.
    pub(super) fn notice_log(&mut self, outcomes: &mut Vec<Outcome>) {
        if self.offline.is_none()
            && let Some(error) = self.log.offline()
        {
            let error = AppendError::from(error.clone());
            self.go_offline(error.into(), outcomes);
        }
    }

    /// The first reason stays; what was staged is forgotten with the replica that it was for.
    pub(super) fn go_offline(&mut self, error: OfflineReason, outcomes: &mut Vec<Outcome>) {
        self.replica.stop();
        if self.offline.is_none() {
            self.offline = Some(error.clone());
            outcomes.push(Outcome::Offline { error });
        }
    }
}
