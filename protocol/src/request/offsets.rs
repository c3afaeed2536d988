//! OffsetCommit and OffsetFetch of version 10, which names topics by id (KIP-848). The structs of
//! the `kafka-protocol` crate have room for the id; its code does not know the version.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::messages::uuid_of;
use crate::wire::{Fault, Reader};

pub(super) fn decode_commit(reader: &mut Reader) -> Result<OffsetCommitRequest, Fault> {
    let request = OffsetCommitRequest::default()
        .with_group_id(reader.text()?.into())
        .with_generation_id_or_member_epoch(reader.int32()?)
        .with_member_id(reader.text()?)
        .with_group_instance_id(reader.nullable_text()?)
        .with_topics(reader.array(18, commit_topic)?);
    reader.skip_tags()?;
    Ok(request)
}

fn commit_topic(reader: &mut Reader) -> Result<OffsetCommitRequestTopic, Fault> {
    let topic = OffsetCommitRequestTopic::default()
        .with_topic_id(uuid_of(reader.topic_id()?))
        .with_partitions(reader.array(18, commit_partition)?);
    reader.skip_tags()?;
    Ok(topic)
}

fn commit_partition(reader: &mut Reader) -> Result<OffsetCommitRequestPartition, Fault> {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(reader.int32()?)
        .with_committed_offset(reader.int64()?)
        .with_committed_leader_epoch(reader.int32()?)
        .with_committed_metadata(reader.nullable_text()?);
    reader.skip_tags()?;
    Ok(partition)
}

pub(super) fn decode_fetch(reader: &mut Reader) -> Result<OffsetFetchRequest, Fault> {
    let request = OffsetFetchRequest::default()
        .with_groups(reader.array(8, fetch_group)?)
        .with_require_stable(reader.boolean()?);
    reader.skip_tags()?;
    Ok(request)
}

fn fetch_group(reader: &mut Reader) -> Result<OffsetFetchRequestGroup, Fault> {
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(reader.text()?.into())
        .with_member_id(reader.nullable_text()?)
        .with_member_epoch(reader.int32()?)
        .with_topics(reader.nullable_array(18, fetch_topic)?);
    reader.skip_tags()?;
    Ok(group)
}

fn fetch_topic(reader: &mut Reader) -> Result<OffsetFetchRequestTopics, Fault> {
    let topic = OffsetFetchRequestTopics::default()
        .with_topic_id(uuid_of(reader.topic_id()?))
        .with_partition_indexes(reader.array(4, Reader::int32)?);
    reader.skip_tags()?;
    Ok(topic)
}
