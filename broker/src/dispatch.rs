//! From a frame to the handler of its API.
//!
//! Handlers are called in the order in which requests came. What must keep that order (staging
//! appends, reading) happens inside the call; what may take longer keeps the [`Call`] and answers
//! later. Replies leave in request order either way.

mod metered;

use std::rc::Rc;

use bytes::Bytes;
use klamm_model::Instant;
use klamm_protocol::{DecodeError, Request, RequestHeader, Response};

use self::metered::MeteredCall;
use crate::controller;
use crate::handler;
use crate::metrics::counters::{Refusal, RequestKind};
use crate::net::ReplySlot;
use crate::net::connection::FrameHandler;
use crate::peer::forwarding;
use crate::shard::Shard;
use crate::tasks;

/// One request on its way to an answer.
pub(crate) struct Call {
    pub(crate) shard: Rc<Shard>,
    pub(crate) header: RequestHeader,
    pub(crate) slot: ReplySlot,
    /// `None` unless there are quotas.
    metered: Option<MeteredCall>,
}

impl Call {
    /// The version that the client speaks.
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// What the client calls itself; empty if it does not say.
    pub(crate) fn client_id(&self) -> &str {
        self.header.client_id.as_deref().unwrap_or_default()
    }

    /// When the request was read, or one that came with it.
    pub(crate) fn arrived(&self) -> Instant {
        self.slot.arrived()
    }

    /// Index of the listener that the client came in by.
    pub(crate) fn listener(&self) -> usize {
        self.slot.connection().listener
    }

    /// Answers. A response that cannot be encoded is our own mistake: the client gets a closed
    /// connection rather than half a reply.
    pub(crate) fn reply(self, response: impl Into<Response>) {
        let response = response.into();
        self.shard.counters().answered(&response);
        if self.metered.is_some() {
            return self.reply_metered(response);
        }
        self.send(response);
    }

    fn send(self, response: Response) {
        let page_bytes = match &response {
            Response::Fetch(response) => response.record_bytes(),
            _ => 0,
        };
        match response.encode(&self.header) {
            Ok(encoded) => self.slot.send_with_pages(encoded.into_pieces(), page_bytes),
            Err(error) => {
                tracing::error!(%error, "response cannot be encoded");
                self.slot.close();
            }
        }
    }

    /// Answers with what `future` comes to, whenever that is.
    pub(crate) fn reply_later<R: Into<Response>>(self, future: impl Future<Output = R> + 'static) {
        tasks::spawn(async move { self.reply(future.await) });
    }
}

/// Takes frames from connections.
pub(crate) struct Dispatcher {
    shard: Rc<Shard>,
}

impl Dispatcher {
    pub(crate) fn new(shard: Rc<Shard>) -> Self {
        Self { shard }
    }
}

impl FrameHandler for Dispatcher {
    fn handle(&self, frame: Bytes, slot: ReplySlot) {
        let shard = &self.shard;
        if !shard.quotas.are_set() {
            return self.take(frame, slot, None);
        }
        self.take(frame, slot, Some(shard.clock.now()));
        shard.quotas.end(shard.clock.now());
    }
}

impl Dispatcher {
    /// `begun` is when it is taken, if there are quotas.
    fn take(&self, frame: Bytes, mut slot: ReplySlot, begun: Option<Instant>) {
        match Request::decode(frame.clone()) {
            Ok((header, request)) => {
                self.shard.counters().requested(header.api_key);
                slot.is_of(RequestKind::of(header.api_key));
                if is_for_controller(&request) && !controller::leads(&self.shard) {
                    return forwarding::forward(&self.shard, frame, slot);
                }
                let metered =
                    begun.map(|begun| MeteredCall::begin(&self.shard, &header, &slot, begun));
                let call = Call {
                    shard: self.shard.clone(),
                    header,
                    slot,
                    metered,
                };
                dispatch(call, request);
            }
            Err(error) => {
                self.shard.counters().refused(Refusal::Request);
                refuse(&error, slot);
            }
        }
    }
}

/// Whether the controller alone can answer; any other broker hands it on.
fn is_for_controller(request: &Request) -> bool {
    matches!(
        request,
        Request::CreateTopics(_)
            | Request::DeleteTopics(_)
            | Request::CreatePartitions(_)
            | Request::AlterClientQuotas(_)
            | Request::AlterConfigs(_)
            | Request::IncrementalAlterConfigs(_)
            | Request::AlterPartitionReassignments(_)
            | Request::DescribeQuorum(_)
            | Request::UnregisterBroker(_)
    )
}

/// As Kafka does: an unknown version of ApiVersions is answered, anything else closes the
/// connection.
fn refuse(error: &DecodeError, slot: ReplySlot) {
    match error {
        DecodeError::UnsupportedApiVersions { correlation_id, .. } => {
            let answer =
                klamm_protocol::api_versions::unsupported_api_versions_response(*correlation_id);
            slot.send(answer.into_pieces());
        }
        DecodeError::Unsupported { .. } | DecodeError::Malformed { .. } => {
            tracing::warn!(client = %slot.connection().peer, %error, "request refused");
            slot.close();
        }
    }
}

/// One arm per served API.
fn dispatch(call: Call, request: Request) {
    match request {
        Request::Produce(request) => handler::produce::handle(call, request),
        Request::Fetch(request) => handler::fetch::handle(call, request),
        Request::ListOffsets(request) => handler::list_offsets::handle(call, request),
        Request::Metadata(request) => handler::metadata::handle(call, request),
        Request::ApiVersions(request) => handler::api_versions::handle(call, &request),
        Request::OffsetForLeaderEpoch(request) => {
            handler::offset_for_leader_epoch::handle(call, request);
        }
        Request::InitProducerId(request) => handler::init_producer_id::handle(call, request),
        Request::DescribeCluster(request) => handler::describe_cluster::handle(call, &request),
        Request::DescribeTopicPartitions(request) => {
            handler::describe_topic_partitions::handle(call, request);
        }
        Request::DeleteRecords(request) => handler::delete_records::handle(call, request),
        Request::DescribeLogDirs(request) => handler::describe_log_dirs::handle(call, request),
        Request::DescribeProducers(request) => handler::describe_producers::handle(call, request),
        Request::DescribeQuorum(request) => handler::describe_quorum::handle(call, request),
        Request::FindCoordinator(request) => handler::find_coordinator::handle(call, request),
        Request::JoinGroup(request) => handler::join_group::handle(call, request),
        Request::SyncGroup(request) => handler::sync_group::handle(call, request),
        Request::Heartbeat(request) => handler::heartbeat::handle(call, request),
        Request::LeaveGroup(request) => handler::leave_group::handle(call, request),
        Request::OffsetCommit(request) => handler::offset_commit::handle(call, request),
        Request::OffsetFetch(request) => handler::offset_fetch::handle(call, request),
        Request::OffsetDelete(request) => handler::offset_delete::handle(call, request),
        Request::DescribeGroups(request) => handler::describe_groups::handle(call, request),
        Request::ListGroups(request) => handler::list_groups::handle(call, request),
        Request::DeleteGroups(request) => handler::delete_groups::handle(call, request),
        Request::CreateTopics(request) => handler::create_topics::handle(call, request),
        Request::DeleteTopics(request) => handler::delete_topics::handle(call, request),
        Request::CreatePartitions(request) => handler::create_partitions::handle(call, request),
        Request::DescribeClientQuotas(request) => {
            handler::describe_client_quotas::handle(call, &request);
        }
        Request::AlterClientQuotas(request) => {
            handler::alter_client_quotas::handle(call, request);
        }
        Request::DescribeUserScramCredentials(request) => {
            handler::describe_user_scram_credentials::handle(call, &request);
        }
        Request::DescribeConfigs(request) => handler::describe_configs::handle(call, &request),
        Request::AlterConfigs(request) => handler::alter_configs::handle(call, request),
        Request::IncrementalAlterConfigs(request) => {
            handler::incremental_alter_configs::handle(call, request);
        }
        Request::UnregisterBroker(request) => handler::unregister_broker::handle(call, &request),
        Request::ListConfigResources(request) => {
            handler::list_config_resources::handle(call, &request);
        }
        Request::ElectLeaders(request) => handler::elect_leaders::handle(call, &request),
        Request::AlterPartitionReassignments(request) => {
            handler::alter_partition_reassignments::handle(call, request);
        }
        Request::ListPartitionReassignments(request) => {
            handler::list_partition_reassignments::handle(call, &request);
        }
    }
}
