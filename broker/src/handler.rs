//! One module per Kafka API, named as the API; and what several of them share.

pub(crate) mod cluster;
pub(crate) mod errors;
pub(crate) mod groups;
pub(crate) mod lookup;
pub(crate) mod operations;

pub(crate) mod api_versions;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod describe_cluster;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sync_group;
