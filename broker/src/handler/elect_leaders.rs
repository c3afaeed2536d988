//! ElectLeaders (KIP-183, KIP-460): leadership goes back to the preferred replicas.
//!
//! Whoever leads a partition is asked to let its preferred replica stand for election, and the answer
//! waits until that one leads. A partition that nobody leads elects somebody by itself as soon as a
//! majority of its replicas is there: with fewer there is nothing to be ordered but the loss of records,
//! which is not served. An unclean election is refused therefore where Kafka would hold one.

use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::Refusal;
use klamm_metadata::controller::{Election, elect_leader};
use klamm_model::{BrokerId, PartitionIndex};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use klamm_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use klamm_protocol::messages::{StrBytes, TopicName, text_of};
use tokio::time::Instant;

use super::cluster::TopicLeaders;
use super::refusal;
use crate::dispatch::Call;
use crate::peer::{Group, Request};
use crate::shard::Shard;

/// The preferred replica.
const PREFERRED: i8 = 0;
/// Any replica, even one that lacks records.
const UNCLEAN: i8 = 1;
/// Between two looks at whether somebody else leads.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the answer waits at most, whatever the client says.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

pub(crate) fn handle(call: Call, request: &ElectLeadersRequest) {
    if !matches!(request.election_type, PREFERRED | UNCLEAN) {
        let refused = Refusal::UnknownElectionType(request.election_type);
        return call.reply(ElectLeadersResponse::default().with_error_code(refused.code()));
    }
    let elections = wanted(&call.shard, request);
    let patience = u64::try_from(request.timeout_ms).unwrap_or(0);
    let deadline = Instant::now() + PATIENCE_MAX.min(Duration::from_millis(patience));
    let shard = call.shard.clone();
    call.reply_later(async move {
        for election in elections.iter().flat_map(|topic| &topic.partitions) {
            election.order(&shard).await;
        }
        let mut results = Vec::new();
        for topic in elections {
            let mut partitions = Vec::new();
            for election in topic.partitions {
                partitions.push(election.result(&shard, deadline).await);
            }
            results.push(
                ReplicaElectionResult::default()
                    .with_topic(TopicName(topic.name))
                    .with_partition_result(partitions),
            );
        }
        ElectLeadersResponse::default().with_replica_election_results(results)
    });
}

/// What a request comes to for one topic.
struct TopicElections {
    name: StrBytes,
    partitions: Vec<PartitionElection>,
}

/// What it comes to for one partition.
struct PartitionElection {
    index: i32,
    decided: Result<Order, Refusal>,
}

/// A leader that is to give its place to another broker.
struct Order {
    group: Group,
    leader: BrokerId,
    heir: BrokerId,
}

fn wanted(shard: &Rc<Shard>, request: &ElectLeadersRequest) -> Vec<TopicElections> {
    let kind = request.election_type;
    if let Some(topics) = &request.topic_partitions {
        let of_topic = |topic: &_| {
            let klamm_protocol::messages::elect_leaders_request::TopicPartitions {
                topic,
                partitions,
                ..
            } = topic;
            of_topic(shard, topic, partitions, kind)
        };
        return topics.iter().map(of_topic).collect();
    }
    let image = shard.image();
    let all = image.topics().map(|topic| {
        let partitions: Vec<_> = topic.partition_indexes().map(|index| index.0).collect();
        let mut elections = of_topic(shard, topic.name.as_str(), &partitions, kind);
        // Not worth a line where all partitions are asked for.
        let is_needed = |election: &mut PartitionElection| {
            !matches!(election.decided, Err(Refusal::ElectionNotNeeded))
        };
        elections.partitions.retain_mut(is_needed);
        elections
    });
    all.filter(|topic| !topic.partitions.is_empty()).collect()
}

fn of_topic(shard: &Rc<Shard>, name: &str, partitions: &[i32], kind: i8) -> TopicElections {
    let partitions = partitions.iter().map(|index| PartitionElection {
        index: *index,
        decided: decide(shard, name, *index, kind),
    });
    TopicElections {
        name: text_of(name),
        partitions: partitions.collect(),
    }
}

fn decide(shard: &Rc<Shard>, name: &str, index: i32, kind: i8) -> Result<Order, Refusal> {
    let image = shard.image();
    let topic = image.topic(name);
    let leader = topic.zip(usize::try_from(index).ok());
    let leader = leader.map(|(topic, index)| TopicLeaders::of(shard, topic).partition(index));
    let leader = leader.filter(|state| state.leader >= 0);
    let leader = leader.map(|state| BrokerId(state.leader));
    let elected = elect_leader(&image, name, index, leader);
    let Election::HandOver(heir) = match kind {
        UNCLEAN => return Err(no_unclean_election(elected)),
        _ => elected?,
    };
    let (Some(topic), Some(leader)) = (topic, leader) else {
        return Err(Refusal::NoLeader);
    };
    Ok(Order {
        group: Group {
            topic_id: topic.id,
            partition: PartitionIndex(index),
        },
        leader,
        heir,
    })
}

/// Why there is none, of a partition for which this would have come of a clean one.
fn no_unclean_election(clean: Result<Election, Refusal>) -> Refusal {
    match clean {
        // Only for those that have no leader.
        Ok(Election::HandOver(_)) => Refusal::ElectionNotNeeded,
        Err(Refusal::NoLeader) => Refusal::NoEligibleLeader,
        Err(other) => other,
    }
}

impl PartitionElection {
    async fn order(&self, shard: &Rc<Shard>) {
        let Ok(Order {
            group,
            leader,
            heir,
        }) = self.decided
        else {
            return;
        };
        if !shard.peers.is_alive(heir) {
            return;
        }
        if leader == shard.node_id {
            shard.hand_over(group, heir);
        } else {
            // What comes of it is seen by who leads in the end.
            let _ = shard
                .peers
                .ask(leader, &Request::HandOver { group, to: heir })
                .await;
        }
    }

    async fn result(self, shard: &Rc<Shard>, deadline: Instant) -> PartitionResult {
        let (code, text) = match self.decided {
            Ok(order) if order.is_carried_out(shard, deadline).await => (0, None),
            Ok(_) => {
                let error = ErrorCode::PreferredLeaderNotAvailable;
                (error.code(), Some(text_of(error.message())))
            }
            Err(refused) => refusal::told(&refused),
        };
        PartitionResult::default()
            .with_partition_id(self.index)
            .with_error_code(code)
            .with_error_message(text)
    }
}

impl Order {
    /// Waits until the heir leads.
    async fn is_carried_out(&self, shard: &Rc<Shard>, deadline: Instant) -> bool {
        let leads = || {
            let leader = shard.peers.leader(self.group);
            leader.is_some_and(|leader| leader.broker == self.heir)
        };
        while !leads() {
            if Instant::now() >= deadline || !shard.peers.is_alive(self.heir) {
                return false;
            }
            shard.peers.news(PAUSE).await;
        }
        true
    }
}
