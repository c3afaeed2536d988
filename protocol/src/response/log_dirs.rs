//! DescribeLogDirs of version 5, which tells whether a log directory is cordoned. Klamm has no
//! cordoned directories.

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::wire::Writer;

pub(super) fn encode(message: &DescribeLogDirsResponse, writer: &mut Writer) {
    writer.int32(message.throttle_time_ms);
    writer.int16(message.error_code);
    writer.array(&message.results, directory);
    writer.no_tags();
}

fn directory(writer: &mut Writer, directory: &DescribeLogDirsResult) {
    writer.int16(directory.error_code);
    writer.text(&directory.log_dir);
    writer.array(&directory.topics, topic);
    writer.int64(directory.total_bytes);
    writer.int64(directory.usable_bytes);
    writer.boolean(false);
    writer.no_tags();
}

fn topic(writer: &mut Writer, topic: &DescribeLogDirsTopic) {
    writer.text(&topic.name);
    writer.array(&topic.partitions, partition);
    writer.no_tags();
}

fn partition(writer: &mut Writer, partition: &DescribeLogDirsPartition) {
    writer.int32(partition.partition_index);
    writer.int64(partition.partition_size);
    writer.int64(partition.offset_lag);
    writer.boolean(partition.is_future_key);
    writer.no_tags();
}
