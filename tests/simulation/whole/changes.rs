//! The controller, and whoever follows it: the product's decisions and its image, with a stand-in for the
//! asynchronous code between them (`controller::change`, `controller::follow`, `controller::effects`).
//!
//! One change at a time: it is decided on the image as it is, appended, and answered once it is applied
//! here; before the first one of a leadership, what an earlier controller has written is applied. Every
//! broker applies what its replica shows.

use std::collections::{BTreeSet, VecDeque};

use klamm_broker::controller::duties::{Standing as Seat, wanted_members};
use klamm_broker::partition::assignment::{Standing, Step};
use klamm_metadata::controller::Decision;
use klamm_metadata::{
    Controller, KLAMM_VERSION_LEVEL, MetadataRecord, PeerAddress, Registration, TopicIds,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{BrokerId, Offset};

use super::hosted::{batches, records};
use super::messages::{Asker, Group, Message, Refusal, Reply, Request, Wish};
use super::process::{Effect, Process, Turn};
use super::rules::{
    METADATA, METADATA_VOTERS, Sabotage, TOPIC_RULES, broker_id, layers, metadata_replica,
    place_of, topic_defaults,
};

/// What is to be decided, and what is on its way.
pub(super) struct Changes {
    ids: TopicIds,
    queue: VecDeque<Change>,
    deciding: Option<Deciding>,
}

enum Change {
    /// The cluster gets its identity.
    Found,
    Wish(Wish),
    Request(Asker, Request),
}

/// It stands once it is applied.
struct Deciding {
    through: Offset,
    answer: Option<(Asker, Reply)>,
}

impl Changes {
    pub(super) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            ids: TopicIds::new(bytes),
            queue: VecDeque::new(),
            deciding: None,
        }
    }
}

impl Process {
    // ---- Deciding ----

    pub(super) fn wish(&mut self, wish: Wish, turn: &mut Turn<'_>) {
        self.changes.queue.push_back(Change::Wish(wish));
        self.decide(turn);
    }

    pub(super) fn ask_controller(&mut self, asker: Asker, request: Request, turn: &mut Turn<'_>) {
        self.changes
            .queue
            .push_back(Change::Request(asker, request));
        self.decide(turn);
    }

    /// Gets on with what is to be decided, as far as it can.
    pub(super) fn decide(&mut self, turn: &mut Turn<'_>) {
        loop {
            if !self.hosted[&METADATA].leads() {
                return self.give_up_changes(turn);
            }
            if let Some(deciding) = self.changes.deciding.take() {
                if self.applied < deciding.through {
                    self.changes.deciding = Some(deciding);
                    return;
                }
                if let Some((asker, reply)) = deciding.answer {
                    turn.reply(asker, reply);
                }
            }
            if self.applied < self.hosted[&METADATA].driver.log_end_offset() {
                return;
            }
            let is_new = self.image.cluster_id().is_none();
            let change = match is_new {
                true => Change::Found,
                false => match self.changes.queue.pop_front() {
                    Some(change) => change,
                    None => return,
                },
            };
            if !self.begin(change, turn) {
                return;
            }
        }
    }

    /// Another broker decides, or nobody, or what was decided is not appended: it may come true or not.
    pub(super) fn give_up_changes(&mut self, turn: &mut Turn<'_>) {
        let asked = self
            .changes
            .queue
            .drain(..)
            .filter_map(|change| match change {
                Change::Request(asker, _) => Some(asker),
                Change::Found | Change::Wish(_) => None,
            });
        let deciding = self.changes.deciding.take();
        let answer = deciding.and_then(|deciding| deciding.answer);
        for asker in asked.chain(answer.map(|(asker, _)| asker)) {
            turn.effects.push(Effect::Reply {
                asker,
                reply: Reply::Refused(Refusal::NotLeader),
            });
        }
    }

    /// Decides one change; `false` if this broker cannot append it.
    fn begin(&mut self, change: Change, turn: &mut Turn<'_>) -> bool {
        let asker = match &change {
            Change::Request(asker, _) => Some(*asker),
            Change::Found | Change::Wish(_) => None,
        };
        let Decision { records, reply } = self.decided(change);
        let answer = asker.map(|asker| (asker, reply));
        if records.is_empty() {
            if let Some((asker, reply)) = answer {
                turn.reply(asker, reply);
            }
            return true;
        }
        let mut batch = BatchBuilder::new();
        for record in &records {
            batch.append(turn.now.wall, None, Some(&record.encode()), &[]);
        }
        let epoch = self.hosted[&METADATA].driver.leader_epoch();
        match self.stage_decided(batch.build(), epoch) {
            Ok(through) => {
                self.changes.deciding = Some(Deciding { through, answer });
                self.turn(METADATA, turn);
                // Settling has gone on from there.
                false
            }
            Err(error) => {
                let own = self.own + 1;
                turn.effects
                    .push(Effect::Note(format!("{own}: decides nothing: {error}")));
                if let Some((asker, _)) = answer {
                    turn.refuse(asker, Refusal::Busy);
                }
                self.notice_failure(METADATA, turn);
                false
            }
        }
    }

    fn decided(&mut self, change: Change) -> Decision<Reply> {
        let alive: BTreeSet<_> = self.reached.iter().map(|place| broker_id(*place)).collect();
        let mut decider = Controller {
            image: &self.image,
            alive: &alive,
            layers: layers(),
            topic_defaults: topic_defaults(),
            rules: TOPIC_RULES,
            ids: &mut self.changes.ids,
        };
        let refused = Decision {
            records: Vec::new(),
            reply: Reply::Refused(Refusal::Undesired),
        };
        let done = |records| Decision {
            records,
            reply: Reply::Done,
        };
        match change {
            Change::Found => done(decider.found_cluster()),
            Change::Wish(Wish::Register(registration)) => {
                match decider.register_broker(registration) {
                    Ok(decision) => done(decision.records),
                    Err(refusal) => panic!("a broker is not registered: {refusal}"),
                }
            }
            Change::Wish(Wish::Moved { group, members }) => done(
                decider
                    .complete_reassignment(group.topic, group.index, &members)
                    .records,
            ),
            Change::Request(_, Request::ProducerId) => match decider.allocate_producer_ids() {
                Ok(Decision { records, reply }) => Decision {
                    records,
                    reply: Reply::ProducerId(reply.start),
                },
                Err(_) => refused,
            },
            Change::Request(_, Request::CreateTopic(topic)) => {
                let Decision { records, reply } = decider.create_topics(&[topic], false);
                match &reply[0].1 {
                    // It was created by a call that nobody has answered.
                    Err(klamm_metadata::Refusal::TopicExists(_)) => done(records),
                    Ok(_) => done(records),
                    Err(_) => refused,
                }
            }
            Change::Request(_, Request::Reassign(wanted)) => {
                match decider.reassign(&wanted, true) {
                    Ok(records) => done(records),
                    Err(_) => refused,
                }
            }
            Change::Request(_, other) => unreachable!("not for the controller: {other}"),
        }
    }

    // ---- Following ----

    /// Applies what is shown of the metadata.
    pub(super) fn follow_metadata(&mut self, turn: &mut Turn<'_>) {
        let hosted = self.hosted.get_mut(&METADATA).expect("always hosted");
        let end = match self.rules.sabotages(Sabotage::ImageBeforeCommit) {
            true => hosted.driver.log_end_offset(),
            false => hosted.driver.high_watermark(),
        };
        if self.applied >= end {
            return;
        }
        let Ok(batches) = batches(hosted.driver.log_mut(), self.applied, end) else {
            return;
        };
        let mut changed = BTreeSet::new();
        for record in batches.iter().flat_map(records) {
            let bytes = record.value.unwrap_or_default();
            let change = MetadataRecord::decode(&bytes).expect("a record of ours");
            self.image.apply(&change).expect("it follows those before");
            if let MetadataRecord::Partition { topic, index, .. } = change {
                changed.insert(Group { topic, index });
            }
            self.applied = record.offset.plus(1);
            turn.effects.push(Effect::Applied {
                offset: self.applied,
                image: self.image.clone(),
            });
        }
        if self.is_known {
            self.rearrange(changed, turn);
        } else if self.is_registered() {
            self.is_known = true;
            self.open_missing(turn);
        }
    }

    fn is_registered(&self) -> bool {
        let own = self.image.broker(broker_id(self.own));
        own.is_some_and(|own| own.incarnation == Some(self.incarnation))
    }

    // ---- From time to time ----

    /// Has the cluster know that this broker has started.
    pub(super) fn register(&mut self, turn: &mut Turn<'_>) {
        if self.is_known {
            return;
        }
        let registration = Registration {
            id: Some(broker_id(self.own)),
            incarnation: self.incarnation,
            disks: vec![self.dir.identity().directory_id],
            peer: Some(PeerAddress {
                host: "broker".to_owned(),
                port: 1,
            }),
            rack: None,
            listeners: Vec::new(),
            version: KLAMM_VERSION_LEVEL,
        };
        self.tell_controller(Wish::Register(registration), turn);
    }

    fn tell_controller(&mut self, wish: Wish, turn: &mut Turn<'_>) {
        if self.hosted[&METADATA].leads() {
            self.wish(wish, turn);
        } else if let Some((_, to)) = self.leaders.get(&METADATA) {
            let (to, message) = (*to, Message::Wish(wish));
            turn.effects.push(Effect::Send { to, message });
        }
    }

    /// Keeps the group of the metadata at its size, if this broker is the controller.
    pub(super) fn keep_quorum(&mut self, turn: &mut Turn<'_>) {
        let driver = &self.hosted[&METADATA].driver;
        if !driver.can_change_members() {
            return;
        }
        let seat = |broker: BrokerId| {
            let place = place_of(broker);
            let replica = metadata_replica(place);
            let is_alive = self.reached.contains(&place);
            let has_all = place == self.own || driver.has_caught_up(replica);
            Seat {
                replica,
                is_alive,
                may_vote: is_alive && has_all,
                is_gone: false,
            }
        };
        let registered: Vec<_> = self.image.brokers().map(|one| seat(one.id)).collect();
        let wanted = wanted_members(driver.members(), &registered, METADATA_VOTERS);
        if let Some(members) = wanted.filter(|_| self.is_known) {
            let instant = turn.now.instant;
            self.drive(METADATA, turn, |hosted, outcomes| {
                hosted.driver.change_members(instant, members, outcomes);
            });
        }
    }

    /// Takes the next step of each reassignment whose partition is led here.
    pub(super) fn move_replicas(&mut self, turn: &mut Turn<'_>) {
        let groups: Vec<_> = self.hosted.keys().copied().collect();
        for group in groups {
            let step = self.next_step(group);
            let instant = turn.now.instant;
            match step {
                Some(Step::Change(members)) => self.drive(group, turn, |hosted, outcomes| {
                    hosted.driver.change_members(instant, members, outcomes);
                }),
                Some(Step::HandOver(to)) => self.hand_over(group, place_of(to), turn),
                Some(Step::Complete(members)) => {
                    self.tell_controller(Wish::Moved { group, members }, turn);
                }
                None => {}
            }
        }
    }

    fn next_step(&self, group: Group) -> Option<Step> {
        let hosted = &self.hosted[&group];
        let driver = &hosted.driver;
        if !driver.is_leader() || !driver.can_change_members() {
            return None;
        }
        let wanted = self
            .image
            .topic_by_id(group.topic)?
            .partition(group.index)?;
        let standing = Standing {
            members: driver.members(),
            are_known: driver.members_are_known(),
            own: broker_id(self.own),
            is_ready: &|replica| {
                let holder = hosted.broker_of(replica);
                let is_reached = holder.is_some_and(|holder| self.reached.contains(&holder));
                is_reached && driver.has_caught_up(replica)
            },
        };
        standing.next_step(wanted)
    }

    /// Gives a leadership to another broker.
    pub(super) fn hand_over(&mut self, group: Group, to: usize, turn: &mut Turn<'_>) {
        let replica = self
            .hosted
            .get(&group)
            .and_then(|hosted| hosted.replica_on(to));
        if let Some(replica) = replica {
            let instant = turn.now.instant;
            self.drive(group, turn, |hosted, outcomes| {
                hosted
                    .driver
                    .transfer_leadership(instant, replica, outcomes);
            });
        }
    }
}
