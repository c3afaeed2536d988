//! ElectLeaders (KIP-183, KIP-460). A partition with one replica is led by it or by nobody, so
//! there is never anything to hand over.

use klamm_metadata::Refusal;
use klamm_metadata::controller::{Election, elect_leader};
use klamm_model::BrokerId;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use klamm_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use klamm_protocol::messages::{TopicName, text_of};

use super::cluster::TopicLeaders;
use super::refusal;
use crate::dispatch::Call;
use crate::shard::Shard;

/// The preferred replica.
const PREFERRED: i8 = 0;
/// Any replica, even one that lacks records.
const UNCLEAN: i8 = 1;

pub(crate) fn handle(call: Call, request: &ElectLeadersRequest) {
    if !matches!(request.election_type, PREFERRED | UNCLEAN) {
        let refused = Refusal::UnknownElectionType(request.election_type);
        return call.reply(ElectLeadersResponse::default().with_error_code(refused.code()));
    }
    let results = match &request.topic_partitions {
        Some(topics) => {
            let elect =
                |topic: &TopicPartitions| of_topic(&call.shard, &topic.topic, &topic.partitions);
            topics.iter().map(elect).collect()
        }
        None => all(&call.shard),
    };
    call.reply(ElectLeadersResponse::default().with_replica_election_results(results));
}

/// Every partition, but for those that need no election.
fn all(shard: &Shard) -> Vec<ReplicaElectionResult> {
    let image = shard.image();
    let results = image.topics().filter_map(|topic| {
        let partitions: Vec<_> = (0..).take(topic.partitions.len()).collect();
        let mut result = of_topic(shard, topic.name.as_str(), &partitions);
        let not_needed = ErrorCode::ElectionNotNeeded.code();
        result
            .partition_result
            .retain(|partition| partition.error_code != not_needed);
        (!result.partition_result.is_empty()).then_some(result)
    });
    results.collect()
}

fn of_topic(shard: &Shard, name: &str, partitions: &[i32]) -> ReplicaElectionResult {
    let image = shard.image();
    let leaders = image
        .topic(name)
        .map(|topic| TopicLeaders::of(shard, topic));
    let results = partitions.iter().map(|partition| {
        let leader = leaders.as_ref().zip(usize::try_from(*partition).ok());
        let leader = leader.map(|(leaders, index)| leaders.partition(index).leader);
        let leader = leader.filter(|leader| *leader >= 0).map(BrokerId);
        let elected = elect_leader(&image, name, *partition, leader);
        let (code, text) = match elected {
            Ok(Election::HandOver(_)) => {
                let error = ErrorCode::PreferredLeaderNotAvailable;
                (error.code(), Some(text_of(error.message())))
            }
            Err(refused) => refusal::told(&refused),
        };
        PartitionResult::default()
            .with_partition_id(*partition)
            .with_error_code(code)
            .with_error_message(text)
    });
    ReplicaElectionResult::default()
        .with_topic(TopicName(text_of(name)))
        .with_partition_result(results.collect())
}
