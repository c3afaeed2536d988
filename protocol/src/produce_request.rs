//! The Produce request, versions 3 to 13. Record bytes are shared with the receive buffer.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use klamm_model::TopicId;

use crate::wire::{Fault, Reader};

/// Batches to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceRequest {
    /// Set by a transactional producer.
    pub transactional_id: Option<StrBytes>,
    /// 0: no answer; 1 or -1 ("all"): answer when so many replicas hold the batches. As found:
    /// other values are to be answered with `INVALID_REQUIRED_ACKS`.
    pub acks: i16,
    /// How long to wait for the replicas, in milliseconds.
    pub timeout_ms: i32,
    /// By topic.
    pub topics: Vec<ProduceTopic>,
}

/// What a Produce request brings for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceTopic {
    /// The name; empty from version 13 on.
    pub name: StrBytes,
    /// The id; zero before version 13.
    pub topic_id: TopicId,
    /// By partition.
    pub partitions: Vec<ProducePartition>,
}

/// What a Produce request brings for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducePartition {
    /// Which partition.
    pub index: i32,
    /// Record batches, one after the other, not yet looked at.
    pub records: Option<Bytes>,
}

const TOPIC_IDS_FROM: i16 = 13;

impl ProduceRequest {
    pub(crate) fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let request = Self {
            transactional_id: reader.nullable_text()?,
            acks: reader.int16()?,
            timeout_ms: reader.int32()?,
            topics: reader.array(3, |reader| ProduceTopic::decode(reader, version))?,
        };
        reader.skip_tags()?;
        Ok(request)
    }
}

impl ProduceTopic {
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let (name, topic_id) = if version >= TOPIC_IDS_FROM {
            (StrBytes::new(), reader.topic_id()?)
        } else {
            (reader.text()?, TopicId::ZERO)
        };
        let topic = Self {
            name,
            topic_id,
            partitions: reader.array(6, ProducePartition::decode)?,
        };
        reader.skip_tags()?;
        Ok(topic)
    }
}

impl ProducePartition {
    fn decode(reader: &mut Reader) -> Result<Self, Fault> {
        let partition = Self {
            index: reader.int32()?,
            records: reader.nullable_blob()?,
        };
        reader.skip_tags()?;
        Ok(partition)
    }
}
