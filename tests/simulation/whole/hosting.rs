//! Which partitions a broker holds: opened once the cluster knows that it has started, and as the metadata
//! change; tried again from time to time where the disk did not give them. A stand-in for `hosting`,
//! `controller::effects` and `upkeep`, with the product's rules of who begins with which members, and when
//! it is tried again.

use std::collections::BTreeSet;

use klamm_broker::partition::assignment::first_members;
use klamm_broker::partition::driver::{DriverParams, PartitionDriver};
use klamm_metadata::PartitionImage;
use klamm_model::TopicName;
use klamm_replication::{Members, ReplicaId};
use klamm_storage::{JournalError, OpenLogError};

use super::groups::Groups;
use super::hosted::Hosted;
use super::messages::{Group, Refusal};
use super::process::{Effect, Process, Turn, partition_id};
use super::rules::{
    METADATA, OFFSETS_TOPIC, broker_id, metadata_replica, metadata_topic, place_of,
};

/// A replica that is to be opened.
pub(super) struct Wanted {
    pub(super) group: Group,
    pub(super) topic: TopicName,
    pub(super) replica: ReplicaId,
    /// Those with which the group began, for a log that is new.
    pub(super) members: Members,
    pub(super) holders: Vec<(ReplicaId, usize)>,
    pub(super) is_preferred: bool,
}

impl Process {
    // ---- What is wanted ----

    /// What this broker is to hold of a partition.
    fn wanted(&self, group: Group) -> Option<Wanted> {
        let topic = self.image.topic_by_id(group.topic)?;
        let partition = topic.partition(group.index)?;
        let own = broker_id(self.own);
        let replica = ReplicaId::new(partition.replica_on(own)?)?;
        Some(Wanted {
            group,
            topic: topic.name.clone(),
            replica,
            members: first_members(partition, replica),
            holders: holders(partition),
            is_preferred: partition.preferred_leader() == Some(own),
        })
    }

    /// All that should be open here and is not.
    fn missing(&self) -> Vec<Wanted> {
        let topics = self.image.topics();
        let groups = topics.flat_map(|topic| {
            let id = topic.id;
            let indexes = topic.partition_indexes();
            indexes.map(move |index| Group { topic: id, index })
        });
        let wanted = groups.filter(|group| !self.hosted.contains_key(group));
        wanted.filter_map(|group| self.wanted(group)).collect()
    }

    // ---- Opening ----

    /// Opens what should be open and is not; what cannot be is tried again later.
    pub(super) fn open_missing(&mut self, turn: &mut Turn<'_>) {
        for wanted in self.missing() {
            self.open(wanted, turn);
        }
        self.patience.looked(self.missing().is_empty());
        self.looks_at = turn.now.instant + self.patience.wait();
    }

    /// The same when its time has come.
    pub(super) fn look_for_missing(&mut self, turn: &mut Turn<'_>) {
        if self.is_known && self.looks_at <= turn.now.instant {
            self.open_missing(turn);
        }
    }

    /// Opens a replica, if the disk gives its log.
    pub(super) fn open(&mut self, wanted: Wanted, turn: &mut Turn<'_>) {
        let group = wanted.group;
        let id = partition_id(wanted.topic.clone(), group);
        let config = self.rules.log_config(group);
        let opened = self.dir.open_log(&id, group.topic, config, turn.now.wall);
        let log = match opened {
            Ok(log) => log,
            Err(error) => {
                self.journal_is_offline |=
                    matches!(error, OpenLogError::Journal(JournalError::Offline { .. }));
                return self.note(turn, &format!("cannot open {id}: {error}"));
            }
        };
        let params = DriverParams {
            replica: wanted.replica,
            members: wanted.members,
            seed: self.random.number() >> 1,
            life: self.random.number() >> 1,
            recovering: self.dir.boot().recovering && self.rules.bars(group),
            preferred: wanted.is_preferred,
            message_bytes: 2_000,
            begin_by_copy_bytes: u64::MAX,
        };
        let driver = match PartitionDriver::open(params, log) {
            Ok(driver) => driver,
            Err(error) => return self.note(turn, &format!("cannot drive {id}: {error}")),
        };
        self.note(turn, &format!("opens {id} as {:?}", wanted.replica));
        let hosted = Hosted {
            coordinator: (wanted.topic.as_str() == OFFSETS_TOPIC).then(Groups::new),
            looked_to: driver.log_start_offset(),
            id,
            replica: wanted.replica,
            holders: wanted.holders,
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

    /// The partition that a broker holds without being told to.
    pub(super) fn wanted_metadata(&self) -> Wanted {
        let replica = metadata_replica(self.own);
        let founders = self.rules.founders();
        let members = match founders.voters.contains(&replica) {
            true => founders,
            false => Members::default(),
        };
        let all = 0..self.rules.brokers;
        Wanted {
            group: METADATA,
            topic: metadata_topic(),
            replica,
            members,
            holders: all.map(|place| (metadata_replica(place), place)).collect(),
            is_preferred: false,
        }
    }

    // ---- Changes ----

    /// The replicas of partitions are what the image says now.
    pub(super) fn rearrange(&mut self, changed: BTreeSet<Group>, turn: &mut Turn<'_>) {
        for group in changed {
            let wanted = self.wanted(group);
            let topic = self.image.topic_by_id(group.topic);
            let partition = topic.and_then(|topic| topic.partition(group.index));
            let holders = holders(partition.expect("partitions stay"));
            if let Some(hosted) = self.hosted.get_mut(&group) {
                hosted.holders = holders;
                let (held, offline) = (hosted.replica, hosted.driver.offline().is_some());
                match &wanted {
                    None => self.remove(group, turn),
                    // Whatever has failed is not tried again before a restart.
                    Some(_) if offline => continue,
                    Some(wanted) if wanted.replica == held => continue,
                    Some(_) => self.close(group, turn).close_log(turn.now.instant),
                }
            }
            if let Some(wanted) = wanted {
                self.open(wanted, turn);
            }
        }
    }

    /// The replica here is not needed any more.
    fn remove(&mut self, group: Group, turn: &mut Turn<'_>) {
        let hosted = self.close(group, turn);
        let id = hosted.id.clone();
        drop(hosted);
        // A disk that is not there any more is noticed elsewhere.
        let deleted = self.dir.delete_log(&id, group.topic);
        if let Err(error) = deleted.and_then(|ticket| Ok(ticket.run()?)) {
            self.note(turn, &format!("cannot delete {id}: {error}"));
        }
    }

    /// Takes a replica out of service.
    fn close(&mut self, group: Group, turn: &mut Turn<'_>) -> Hosted {
        let mut hosted = self.hosted.remove(&group).expect("it is hosted");
        for asker in hosted.take_askers() {
            turn.refuse(asker, Refusal::NotLeader);
        }
        self.note(turn, &format!("closes {}", hosted.id));
        hosted
    }

    fn note(&self, turn: &mut Turn<'_>, what: &str) {
        let line = format!("{}: {what}", self.own + 1);
        turn.effects.push(Effect::Note(line));
    }

    // ---- After a loss of power ----

    /// Writes down that nothing is missing any more of what a loss of power has taken.
    pub(super) fn note_recovered(&mut self) {
        let is_recovering = |hosted: &Hosted| hosted.driver.is_recovering();
        // One that is not open may lack something.
        let is_whole =
            self.is_known && self.missing().is_empty() && !self.hosted.values().any(is_recovering);
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
