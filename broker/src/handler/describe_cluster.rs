//! DescribeCluster: brokers, controller and id of the cluster (KIP-700).

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use klamm_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use klamm_protocol::messages::{BrokerId, text_of};

use super::{cluster, operations};
use crate::dispatch::Call;

/// Which endpoints a client may ask for (KIP-919); controllers are not reached on their own.
const BROKERS: i8 = 1;

pub(crate) fn handle(call: Call, request: &DescribeClusterRequest) {
    if call.version() >= 1 && request.endpoint_type != BROKERS {
        let error = ErrorCode::MismatchedEndpointType;
        let response = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text_of(error.message())));
        return call.reply(response);
    }
    let image = call.shard.image();
    let brokers = cluster::brokers(&call.shard, &image, call.listener())
        .into_iter()
        .map(|broker| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(broker.id.0))
                .with_host(text_of(&broker.host))
                .with_port(i32::from(broker.port))
                .with_rack(broker.rack.as_deref().map(text_of))
        });
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(text_of(image.cluster_id().unwrap_or_default()))
        .with_controller_id(BrokerId(
            call.shard.peers.controller().map_or(-1, |id| id.0),
        ))
        .with_brokers(brokers.collect());
    if call.version() >= 1 {
        response.endpoint_type = BROKERS;
    }
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = operations::CLUSTER;
    }
    call.reply(response);
}
