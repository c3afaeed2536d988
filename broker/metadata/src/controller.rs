//! Decides: a request and the cluster as it is give records and a reply. Nothing changes here;
//! the records change the image when they are committed, and then the reply leaves.
//!
//! One method per request, in the files beside this one. The refusals, their order and their
//! texts are Kafka's (`ReplicationControlManager`, `ConfigurationControlManager`,
//! `ClientQuotaControlManager`, `ControllerApis`).

use klamm_model::{BrokerId, ProducerId};

use crate::image::MetadataImage;
use crate::layers::BrokerLayers;
use crate::record::{ListenerAddress, MetadataRecord};
use crate::refusal::Refusal;
use crate::topic_config::TopicConfig;
use crate::topic_ids::TopicIds;

mod client_quotas;
mod configs;
mod partitions;
mod topics;

#[cfg(test)]
mod tests;

pub use client_quotas::{AlterQuotasReply, EntityParts, QuotaAlteration, QuotaOp};
pub use configs::{AlterOperation, AlterReply, AlterResource, ConfigChange};
pub use partitions::{CreatePartitionsReply, Election, NewPartitions, Reassignment, elect_leader};
pub use topics::{CreateReply, CreatedTopic, DeletedTopic, METADATA_TOPIC, NewTopic, TopicRef};

/// What decisions are made from; made anew for each.
#[derive(Debug)]
pub struct Controller<'a> {
    /// The cluster as it is.
    pub image: &'a MetadataImage,
    /// The configuration of this broker.
    pub layers: BrokerLayers<'a>,
    /// What a topic without settings of its own has.
    pub topic_defaults: &'a TopicConfig,
    /// How topics are created.
    pub rules: TopicRules,
    /// Where the identities of new topics come from.
    pub ids: &'a mut TopicIds,
}

/// How topics are created and deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicRules {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `klamm.partitions.max`: no more are created beyond it, of all topics together.
    pub partitions_max: usize,
    /// `klamm.replication.factor.clamp`.
    pub clamp_replication_factor: bool,
    /// `delete.topic.enable`.
    pub deletion_enabled: bool,
}

/// What follows from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision<R> {
    /// To be committed all together, or not at all.
    pub records: Vec<MetadataRecord>,
    /// To be sent once they are.
    pub reply: R,
}

/// How many partitions one request may create (`ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// How many producer ids a broker gets at once (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

impl Controller<'_> {
    /// The cluster's identity, if it has none yet.
    pub fn found_cluster(&mut self) -> Vec<MetadataRecord> {
        match self.image.cluster_id() {
            Some(_) => Vec::new(),
            None => vec![MetadataRecord::Cluster {
                id: self.ids.draw().to_string(),
            }],
        }
    }

    /// A broker has started: a record if it is new or anything about it has changed.
    pub fn register_broker(
        &self,
        id: BrokerId,
        rack: Option<String>,
        listeners: Vec<ListenerAddress>,
    ) -> Vec<MetadataRecord> {
        let known = self.image.broker(id);
        if known.is_some_and(|known| known.rack == rack && known.listeners == listeners) {
            return Vec::new();
        }
        vec![MetadataRecord::RegisterBroker {
            id,
            rack,
            listeners,
        }]
    }

    /// A block of producer ids that nobody was given before; the reply is its range.
    ///
    /// # Errors
    /// [`Refusal::NoProducerIds`] after 2^63 ids.
    pub fn allocate_producer_ids(&self) -> Result<Decision<std::ops::Range<ProducerId>>, Refusal> {
        let start = self.image.next_producer_id();
        let end = start
            .0
            .checked_add(PRODUCER_ID_BLOCK)
            .ok_or(Refusal::NoProducerIds)?;
        let end = ProducerId(end);
        Ok(Decision {
            records: vec![MetadataRecord::ProducerIds { next: end }],
            reply: start..end,
        })
    }

    /// How many partitions may still be created: none where there are more than are allowed.
    fn room_for_partitions(&self) -> usize {
        let there: usize = self
            .image
            .topics()
            .map(|topic| topic.partitions.len())
            .sum();
        self.rules.partitions_max.saturating_sub(there)
    }

    fn broker_ids(&self) -> Vec<BrokerId> {
        self.image.brokers().map(|broker| broker.id).collect()
    }

    /// Checks replicas chosen by hand.
    fn check_replicas(&self, replicas: &[BrokerId], before: Option<usize>) -> Result<(), Refusal> {
        if replicas.is_empty() {
            return Err(Refusal::AssignmentEmpty);
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        if let Some(unknown) = sorted.iter().find(|id| self.image.broker(**id).is_none()) {
            return Err(Refusal::AssignmentUnknownBroker(unknown.0));
        }
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Refusal::AssignmentRepeatsBroker(pair[0].0));
        }
        match before {
            Some(before) if before != replicas.len() => Err(Refusal::AssignmentUneven {
                found: replicas.len(),
                before,
            }),
            _ => Ok(()),
        }
    }
}
