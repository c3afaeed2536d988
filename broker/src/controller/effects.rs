//! What a change of the metadata means for this broker's partitions.

use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::image::ConfigResource;
use klamm_metadata::{
    MetadataImage, MetadataRecord, PartitionImage, ResourceKind, UncleanElection,
};
use klamm_model::{BrokerId, PartitionIndex, TopicId, TopicPartition};

use crate::hosting::{self, Wanted};
use crate::partition::Partition;
use crate::peer::Address;
use crate::shard::Shard;
use crate::tasks;
use crate::topics::Topic;

/// Opens the partitions that are new in `image`, and those of which this broker is to hold a replica
/// now.
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
    let _unchanged = shard.controller.opening.lock().await;
    let wanted = missing(shard);
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

/// All partitions that should be open here and are not.
pub(crate) fn missing(shard: &Shard) -> Vec<Wanted> {
    let image = shard.image();
    let all = image.topics().flat_map(|topic| {
        let indexes = topic.partition_indexes();
        indexes.map(|index| (topic.id, index)).collect::<Vec<_>>()
    });
    wanted(shard, &image, all)
}

/// Those of the partitions of which this broker is to hold a replica, and that are not open.
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
            let one = hosting::wanted(topic, index, shard.node_id, &settings);
            // A record may name a partition more than once.
            let is_new = |one: &Wanted| wanted.last().is_none_or(|last| last.id != one.id);
            let is_free = |one: &Wanted| is_new(one) && !shard.copies.is_replacing(&one.id);
            wanted.extend(one.filter(is_free));
        }
    }
    wanted
}

/// Takes partitions into and out of service and reconfigures them, as the image now says. `before` is
/// the image without these records.
pub(super) fn perform(
    shard: &Rc<Shard>,
    before: &MetadataImage,
    records: &[MetadataRecord],
    opened: Vec<Rc<Partition>>,
) {
    for partition in opened {
        shard.host(partition);
    }
    let mut quotas_changed = false;
    for record in records {
        match record {
            MetadataRecord::RemoveTopic { id } => remove_topic(shard, before, *id),
            MetadataRecord::Partition { topic, index, .. } => rearrange(shard, *topic, *index),
            MetadataRecord::Config { resource, .. } => reconfigure(shard, resource),
            MetadataRecord::ClientQuota { .. } => quotas_changed = true,
            MetadataRecord::RegisterBroker { id, .. } => learn(shard, *id),
            MetadataRecord::UnregisterBroker { id } => {
                shard.peers.forget(*id);
                shard.peers.note_removed(*id);
            }
            MetadataRecord::Cluster { .. }
            | MetadataRecord::Topic { .. }
            | MetadataRecord::Feature { .. }
            | MetadataRecord::BrokerNumber { .. }
            | MetadataRecord::ProducerIds { .. } => {}
        }
    }
    if quotas_changed {
        shard.quotas.changed(shard.image().client_quotas());
    }
}

/// Connects to a broker where it is now.
pub(crate) fn learn(shard: &Rc<Shard>, broker: BrokerId) {
    let image = shard.image();
    let registered = image.broker(broker);
    if let Some(peer) = registered.and_then(|broker| broker.peer.clone()) {
        let address = Address {
            host: peer.host,
            port: peer.port,
        };
        shard.peers.learn(shard, broker, address);
    }
}

/// The replicas of a partition have changed.
fn rearrange(shard: &Rc<Shard>, topic: TopicId, index: PartitionIndex) {
    let image = shard.image();
    let found = image.topic_by_id(topic);
    let (Some(topic), Some(partition)) = (found, found.and_then(|topic| topic.partition(index)))
    else {
        return;
    };
    let held = shard.topics.borrow().by_id(topic.id).cloned();
    let held = held.and_then(|topic| topic.partition(index.0).cloned());
    let Some(held) = held else {
        return;
    };
    held.set_holders(hosting::holders(partition));
    match partition.replica_on(shard.node_id) {
        None => remove_partition(shard, &held),
        // Whatever has failed is not tried again before a restart.
        Some(_) if held.driver().offline().is_some() => {}
        Some(replica) if !is_up_to_date(&held, replica, partition) => open_anew(shard, held),
        Some(_) => {}
    }
}

/// Whether a partition that is open is the replica that it should be, and, if an unclean election was won by
/// it, goes on alone.
fn is_up_to_date(held: &Partition, replica: u64, wanted: &PartitionImage) -> bool {
    let driver = held.driver();
    let is_told = |election: UncleanElection| {
        election.survivor != replica || driver.members().unclean_elections >= election.number
    };
    driver.replica_id().get() == replica && wanted.unclean_election.is_none_or(is_told)
}

/// The partition is open as a replica that there is no more, or with members that were given up: it is closed,
/// and opened as the metadata now says.
fn open_anew(shard: &Rc<Shard>, held: Rc<Partition>) {
    tracing::warn!(partition = %held.id(), "the replica here is opened anew, as the metadata now says");
    shard.copies.begin_replacing(held.id());
    retire(shard, &held);
    let shard = shard.clone();
    tasks::spawn(async move {
        held.at_rest().await;
        if let Err(error) = held.driver_mut().close() {
            tracing::error!(partition = %held.id(), %error, "log cannot be closed");
        }
        reopen(&shard, held.id(), held.topic_id()).await;
    });
}

/// Takes a partition out of service: whoever waits is told to look elsewhere.
pub(crate) fn retire(shard: &Rc<Shard>, partition: &Rc<Partition>) {
    shard.topics.borrow_mut().remove_partition(partition);
    shard.unhost(partition);
    partition.leave();
    shard.settle(std::slice::from_ref(partition));
}

/// Opens a partition that was retired, as the metadata now says. Nobody else may do so meanwhile.
pub(crate) async fn reopen(shard: &Rc<Shard>, partition: &TopicPartition, topic_id: TopicId) {
    loop {
        let wanted = wanted_now(shard, partition, topic_id);
        let sought = wanted.as_ref().map(Wanted::identity);
        let wanted = Vec::from_iter(wanted);
        let opened = shard.opener(&shard.config()).open(wanted).await;
        // The metadata may have changed.
        let _unchanged = shard.controller.opening.lock().await;
        let wanted = wanted_now(shard, partition, topic_id);
        if wanted.map(|wanted| wanted.identity()) != sought {
            for partition in opened {
                partition.driver_mut().retire();
            }
            continue;
        }
        shard.replaced(partition);
        if sought.is_none() {
            return delete_files(shard, partition, topic_id, Duration::ZERO);
        }
        shard.note_unopened(1 - opened.len());
        for partition in opened {
            shard.host(partition);
        }
        return;
    }
}

fn wanted_now(shard: &Shard, partition: &TopicPartition, topic_id: TopicId) -> Option<Wanted> {
    let image = shard.image();
    let topic = image.topic_by_id(topic_id)?;
    let settings = hosting::topic_config(&shard.config(), &image, topic.name.as_str());
    hosting::wanted(topic, partition.partition, shard.node_id, &settings)
}

/// Another broker holds the replica now.
fn remove_partition(shard: &Rc<Shard>, partition: &Rc<Partition>) {
    tracing::info!(partition = %partition.id(), "the replica here is not needed any more");
    let delay = Duration::from_millis(partition.config().file_delete_delay_ms);
    retire(shard, partition);
    delete_files(shard, partition.id(), partition.topic_id(), delay);
}

fn delete_files(shard: &Rc<Shard>, partition: &TopicPartition, id: TopicId, delay: Duration) {
    match shard.log_dirs.delete_log(partition, id) {
        Ok(Some(ticket)) => shard.remove_files(delay, ticket),
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%partition, %error, "files cannot be deleted");
        }
    }
}

fn remove_topic(shard: &Rc<Shard>, before: &MetadataImage, id: TopicId) {
    shard.peers.forget_topic(id);
    if let Some(topic) = before.topic_by_id(id) {
        shard.coordinators.topic_deleted(topic);
    }
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
        // Those that are being replaced are looked after by whoever does it.
        if topic_id != id || shard.copies.is_replacing(&partition) {
            continue;
        }
        delete_files(shard, &partition, id, delay);
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
