//! From bytes on disk to a record. Nothing here trusts a length: texts and lists are cut out of
//! what is there, and grow element by element.

use klamm_model::{
    BrokerId, LeaderEpoch, LogIndex, Offset, PartitionIndex, ProducerId, Term, TopicId, TopicName,
};

use super::{
    BROKER_NUMBER, CLIENT_QUOTA, CLUSTER, CONFIG, CorruptRecord, DEFAULT_NAME, FEATURE,
    ListenerAddress, MetadataRecord, NAMED, NO_NAME, PARTITION, PARTITION_AFTER_UNCLEAN_ELECTION,
    PARTITION_OF_BROKERS, PRODUCER_IDS, PeerAddress, REGISTER_BROKER, REGISTER_BROKER_ALONE,
    REMOVE_TOPIC, TOPIC, UNREGISTER_BROKER, VERSION,
};
use crate::client_quota::{EntityName, QuotaEntity, QuotaKey, QuotaLimit};
use crate::image::{
    ConfigResource, LogEnd, PartitionImage, ReplicaImage, ResourceKind, UncleanElection,
};

impl MetadataRecord {
    /// Reads exactly one record.
    ///
    /// # Errors
    /// Anything but what [`MetadataRecord::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptRecord> {
        let mut input = Input { bytes, position: 0 };
        match input.byte()? {
            VERSION => {}
            version => return Err(CorruptRecord::UnknownVersion(version)),
        }
        let record = match input.byte()? {
            CLUSTER => Self::Cluster { id: input.text()? },
            REGISTER_BROKER_ALONE => Self::RegisterBroker {
                id: input.broker()?,
                incarnation: None,
                disks: Vec::new(),
                peer: None,
                rack: input.optional()?,
                listeners: input.list(Input::listener)?,
                version: 0,
            },
            REGISTER_BROKER => Self::RegisterBroker {
                id: input.broker()?,
                incarnation: Some(input.uuid()?).filter(|id| !id.is_zero()),
                disks: input.list(Input::uuid)?,
                peer: input.peer()?,
                rack: input.optional()?,
                listeners: input.list(Input::listener)?,
                version: input.short()?,
            },
            UNREGISTER_BROKER => Self::UnregisterBroker {
                id: input.broker()?,
            },
            BROKER_NUMBER => Self::BrokerNumber {
                id: input.broker()?,
            },
            TOPIC => Self::Topic {
                name: input.topic_name()?,
                id: input.topic_id()?,
            },
            PARTITION_OF_BROKERS => input.partition_of_brokers()?,
            PARTITION => input.partition(false)?,
            PARTITION_AFTER_UNCLEAN_ELECTION => input.partition(true)?,
            REMOVE_TOPIC => Self::RemoveTopic {
                id: input.topic_id()?,
            },
            CONFIG => Self::Config {
                resource: ConfigResource {
                    kind: input.resource_kind()?,
                    name: input.text()?,
                },
                key: input.text()?,
                value: input.optional()?,
            },
            PRODUCER_IDS => Self::ProducerIds {
                next: input.producer_id()?,
            },
            CLIENT_QUOTA => input.client_quota()?,
            FEATURE => Self::Feature {
                name: input.text()?,
                level: input.short()?,
            },
            kind => return Err(CorruptRecord::UnknownKind(kind)),
        };
        match bytes.len() - input.position {
            0 => Ok(record),
            left => Err(CorruptRecord::Trailing(left)),
        }
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Input<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], CorruptRecord> {
        let end = self.position.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.position..end));
        let taken = taken.ok_or(CorruptRecord::TooShort(self.bytes.len()))?;
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CorruptRecord> {
        let bytes = self.take(N)?;
        Ok(bytes
            .try_into()
            .expect("take returns as many bytes as asked for"))
    }

    fn invalid(&self, field: &'static str) -> CorruptRecord {
        CorruptRecord::Invalid {
            field,
            position: self.position,
        }
    }

    fn byte(&mut self) -> Result<u8, CorruptRecord> {
        Ok(self.array::<1>()?[0])
    }

    fn count(&mut self) -> Result<usize, CorruptRecord> {
        let mut number: u32 = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.byte()?;
            let part = u32::from(byte & 0x7f);
            // One way to write each number: no superfluous byte, no bit beyond the 32nd.
            let fits = part << shift >> shift == part;
            if !fits || (byte == 0 && shift > 0) {
                return Err(self.invalid("count"));
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).map_err(|_| self.invalid("count"));
            }
        }
        Err(self.invalid("count"))
    }

    fn utf8(&mut self, length: usize) -> Result<String, CorruptRecord> {
        let text = std::str::from_utf8(self.take(length)?).map(str::to_owned);
        text.map_err(|_| self.invalid("text"))
    }

    fn text(&mut self) -> Result<String, CorruptRecord> {
        let length = self.count()?;
        self.utf8(length)
    }

    fn optional(&mut self) -> Result<Option<String>, CorruptRecord> {
        match self.count()? {
            0 => Ok(None),
            more => self.utf8(more - 1).map(Some),
        }
    }

    fn list<T>(
        &mut self,
        element: impl Fn(&mut Self) -> Result<T, CorruptRecord>,
    ) -> Result<Vec<T>, CorruptRecord> {
        let count = self.count()?;
        // Ends at the end of the bytes at the latest: every element takes at least one.
        (0..count).map(|_| element(self)).collect()
    }

    fn listener(&mut self) -> Result<ListenerAddress, CorruptRecord> {
        let (name, host) = (self.text()?, self.text()?);
        let port = self.short()?;
        Ok(ListenerAddress { name, host, port })
    }

    fn peer(&mut self) -> Result<Option<PeerAddress>, CorruptRecord> {
        match self.byte()? {
            0 => Ok(None),
            1 => {
                let (host, port) = (self.text()?, self.short()?);
                Ok(Some(PeerAddress { host, port }))
            }
            _ => Err(self.invalid("peer")),
        }
    }

    fn short(&mut self) -> Result<u16, CorruptRecord> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u64, CorruptRecord> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn uuid(&mut self) -> Result<TopicId, CorruptRecord> {
        Ok(TopicId::from_bytes(self.array()?))
    }

    fn broker(&mut self) -> Result<BrokerId, CorruptRecord> {
        self.number_from_zero("broker").map(BrokerId)
    }

    fn number_from_zero(&mut self, field: &'static str) -> Result<i32, CorruptRecord> {
        let number = i32::from_be_bytes(self.array()?);
        if number < 0 {
            Err(self.invalid(field))
        } else {
            Ok(number)
        }
    }

    fn topic_name(&mut self) -> Result<TopicName, CorruptRecord> {
        TopicName::new(&self.text()?).map_err(|_| self.invalid("topic"))
    }

    fn topic_id(&mut self) -> Result<TopicId, CorruptRecord> {
        let id = self.uuid()?;
        if id.is_zero() {
            Err(self.invalid("topic id"))
        } else {
            Ok(id)
        }
    }

    fn partition_of_brokers(&mut self) -> Result<MetadataRecord, CorruptRecord> {
        let topic = self.topic_id()?;
        let index = PartitionIndex(self.number_from_zero("partition")?);
        let image = PartitionImage::of_brokers(self.list(Self::broker)?);
        self.sound(topic, index, image)
    }

    fn partition(
        &mut self,
        is_after_unclean_election: bool,
    ) -> Result<MetadataRecord, CorruptRecord> {
        let topic = self.topic_id()?;
        let index = PartitionIndex(self.number_from_zero("partition")?);
        let replica = |input: &mut Self| {
            let (broker, id) = (input.broker()?, input.long()?);
            Ok(ReplicaImage { broker, id })
        };
        let image = PartitionImage {
            replicas: self.list(replica)?,
            adding: self.list(Self::broker)?,
            removing: self.list(Self::broker)?,
            last_replica_id: self.long()?,
            unclean_election: match is_after_unclean_election {
                true => Some(self.unclean_election()?),
                false => None,
            },
        };
        self.sound(topic, index, image)
    }

    fn unclean_election(&mut self) -> Result<UncleanElection, CorruptRecord> {
        let (number, survivor) = (self.long()?, self.long()?);
        let term = self.long()?;
        let term = i32::try_from(term).map(|term| Term::new(term as u64));
        let term = term.map_err(|_| self.invalid("term"))?;
        let index = LogIndex(self.long()?);
        let offset = Offset::checked(i64::from_be_bytes(self.array()?));
        let offset = offset.ok_or_else(|| self.invalid("offset"))?;
        let leader_epoch = LeaderEpoch(self.number_from_zero("leader epoch")?);
        Ok(UncleanElection {
            number,
            survivor,
            log_end: LogEnd {
                term,
                index,
                offset,
            },
            leader_epoch,
        })
    }

    fn sound(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        image: PartitionImage,
    ) -> Result<MetadataRecord, CorruptRecord> {
        if image.is_sound() {
            Ok(MetadataRecord::partition(topic, index, image))
        } else {
            Err(self.invalid("replicas"))
        }
    }

    fn resource_kind(&mut self) -> Result<ResourceKind, CorruptRecord> {
        let code = i8::from_be_bytes(self.array()?);
        ResourceKind::from_wire(code).ok_or_else(|| self.invalid("resource kind"))
    }

    fn client_quota(&mut self) -> Result<MetadataRecord, CorruptRecord> {
        let (user, client_id) = (self.entity_name()?, self.entity_name()?);
        if user.is_none() && client_id.is_none() {
            return Err(self.invalid("entity"));
        }
        let code = self.byte()?;
        let key = QuotaKey::ALL.into_iter().find(|key| *key as u8 == code);
        Ok(MetadataRecord::ClientQuota {
            entity: QuotaEntity { user, client_id },
            key: key.ok_or_else(|| self.invalid("quota"))?,
            limit: self.limit()?,
        })
    }

    fn entity_name(&mut self) -> Result<Option<EntityName>, CorruptRecord> {
        match self.byte()? {
            NO_NAME => Ok(None),
            DEFAULT_NAME => Ok(Some(EntityName::Default)),
            NAMED => match self.text()? {
                name if name.is_empty() => Err(self.invalid("entity name")),
                name => Ok(Some(EntityName::Named(name))),
            },
            _ => Err(self.invalid("entity name")),
        }
    }

    fn limit(&mut self) -> Result<Option<QuotaLimit>, CorruptRecord> {
        match self.byte()? {
            0 => Ok(None),
            1 => {
                let limit = QuotaLimit::new(f64::from_be_bytes(self.array()?));
                limit.map(Some).ok_or_else(|| self.invalid("limit"))
            }
            _ => Err(self.invalid("limit")),
        }
    }

    fn producer_id(&mut self) -> Result<ProducerId, CorruptRecord> {
        let id = i64::from_be_bytes(self.array()?);
        if id < 0 {
            Err(self.invalid("producer id"))
        } else {
            Ok(ProducerId(id))
        }
    }
}
