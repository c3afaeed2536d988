//! Requests that many tests make, in few words.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, FindCoordinatorRequest, GroupId, ListOffsetsRequest,
    MetadataRequest, ProduceRequest, TopicName,
};
use klamm_model::RecordBatch;
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{LeaderEpoch, Timestamp};
use klamm_protocol::messages::Uuid;

use crate::client::Client;
use crate::requests::{now, produce_request, text};

/// More than any answer of a test.
const BYTES_MAX: i32 = 16 << 20;

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

/// A batch of one record per timestamp.
pub(crate) fn batch_at(builder: BatchBuilder, timestamps: &[i64]) -> RecordBatch {
    let mut builder = builder;
    for timestamp in timestamps {
        builder.append(Timestamp(*timestamp), Some(b"k"), Some(b"v"), &[]);
    }
    builder.build()
}

/// The current time in milliseconds.
pub(crate) fn millis() -> i64 {
    now().millis()
}

/// All batches of an answer.
pub(crate) fn batches(records: Option<&Bytes>) -> Vec<RecordBatch> {
    let mut rest = records.cloned().unwrap_or_default();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        batches.push(RecordBatch::parse(&mut rest).expect("whole batches with a right checksum"));
    }
    batches
}

/// A fetch of one or more partitions that does not wait.
#[derive(Clone)]
pub(crate) struct Fetch {
    request: FetchRequest,
}

impl Fetch {
    /// Nothing yet.
    pub(crate) fn none() -> Self {
        let request = FetchRequest::default()
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(BYTES_MAX);
        Self { request }
    }

    /// The first partition of a topic from its start.
    pub(crate) fn of(topic: &str) -> Self {
        Self::none().and(topic, 0, 0)
    }

    /// The first partition of a topic by its id.
    pub(crate) fn of_id(id: Uuid) -> Self {
        Self::none().and_id(id)
    }

    pub(crate) fn and(mut self, topic: &str, partition: i32, offset: i64) -> Self {
        let topic = FetchTopic::default().with_topic(topic_name(topic));
        let partition = partition_from(partition, offset);
        self.request
            .topics
            .push(topic.with_partitions(vec![partition]));
        self
    }

    pub(crate) fn and_id(mut self, id: Uuid) -> Self {
        let topic = FetchTopic::default().with_topic_id(id);
        let partition = partition_from(0, 0);
        self.request
            .topics
            .push(topic.with_partitions(vec![partition]));
        self
    }

    /// Changes the partition named last.
    fn last(mut self, change: impl FnOnce(FetchPartition) -> FetchPartition) -> Self {
        let topic = self
            .request
            .topics
            .last_mut()
            .expect("a partition is named");
        let partition = topic.partitions.pop().expect("a partition is named");
        topic.partitions.push(change(partition));
        self
    }

    pub(crate) fn from(self, offset: i64) -> Self {
        self.last(|partition| partition.with_fetch_offset(offset))
    }

    pub(crate) fn epoch(self, current: i32) -> Self {
        self.last(|partition| partition.with_current_leader_epoch(current))
    }

    pub(crate) fn last_fetched(self, epoch: i32) -> Self {
        self.last(|partition| partition.with_last_fetched_epoch(epoch))
    }

    pub(crate) fn partition_bytes(self, max: i32) -> Self {
        self.last(|partition| partition.with_partition_max_bytes(max))
    }

    pub(crate) fn bytes(mut self, max: i32) -> Self {
        self.request.max_bytes = max;
        self
    }

    pub(crate) fn min_bytes(mut self, min: i32) -> Self {
        self.request.min_bytes = min;
        self
    }

    pub(crate) fn wait(mut self, max: Duration) -> Self {
        self.request.max_wait_ms = i32::try_from(max.as_millis()).expect("tests are short");
        self
    }

    pub(crate) fn committed(mut self) -> Self {
        self.request.isolation_level = 1;
        self
    }

    pub(crate) fn session(mut self, id: i32, epoch: i32) -> Self {
        self.request.session_id = id;
        self.request.session_epoch = epoch;
        self
    }

    pub(crate) fn forget(mut self, topic: &str) -> Self {
        let forgotten = ForgottenTopic::default().with_topic(topic_name(topic));
        let forgotten = forgotten.with_partitions(vec![0]);
        self.request.forgotten_topics_data.push(forgotten);
        self
    }

    pub(crate) fn request(&self) -> FetchRequest {
        self.request.clone()
    }

    pub(crate) fn ask(&self, client: &mut Client, version: i16) -> FetchResponse {
        client.call(version, &self.request)
    }

    /// The answer of the first partition.
    pub(crate) fn first(&self, client: &mut Client, version: i16) -> PartitionData {
        let mut answer = self.ask(client, version);
        assert_eq!(answer.error_code, 0);
        answer.responses.remove(0).partitions.remove(0)
    }
}

fn partition_from(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(BYTES_MAX)
}

/// The leader epoch of the first partition.
pub(crate) fn epoch_of(topic: &MetadataResponseTopic) -> i32 {
    topic.partitions[0].leader_epoch
}

/// The epoch inside a batch.
pub(crate) fn epoch_in(batch: &RecordBatch) -> i32 {
    let LeaderEpoch(epoch) = batch.header().leader_epoch();
    epoch
}

impl Client {
    /// One topic's description, without creating it.
    pub(crate) fn describe(&mut self, topic: &str) -> MetadataResponseTopic {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(false);
        self.call(12, &request).topics.remove(0)
    }

    /// Has the coordinator of a group found, and with it the topic of offsets created.
    pub(crate) fn find_coordinator(&mut self, group: &str) -> BrokerId {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        let answer = self.call(3, &request);
        assert_eq!(answer.error_code, 0);
        answer.node_id
    }

    /// Appends to the first partition and returns its whole answer.
    pub(crate) fn append(
        &mut self,
        version: i16,
        topic: &str,
        batch: &RecordBatch,
    ) -> PartitionProduceResponse {
        self.append_request(version, &produce_request(topic, 0, -1, batch))
    }

    pub(crate) fn append_request(
        &mut self,
        version: i16,
        request: &ProduceRequest,
    ) -> PartitionProduceResponse {
        let mut answer = self.call(version, request);
        answer.responses.remove(0).partition_responses.remove(0)
    }

    /// Looks up one timestamp in the first partition.
    pub(crate) fn list_offset(
        &mut self,
        version: i16,
        topic: &str,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        let request = list_offsets_request(topic, -1, timestamp);
        let mut answer = self.call(version, &request);
        answer.topics.remove(0).partitions.remove(0)
    }

    /// The first and the next offset of a topic's first partition.
    pub(crate) fn ends(&mut self, topic: &str) -> (i64, i64) {
        let first = self.list_offset(5, topic, -2);
        let next = self.list_offset(5, topic, -1);
        assert_eq!((first.error_code, next.error_code), (0, 0));
        (first.offset, next.offset)
    }
}

/// A request for one timestamp of a topic's first partition.
pub(crate) fn list_offsets_request(
    topic: &str,
    current_epoch: i32,
    timestamp: i64,
) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_timestamp(timestamp)
        .with_current_leader_epoch(current_epoch);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic])
}
