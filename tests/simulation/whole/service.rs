//! How a broker answers clients: the parts of the product's handlers that matter for what clients may
//! conclude.

use klamm_model::{LeaderEpoch, Offset};

use super::hosted::{Hosted, batches};
use super::messages::{Asker, Group, Known, Refusal, Reply, Request};
use super::process::{Process, Turn};
use super::rules::OFFSETS_TOPIC;

impl Process {
    /// A client asks.
    pub(super) fn serve(&mut self, asker: Asker, request: Request, turn: &mut Turn<'_>) {
        if !self.is_known {
            return turn.refuse(asker, Refusal::Busy);
        }
        match request {
            Request::Metadata => turn.reply(asker, Reply::Metadata(self.known())),
            Request::ProducerId | Request::CreateTopic(_) | Request::Reassign(_) => {
                self.ask_controller(asker, request, turn);
            }
            Request::Produce { group, batch } => self.produce(asker, group, batch, turn),
            Request::Fetch { group, from, epoch } => {
                let reply = self
                    .fetch(group, from, epoch)
                    .unwrap_or_else(Reply::Refused);
                turn.reply(asker, reply);
            }
            Request::Group(_) | Request::Offsets(_) => match self.offsets_group() {
                Some(group) if self.hosted.contains_key(&group) => {
                    self.serve_groups_again(group, turn);
                    self.coordinate(group, asker, request, turn);
                }
                _ => turn.refuse(asker, Refusal::NotLeader),
            },
        }
    }

    fn coordinate(&mut self, group: Group, asker: Asker, request: Request, turn: &mut Turn<'_>) {
        let fetch = match request {
            Request::Group(request) => return self.ask_groups(group, turn, asker, request),
            Request::Offsets(fetch) => fetch,
            other => unreachable!("not for a coordinator: {other}"),
        };
        let coordinator = self.hosted[&group].coordinator.as_ref();
        match coordinator.and_then(|groups| groups.serving()) {
            Some(serving) => turn.reply(asker, Reply::Offsets(serving.fetch_offsets(&fetch))),
            None => turn.refuse(asker, Refusal::NotLeader),
        }
    }

    fn offsets_group(&self) -> Option<Group> {
        let topic = self.image.topic(OFFSETS_TOPIC)?;
        let index = topic.partition_indexes().next()?;
        Some(Group {
            topic: topic.id,
            index,
        })
    }

    fn known(&self) -> Vec<Known> {
        let mut known = Vec::new();
        for topic in self.image.topics() {
            for index in topic.partition_indexes() {
                let group = Group {
                    topic: topic.id,
                    index,
                };
                let leader = self.leaders.get(&group);
                known.push(Known {
                    topic: topic.name.as_str().to_owned(),
                    group,
                    leader: leader.map(|(epoch, broker)| (*broker, *epoch)),
                });
            }
        }
        known
    }

    fn fetch(&mut self, group: Group, from: Offset, epoch: LeaderEpoch) -> Result<Reply, Refusal> {
        let hosted = self.hosted.get_mut(&group).ok_or(Refusal::NotLeader)?;
        let Hosted { driver, .. } = hosted;
        if driver.offline().is_some() || !driver.is_leader() {
            return Err(Refusal::NotLeader);
        }
        if driver.leader_epoch() != epoch {
            return Err(Refusal::Epoch);
        }
        if from < driver.log_start_offset() || from > driver.log_end_offset() {
            return Err(Refusal::OutOfRange);
        }
        let shown = driver.high_watermark();
        let is_told = !driver.is_high_watermark_behind() && shown >= from;
        let read = batches(driver.log_mut(), from, shown).map_err(|_| Refusal::Busy)?;
        let bytes: Vec<_> = read
            .iter()
            .map(klamm_model::RecordBatch::to_bytes)
            .collect();
        Ok(Reply::Fetched {
            records: bytes.concat().into(),
            high_watermark: is_told.then_some(shown),
        })
    }
}
