//! Decides: a request and the cluster as it is give records and a reply. Nothing changes here;
//! the records change the image when they are committed, and then the reply leaves.
//!
//! One method per request, in the files beside this one. The refusals, their order and their
//! texts are Kafka's (`ReplicationControlManager`, `ConfigurationControlManager`,
//! `ClientQuotaControlManager`, `ControllerApis`).

use std::collections::BTreeSet;

use klamm_model::{BrokerId, ProducerId};

use crate::image::{KLAMM_VERSION, KLAMM_VERSION_LEVEL, MetadataImage};
use crate::layers::BrokerLayers;
use crate::placement::Placement;
use crate::record::MetadataRecord;
use crate::refusal::Refusal;
use crate::topic_config::TopicConfig;
use crate::topic_ids::TopicIds;

mod brokers;
mod client_quotas;
mod configs;
mod partitions;
mod reassignments;
mod topics;
mod unclean;

#[cfg(test)]
mod tests;

pub use brokers::Registration;
pub use client_quotas::{AlterQuotasReply, EntityParts, QuotaAlteration, QuotaOp};
pub use configs::{AlterOperation, AlterReply, AlterResource, ConfigChange};
pub use partitions::{CreatePartitionsReply, Election, NewPartitions, elect_leader};
pub use reassignments::{
    OngoingReassignment, Reassignment, TopicReassignments, list_reassignments,
};
pub use topics::{CreateReply, CreatedTopic, DeletedTopic, METADATA_TOPIC, NewTopic, TopicRef};
pub use unclean::{Contender, UncleanOutcome};

/// What decisions are made from; made anew for each.
#[derive(Debug)]
pub struct Controller<'a> {
    /// The cluster as it is.
    pub image: &'a MetadataImage,
    /// The brokers that the controller reaches, itself included.
    pub alive: &'a BTreeSet<BrokerId>,
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

impl<R> Decision<Result<R, Refusal>> {
    /// A decision or a refusal, which changes nothing.
    pub fn of_either(decided: Result<Decision<R>, Refusal>) -> Self {
        let (records, reply) = match decided {
            Ok(Decision { records, reply }) => (records, Ok(reply)),
            Err(refusal) => (Vec::new(), Err(refusal)),
        };
        Self { records, reply }
    }
}

/// How many partitions one request may create (`ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// How many producer ids a broker gets at once (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

impl Controller<'_> {
    /// The cluster's identity, if it has none yet, and the level of its metadata.
    pub fn found_cluster(&mut self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if self.image.cluster_id().is_none() {
            let id = self.ids.draw().to_string();
            records.push(MetadataRecord::Cluster { id });
        }
        records.extend(self.finalize_features());
        records
    }

    /// The level of [`KLAMM_VERSION`], where the cluster is older than it.
    pub fn finalize_features(&self) -> Option<MetadataRecord> {
        let is_older = self.image.feature(KLAMM_VERSION).is_none();
        is_older.then(|| MetadataRecord::Feature {
            name: KLAMM_VERSION.to_owned(),
            level: KLAMM_VERSION_LEVEL,
        })
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

    /// Where new partitions may be placed: on the registered brokers that are alive.
    fn placement(&self) -> Placement {
        let alive = self
            .image
            .brokers()
            .filter(|broker| self.alive.contains(&broker.id));
        Placement::on(alive.map(|broker| (broker.id, broker.rack.as_deref())))
    }

    /// Why there is no room for `asked` replicas.
    fn too_few_brokers(&self, asked: i16, alive: usize) -> Refusal {
        match (alive, self.image.broker_count()) {
            (alive, registered) if alive == registered => Refusal::TooFewBrokers {
                asked,
                brokers: registered,
            },
            (0, _) => Refusal::NoBrokerAlive { asked },
            (alive, registered) => Refusal::TooFewAlive {
                asked,
                alive,
                registered,
            },
        }
    }

    /// Checks replicas chosen by hand for a new partition.
    fn check_new_replicas(
        &self,
        partition: i32,
        replicas: &[BrokerId],
        before: Option<usize>,
    ) -> Result<(), Refusal> {
        self.check_replicas(replicas, before)?;
        if replicas.iter().any(|id| self.alive.contains(id)) {
            Ok(())
        } else {
            Err(Refusal::AssignmentNotAlive(partition))
        }
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
