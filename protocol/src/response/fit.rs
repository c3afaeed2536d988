//! Leaves out of an answer what its version cannot say.
//!
//! Handlers fill in what they know, whatever version asked. Most fields that a version lacks are
//! dropped by the schema crate; these it would refuse, because the schema does not call them
//! ignorable. Where versions differ in structure (OffsetFetch before 8, FindCoordinator before 4),
//! the handler decides.

use kafka_protocol::messages as kafka;

use super::Response;

/// What `topic_authorized_operations` and its kin say when nobody asked.
const OPERATIONS_UNKNOWN: i32 = i32::MIN;

pub(super) fn fit(response: &mut Response, version: i16) {
    match response {
        Response::Produce(message) if version < 10 => drop_leader_hints(message),
        Response::ListOffsets(message) if version < 4 => {
            let topics = message.topics.iter_mut();
            topics
                .flat_map(|topic| &mut topic.partitions)
                .for_each(|partition| partition.leader_epoch = -1);
        }
        Response::Metadata(message) => fit_metadata(message, version),
        Response::JoinGroup(message) if version < 9 => message.skip_assignment = false,
        Response::LeaveGroup(message) if version < 3 => message.members.clear(),
        Response::DescribeGroups(message) => fit_groups(message, version),
        Response::ElectLeaders(message) if version < 1 => message.error_code = 0,
        Response::DescribeQuorum(message) if version < 2 => message.nodes.clear(),
        Response::DescribeCluster(message) => fit_cluster(message, version),
        _ => {}
    }
}

fn drop_leader_hints(message: &mut kafka::ProduceResponse) {
    message.node_endpoints.clear();
    let topics = message.responses.iter_mut();
    let partitions = topics.flat_map(|topic| &mut topic.partition_responses);
    for partition in partitions {
        partition.current_leader = kafka::produce_response::LeaderIdAndEpoch::default();
    }
}

fn fit_metadata(message: &mut kafka::MetadataResponse, version: i16) {
    if !(8..=10).contains(&version) {
        message.cluster_authorized_operations = OPERATIONS_UNKNOWN;
    }
    if version < 8 {
        for topic in &mut message.topics {
            topic.topic_authorized_operations = OPERATIONS_UNKNOWN;
        }
    }
}

fn fit_groups(message: &mut kafka::DescribeGroupsResponse, version: i16) {
    for group in &mut message.groups {
        if version < 6 {
            group.error_message = None;
        }
        if version < 3 {
            group.authorized_operations = OPERATIONS_UNKNOWN;
        }
    }
}

fn fit_cluster(message: &mut kafka::DescribeClusterResponse, version: i16) {
    if version < 1 {
        message.endpoint_type = kafka::DescribeClusterResponse::default().endpoint_type;
    }
    if version < 2 {
        for broker in &mut message.brokers {
            broker.is_fenced = false;
        }
    }
}
