//! Kafka's messages: those of the `kafka-protocol` crate under one roof with Klamm's own.
//!
//! One module per message, such as [`metadata_response`], because the structs inside messages
//! share names. Klamm has its own Produce and Fetch requests and Fetch response (hot path),
//! ApiVersions request and DeleteGroups response (fields newer than the crate).
//!
//! The crate's structs are `#[non_exhaustive]`: start from `default()` and set fields. What a
//! version cannot say is left out when the answer is encoded; only where versions differ in
//! structure (OffsetFetch before 8, FindCoordinator before 4) the handler fills one or the other.

pub use kafka_protocol::messages::{
    BrokerId, GroupId, ProducerId, TopicName, TransactionalId, alter_client_quotas_request,
    alter_client_quotas_response, alter_configs_request, alter_configs_response,
    alter_partition_reassignments_request, alter_partition_reassignments_response,
    api_versions_response, create_partitions_request, create_partitions_response,
    create_topics_request, create_topics_response, delete_groups_request, delete_records_request,
    delete_records_response, delete_topics_request, delete_topics_response,
    describe_client_quotas_request, describe_client_quotas_response, describe_cluster_request,
    describe_cluster_response, describe_configs_request, describe_configs_response,
    describe_groups_request, describe_groups_response, describe_log_dirs_request,
    describe_log_dirs_response, describe_producers_request, describe_producers_response,
    describe_quorum_request, describe_quorum_response, describe_topic_partitions_request,
    describe_topic_partitions_response, describe_user_scram_credentials_request,
    describe_user_scram_credentials_response, elect_leaders_request, elect_leaders_response,
    find_coordinator_request, find_coordinator_response, heartbeat_request, heartbeat_response,
    incremental_alter_configs_request, incremental_alter_configs_response,
    init_producer_id_request, init_producer_id_response, join_group_request, join_group_response,
    leave_group_request, leave_group_response, list_config_resources_request,
    list_config_resources_response, list_groups_request, list_groups_response,
    list_offsets_request, list_offsets_response, list_partition_reassignments_request,
    list_partition_reassignments_response, metadata_request, metadata_response,
    offset_commit_request, offset_commit_response, offset_delete_request, offset_delete_response,
    offset_fetch_request, offset_fetch_response, offset_for_leader_epoch_request,
    offset_for_leader_epoch_response, produce_response, sync_group_request, sync_group_response,
    unregister_broker_request, unregister_broker_response,
};
pub use kafka_protocol::protocol::StrBytes;
pub use uuid::Uuid;

pub use crate::api_versions::ApiVersionsRequest;
pub use crate::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
pub use crate::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
pub use crate::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchablePartition, FetchableTopic,
    LeaderIdAndEpoch, NodeEndpoint,
};
pub use crate::produce_request::{ProducePartition, ProduceRequest, ProduceTopic};

use klamm_model::TopicId;

/// A topic's id in the form that the messages hold it in.
pub fn uuid_of(id: TopicId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// A topic's id from the form that the messages hold it in.
pub fn topic_id_of(uuid: Uuid) -> TopicId {
    TopicId::from_bytes(uuid.into_bytes())
}

/// A string in the form that the messages hold it in; copies.
pub fn text_of(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
