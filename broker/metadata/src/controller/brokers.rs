//! Brokers register when they start, and are unregistered when they shall never come back.
//!
//! A number and a disk belong together: whoever comes under a registered number without its disks
//! is another broker, or one that lost what its replicas had acknowledged. Neither may speak for
//! them.

use std::collections::BTreeSet;

use klamm_model::{BrokerId, TopicId};

use super::{Controller, Decision};
use crate::image::{BrokerImage, KLAMM_VERSION};
use crate::record::{ListenerAddress, MetadataRecord, PeerAddress};
use crate::refusal::Refusal;

/// A broker that has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The number it had before, or shall have; `None` asks for one.
    pub id: Option<BrokerId>,
    /// Another one at each start.
    pub incarnation: TopicId,
    /// Its log directories (`directory.id`).
    pub disks: Vec<TopicId>,
    /// Where other brokers reach it; `None` if it stands alone.
    pub peer: Option<PeerAddress>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Where clients reach it.
    pub listeners: Vec<ListenerAddress>,
    /// The highest level of [`KLAMM_VERSION`] that it understands.
    pub version: u16,
}

impl Controller<'_> {
    /// A broker without data wants to belong to the cluster; the reply is its number, which nobody else
    /// gets. One that its settings give is not checked against its disks before it registers.
    ///
    /// # Errors
    /// If the number was given to a broker that has been removed, or one is there that has data.
    pub fn admit_broker(&self, wanted: Option<BrokerId>) -> Result<Decision<BrokerId>, Refusal> {
        let Some(id) = wanted else {
            let id = self.unused_number()?;
            let records = vec![MetadataRecord::BrokerNumber { id }];
            return Ok(Decision { records, reply: id });
        };
        self.check_number(id)?;
        if let Some(disk) = self.image.broker(id).and_then(|known| known.disks.first()) {
            let (broker, disk) = (id.0, *disk);
            return Err(Refusal::OtherDisk { broker, disk });
        }
        Ok(Decision {
            records: Vec::new(),
            reply: id,
        })
    }

    /// A broker has started; the reply is its number. No record if nothing about it has changed.
    ///
    /// # Errors
    /// If its number or one of its disks is another broker's, or it is too old for the cluster.
    pub fn register_broker(
        &self,
        registration: Registration,
    ) -> Result<Decision<BrokerId>, Refusal> {
        self.check_level(registration.version)?;
        let id = match registration.id {
            Some(id) => id,
            None => self.unused_number()?,
        };
        self.check_number(id)?;
        self.check_disks(id, &registration.disks)?;
        let mut disks = registration.disks;
        disks.sort_unstable();
        let broker = BrokerImage {
            id,
            // Zeros are how a record says "none".
            incarnation: Some(registration.incarnation).filter(|id| !id.is_zero()),
            disks,
            peer: registration.peer,
            rack: registration.rack,
            listeners: registration.listeners,
            version: registration.version,
        };
        let is_known = self.image.broker(id) == Some(&broker);
        let record = MetadataRecord::RegisterBroker {
            id,
            incarnation: broker.incarnation,
            disks: broker.disks,
            peer: broker.peer,
            rack: broker.rack,
            listeners: broker.listeners,
            version: broker.version,
        };
        let records = if is_known { vec![] } else { vec![record] };
        Ok(Decision { records, reply: id })
    }

    /// UnregisterBroker: the broker leaves for ever, and takes its settings along.
    ///
    /// As in Kafka, it may be alive, and may hold replicas: they stay listed until their
    /// partitions are reassigned, and count as any that do not answer. A reassignment that adds it
    /// completes only once another takes its place. Unlike in Kafka, the number is never given out
    /// again, so a broker that did not notice cannot come back; therefore the last one stays.
    ///
    /// # Errors
    /// If there is no such broker, or no other.
    pub fn unregister_broker(&self, id: BrokerId) -> Result<Decision<()>, Refusal> {
        self.image
            .broker(id)
            .ok_or(Refusal::BrokerNotRegistered(id.0))?;
        if self.image.broker_count() == 1 {
            return Err(Refusal::OnlyBroker(id.0));
        }
        let records = vec![MetadataRecord::UnregisterBroker { id }];
        Ok(Decision { records, reply: () })
    }

    fn check_level(&self, supported: u16) -> Result<(), Refusal> {
        match self.image.feature(KLAMM_VERSION) {
            Some(finalized) if finalized > supported => Err(Refusal::UnsupportedLevel {
                feature: KLAMM_VERSION,
                finalized,
                supported,
            }),
            _ => Ok(()),
        }
    }

    /// The smallest number above all that were ever used.
    fn unused_number(&self) -> Result<BrokerId, Refusal> {
        let last = self.image.last_broker_id().map_or(0, |last| last.0);
        last.checked_add(1)
            .map(BrokerId)
            .ok_or(Refusal::NoBrokerIds)
    }

    fn check_number(&self, id: BrokerId) -> Result<(), Refusal> {
        if id.0 < 0 {
            return Err(Refusal::NegativeBrokerId);
        }
        if self.image.is_removed(id) {
            return Err(Refusal::RemovedBroker(id.0));
        }
        Ok(())
    }

    fn check_disks(&self, id: BrokerId, disks: &[TopicId]) -> Result<(), Refusal> {
        if disks.is_empty() {
            return Err(Refusal::NoDisks);
        }
        if disks.iter().any(TopicId::is_zero) {
            return Err(Refusal::ReservedDisk);
        }
        let distinct: BTreeSet<_> = disks.iter().collect();
        if distinct.len() < disks.len() {
            return Err(Refusal::DuplicateDisk);
        }
        if let Some(known) = self.image.broker(id)
            && let Some(missing) = self.missing_disk(known, &distinct)
        {
            let (broker, disk) = (id.0, missing);
            return Err(Refusal::OtherDisk { broker, disk });
        }
        for other in self.image.brokers().filter(|other| other.id != id) {
            if let Some(disk) = other.disks.iter().find(|disk| distinct.contains(disk)) {
                let (broker, disk) = (other.id.0, *disk);
                return Err(Refusal::DiskOfOtherBroker { broker, disk });
            }
        }
        Ok(())
    }

    /// A disk that the broker must have and has not. It may get more; and where it is the only
    /// broker it may give up some, since nobody counts on what was acknowledged from there.
    fn missing_disk(&self, known: &BrokerImage, disks: &BTreeSet<&TopicId>) -> Option<TopicId> {
        let mut missing = known.disks.iter().filter(|disk| !disks.contains(disk));
        let keeps_some = known.disks.iter().any(|disk| disks.contains(disk));
        let stands_alone = self.image.broker_count() == 1;
        missing
            .next()
            .copied()
            .filter(|_| !(keeps_some && stands_alone))
    }
}
