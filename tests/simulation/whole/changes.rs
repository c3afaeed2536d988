//! The controller, and whoever follows it: the product's decisions and its image, with a stand-in for the
//! asynchronous code between them (`controller::change`, `controller::follow`, `controller::effects`).
//!
//! One change at a time: it is decided on the image as it is, appended, and answered once it is applied
//! here; before the first one of a leadership, what an earlier controller has written is applied. Every
//! broker applies what its replica shows. Partitions are opened once the cluster knows that the broker has
//! started: all that was decided before is applied then.

use std::collections::{BTreeSet, VecDeque};

use klamm_broker::controller::duties::{Standing as Seat, wanted_members};
use klamm_broker::partition::assignment::{Standing, Step, first_members};
use klamm_broker::partition::driver::{DriverParams, PartitionDriver};
use klamm_metadata::controller::Decision;
use klamm_metadata::{
    Controller, KLAMM_VERSION_LEVEL, MetadataRecord, PartitionImage, PeerAddress, Registration,
    TopicIds,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{BrokerId, Offset, TopicName};
use klamm_replication::{Members, ReplicaId};

use super::groups::Groups;
use super::hosted::{Hosted, batches, records};
use super::messages::{Asker, Group, Message, Refusal, Reply, Request, Wish};
use super::process::{Effect, Process, Turn, partition_id};
use super::rules::{
    METADATA, METADATA_VOTERS, OFFSETS_TOPIC, Sabotage, TOPIC_RULES, broker_id, layers,
    metadata_replica, place_of, topic_defaults,
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
            Err(_) => {
                if let Some((asker, _)) = answer {
                    turn.refuse(asker, Refusal::Busy);
                }
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
            changed
                .into_iter()
                .for_each(|group| self.rearrange(group, turn));
        } else if self.is_registered() {
            self.is_known = true;
            self.wanted()
                .into_iter()
                .for_each(|group| self.rearrange(group, turn));
        }
    }

    fn is_registered(&self) -> bool {
        let own = self.image.broker(broker_id(self.own));
        own.is_some_and(|own| own.incarnation == Some(self.incarnation))
    }

    fn wanted(&self) -> Vec<Group> {
        let topics = self.image.topics();
        topics
            .flat_map(|topic| {
                let id = topic.id;
                let indexes = topic.partition_indexes();
                indexes.map(move |index| Group { topic: id, index })
            })
            .collect()
    }

    /// The replicas of a partition are what the image says now.
    fn rearrange(&mut self, group: Group, turn: &mut Turn<'_>) {
        let topic = self.image.topic_by_id(group.topic).expect("topics stay");
        let partition = topic.partition(group.index).expect("partitions stay");
        let (name, holders) = (topic.name.clone(), holders(partition));
        let wanted = partition.replica_on(broker_id(self.own));
        let own = wanted.and_then(ReplicaId::new);
        let opened = own.map(|replica| (replica, first_members(partition, replica)));
        let is_preferred = partition.preferred_leader() == Some(broker_id(self.own));
        if let Some(hosted) = self.hosted.get_mut(&group) {
            hosted.holders = holders;
            if wanted != Some(hosted.replica.get()) {
                self.close(group, turn);
            } else {
                return;
            }
        }
        if let Some((replica, members)) = opened {
            self.open(group, &name, (replica, members, is_preferred), turn);
        }
    }

    /// The replica here is not needed any more.
    fn close(&mut self, group: Group, turn: &mut Turn<'_>) {
        let mut hosted = self.hosted.remove(&group).expect("it is hosted");
        for asker in hosted.take_askers() {
            turn.refuse(asker, Refusal::NotLeader);
        }
        let id = hosted.id.clone();
        drop(hosted);
        turn.effects
            .push(Effect::Note(format!("{}: closes {id}", self.own + 1)));
        // A disk that is not there any more is noticed elsewhere.
        let deleted = self.dir.delete_log(&id, group.topic);
        let _ = deleted.map(|ticket| ticket.run());
    }

    pub(super) fn open(
        &mut self,
        group: Group,
        topic: &TopicName,
        (replica, members, preferred): (ReplicaId, Members, bool),
        turn: &mut Turn<'_>,
    ) {
        let id = partition_id(topic.clone(), group);
        let config = self.rules.log_config(group);
        let Ok(log) = self.dir.open_log(&id, group.topic, config, turn.now.wall) else {
            return;
        };
        let params = DriverParams {
            replica,
            members,
            seed: self.random.number() >> 1,
            life: self.random.number() >> 1,
            recovering: self.dir.boot().recovering && self.rules.bars(group),
            preferred,
            message_bytes: 2_000,
            begin_by_copy_bytes: u64::MAX,
        };
        let Ok(driver) = PartitionDriver::open(params, log) else {
            return;
        };
        turn.effects.push(Effect::Note(format!(
            "{}: opens {id} as {replica:?}",
            self.own + 1
        )));
        let holders = match group {
            METADATA => (0..self.rules.brokers)
                .map(|place| (metadata_replica(place), place))
                .collect(),
            _ => {
                let topic = self.image.topic_by_id(group.topic);
                let partition = topic.and_then(|topic| topic.partition(group.index));
                holders(partition.expect("it is opened since it is there"))
            }
        };
        let hosted = Hosted {
            coordinator: (topic.as_str() == OFFSETS_TOPIC).then(Groups::new),
            looked_to: driver.log_start_offset(),
            id,
            replica,
            holders,
            driver,
            write: None,
            sync: None,
            waiting: Vec::new(),
        };
        self.hosted.insert(group, hosted);
        let instant = turn.now.instant;
        self.drive(group, turn, |hosted, outcomes| {
            hosted.driver.start(instant, outcomes)
        });
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

    /// Writes down that nothing is missing any more of what a loss of power has taken.
    pub(super) fn note_recovered(&mut self) {
        let is_recovering = |hosted: &Hosted| hosted.driver.is_recovering();
        let is_whole = self.is_known && !self.hosted.values().any(is_recovering);
        if self.dir.boot().recovering && is_whole {
            // A disk that is not there any more is noticed elsewhere.
            let _ = self.dir.recovery_finished();
        }
    }
}

fn holders(partition: &PartitionImage) -> Vec<(ReplicaId, usize)> {
    let replicas = partition.replicas.iter();
    replicas
        .filter_map(|one| Some((ReplicaId::new(one.id)?, place_of(one.broker))))
        .collect()
}
