//! The Fetch request, versions 4 to 18.

use kafka_protocol::protocol::StrBytes;
use klamm_model::TopicId;

use crate::wire::{Fault, Reader};

/// What a consumer, or a follower, wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The cluster the sender believes to talk to, if it says so (version 12 on).
    pub cluster_id: Option<StrBytes>,
    /// The follower that asks, or -1 for a consumer. From version 15 on in a tagged field.
    pub replica_id: i32,
    /// The follower's incarnation, or -1 (version 15 on).
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// The least worth an answer before `max_wait_ms` is over.
    pub min_bytes: i32,
    /// The most to return; the first batch is returned even if larger.
    pub max_bytes: i32,
    /// 0: read uncommitted, 1: read committed.
    pub isolation_level: i8,
    /// The fetch session, or 0 (version 7 on; KIP-227).
    pub session_id: i32,
    /// The session's epoch; -1 for a request without session.
    pub session_epoch: i32,
    /// By topic. In a session only what has changed since the last request.
    pub topics: Vec<FetchTopic>,
    /// What the session need no longer hold.
    pub forgotten_topics: Vec<ForgottenTopic>,
    /// The sender's rack, or empty (version 11 on; KIP-392).
    pub rack_id: StrBytes,
}

/// What a Fetch request wants from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    /// The name; empty from version 13 on.
    pub name: StrBytes,
    /// The id; zero before version 13.
    pub topic_id: TopicId,
    /// By partition.
    pub partitions: Vec<FetchPartition>,
}

/// What a Fetch request wants from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// Which partition.
    pub partition: i32,
    /// The leader epoch the sender knows, or -1 (version 9 on).
    pub current_leader_epoch: i32,
    /// The first offset wanted.
    pub fetch_offset: i64,
    /// The epoch of the last record the sender has, or -1 (version 12 on).
    pub last_fetched_epoch: i32,
    /// The follower's log start, or -1.
    pub log_start_offset: i64,
    /// The most to return from this partition.
    pub partition_max_bytes: i32,
}

/// What a fetch session need no longer hold of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenTopic {
    /// The name; empty from version 13 on.
    pub name: StrBytes,
    /// The id; zero before version 13.
    pub topic_id: TopicId,
    /// Which partitions.
    pub partitions: Vec<i32>,
}

const TOPIC_IDS_FROM: i16 = 13;
const REPLICA_STATE_FROM: i16 = 15;

impl FetchRequest {
    pub(crate) fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let replica_id = if version < REPLICA_STATE_FROM {
            reader.int32()?
        } else {
            -1
        };
        let mut request = Self {
            cluster_id: None,
            replica_id,
            replica_epoch: -1,
            max_wait_ms: reader.int32()?,
            min_bytes: reader.int32()?,
            max_bytes: reader.int32()?,
            isolation_level: reader.int8()?,
            session_id: if version >= 7 { reader.int32()? } else { 0 },
            session_epoch: if version >= 7 { reader.int32()? } else { -1 },
            topics: reader.array(3, |reader| FetchTopic::decode(reader, version))?,
            forgotten_topics: Vec::new(),
            rack_id: StrBytes::new(),
        };
        if version >= 7 {
            request.forgotten_topics =
                reader.array(3, |reader| ForgottenTopic::decode(reader, version))?;
        }
        if version >= 11 {
            request.rack_id = reader.text()?;
        }
        reader.tags(|tag, field| request.decode_tag(field, tag, version))?;
        Ok(request)
    }

    fn decode_tag(&mut self, field: &mut Reader, tag: u32, version: i16) -> Result<(), Fault> {
        match tag {
            0 => self.cluster_id = field.nullable_text()?,
            1 if version >= REPLICA_STATE_FROM => {
                self.replica_id = field.int32()?;
                self.replica_epoch = field.int64()?;
                field.skip_tags()?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl FetchTopic {
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let (name, topic_id) = topic(reader, version)?;
        let topic = Self {
            name,
            topic_id,
            partitions: reader.array(16, |reader| FetchPartition::decode(reader, version))?,
        };
        reader.skip_tags()?;
        Ok(topic)
    }
}

impl FetchPartition {
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let partition = Self {
            partition: reader.int32()?,
            current_leader_epoch: if version >= 9 { reader.int32()? } else { -1 },
            fetch_offset: reader.int64()?,
            last_fetched_epoch: if version >= 12 { reader.int32()? } else { -1 },
            log_start_offset: if version >= 5 { reader.int64()? } else { -1 },
            partition_max_bytes: reader.int32()?,
        };
        reader.skip_tags()?;
        Ok(partition)
    }
}

impl ForgottenTopic {
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let (name, topic_id) = topic(reader, version)?;
        let topic = Self {
            name,
            topic_id,
            partitions: reader.array(4, Reader::int32)?,
        };
        reader.skip_tags()?;
        Ok(topic)
    }
}

fn topic(reader: &mut Reader, version: i16) -> Result<(StrBytes, TopicId), Fault> {
    if version >= TOPIC_IDS_FROM {
        Ok((StrBytes::new(), reader.topic_id()?))
    } else {
        Ok((reader.text()?, TopicId::ZERO))
    }
}
