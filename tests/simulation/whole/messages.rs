//! What brokers say to each other, and what clients ask and are told: the product's own nouns, without
//! the bytes of the wire.

use std::fmt;

use bytes::Bytes;
use klamm_coordinator::reply::FetchedTopic;
use klamm_coordinator::request::OffsetFetch;
use klamm_metadata::controller::Reassignment;
use klamm_metadata::{NewTopic, Registration};
use klamm_model::{LeaderEpoch, Offset, PartitionIndex, ProducerId, RecordBatch, TopicId};

/// A partition's Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) topic: TopicId,
    pub(super) index: PartitionIndex,
}

/// From one broker to another.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// From replica to replica, as [`klamm_replication::frame`] has it.
    Replica { group: Group, bytes: Bytes },
    /// The sender leads these groups, each in its epoch.
    Leads(Vec<(Group, LeaderEpoch)>),
    /// For the controller. It is not answered: whoever wants it asks again until the metadata say so.
    Wish(Wish),
}

/// What a broker wants the controller to decide.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// It has started.
    Register(Registration),
    /// The members of a group are these replicas now.
    Moved { group: Group, members: Vec<u64> },
}

/// Who has asked, and under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asker {
    pub(super) client: usize,
    pub(super) call: u64,
}

/// From a client to a broker.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Which partitions there are, and who leads them.
    Metadata,
    /// An identity for an idempotent producer.
    ProducerId,
    CreateTopic(NewTopic),
    Reassign(Reassignment),
    Produce {
        group: Group,
        batch: RecordBatch,
    },
    Fetch {
        group: Group,
        from: Offset,
        /// In which the client believes the leader to lead.
        epoch: LeaderEpoch,
    },
    /// For the coordinator of a consumer group.
    Group(klamm_coordinator::Request),
    /// The same, which reads only.
    Offsets(OffsetFetch),
}

/// One partition, as a broker knows it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) topic: String,
    pub(super) group: Group,
    /// The broker that leads, and its epoch.
    pub(super) leader: Option<(usize, LeaderEpoch)>,
}

/// From a broker to a client.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Metadata(Vec<Known>),
    ProducerId(ProducerId),
    /// The controller has decided, and it stands.
    Done,
    Produced {
        base_offset: Offset,
    },
    Fetched {
        records: Bytes,
        /// Not told where it is not known to be as high as any that was told before.
        high_watermark: Option<Offset>,
    },
    Group(klamm_coordinator::Reply),
    Offsets(Vec<FetchedTopic>),
    Refused(Refusal),
}

/// Why a client is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Somebody else leads, or nobody; what was asked may have been done all the same.
    NotLeader,
    /// The client's epoch is not the broker's.
    Epoch,
    /// The offset is outside of the log.
    OutOfRange,
    /// A producer's sequence does not follow the one before.
    Sequence,
    /// The controller does not want it.
    Undesired,
    /// Not now.
    Busy,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata => f.write_str("metadata"),
            Self::ProducerId => f.write_str("producer id"),
            Self::CreateTopic(topic) => write!(f, "create {}", topic.name),
            Self::Reassign(wanted) => {
                write!(f, "reassign {} to {:?}", wanted.topic, wanted.replicas)
            }
            Self::Produce { batch, .. } => {
                let header = batch.header();
                let (id, sequence) = (header.producer_id().0, header.base_sequence());
                write!(f, "produce {id}:{sequence}")
            }
            Self::Fetch { from, epoch, .. } => write!(f, "fetch from {from} in {}", epoch.0),
            Self::Group(request) => write!(f, "{request:?}"),
            Self::Offsets(_) => f.write_str("offsets"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata(known) => write!(f, "{} partitions", known.len()),
            Self::Fetched { records, .. } => write!(f, "{} bytes", records.len()),
            other => write!(f, "{other:?}"),
        }
    }
}
