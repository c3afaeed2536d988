//! Consumer groups: finds the coordinator of a group among those of this broker.
//!
//! Each partition of `__consumer_offsets` that this broker holds has a [`GroupPartition`], which
//! runs the pure `klamm_coordinator` on the partition's log. The topic is made when the first
//! client looks for its coordinator ([`offsets_topic`]).

mod group_partition;
mod load;
pub(crate) mod offsets_topic;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use klamm_coordinator::{
    GroupCoordinator, GroupError, GroupState, Reply, Request, partition_for_group,
};
use klamm_metadata::TopicImage;
use klamm_model::{PartitionIndex, TopicId, TopicPartition};

use self::group_partition::GroupPartition;
use self::offsets_topic::OFFSETS_TOPIC;
use crate::partition::Partition;
use crate::shard::Shard;

/// The topic of offsets, and the partition that coordinates a group; `None` as long as there is none.
pub(crate) fn place_of(shard: &Shard, group_id: &str) -> Option<(TopicId, PartitionIndex)> {
    let image = shard.image();
    let topic = image.topic(OFFSETS_TOPIC)?;
    let count = i32::try_from(topic.partitions.len()).ok()?;
    Some((topic.id, partition_for_group(group_id, count)))
}

/// The coordinators of this broker.
#[derive(Default)]
pub(crate) struct Coordinators {
    partitions: RefCell<BTreeMap<PartitionIndex, Rc<GroupPartition>>>,
}

impl Coordinators {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A partition has been taken into service; `__consumer_offsets` gets a coordinator.
    pub(crate) fn partition_opened(&self, shard: &Rc<Shard>, partition: &Rc<Partition>) {
        if partition.id().topic.as_str() == OFFSETS_TOPIC {
            let group_partition = GroupPartition::open(shard, partition.clone());
            self.partitions
                .borrow_mut()
                .insert(partition.id().partition, group_partition);
        }
    }

    /// A partition has left service.
    pub(crate) fn partition_closed(&self, partition: &Rc<Partition>) {
        let id = partition.id();
        if id.topic.as_str() == OFFSETS_TOPIC {
            let closed = self.partitions.borrow_mut().remove(&id.partition);
            if let Some(closed) = closed {
                closed.close();
            }
        }
    }

    /// A topic was deleted: what was committed for it goes too.
    pub(crate) fn topic_deleted(&self, topic: &TopicImage) {
        let deleted = topic.partition_indexes();
        let deleted = deleted.map(|index| TopicPartition::new(topic.name.clone(), index));
        let deleted: Vec<_> = deleted.collect();
        for group_partition in self.all() {
            group_partition.partitions_deleted(deleted.clone());
        }
    }

    /// A partition is led here now.
    pub(crate) fn partition_led(&self, partition: &Partition) {
        if let Some(group_partition) = self.on(partition) {
            group_partition.led();
        }
    }

    /// A partition is not led here any more.
    pub(crate) fn partition_lost(&self, partition: &Partition) {
        if let Some(group_partition) = self.on(partition) {
            group_partition.lost();
        }
    }

    fn on(&self, partition: &Partition) -> Option<Rc<GroupPartition>> {
        let id = partition.id();
        if id.topic.as_str() != OFFSETS_TOPIC {
            return None;
        }
        self.partitions.borrow().get(&id.partition).cloned()
    }

    /// Hands a request to the group's coordinator. `respond` is called once, now or later.
    pub(crate) fn request(
        &self,
        shard: &Shard,
        request: Request,
        respond: impl FnOnce(Reply) + 'static,
    ) {
        match self.find(shard, request.group_id()) {
            Some(partition) => partition.request(request, Box::new(respond)),
            None => respond(request.refused(GroupError::NotCoordinator)),
        }
    }

    /// Reads from the group's coordinator.
    pub(crate) fn read<T>(
        &self,
        shard: &Shard,
        group_id: &str,
        read: impl FnOnce(&GroupCoordinator) -> T,
    ) -> Result<T, GroupError> {
        self.find(shard, group_id)
            .ok_or(GroupError::NotCoordinator)?
            .read(read)
    }

    /// Reads from all coordinators of this broker. Those that serve nothing now and never will
    /// are left out, those that are loading are an error.
    pub(crate) fn read_all<T>(
        &self,
        read: impl Fn(&GroupCoordinator) -> T,
    ) -> Result<Vec<T>, GroupError> {
        let mut found = Vec::new();
        for partition in self.all() {
            match partition.read(&read) {
                Ok(value) => found.push(value),
                Err(GroupError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Groups by state, for each coordinator that serves.
    pub(crate) fn count_groups(&self) -> Vec<BTreeMap<GroupState, usize>> {
        let all = self.all();
        let counted = all.iter().map(|partition| partition.count_groups());
        counted.flatten().collect()
    }

    fn find(&self, shard: &Shard, group_id: &str) -> Option<Rc<GroupPartition>> {
        let (_, index) = place_of(shard, group_id)?;
        self.partitions.borrow().get(&index).cloned()
    }

    fn all(&self) -> Vec<Rc<GroupPartition>> {
        self.partitions.borrow().values().cloned().collect()
    }
}
