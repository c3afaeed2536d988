//! Between replica and log: events in, effects performed, in order.

use klamm_model::Instant;
use klamm_replication::{Effect, Event, Position};
use klamm_storage::AppendError;

use super::{OfflineReason, Outcome, PartitionDriver};

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
        // An entry without records stands behind those with records that came before it.
        if self.offline.is_none()
            && self.writes.are_done()
            && let Err(error) = self.journaling.write(now, &mut self.log)
        {
            self.go_offline(error.into(), outcomes);
        }
    }

    /// Performs one effect, as far as it needs no disk.
    fn perform(&mut self, effect: Effect, outcomes: &mut Vec<Outcome>) {
        match effect {
            Effect::Journal {
                ticket,
                hard_state,
                metas,
            } => self.journaling.push(ticket, hard_state, metas),
            Effect::Append(entries) => {
                assert!(
                    !self.journaling.has_unwritten(),
                    "a term's batches come when its no-op is durable"
                );
                self.writes.push(entries);
            }
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
