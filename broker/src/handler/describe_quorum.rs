//! DescribeQuorum: the replicas of the cluster's metadata (KIP-836).

use klamm_model::Offset;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use klamm_protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use klamm_protocol::messages::{BrokerId, describe_quorum_request, text_of, uuid_of};

use klamm_replication::ReplicaId;

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
        response.nodes = nodes(&call.shard);
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
    let mut driver = partition.driver_mut();
    let members = driver.members().clone();
    let followers: Vec<_> = driver.followers().collect();
    let end = driver.log_end_offset();
    let mut state = |replica: ReplicaId| {
        let broker = partition.broker_of(replica)?;
        let written = followers.iter().find(|(follower, _)| *follower == replica);
        let log_end = match written {
            Some((_, written)) => driver.offset_behind(*written),
            // This one, which leads.
            None => Some(end),
        };
        Some(replica_state(shard, version, broker, log_end))
    };
    let mut states = |replicas: &[ReplicaId]| replicas.iter().filter_map(|r| state(*r)).collect();
    let voters = states(&members.voters);
    let observers = states(&members.learners);
    PartitionData::default()
        .with_partition_index(METADATA_PARTITION)
        .with_leader_id(BrokerId(shard.node_id.0))
        .with_leader_epoch(driver.leader_epoch().0)
        .with_high_watermark(driver.high_watermark().get())
        .with_current_voters(voters)
        .with_observers(observers)
}

fn replica_state(
    shard: &Shard,
    version: i16,
    broker: klamm_model::BrokerId,
    log_end: Option<Offset>,
) -> ReplicaState {
    let mut state = ReplicaState::default()
        .with_replica_id(BrokerId(broker.0))
        .with_log_end_offset(log_end.map_or(-1, Offset::get));
    if version >= 1 && shard.peers.is_alive(broker) {
        // Replicas are sent what there is; none has to fetch it.
        let now = shard.clock.wall().millis();
        state.last_fetch_timestamp = now;
        state.last_caught_up_timestamp = now;
    }
    if version >= NODES_FROM {
        let image = shard.image();
        let disk = image.broker(broker).and_then(|broker| broker.disks.first());
        state.replica_directory_id = disk.map_or_else(Default::default, |disk| uuid_of(*disk));
    }
    state
}

/// Every broker that is a member, under all of its listeners.
fn nodes(shard: &Shard) -> Vec<Node> {
    let partition = shard.controller.partition();
    let members = partition.driver().members().clone();
    let brokers = members
        .all()
        .filter_map(|replica| partition.broker_of(replica));
    let image = shard.image();
    let registered = brokers.filter_map(|broker| image.broker(broker));
    let nodes = registered.map(|broker| {
        let listeners = broker.listeners.iter().map(|address| {
            Listener::default()
                .with_name(text_of(&address.name))
                .with_host(text_of(&address.host))
                .with_port(address.port)
        });
        Node::default()
            .with_node_id(BrokerId(broker.id.0))
            .with_listeners(listeners.collect())
    });
    nodes.collect()
}
