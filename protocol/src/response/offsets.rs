//! OffsetCommit and OffsetFetch of version 10, which names topics by id (KIP-848). The structs of
//! the `kafka-protocol` crate have room for the id; its code does not know the version.

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};

use crate::messages::topic_id_of;
use crate::wire::Writer;

pub(super) fn encode_commit(message: &OffsetCommitResponse, writer: &mut Writer) {
    writer.int32(message.throttle_time_ms);
    writer.array(&message.topics, commit_topic);
    writer.no_tags();
}

fn commit_topic(writer: &mut Writer, topic: &OffsetCommitResponseTopic) {
    writer.topic_id(topic_id_of(topic.topic_id));
    writer.array(&topic.partitions, commit_partition);
    writer.no_tags();
}

fn commit_partition(writer: &mut Writer, partition: &OffsetCommitResponsePartition) {
    writer.int32(partition.partition_index);
    writer.int16(partition.error_code);
    writer.no_tags();
}

pub(super) fn encode_fetch(message: &OffsetFetchResponse, writer: &mut Writer) {
    writer.int32(message.throttle_time_ms);
    writer.array(&message.groups, fetch_group);
    writer.no_tags();
}

fn fetch_group(writer: &mut Writer, group: &OffsetFetchResponseGroup) {
    writer.text(&group.group_id);
    writer.array(&group.topics, fetch_topic);
    writer.int16(group.error_code);
    writer.no_tags();
}

fn fetch_topic(writer: &mut Writer, topic: &OffsetFetchResponseTopics) {
    writer.topic_id(topic_id_of(topic.topic_id));
    writer.array(&topic.partitions, fetch_partition);
    writer.no_tags();
}

fn fetch_partition(writer: &mut Writer, partition: &OffsetFetchResponsePartitions) {
    writer.int32(partition.partition_index);
    writer.int64(partition.committed_offset);
    writer.int32(partition.committed_leader_epoch);
    writer.nullable_text(partition.metadata.as_deref());
    writer.int16(partition.error_code);
    writer.no_tags();
}
