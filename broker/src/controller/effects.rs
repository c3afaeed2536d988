//! What a change of the metadata means for this broker's partitions.

use std::collections::BTreeSet;
use std::rc::Rc;

use klamm_metadata::image::ConfigResource;
use klamm_metadata::{MetadataRecord, ResourceKind};
use klamm_model::TopicId;
use klamm_protocol::ErrorCode;

use crate::hosting;
use crate::shard::Shard;

/// Opens, closes and reconfigures partitions so that they are as the image says.
pub(super) fn perform(shard: &Rc<Shard>, records: &[MetadataRecord]) {
    let mut grown: BTreeSet<TopicId> = BTreeSet::new();
    for record in records {
        match record {
            MetadataRecord::Partition { topic, .. } => {
                grown.insert(*topic);
            }
            MetadataRecord::RemoveTopic { id } => {
                grown.remove(id);
                remove_topic(shard, *id);
            }
            MetadataRecord::Config { resource, .. } => reconfigure(shard, resource),
            MetadataRecord::Cluster { .. }
            | MetadataRecord::RegisterBroker { .. }
            | MetadataRecord::Topic { .. }
            | MetadataRecord::ProducerIds { .. } => {}
        }
    }
    for topic in grown {
        open_new_partitions(shard, topic);
    }
}

fn open_new_partitions(shard: &Rc<Shard>, id: TopicId) {
    let image = shard.image();
    let Some(topic) = image.topic_by_id(id) else {
        return;
    };
    let held = shard
        .topics
        .borrow()
        .by_id(id)
        .map_or(0, |topic| topic.partitions().count());
    let config = shard.config();
    let wanted = hosting::wanted_of(&config, &image, topic, held);
    for partition in hosting::open(&shard.log_dirs, shard.clock, &config, wanted) {
        shard.host(partition);
    }
}

fn remove_topic(shard: &Rc<Shard>, id: TopicId) {
    let Some(topic) = shard.topics.borrow_mut().remove(id) else {
        return;
    };
    for partition in topic.partitions() {
        shard.unhost(partition);
        // Whoever waits is told that the topic is gone, before its files go.
        partition.fail_all(ErrorCode::UnknownTopicOrPartition);
        shard.settle(std::slice::from_ref(partition));
        match shard.log_dirs.delete_log(partition.id(), id) {
            Ok(Some(ticket)) => shard.remove_files(ticket),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(partition = %partition.id(), %error, "files cannot be deleted");
            }
        }
    }
}

fn reconfigure(shard: &Rc<Shard>, resource: &ConfigResource) {
    match resource.kind {
        ResourceKind::Topic => {
            let topics = shard.topics.borrow();
            let Some(topic) = topics.by_name(&resource.name) else {
                return;
            };
            shard.reconfigure(topic.partitions());
        }
        ResourceKind::Broker => {
            shard.resolve_config();
            let topics = shard.topics.borrow();
            shard.reconfigure(topics.partitions());
        }
        ResourceKind::Group => {}
    }
}
