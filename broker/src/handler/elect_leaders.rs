//! ElectLeaders (KIP-183, KIP-460): leadership goes back to the preferred replicas, or, on order, to
//! whoever is left.
//!
//! Whoever leads a partition is asked to let its preferred replica stand for election, and the answer
//! waits until that one leads. A partition that nobody leads elects somebody by itself as soon as a
//! majority of its replicas is there. An unclean election is for those whose majority will not come back:
//! the controller decides about it, and the answer waits until the replica that it has chosen leads.

use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::controller::{Election, elect_leader};
use klamm_metadata::{Refusal, TopicImage};
use klamm_model::{BrokerId, LeaderEpoch, PartitionIndex};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use klamm_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use klamm_protocol::messages::{StrBytes, TopicName, text_of};
use tokio::time::Instant;

use super::cluster::TopicLeaders;
use super::refusal;
use crate::controller::requests;
use crate::dispatch::Call;
use crate::peer::{Answer, Group, Request};
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
    let mut elections = wanted(&call.shard, request);
    let is_for_all = request.topic_partitions.is_none();
    let patience = u64::try_from(request.timeout_ms).unwrap_or(0);
    let deadline = Instant::now() + PATIENCE_MAX.min(Duration::from_millis(patience));
    let shard = call.shard.clone();
    call.reply_later(async move {
        for election in elections.iter_mut().flat_map(|topic| &mut topic.partitions) {
            election.order(&shard).await;
        }
        if is_for_all {
            leave_out_not_needed(&mut elections);
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
    decided: Result<Order, Refused>,
}

/// What is ordered for one partition.
#[derive(Clone, Copy)]
enum Order {
    /// A leader that is to give its place to another broker.
    HandOver {
        group: Group,
        leader: BrokerId,
        heir: BrokerId,
    },
    /// A leader, whatever is lost by that.
    Unclean {
        group: Group,
        /// The last epoch in which somebody was heard to lead.
        heard: Option<LeaderEpoch>,
    },
}

/// As the client is told.
struct Refused {
    code: i16,
    text: Option<StrBytes>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (code, text) = refusal::told(&refusal);
        Self { code, text }
    }
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Self {
        Self {
            code: error.code(),
            text: Some(text_of(error.message())),
        }
    }
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
        let partitions = topic.partition_indexes().map(|index| index.0);
        let partitions: Vec<_> = match kind {
            UNCLEAN => partitions
                .filter(|index| may_be_needed(shard, topic, *index))
                .collect(),
            _ => partitions.collect(),
        };
        of_topic(shard, topic.name.as_str(), &partitions, kind)
    });
    all.collect()
}

/// Not worth a line where all partitions are asked for.
fn leave_out_not_needed(elections: &mut Vec<TopicElections>) {
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    let is_needed = |election: &PartitionElection| {
        let refused = election.decided.as_ref().err();
        refused.is_none_or(|refused| refused.code != not_needed)
    };
    for topic in elections.iter_mut() {
        topic.partitions.retain(is_needed);
    }
    elections.retain(|topic| !topic.partitions.is_empty());
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

/// Whether a partition may lack a leader that it cannot elect: who led it last may not, and be reached.
fn may_be_needed(shard: &Rc<Shard>, topic: &TopicImage, index: i32) -> bool {
    let partition = topic.partition(PartitionIndex(index));
    partition.is_some_and(|partition| {
        let reached = partition.broker_ids();
        let reached = reached.filter(|broker| shard.peers.is_alive(*broker));
        reached.count() <= partition.replicas.len() / 2
    })
}

fn decide(shard: &Rc<Shard>, name: &str, index: i32, kind: i8) -> Result<Order, Refused> {
    match kind {
        UNCLEAN => Ok(decide_unclean(shard, name, index)?),
        _ => Ok(decide_preferred(shard, name, index)?),
    }
}

/// The controller knows more: who led last may not, and be reached.
fn decide_unclean(shard: &Rc<Shard>, name: &str, index: i32) -> Result<Order, Refusal> {
    let image = shard.image();
    match elect_leader(&image, name, index, None) {
        Ok(_) | Err(Refusal::NoLeader) => {}
        Err(refusal) => return Err(refusal),
    }
    let topic = image.topic(name).ok_or(Refusal::UnknownTopic)?;
    let group = Group {
        topic_id: topic.id,
        partition: PartitionIndex(index),
    };
    let heard = shard.peers.leader(group).map(|leader| leader.epoch);
    Ok(Order::Unclean { group, heard })
}

fn decide_preferred(shard: &Rc<Shard>, name: &str, index: i32) -> Result<Order, Refusal> {
    let image = shard.image();
    let topic = image.topic(name);
    let leader = topic.zip(usize::try_from(index).ok());
    let leader = leader.map(|(topic, index)| TopicLeaders::of(shard, topic).partition(index));
    let leader = leader.filter(|state| state.leader >= 0);
    let leader = leader.map(|state| BrokerId(state.leader));
    let Election::HandOver(heir) = elect_leader(&image, name, index, leader)?;
    let (Some(topic), Some(leader)) = (topic, leader) else {
        return Err(Refusal::NoLeader);
    };
    Ok(Order::HandOver {
        group: Group {
            topic_id: topic.id,
            partition: PartitionIndex(index),
        },
        leader,
        heir,
    })
}

/// Has the leader give its place to another one.
async fn hand_over(shard: &Rc<Shard>, group: Group, leader: BrokerId, heir: BrokerId) {
    if !shard.peers.is_alive(heir) {
        return;
    }
    if leader == shard.node_id {
        shard.hand_over(group, heir);
    } else {
        // What comes of it is seen by who leads in the end.
        let request = Request::HandOver { group, to: heir };
        let _ = shard.peers.ask(leader, &request).await;
    }
}

/// Has the controller hold an unclean election.
async fn elect_uncleanly(shard: &Rc<Shard>, group: Group) -> Result<(), Refused> {
    match requests::ask(shard, Request::ElectUncleanly(group)).await {
        Ok(Answer::Done) => Ok(()),
        Ok(_) => Err(ErrorCode::UnknownServerError.into()),
        Err(refused) => Err(Refused {
            // Clients repeat what was told NOT_CONTROLLER without a word until their time is up.
            code: match refused.error() {
                ErrorCode::NotController => ErrorCode::EligibleLeadersNotAvailable.code(),
                _ => refused.code,
            },
            text: Some(text_of(&refused.reason)),
        }),
    }
}

impl PartitionElection {
    async fn order(&mut self, shard: &Rc<Shard>) {
        match self.decided {
            Ok(Order::HandOver {
                group,
                leader,
                heir,
            }) => hand_over(shard, group, leader, heir).await,
            Ok(Order::Unclean { group, .. }) => {
                if let Err(refused) = elect_uncleanly(shard, group).await {
                    self.decided = Err(refused);
                }
            }
            Err(_) => {}
        }
    }

    async fn result(self, shard: &Rc<Shard>, deadline: Instant) -> PartitionResult {
        let outcome = match self.decided {
            Ok(order) if order.is_carried_out(shard, deadline).await => Ok(()),
            Ok(Order::HandOver { .. }) => Err(ErrorCode::PreferredLeaderNotAvailable.into()),
            Ok(Order::Unclean { .. }) => Err(ErrorCode::RequestTimedOut.into()),
            Err(refused) => Err(refused),
        };
        let result = PartitionResult::default().with_partition_id(self.index);
        match outcome {
            Ok(()) => result,
            Err(Refused { code, text }) => result.with_error_code(code).with_error_message(text),
        }
    }
}

impl Order {
    /// Waits until somebody leads as it was ordered.
    async fn is_carried_out(&self, shard: &Rc<Shard>, deadline: Instant) -> bool {
        let leads = || match *self {
            Self::HandOver { group, heir, .. } => {
                let leader = shard.peers.leader(group);
                leader.is_some_and(|leader| leader.broker == heir)
            }
            Self::Unclean { group, heard } => {
                let leader = shard.peers.leader(group);
                leader.is_some_and(|leader| Some(leader.epoch) > heard)
            }
        };
        let is_possible = || match *self {
            Self::HandOver { heir, .. } => shard.peers.is_alive(heir),
            Self::Unclean { .. } => true,
        };
        while !leads() {
            if Instant::now() >= deadline || !is_possible() {
                return false;
            }
            shard.peers.news(PAUSE).await;
        }
        true
    }
}
