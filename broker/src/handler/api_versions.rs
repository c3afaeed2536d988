//! ApiVersions: what this broker serves.

use klamm_protocol::ErrorCode;
use klamm_protocol::api_versions::{Feature, api_versions_response};
use klamm_protocol::messages::ApiVersionsRequest;

use crate::dispatch::Call;

/// Features that clients and tools look at. `transaction.version` is left out: there are no
/// transactions.
const FEATURES: &[Feature] = &[Feature {
    name: "metadata.version",
    supported_min: 7,
    supported_max: 33,
    finalized: 33,
}];

/// The features are in force since the cluster was made.
const FINALIZED_EPOCH: i64 = 0;

pub(crate) fn handle(call: Call, request: &ApiVersionsRequest) {
    let error = check(&call, request);
    let response = api_versions_response(call.version(), error, FEATURES, FINALIZED_EPOCH);
    call.reply(response);
}

fn check(call: &Call, request: &ApiVersionsRequest) -> ErrorCode {
    if !request.is_valid(call.version()) {
        return ErrorCode::InvalidRequest;
    }
    let shard = &call.shard;
    let image = shard.image();
    // KIP-1242: a client that has come to another cluster or broker than it meant to starts over.
    let other_cluster = request
        .cluster_id
        .as_deref()
        .is_some_and(|claimed| image.cluster_id().is_some_and(|ours| ours != claimed));
    let other_broker = request.node_id >= 0 && request.node_id != shard.node_id.0;
    if other_cluster || other_broker {
        return ErrorCode::RebootstrapRequired;
    }
    ErrorCode::None
}
