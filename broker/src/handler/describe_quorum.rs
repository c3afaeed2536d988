//! DescribeQuorum: the replicas of the cluster's metadata (KIP-836).

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use klamm_protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use klamm_protocol::messages::{BrokerId, describe_quorum_request, text_of, uuid_of};

use crate::controller::{METADATA_PARTITION, METADATA_TOPIC};
use crate::dispatch::Call;
use crate::shard::Shard;

/// The first version that names the voters' disks and addresses (KIP-853).
const NODES_FROM: i16 = 2;

pub(crate) fn handle(call: Call, request: DescribeQuorumRequest) {
    let [asked] = request.topics.as_slice() else {
        return call.reply(refused(&request));
    };
    if !is_metadata(asked) {
        return call.reply(refused(&request));
    }
    let topic = TopicData::default()
        .with_topic_name(asked.topic_name.clone())
        .with_partitions(vec![describe(&call.shard, call.version())]);
    let mut response = DescribeQuorumResponse::default().with_topics(vec![topic]);
    if call.version() >= NODES_FROM {
        response.nodes = vec![node(&call)];
    }
    call.reply(response);
}

fn is_metadata(topic: &describe_quorum_request::TopicData) -> bool {
    **topic.topic_name == *METADATA_TOPIC
        && topic
            .partitions
            .iter()
            .all(|partition| partition.partition_index == METADATA_PARTITION)
}

/// Kafka answers each partition it does not know with an error of its own.
fn refused(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let error = ErrorCode::UnknownTopicOrPartition;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(partitions.collect())
    });
    DescribeQuorumResponse::default().with_topics(topics.collect())
}

fn describe(shard: &Shard, version: i16) -> PartitionData {
    let partition = shard.controller.partition();
    let driver = partition.driver();
    let now = shard.clock.wall().millis();
    let mut voter = ReplicaState::default()
        .with_replica_id(BrokerId(shard.node_id.0))
        .with_log_end_offset(driver.log_end_offset().get());
    if version >= 1 {
        voter.last_fetch_timestamp = now;
        voter.last_caught_up_timestamp = now;
    }
    if version >= NODES_FROM {
        voter.replica_directory_id = uuid_of(shard.log_dirs.metadata().identity().directory_id);
    }
    PartitionData::default()
        .with_partition_index(METADATA_PARTITION)
        .with_leader_id(BrokerId(shard.node_id.0))
        .with_leader_epoch(driver.leader_epoch().0)
        .with_high_watermark(driver.high_watermark().get())
        .with_current_voters(vec![voter])
}

fn node(call: &Call) -> Node {
    let address = call.shard.advertised(call.listener());
    let listener = Listener::default()
        .with_name(text_of(&address.name))
        .with_host(text_of(&address.host))
        .with_port(address.port);
    Node::default()
        .with_node_id(BrokerId(call.shard.node_id.0))
        .with_listeners(vec![listener])
}
