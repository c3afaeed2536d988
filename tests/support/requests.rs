//! The requests that tests make most: topics, producing, fetching, settings.

use std::io;

use bytes::Bytes;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, BrokerId, CreateTopicsRequest, FetchRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    MetadataResponse, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{ProducerEpoch, ProducerId, RecordBatch, Timestamp};

use crate::client::Client;

/// `acks=all`.
pub(crate) const ALL: i16 = -1;
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 11;
const INFLATED_BYTES_MAX: usize = 64 << 20;
/// Error codes that tests compare with.
pub(crate) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(crate) const CORRUPT_MESSAGE: i16 = 2;
pub(crate) const NOT_LEADER_OR_FOLLOWER: i16 = 6;
pub(crate) const MESSAGE_TOO_LARGE: i16 = 10;
pub(crate) const KAFKA_STORAGE_ERROR: i16 = 56;
pub(crate) const OFFSET_NOT_AVAILABLE: i16 = 78;

/// The values of records, as text.
pub(crate) fn texts(read: Vec<Read>) -> Vec<String> {
    let values = read.into_iter().map(|read| read.value);
    values
        .map(|value| String::from_utf8(value).expect("tests write text"))
        .collect()
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A batch of one record per value.
pub(crate) fn batch(values: &[&[u8]]) -> RecordBatch {
    filled(BatchBuilder::new(), values)
}

/// The same of an idempotent producer.
pub(crate) fn idempotent_batch(producer: i64, sequence: i32, values: &[&[u8]]) -> RecordBatch {
    let builder = BatchBuilder::new().producer(ProducerId(producer), ProducerEpoch(0), sequence);
    filled(builder, values)
}

fn filled(mut builder: BatchBuilder, values: &[&[u8]]) -> RecordBatch {
    for value in values {
        builder.append(now(), None, Some(value), &[]);
    }
    builder.build()
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.expect("it is after 1970").as_millis();
    Timestamp(i64::try_from(millis).expect("it is before the year 292 million"))
}

/// A request that appends one batch to one partition.
pub(crate) fn produce_request(
    topic: &str,
    partition: i32,
    acks: i16,
    batch: &RecordBatch,
) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch.to_bytes()));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(20_000)
        .with_topic_data(vec![topic])
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
}

/// What one fetch found.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) records: Vec<Read>,
    /// After the last batch, which may have no records.
    pub(crate) next_offset: i64,
}

impl Client {
    /// Limits what clients without a quota of their own may produce, in bytes a second each.
    pub(crate) fn limit_default_producer(&mut self, bytes: f64) {
        let entity = EntityData::default()
            .with_entity_type(text("client-id"))
            .with_entity_name(None);
        let op = OpData::default()
            .with_key(text("producer_byte_rate"))
            .with_value(bytes);
        let entry = EntryData::default()
            .with_entity(vec![entity])
            .with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        assert_eq!(self.call(1, &request).entries[0].error_code, 0);
    }

    /// Appends with `acks=all`: the first offset, or the error code.
    pub(crate) fn produce(&mut self, topic: &str, batch: &RecordBatch) -> Result<i64, i16> {
        self.try_produce(topic, 0, batch)
            .unwrap_or_else(|error| panic!("no answer to a produce request: {error}"))
    }

    pub(crate) fn try_produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: &RecordBatch,
    ) -> io::Result<Result<i64, i16>> {
        let request = produce_request(topic, partition, ALL, batch);
        self.send(PRODUCE_VERSION, &request)?;
        self.receive_produced()
    }

    pub(crate) fn send_produce(&mut self, request: &ProduceRequest) -> io::Result<()> {
        self.send(PRODUCE_VERSION, request)
    }

    pub(crate) fn receive_produced(&mut self) -> io::Result<Result<i64, i16>> {
        let answer = self.receive::<ProduceRequest>(PRODUCE_VERSION)?;
        let partition = &answer.responses[0].partition_responses[0];
        Ok(match partition.error_code {
            0 => Ok(partition.base_offset),
            error => Err(error),
        })
    }

    /// The error codes of all partitions.
    pub(crate) fn receive_all_produced(&mut self) -> io::Result<Vec<i16>> {
        let answer = self.receive::<ProduceRequest>(PRODUCE_VERSION)?;
        let partitions = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses);
        Ok(partitions.map(|partition| partition.error_code).collect())
    }

    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, from: i64) -> Fetched {
        let wanted = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(from)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(vec![wanted]);
        let request = FetchRequest::default()
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(1 << 24)
            .with_topics(vec![topic]);
        let answer = self.call(FETCH_VERSION, &request);
        let partition = &answer.responses[0].partitions[0];
        let (records, next_offset) = records(partition.records.clone().unwrap_or_default(), from);
        Fetched {
            error: partition.error_code,
            high_watermark: partition.high_watermark,
            records,
            next_offset,
        }
    }

    /// Everything from the start of the log to its end.
    pub(crate) fn read_all(&mut self, topic: &str, partition: i32) -> Vec<Read> {
        let read = self.try_read_all(topic, partition);
        read.unwrap_or_else(|code| panic!("{topic}-{partition}: error code {code}"))
    }

    /// The same, or the code of the error.
    pub(crate) fn try_read_all(&mut self, topic: &str, partition: i32) -> Result<Vec<Read>, i16> {
        let mut next = self.try_log_start(topic, partition)?;
        let mut all = Vec::new();
        loop {
            let fetched = self.fetch(topic, partition, next);
            if fetched.error != 0 {
                return Err(fetched.error);
            }
            if fetched.next_offset == next {
                assert_eq!(
                    next, fetched.high_watermark,
                    "{topic}-{partition} is read to its end"
                );
                return Ok(all);
            }
            next = fetched.next_offset;
            all.extend(fetched.records);
        }
    }

    /// The first offset that is there.
    pub(crate) fn log_start(&mut self, topic: &str, partition: i32) -> i64 {
        let start = self.try_log_start(topic, partition);
        start.unwrap_or_else(|code| panic!("{topic}-{partition}: error code {code}"))
    }

    fn try_log_start(&mut self, topic: &str, partition: i32) -> Result<i64, i16> {
        const EARLIEST: i64 = -2;
        let wanted = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(EARLIEST);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic]);
        let answer = self.call(1, &request);
        let partition = &answer.topics[0].partitions[0];
        match partition.error_code {
            0 => Ok(partition.offset),
            code => Err(code),
        }
    }

    /// Deletes records before an offset: error code and low watermark.
    pub(crate) fn delete_records(&mut self, topic: &str, before: i64) -> (i16, i64) {
        let partition = DeleteRecordsPartition::default().with_offset(before);
        let topic = DeleteRecordsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(20_000);
        let answer = self.call(2, &request);
        let partition = &answer.topics[0].partitions[0];
        (partition.error_code, partition.low_watermark)
    }

    /// All values of a partition, as text.
    pub(crate) fn values(&mut self, topic: &str, partition: i32) -> Vec<String> {
        texts(self.read_all(topic, partition))
    }

    /// Creates a topic, or says why not.
    pub(crate) fn try_create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> (i16, String) {
        let configs = settings.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(20_000);
        let answer = self.call(5, &request);
        let topic = &answer.topics[0];
        let message = topic.error_message.as_deref().unwrap_or_default();
        (topic.error_code, message.to_owned())
    }

    pub(crate) fn create_topic(&mut self, name: &str, settings: &[(&str, &str)]) {
        let created = self.try_create_topic(name, 1, settings);
        assert_eq!(created, (0, String::new()), "{name}");
    }

    /// What the broker knows of a topic; creates it if that is allowed.
    pub(crate) fn metadata(&mut self, topic: &str) -> MetadataResponse {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(true);
        self.call(4, &request)
    }

    pub(crate) fn producer_id(&mut self) -> i64 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        let answer = self.call(1, &request);
        assert_eq!(answer.error_code, 0);
        answer.producer_id.0
    }

    /// Sets something of a broker (kind 4) or a topic (kind 2).
    pub(crate) fn alter(
        &mut self,
        kind: i8,
        resource: &str,
        key: &str,
        value: Option<&str>,
    ) -> i16 {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        self.call(0, &request).responses[0].error_code
    }
}

/// The records from an offset on, and where to go on: a batch may have none.
fn records(mut bytes: Bytes, from: i64) -> (Vec<Read>, i64) {
    let mut read = Vec::new();
    let mut next = from;
    while !bytes.is_empty() {
        let batch = RecordBatch::parse(&mut bytes).expect("whole, sound batches are served");
        next = batch.next_offset().get();
        let records = batch.records(INFLATED_BYTES_MAX).expect("sound records");
        for record in records {
            let record = record.expect("sound records");
            read.push(Read {
                offset: record.offset.get(),
                key: record.key.map(|key| key.to_vec()),
                value: record.value.unwrap_or_default().to_vec(),
            });
        }
    }
    read.retain(|record| record.offset >= from);
    (read, next)
}
