//! The Fetch response, versions 4 to 18: fields in pieces of our own, record bytes uncopied
//! between them.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use klamm_model::TopicId;

use crate::ErrorCode;
use crate::wire::Writer;

/// What a Fetch request is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchResponse {
    /// How long the client should hold back, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the request as a whole; told from version 7 on.
    pub error_code: i16,
    /// The fetch session, or 0 for none (KIP-227).
    pub session_id: i32,
    /// By topic, in the order of the request.
    pub topics: Vec<FetchableTopic>,
    /// Addresses of the leaders named in `current_leader`; told from version 16 on (KIP-951).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// What is returned of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchableTopic {
    /// The name; told before version 13.
    pub name: StrBytes,
    /// The id; told from version 13 on.
    pub topic_id: TopicId,
    /// By partition.
    pub partitions: Vec<FetchablePartition>,
}

/// What is returned of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchablePartition {
    /// Which partition.
    pub index: i32,
    /// Kafka's error code, 0 for success.
    pub error_code: i16,
    /// The offset below which records are visible, or -1 on an error.
    pub high_watermark: i64,
    /// The first offset of an open transaction, or the high watermark, or -1.
    pub last_stable_offset: i64,
    /// The first offset there is, or -1.
    pub log_start_offset: i64,
    /// Where the follower's log departs from ours; told from version 12 on.
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Who leads, where that is news to the client; told from version 12 on.
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// For read-committed requests the aborted transactions in the range, by first offset;
    /// otherwise `None`.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica to read from instead, or -1; told from version 11 on.
    pub preferred_read_replica: i32,
    /// Whole batches, in pieces. No piece: none.
    pub records: Vec<Bytes>,
}

/// A transaction whose records consumers skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
}

/// Where an epoch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The epoch.
    pub epoch: i32,
    /// The offset after its last.
    pub end_offset: i64,
}

/// A partition's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// The broker, or -1 if none is known.
    pub leader_id: i32,
    /// Its epoch, or -1.
    pub leader_epoch: i32,
}

/// Where a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The broker.
    pub node_id: i32,
    /// Its host name or address.
    pub host: StrBytes,
    /// Its port.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<StrBytes>,
}

impl FetchResponse {
    /// The answer to a request that fails as a whole.
    pub fn error(code: ErrorCode) -> Self {
        Self {
            error_code: code.code(),
            ..Self::default()
        }
    }

    /// What the answer takes on the wire, in bytes, the header left out; what fetch sessions and
    /// quotas go by.
    pub fn record_bytes(&self) -> usize {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(FetchablePartition::record_bytes).sum()
    }

    pub(crate) fn encode(&self, writer: &mut Writer, version: i16) {
        writer.int32(self.throttle_time_ms);
        if version >= 7 {
            writer.int16(self.error_code);
            writer.int32(self.session_id);
        }
        writer.array(&self.topics, |writer, topic| topic.encode(writer, version));
        if version >= 16 && !self.node_endpoints.is_empty() {
            writer.unsigned(1);
            writer.tag(0, |field| {
                field.array(&self.node_endpoints, NodeEndpoint::encode)
            });
        } else {
            writer.no_tags();
        }
    }
}

impl FetchableTopic {
    fn encode(&self, writer: &mut Writer, version: i16) {
        if version >= 13 {
            writer.topic_id(self.topic_id);
        } else {
            writer.text(&self.name);
        }
        writer.array(&self.partitions, |writer, partition| {
            partition.encode(writer, version);
        });
        writer.no_tags();
    }
}

impl FetchablePartition {
    /// The answer for a partition that cannot be read.
    pub fn error(index: i32, code: ErrorCode) -> Self {
        Self {
            index,
            error_code: code.code(),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }

    /// How many bytes of records are returned.
    pub fn record_bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }

    fn encode(&self, writer: &mut Writer, version: i16) {
        writer.int32(self.index);
        writer.int16(self.error_code);
        writer.int64(self.high_watermark);
        writer.int64(self.last_stable_offset);
        if version >= 5 {
            writer.int64(self.log_start_offset);
        }
        self.encode_aborted(writer);
        if version >= 11 {
            writer.int32(self.preferred_read_replica);
        }
        writer.count(self.record_bytes());
        for piece in self.records.iter().filter(|piece| !piece.is_empty()) {
            writer.shared(piece.clone());
        }
        if version >= 12 {
            self.encode_tags(writer);
        }
    }

    fn encode_aborted(&self, writer: &mut Writer) {
        match &self.aborted_transactions {
            None => writer.null(),
            Some(aborted) => writer.array(aborted, |writer, transaction| {
                writer.int64(transaction.producer_id);
                writer.int64(transaction.first_offset);
                writer.no_tags();
            }),
        }
    }

    fn encode_tags(&self, writer: &mut Writer) {
        let count =
            u32::from(self.diverging_epoch.is_some()) + u32::from(self.current_leader.is_some());
        writer.unsigned(count);
        if let Some(diverging) = self.diverging_epoch {
            writer.tag(0, |field| {
                field.int32(diverging.epoch);
                field.int64(diverging.end_offset);
                field.no_tags();
            });
        }
        if let Some(leader) = self.current_leader {
            writer.tag(1, |field| {
                field.int32(leader.leader_id);
                field.int32(leader.leader_epoch);
                field.no_tags();
            });
        }
    }
}

impl NodeEndpoint {
    fn encode(writer: &mut Writer, endpoint: &Self) {
        writer.int32(endpoint.node_id);
        writer.text(&endpoint.host);
        writer.int32(endpoint.port);
        writer.nullable_text(endpoint.rack.as_deref());
        writer.no_tags();
    }
}
