//! How long the client is asked to wait before its next request (KIP-124, KIP-219).

use super::Response;

impl Response {
    /// Tells the client for how many milliseconds its connection is not read. Lost where the
    /// version, or the API (DescribeQuorum), has no place for it: the client finds out all the same.
    pub fn set_throttle_time_ms(&mut self, millis: i32) {
        let field = match self {
            Self::Produce(message) => &mut message.throttle_time_ms,
            Self::Fetch(message) => &mut message.throttle_time_ms,
            Self::ListOffsets(message) => &mut message.throttle_time_ms,
            Self::Metadata(message) => &mut message.throttle_time_ms,
            Self::OffsetCommit(message) => &mut message.throttle_time_ms,
            Self::OffsetFetch(message) => &mut message.throttle_time_ms,
            Self::FindCoordinator(message) => &mut message.throttle_time_ms,
            Self::JoinGroup(message) => &mut message.throttle_time_ms,
            Self::Heartbeat(message) => &mut message.throttle_time_ms,
            Self::LeaveGroup(message) => &mut message.throttle_time_ms,
            Self::SyncGroup(message) => &mut message.throttle_time_ms,
            Self::DescribeGroups(message) => &mut message.throttle_time_ms,
            Self::ListGroups(message) => &mut message.throttle_time_ms,
            Self::DeleteGroups(message) => &mut message.throttle_time_ms,
            Self::ApiVersions(message) => &mut message.throttle_time_ms,
            Self::CreateTopics(message) => &mut message.throttle_time_ms,
            Self::DeleteTopics(message) => &mut message.throttle_time_ms,
            Self::DeleteRecords(message) => &mut message.throttle_time_ms,
            Self::InitProducerId(message) => &mut message.throttle_time_ms,
            Self::OffsetForLeaderEpoch(message) => &mut message.throttle_time_ms,
            Self::DescribeConfigs(message) => &mut message.throttle_time_ms,
            Self::AlterConfigs(message) => &mut message.throttle_time_ms,
            Self::DescribeLogDirs(message) => &mut message.throttle_time_ms,
            Self::CreatePartitions(message) => &mut message.throttle_time_ms,
            Self::ElectLeaders(message) => &mut message.throttle_time_ms,
            Self::IncrementalAlterConfigs(message) => &mut message.throttle_time_ms,
            Self::AlterPartitionReassignments(message) => &mut message.throttle_time_ms,
            Self::ListPartitionReassignments(message) => &mut message.throttle_time_ms,
            Self::OffsetDelete(message) => &mut message.throttle_time_ms,
            Self::DescribeClientQuotas(message) => &mut message.throttle_time_ms,
            Self::AlterClientQuotas(message) => &mut message.throttle_time_ms,
            Self::DescribeUserScramCredentials(message) => &mut message.throttle_time_ms,
            Self::DescribeCluster(message) => &mut message.throttle_time_ms,
            Self::DescribeProducers(message) => &mut message.throttle_time_ms,
            Self::UnregisterBroker(message) => &mut message.throttle_time_ms,
            Self::ListConfigResources(message) => &mut message.throttle_time_ms,
            Self::DescribeTopicPartitions(message) => &mut message.throttle_time_ms,
            Self::DescribeQuorum(_) => return,
        };
        *field = millis;
    }
}
