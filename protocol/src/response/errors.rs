//! The errors that an answer holds, wherever its message keeps them.

use super::Response;

impl Response {
    /// Calls `found` with the code of each error in the answer: of the request as a whole, and of
    /// each partition, topic, group or resource.
    pub fn for_each_error(&self, found: &mut dyn FnMut(i16)) {
        self.for_each_code(&mut |code| {
            if code != 0 {
                found(code);
            }
        });
    }

    fn for_each_code(&self, found: &mut dyn FnMut(i16)) {
        match self {
            Self::Produce(message) => {
                let topics = message.responses.iter();
                let partitions = topics.flat_map(|topic| &topic.partition_responses);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::Fetch(message) => {
                found(message.error_code);
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::ListOffsets(message) => {
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::Metadata(message) => {
                for topic in &message.topics {
                    found(topic.error_code);
                    let partitions = topic.partitions.iter();
                    partitions.for_each(|partition| found(partition.error_code));
                }
            }
            Self::OffsetCommit(message) => {
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::OffsetFetch(message) => {
                found(message.error_code);
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
                for group in &message.groups {
                    found(group.error_code);
                    let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
                    partitions.for_each(|partition| found(partition.error_code));
                }
            }
            Self::FindCoordinator(message) => {
                found(message.error_code);
                let coordinators = message.coordinators.iter();
                coordinators.for_each(|coordinator| found(coordinator.error_code));
            }
            Self::JoinGroup(message) => found(message.error_code),
            Self::Heartbeat(message) => found(message.error_code),
            Self::LeaveGroup(message) => {
                found(message.error_code);
                let members = message.members.iter();
                members.for_each(|member| found(member.error_code));
            }
            Self::SyncGroup(message) => found(message.error_code),
            Self::DescribeGroups(message) => {
                let groups = message.groups.iter();
                groups.for_each(|group| found(group.error_code));
            }
            Self::ListGroups(message) => found(message.error_code),
            Self::DeleteGroups(message) => {
                let results = message.results.iter();
                results.for_each(|group| found(group.error_code));
            }
            Self::ApiVersions(message) => found(message.error_code),
            Self::CreateTopics(message) => {
                let topics = message.topics.iter();
                topics.for_each(|topic| found(topic.error_code));
            }
            Self::DeleteTopics(message) => {
                let topics = message.responses.iter();
                topics.for_each(|topic| found(topic.error_code));
            }
            Self::DeleteRecords(message) => {
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::InitProducerId(message) => found(message.error_code),
            Self::OffsetForLeaderEpoch(message) => {
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::DescribeConfigs(message) => {
                let results = message.results.iter();
                results.for_each(|resource| found(resource.error_code));
            }
            Self::AlterConfigs(message) => {
                let responses = message.responses.iter();
                responses.for_each(|resource| found(resource.error_code));
            }
            Self::IncrementalAlterConfigs(message) => {
                let responses = message.responses.iter();
                responses.for_each(|resource| found(resource.error_code));
            }
            Self::DescribeLogDirs(message) => {
                found(message.error_code);
                let results = message.results.iter();
                results.for_each(|dir| found(dir.error_code));
            }
            Self::CreatePartitions(message) => {
                let results = message.results.iter();
                results.for_each(|topic| found(topic.error_code));
            }
            Self::ElectLeaders(message) => {
                found(message.error_code);
                let topics = message.replica_election_results.iter();
                let partitions = topics.flat_map(|topic| &topic.partition_result);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::AlterPartitionReassignments(message) => {
                found(message.error_code);
                let partitions = message.responses.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::ListPartitionReassignments(message) => found(message.error_code),
            Self::OffsetDelete(message) => {
                found(message.error_code);
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::DescribeClientQuotas(message) => found(message.error_code),
            Self::AlterClientQuotas(message) => {
                let entries = message.entries.iter();
                entries.for_each(|entity| found(entity.error_code));
            }
            Self::DescribeUserScramCredentials(message) => {
                found(message.error_code);
                let results = message.results.iter();
                results.for_each(|user| found(user.error_code));
            }
            Self::DescribeQuorum(message) => {
                found(message.error_code);
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::DescribeCluster(message) => found(message.error_code),
            Self::DescribeProducers(message) => {
                let partitions = message.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.for_each(|partition| found(partition.error_code));
            }
            Self::UnregisterBroker(message) => found(message.error_code),
            Self::ListConfigResources(message) => found(message.error_code),
            Self::DescribeTopicPartitions(message) => {
                for topic in &message.topics {
                    found(topic.error_code);
                    let partitions = topic.partitions.iter();
                    partitions.for_each(|partition| found(partition.error_code));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages as kafka;

    use super::*;

    #[test]
    fn errors_are_found_at_every_depth_and_success_is_none() {
        let partition = |code| {
            kafka::produce_response::PartitionProduceResponse::default().with_error_code(code)
        };
        let topic = |codes: &[i16]| {
            let partitions = codes.iter().map(|code| partition(*code)).collect();
            kafka::produce_response::TopicProduceResponse::default()
                .with_partition_responses(partitions)
        };
        let produced = kafka::ProduceResponse::default()
            .with_responses(vec![topic(&[0, 3]), topic(&[-1, 0, 3])]);
        let mut codes = Vec::new();
        Response::from(produced).for_each_error(&mut |code| codes.push(code));
        assert_eq!(codes, [3, -1, 3]);
    }
}
