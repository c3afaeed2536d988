//! Unclean elections, on order: all replicas that are reached say what they hold, one of them is chosen to
//! go on alone, and that is written to the metadata. The brokers do the rest as they learn of it.
//!
//! A broker that is reached and cannot say what it holds, since it has just started or stands still, may
//! hold more than all others: nobody is elected before it has answered, or is lost.

use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::controller::{Contender, UncleanOutcome};
use klamm_metadata::{Decision, LogEnd, Refusal};
use klamm_model::BrokerId;
use klamm_protocol::ErrorCode;
use klamm_replication::ReplicaId;

use super::requests::refused;
use super::{broker_of_metadata_replica, change};
use crate::partition::driver::Holding;
use crate::peer::{Answer, Group, Request};
use crate::shard::Shard;

/// How long a broker may take to say what it holds. One that stands still for longer is not reached any more
/// after some seconds.
const ANSWERING_TIME: Duration = Duration::from_secs(2);

/// Holds an unclean election, on the controller.
pub(super) async fn elect(shard: &Rc<Shard>, group: Group) -> Result<Answer, ErrorCode> {
    let contenders = match contenders(shard, group).await {
        Ok(contenders) => contenders,
        Err(refusal) => return Ok(told(shard, group, &refusal)),
    };
    // What is written without them could come into force when they are back, and nobody is lost any more.
    if !reaches_majority(shard) {
        return Err(ErrorCode::NotController);
    }
    let heard = shard.peers.leader(group).map(|leader| leader.epoch);
    let decided = change(shard, |decider| {
        let decided = decider.elect_uncleanly(group.topic_id, group.partition, &contenders, heard);
        Decision::of_either(decided)
    });
    Ok(match decided.await? {
        Ok(outcome) => {
            report(shard, group, &outcome);
            Answer::Done
        }
        Err(refusal) => told(shard, group, &refusal),
    })
}

/// Whether those who vote on the metadata are reached.
fn reaches_majority(shard: &Shard) -> bool {
    let driver = shard.controller.partition().driver();
    let members = driver.members();
    let is_reached = |voter: &&ReplicaId| {
        let broker = broker_of_metadata_replica(**voter);
        broker.is_some_and(|broker| shard.peers.is_reached_both_ways(broker))
    };
    let mut sets = members.deciding();
    sets.all(|set| set.iter().filter(is_reached).count() > set.len() / 2)
}

fn report(shard: &Shard, group: Group, outcome: &UncleanOutcome) {
    shard.counters().unclean_elections.add(1);
    let LogEnd { offset, .. } = outcome.log_end;
    let given_up: Vec<_> = outcome.given_up.iter().map(|broker| broker.0).collect();
    tracing::error!(topic = topic_of(shard, group), partition = group.partition.0,
        survivor = outcome.survivor.0, ?given_up, from = %offset,
        "unclean election: the replica of one broker goes on alone, those of others are given up; \
         records from this offset on may be lost");
}

fn told(shard: &Shard, group: Group, refusal: &Refusal) -> Answer {
    tracing::warn!(topic = topic_of(shard, group), partition = group.partition.0, %refusal,
        "an unclean election is refused");
    refused(refusal)
}

fn topic_of(shard: &Shard, group: Group) -> String {
    let image = shard.image();
    let topic = image.topic_by_id(group.topic_id);
    topic.map_or_else(String::new, |topic| topic.name.to_string())
}

/// What the replicas say that are reached.
async fn contenders(shard: &Rc<Shard>, group: Group) -> Result<Vec<Contender>, Refusal> {
    let image = shard.image();
    let topic = image.topic_by_id(group.topic_id);
    let partition = topic.and_then(|topic| topic.partition(group.partition));
    let brokers = partition.into_iter().flat_map(|found| found.broker_ids());
    let mut asking = tokio::task::JoinSet::new();
    for broker in brokers {
        let shard = shard.clone();
        asking.spawn_local(async move { held_by(&shard, broker, group).await });
    }
    let asked = asking.join_all().await.into_iter();
    asked.filter_map(Result::transpose).collect()
}

/// What the replica on a broker holds; `None` if it is lost.
async fn held_by(
    shard: &Rc<Shard>,
    broker: BrokerId,
    group: Group,
) -> Result<Option<Contender>, Refusal> {
    let request = Request::Hold(group);
    let asked = async {
        match broker == shard.node_id {
            true => Some(holding(shard, group)),
            false => shard.peers.ask(broker, &request).await,
        }
    };
    let silent = |reason: &str| Refusal::ReplicaIsSilent {
        broker: broker.0,
        reason: reason.to_owned(),
    };
    let storage_error = ErrorCode::KafkaStorageError.code();
    match tokio::time::timeout(ANSWERING_TIME, asked).await {
        Ok(Some(Answer::Holds(held))) => Ok(Some(contender(&held))),
        Ok(Some(Answer::Refused { code, .. })) if code == storage_error => Ok(None),
        Ok(Some(Answer::Refused { reason, .. })) => Err(silent(&reason)),
        Ok(Some(_)) => Err(silent("it answers something else")),
        Ok(None) => Ok(None),
        Err(_) => Err(silent("it does not answer")),
    }
}

/// What the replica here holds, or why that cannot be said.
pub(crate) fn holding(shard: &Shard, group: Group) -> Answer {
    let Some(partition) = shard.hosted(group) else {
        return Answer::Refused {
            code: ErrorCode::InvalidRequest.code(),
            reason: "the replica is not open".to_owned(),
        };
    };
    match partition.driver().holding() {
        Some(held) => Answer::Holds(Box::new(held)),
        None => Answer::Refused {
            code: ErrorCode::KafkaStorageError.code(),
            reason: "the replica is offline".to_owned(),
        },
    }
}

fn contender(held: &Holding) -> Contender {
    let members = &held.configuration.members;
    Contender {
        replica: held.replica.get(),
        unclean_elections: members.unclean_elections,
        log_end: LogEnd {
            term: held.last.term,
            index: held.last.index,
            offset: held.end_offset,
        },
        term: held.term,
        leads: held.leads,
        may_vote: held.may_vote,
        voters_since: held.configuration.since,
        voters: members
            .deciding()
            .map(|set| set.iter().map(|voter| voter.get()).collect())
            .collect(),
    }
}
