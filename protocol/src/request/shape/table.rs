//! The fields of every request in wire order, tagged ones left out.
//!
//! Source: the schemas of Kafka 4.4 (`clients/src/main/resources/common/message/*Request.json`).

use kafka_protocol::messages::{
    alter_client_quotas_request, alter_configs_request, alter_partition_reassignments_request,
    create_partitions_request, create_topics_request, delete_records_request,
    delete_topics_request, describe_client_quotas_request, describe_configs_request,
    describe_log_dirs_request, describe_producers_request, describe_quorum_request,
    describe_topic_partitions_request, describe_user_scram_credentials_request,
    elect_leaders_request, incremental_alter_configs_request, join_group_request,
    leave_group_request, list_offsets_request, list_partition_reassignments_request,
    metadata_request, offset_commit_request, offset_delete_request, offset_fetch_request,
    offset_for_leader_epoch_request, sync_group_request,
};
use kafka_protocol::protocol::StrBytes;

use super::Kind::{Blob, Fixed, Optional, Text};
use super::{Field, between, field, list, structs};
use crate::api::ApiKey;
use crate::messages::{FetchPartition, FetchTopic, ForgottenTopic, ProducePartition, ProduceTopic};

/// The fields of an API's request.
pub(super) fn fields(key: ApiKey) -> &'static [Field] {
    match key {
        ApiKey::Produce => PRODUCE,
        ApiKey::Fetch => FETCH,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::Metadata => METADATA,
        ApiKey::OffsetCommit => OFFSET_COMMIT,
        ApiKey::OffsetFetch => OFFSET_FETCH,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::JoinGroup => JOIN_GROUP,
        ApiKey::Heartbeat => HEARTBEAT,
        ApiKey::LeaveGroup => LEAVE_GROUP,
        ApiKey::SyncGroup => SYNC_GROUP,
        ApiKey::DescribeGroups => DESCRIBE_GROUPS,
        ApiKey::ListGroups => LIST_GROUPS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DeleteGroups => DELETE_GROUPS,
        ApiKey::ElectLeaders => ELECT_LEADERS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::AlterPartitionReassignments => ALTER_PARTITION_REASSIGNMENTS,
        ApiKey::ListPartitionReassignments => LIST_PARTITION_REASSIGNMENTS,
        ApiKey::OffsetDelete => OFFSET_DELETE,
        ApiKey::DescribeClientQuotas => DESCRIBE_CLIENT_QUOTAS,
        ApiKey::AlterClientQuotas => ALTER_CLIENT_QUOTAS,
        ApiKey::DescribeUserScramCredentials => DESCRIBE_USER_SCRAM_CREDENTIALS,
        ApiKey::DescribeQuorum => DESCRIBE_QUORUM,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
        ApiKey::DescribeProducers => DESCRIBE_PRODUCERS,
        ApiKey::UnregisterBroker => UNREGISTER_BROKER,
        ApiKey::ListConfigResources => LIST_CONFIG_RESOURCES,
        ApiKey::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
    }
}

const LIST_OFFSETS: &[Field] = &[
    field(0, Fixed(4)),
    field(2, Fixed(1)),
    field(
        0,
        structs::<list_offsets_request::ListOffsetsTopic>(&[
            field(0, Text),
            field(
                0,
                structs::<list_offsets_request::ListOffsetsPartition>(&[
                    field(0, Fixed(4)),
                    field(4, Fixed(4)),
                    field(0, Fixed(8)),
                ]),
            ),
        ]),
    ),
    field(10, Fixed(4)),
];

const METADATA: &[Field] = &[
    field(
        0,
        structs::<metadata_request::MetadataRequestTopic>(&[field(10, Fixed(16)), field(0, Text)]),
    ),
    field(4, Fixed(1)),
    between(8, 10, Fixed(1)),
    field(8, Fixed(1)),
];

const OFFSET_COMMIT: &[Field] = &[
    field(0, Text),
    field(1, Fixed(4)),
    field(1, Text),
    field(7, Text),
    between(2, 4, Fixed(8)),
    field(
        0,
        structs::<offset_commit_request::OffsetCommitRequestTopic>(&[
            between(0, 9, Text),
            field(10, Fixed(16)),
            field(
                0,
                structs::<offset_commit_request::OffsetCommitRequestPartition>(&[
                    field(0, Fixed(4)),
                    field(0, Fixed(8)),
                    field(6, Fixed(4)),
                    field(0, Text),
                ]),
            ),
        ]),
    ),
];

const OFFSET_FETCH: &[Field] = &[
    between(0, 7, Text),
    between(
        0,
        7,
        structs::<offset_fetch_request::OffsetFetchRequestTopic>(&[
            between(0, 7, Text),
            between(0, 7, list::<i32>(&Fixed(4))),
        ]),
    ),
    field(
        8,
        structs::<offset_fetch_request::OffsetFetchRequestGroup>(&[
            field(8, Text),
            field(9, Text),
            field(9, Fixed(4)),
            field(
                8,
                structs::<offset_fetch_request::OffsetFetchRequestTopics>(&[
                    between(8, 9, Text),
                    field(10, Fixed(16)),
                    field(8, list::<i32>(&Fixed(4))),
                ]),
            ),
        ]),
    ),
    field(7, Fixed(1)),
];

const FIND_COORDINATOR: &[Field] = &[
    between(0, 3, Text),
    field(1, Fixed(1)),
    field(4, list::<StrBytes>(&Text)),
];

const JOIN_GROUP: &[Field] = &[
    field(0, Text),
    field(0, Fixed(4)),
    field(1, Fixed(4)),
    field(0, Text),
    field(5, Text),
    field(0, Text),
    field(
        0,
        structs::<join_group_request::JoinGroupRequestProtocol>(&[field(0, Text), field(0, Blob)]),
    ),
    field(8, Text),
];

const HEARTBEAT: &[Field] = &[
    field(0, Text),
    field(0, Fixed(4)),
    field(0, Text),
    field(3, Text),
];

const LEAVE_GROUP: &[Field] = &[
    field(0, Text),
    between(0, 2, Text),
    field(
        3,
        structs::<leave_group_request::MemberIdentity>(&[
            field(3, Text),
            field(3, Text),
            field(5, Text),
        ]),
    ),
];

const SYNC_GROUP: &[Field] = &[
    field(0, Text),
    field(0, Fixed(4)),
    field(0, Text),
    field(3, Text),
    field(5, Text),
    field(5, Text),
    field(
        0,
        structs::<sync_group_request::SyncGroupRequestAssignment>(&[
            field(0, Text),
            field(0, Blob),
        ]),
    ),
];

const DESCRIBE_GROUPS: &[Field] = &[field(0, list::<StrBytes>(&Text)), field(3, Fixed(1))];

const LIST_GROUPS: &[Field] = &[
    field(4, list::<StrBytes>(&Text)),
    field(5, list::<StrBytes>(&Text)),
];

const CREATE_TOPICS: &[Field] = &[
    field(
        0,
        structs::<create_topics_request::CreatableTopic>(&[
            field(0, Text),
            field(0, Fixed(4)),
            field(0, Fixed(2)),
            field(
                0,
                structs::<create_topics_request::CreatableReplicaAssignment>(&[
                    field(0, Fixed(4)),
                    field(0, list::<i32>(&Fixed(4))),
                ]),
            ),
            field(
                0,
                structs::<create_topics_request::CreatableTopicConfig>(&[
                    field(0, Text),
                    field(0, Text),
                ]),
            ),
        ]),
    ),
    field(0, Fixed(4)),
    field(1, Fixed(1)),
];

const DELETE_TOPICS: &[Field] = &[
    field(
        6,
        structs::<delete_topics_request::DeleteTopicState>(&[field(6, Text), field(6, Fixed(16))]),
    ),
    between(0, 5, list::<StrBytes>(&Text)),
    field(0, Fixed(4)),
];

const DELETE_RECORDS: &[Field] = &[
    field(
        0,
        structs::<delete_records_request::DeleteRecordsTopic>(&[
            field(0, Text),
            field(
                0,
                structs::<delete_records_request::DeleteRecordsPartition>(&[
                    field(0, Fixed(4)),
                    field(0, Fixed(8)),
                ]),
            ),
        ]),
    ),
    field(0, Fixed(4)),
];

const INIT_PRODUCER_ID: &[Field] = &[
    field(0, Text),
    field(0, Fixed(4)),
    field(3, Fixed(8)),
    field(3, Fixed(2)),
    field(6, Fixed(1)),
    field(6, Fixed(1)),
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    field(3, Fixed(4)),
    field(
        0,
        structs::<offset_for_leader_epoch_request::OffsetForLeaderTopic>(&[
            field(0, Text),
            field(
                0,
                structs::<offset_for_leader_epoch_request::OffsetForLeaderPartition>(&[
                    field(0, Fixed(4)),
                    field(2, Fixed(4)),
                    field(0, Fixed(4)),
                ]),
            ),
        ]),
    ),
];

const DESCRIBE_CONFIGS: &[Field] = &[
    field(
        0,
        structs::<describe_configs_request::DescribeConfigsResource>(&[
            field(0, Fixed(1)),
            field(0, Text),
            field(0, list::<StrBytes>(&Text)),
        ]),
    ),
    field(1, Fixed(1)),
    field(3, Fixed(1)),
];

const ALTER_CONFIGS: &[Field] = &[
    field(
        0,
        structs::<alter_configs_request::AlterConfigsResource>(&[
            field(0, Fixed(1)),
            field(0, Text),
            field(
                0,
                structs::<alter_configs_request::AlterableConfig>(&[
                    field(0, Text),
                    field(0, Text),
                ]),
            ),
        ]),
    ),
    field(0, Fixed(1)),
];

const DESCRIBE_LOG_DIRS: &[Field] = &[field(
    0,
    structs::<describe_log_dirs_request::DescribableLogDirTopic>(&[
        field(0, Text),
        field(0, list::<i32>(&Fixed(4))),
    ]),
)];

const CREATE_PARTITIONS: &[Field] = &[
    field(
        0,
        structs::<create_partitions_request::CreatePartitionsTopic>(&[
            field(0, Text),
            field(0, Fixed(4)),
            field(
                0,
                structs::<create_partitions_request::CreatePartitionsAssignment>(&[field(
                    0,
                    list::<i32>(&Fixed(4)),
                )]),
            ),
        ]),
    ),
    field(0, Fixed(4)),
    field(0, Fixed(1)),
];

const DELETE_GROUPS: &[Field] = &[field(0, list::<StrBytes>(&Text))];

const ELECT_LEADERS: &[Field] = &[
    field(1, Fixed(1)),
    field(
        0,
        structs::<elect_leaders_request::TopicPartitions>(&[
            field(0, Text),
            field(0, list::<i32>(&Fixed(4))),
        ]),
    ),
    field(0, Fixed(4)),
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    field(
        0,
        structs::<incremental_alter_configs_request::AlterConfigsResource>(&[
            field(0, Fixed(1)),
            field(0, Text),
            field(
                0,
                structs::<incremental_alter_configs_request::AlterableConfig>(&[
                    field(0, Text),
                    field(0, Fixed(1)),
                    field(0, Text),
                ]),
            ),
        ]),
    ),
    field(0, Fixed(1)),
];

const ALTER_PARTITION_REASSIGNMENTS: &[Field] = &[
    field(0, Fixed(4)),
    field(1, Fixed(1)),
    field(
        0,
        structs::<alter_partition_reassignments_request::ReassignableTopic>(&[
            field(0, Text),
            field(
                0,
                structs::<alter_partition_reassignments_request::ReassignablePartition>(&[
                    field(0, Fixed(4)),
                    field(0, list::<i32>(&Fixed(4))),
                ]),
            ),
        ]),
    ),
];

const LIST_PARTITION_REASSIGNMENTS: &[Field] = &[
    field(0, Fixed(4)),
    field(
        0,
        structs::<list_partition_reassignments_request::ListPartitionReassignmentsTopics>(&[
            field(0, Text),
            field(0, list::<i32>(&Fixed(4))),
        ]),
    ),
];

const OFFSET_DELETE: &[Field] = &[
    field(0, Text),
    field(
        0,
        structs::<offset_delete_request::OffsetDeleteRequestTopic>(&[
            field(0, Text),
            field(
                0,
                structs::<offset_delete_request::OffsetDeleteRequestPartition>(&[field(
                    0,
                    Fixed(4),
                )]),
            ),
        ]),
    ),
];

const DESCRIBE_CLIENT_QUOTAS: &[Field] = &[
    field(
        0,
        structs::<describe_client_quotas_request::ComponentData>(&[
            field(0, Text),
            field(0, Fixed(1)),
            field(0, Text),
        ]),
    ),
    field(0, Fixed(1)),
];

const ALTER_CLIENT_QUOTAS: &[Field] = &[
    field(
        0,
        structs::<alter_client_quotas_request::EntryData>(&[
            field(
                0,
                structs::<alter_client_quotas_request::EntityData>(&[
                    field(0, Text),
                    field(0, Text),
                ]),
            ),
            field(
                0,
                structs::<alter_client_quotas_request::OpData>(&[
                    field(0, Text),
                    field(0, Fixed(8)),
                    field(0, Fixed(1)),
                ]),
            ),
        ]),
    ),
    field(0, Fixed(1)),
];

const DESCRIBE_USER_SCRAM_CREDENTIALS: &[Field] = &[field(
    0,
    structs::<describe_user_scram_credentials_request::UserName>(&[field(0, Text)]),
)];

const DESCRIBE_QUORUM: &[Field] = &[field(
    0,
    structs::<describe_quorum_request::TopicData>(&[
        field(0, Text),
        field(
            0,
            structs::<describe_quorum_request::PartitionData>(&[field(0, Fixed(4))]),
        ),
    ]),
)];

const DESCRIBE_CLUSTER: &[Field] = &[field(0, Fixed(1)), field(1, Fixed(1)), field(2, Fixed(1))];

const DESCRIBE_PRODUCERS: &[Field] = &[field(
    0,
    structs::<describe_producers_request::TopicRequest>(&[
        field(0, Text),
        field(0, list::<i32>(&Fixed(4))),
    ]),
)];

const UNREGISTER_BROKER: &[Field] = &[field(0, Fixed(4))];

const LIST_CONFIG_RESOURCES: &[Field] = &[field(1, list::<i8>(&Fixed(1)))];

const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    field(
        0,
        structs::<describe_topic_partitions_request::TopicRequest>(&[field(0, Text)]),
    ),
    field(0, Fixed(4)),
    field(0, Optional(&[field(0, Text), field(0, Fixed(4))])),
];

const PRODUCE: &[Field] = &[
    field(3, Text),
    field(0, Fixed(2)),
    field(0, Fixed(4)),
    field(
        0,
        structs::<ProduceTopic>(&[
            between(0, 12, Text),
            field(13, Fixed(16)),
            field(
                0,
                structs::<ProducePartition>(&[field(0, Fixed(4)), field(0, Blob)]),
            ),
        ]),
    ),
];

const FETCH: &[Field] = &[
    between(0, 14, Fixed(4)),
    field(0, Fixed(4)),
    field(0, Fixed(4)),
    field(3, Fixed(4)),
    field(4, Fixed(1)),
    field(7, Fixed(4)),
    field(7, Fixed(4)),
    field(
        0,
        structs::<FetchTopic>(&[
            between(0, 12, Text),
            field(13, Fixed(16)),
            field(
                0,
                structs::<FetchPartition>(&[
                    field(0, Fixed(4)),
                    field(9, Fixed(4)),
                    field(0, Fixed(8)),
                    field(12, Fixed(4)),
                    field(5, Fixed(8)),
                    field(0, Fixed(4)),
                ]),
            ),
        ]),
    ),
    field(
        7,
        structs::<ForgottenTopic>(&[
            between(7, 12, Text),
            field(13, Fixed(16)),
            field(7, list::<i32>(&Fixed(4))),
        ]),
    ),
    field(11, Text),
];

const API_VERSIONS: &[Field] = &[
    field(3, Text),
    field(3, Text),
    field(5, Text),
    field(5, Fixed(4)),
];
