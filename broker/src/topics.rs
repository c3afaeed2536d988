//! The partitions of this broker, found by the topic's name or id.

use std::collections::BTreeMap;
use std::rc::Rc;

use klamm_model::{PartitionIndex, TopicId, TopicName};

use crate::partition::Partition;

/// One topic of which this broker holds partitions.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    /// By number; `None` is one that could not be opened.
    partitions: Vec<Option<Rc<Partition>>>,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Rc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.get(index)?.as_ref()
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Rc<Partition>> {
        self.partitions.iter().flatten()
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<TopicName, Topic>,
    names: BTreeMap<TopicId, TopicName>,
}

impl Topics {
    pub(crate) fn by_name(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn by_id(&self, id: TopicId) -> Option<&Topic> {
        self.names.get(&id).and_then(|name| self.by_name.get(name))
    }

    /// Every partition, sorted by topic and number.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Rc<Partition>> {
        self.by_name.values().flat_map(Topic::partitions)
    }

    pub(crate) fn insert(&mut self, partition: Rc<Partition>) {
        let id = partition.id();
        let topic = self
            .by_name
            .entry(id.topic.clone())
            .or_insert_with(|| Topic {
                id: partition.topic_id(),
                partitions: Vec::new(),
            });
        self.names.insert(partition.topic_id(), id.topic.clone());
        let PartitionIndex(index) = id.partition;
        let index = usize::try_from(index).expect("partitions are numbered from 0");
        if topic.partitions.len() <= index {
            topic.partitions.resize(index + 1, None);
        }
        let before = topic.partitions[index].replace(partition);
        assert!(before.is_none(), "a partition is opened once");
    }

    /// Takes a topic out with all its partitions.
    pub(crate) fn remove(&mut self, id: TopicId) -> Option<Topic> {
        let name = self.names.remove(&id)?;
        self.by_name.remove(&name)
    }

    /// Takes one partition out.
    pub(crate) fn remove_partition(&mut self, partition: &Rc<Partition>) {
        let id = partition.id();
        let Some(topic) = self.by_name.get_mut(&id.topic) else {
            return;
        };
        let index = usize::try_from(id.partition.0).expect("partitions are numbered from 0");
        if let Some(place) = topic.partitions.get_mut(index) {
            place.take();
        }
        if topic.partitions().next().is_none() {
            self.remove(partition.topic_id());
        }
    }

    /// Takes everything out, at the end of the process.
    pub(crate) fn take_all(&mut self) -> Vec<Rc<Partition>> {
        self.names.clear();
        std::mem::take(&mut self.by_name)
            .into_values()
            .flat_map(|topic| topic.partitions.into_iter().flatten())
            .collect()
    }
}
