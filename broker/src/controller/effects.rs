//! What a change of the metadata means for this broker's partitions.

use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::image::ConfigResource;
use klamm_metadata::{MetadataImage, MetadataRecord, ResourceKind};
use klamm_model::{PartitionIndex, TopicId, TopicPartition};

use crate::hosting::{self, Wanted};
use crate::partition::Partition;
use crate::shard::Shard;
use crate::topics::Topic;

/// Opens the partitions that are new in `image`.
pub(super) async fn open_new(
    shard: &Rc<Shard>,
    image: &MetadataImage,
    records: &[MetadataRecord],
) -> Vec<Rc<Partition>> {
    let new = records.iter().filter_map(|record| match record {
        MetadataRecord::Partition { topic, index, .. } => Some((*topic, *index)),
        _ => None,
    });
    let wanted = wanted(shard, image, new);
    let count = wanted.len();
    let opened = shard.opener(&shard.config()).open(wanted).await;
    shard.note_unopened(count - opened.len());
    opened
}

/// Tries again to open every partition that could not be opened, such as for want of room. Whether
/// all are open now.
pub(crate) async fn open_missing(shard: &Rc<Shard>) -> bool {
    let _unchanged = shard.controller.changing.lock().await;
    let image = shard.image();
    let all = image.topics().flat_map(|topic| {
        (0..topic.partitions.len()).map(|index| (topic.id, PartitionIndex(index as i32)))
    });
    let wanted = wanted(shard, &image, all);
    let count = wanted.len();
    let opened = shard.opener(&shard.config()).open(wanted).await;
    let unopened = count - opened.len();
    shard.note_unopened(unopened);
    for partition in opened {
        tracing::info!(partition = %partition.id(), "partition is open now");
        shard.host(partition);
    }
    unopened == 0
}

/// Those of the partitions that are not open.
fn wanted(
    shard: &Shard,
    image: &MetadataImage,
    partitions: impl Iterator<Item = (TopicId, PartitionIndex)>,
) -> Vec<Wanted> {
    let config = shard.config();
    let held = shard.topics.borrow();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (topic, index) in partitions {
        let is_held = held
            .by_id(topic)
            .is_some_and(|topic| topic.partition(index.0).is_some());
        if let (Some(topic), false) = (image.topic_by_id(topic), is_held) {
            let settings = match wanted.last() {
                Some(last) if last.topic_id == topic.id => last.config.clone(),
                _ => hosting::topic_config(&config, image, topic.name.as_str()),
            };
            wanted.push(Wanted {
                id: TopicPartition::new(topic.name.clone(), index),
                topic_id: topic.id,
                config: settings,
            });
        }
    }
    wanted
}

/// Takes partitions into and out of service and reconfigures them, as the image now says.
pub(super) fn perform(shard: &Rc<Shard>, records: &[MetadataRecord], opened: Vec<Rc<Partition>>) {
    for partition in opened {
        shard.host(partition);
    }
    let mut quotas_changed = false;
    for record in records {
        match record {
            MetadataRecord::RemoveTopic { id } => remove_topic(shard, *id),
            MetadataRecord::Config { resource, .. } => reconfigure(shard, resource),
            MetadataRecord::ClientQuota { .. } => quotas_changed = true,
            MetadataRecord::Cluster { .. }
            | MetadataRecord::RegisterBroker { .. }
            | MetadataRecord::Topic { .. }
            | MetadataRecord::Partition { .. }
            | MetadataRecord::ProducerIds { .. } => {}
        }
    }
    if quotas_changed {
        shard.quotas.changed(shard.image().client_quotas());
    }
}

fn remove_topic(shard: &Rc<Shard>, id: TopicId) {
    let topic = shard.topics.borrow_mut().remove(id);
    let mut delay = Duration::ZERO;
    for partition in topic.iter().flat_map(Topic::partitions) {
        shard.unhost(partition);
        delay = Duration::from_millis(partition.config().file_delete_delay_ms);
        // Whoever waits is told that the topic is gone, before its files go.
        partition.delete();
        shard.settle(std::slice::from_ref(partition));
    }
    // Also of partitions that could not be opened.
    for (partition, topic_id) in shard.log_dirs.partitions() {
        if topic_id != id {
            continue;
        }
        match shard.log_dirs.delete_log(&partition, id) {
            Ok(Some(ticket)) => shard.remove_files(delay, ticket),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%partition, %error, "files cannot be deleted");
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
