//! FindCoordinator: which broker serves a group.

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use klamm_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use klamm_protocol::messages::{BrokerId, StrBytes, text_of};

use super::cluster::{self, BrokerAddress};
use super::succession;
use crate::coordinator::{self, offsets_topic};
use crate::dispatch::Call;
use crate::tasks;

/// Coordinators of groups; those of transactions (1) and of share groups (2) are not served.
const GROUP: i8 = 0;
/// From here on a request asks for several at once.
const BATCH_FROM: i16 = 4;

pub(crate) fn handle(call: Call, request: FindCoordinatorRequest) {
    let known = call
        .shard
        .image()
        .topic(offsets_topic::OFFSETS_TOPIC)
        .is_some();
    let is_open = is_succession_open(&call, &request);
    if request.key_type != GROUP || known && !is_open {
        let response = answer(&call, &request);
        return call.reply(response);
    }
    tasks::spawn(async move {
        // Made before the answer, so that it can name the coordinator.
        offsets_topic::ensure(&call.shard).await;
        succession::ended(|| is_succession_open(&call, &request)).await;
        let response = answer(&call, &request);
        call.reply(response);
    });
}

/// Whether a group that is asked for has just lost its coordinator, and may have another in a moment.
fn is_succession_open(call: &Call, request: &FindCoordinatorRequest) -> bool {
    let shard = &call.shard;
    let keys = match call.version() >= BATCH_FROM {
        true => request.coordinator_keys.as_slice(),
        false => std::slice::from_ref(&request.key),
    };
    let is_open = |key: &StrBytes| {
        let place = coordinator::place_of(shard, key);
        place.is_some_and(|(topic, partition)| succession::is_open_for(shard, topic, partition))
    };
    succession::is_open(shard) && request.key_type == GROUP && keys.iter().any(is_open)
}

fn answer(call: &Call, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default();
    if call.version() >= BATCH_FROM {
        let keys = request.coordinator_keys.iter();
        let coordinators = keys.map(|key| find(call, key, request.key_type));
        return response.with_coordinators(coordinators.collect());
    }
    let found = find(call, &request.key, request.key_type);
    let response = response
        .with_error_code(found.error_code)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    if call.version() >= 1 {
        response.with_error_message(found.error_message)
    } else {
        response
    }
}

fn find(call: &Call, key: &StrBytes, key_type: i8) -> Coordinator {
    let coordinator = Coordinator::default().with_key(key.clone());
    match broker_of(call, key, key_type) {
        Ok(broker) => coordinator
            .with_node_id(BrokerId(broker.id.0))
            .with_host(text_of(&broker.host))
            .with_port(i32::from(broker.port)),
        Err(error) => coordinator
            .with_error_code(error.code())
            .with_error_message(Some(text_of(error.message())))
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    }
}

/// The broker that leads the partition which coordinates the group, where this client reaches it.
fn broker_of(call: &Call, key: &str, key_type: i8) -> Result<BrokerAddress, ErrorCode> {
    if key_type != GROUP {
        return Err(ErrorCode::InvalidRequest);
    }
    let shard = &call.shard;
    let place = coordinator::place_of(shard, key).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let leader = cluster::leader_of(shard, place.0, place.1);
    let found = leader
        .and_then(|leader| cluster::broker(shard, &shard.image(), call.listener(), leader.broker));
    found.ok_or(ErrorCode::CoordinatorNotAvailable)
}
