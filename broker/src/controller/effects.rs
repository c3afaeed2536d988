//! What a change of the metadata means for this broker's partitions.

use std::rc::Rc;

use klamm_metadata::image::ConfigResource;
use klamm_metadata::{MetadataImage, MetadataRecord, ResourceKind};
use klamm_model::{TopicId, TopicPartition};
use klamm_protocol::ErrorCode;

use crate::hosting::{self, Wanted};
use crate::partition::Partition;
use crate::shard::Shard;

/// Opens the partitions that are new in `image`.
pub(super) async fn open_new(
    shard: &Rc<Shard>,
    image: &MetadataImage,
    records: &[MetadataRecord],
) -> Vec<Rc<Partition>> {
    let config = shard.config();
    let mut wanted: Vec<Wanted> = Vec::new();
    for record in records {
        let MetadataRecord::Partition { topic, index, .. } = record else {
            continue;
        };
        let held = shard.topics.borrow();
        let is_held = held
            .by_id(*topic)
            .is_some_and(|topic| topic.partition(index.0).is_some());
        if let (Some(topic), false) = (image.topic_by_id(*topic), is_held) {
            let settings = match wanted.last() {
                Some(last) if last.topic_id == topic.id => last.config.clone(),
                _ => hosting::topic_config(&config, image, topic.name.as_str()),
            };
            wanted.push(Wanted {
                id: TopicPartition::new(topic.name.clone(), *index),
                topic_id: topic.id,
                config: settings,
            });
        }
    }
    shard.opener(&config).open(wanted).await
}

/// Takes partitions into and out of service and reconfigures them, as the image now says.
pub(super) fn perform(shard: &Rc<Shard>, records: &[MetadataRecord], opened: Vec<Rc<Partition>>) {
    for partition in opened {
        shard.host(partition);
    }
    for record in records {
        match record {
            MetadataRecord::RemoveTopic { id } => remove_topic(shard, *id),
            MetadataRecord::Config { resource, .. } => reconfigure(shard, resource),
            MetadataRecord::Cluster { .. }
            | MetadataRecord::RegisterBroker { .. }
            | MetadataRecord::Topic { .. }
            | MetadataRecord::Partition { .. }
            | MetadataRecord::ProducerIds { .. } => {}
        }
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
            Ok(Some(ticket)) => shard.remove_files(partition, ticket),
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
