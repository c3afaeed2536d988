//! Who votes on the metadata.

use std::collections::BTreeSet;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, TopicName};

use super::Cluster;
use crate::requests::text;
use crate::support::eventually;

fn lone_topic(name: &str) -> CreateTopicsRequest {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(1)
        .with_replication_factor(1);
    CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(20_000)
}

#[test]
fn the_vote_of_a_broker_that_does_not_come_back_goes_to_one_that_follows() {
    let mut cluster =
        Cluster::start_three_of_four_with(&[("klamm.metadata.voter.replacement.ms", "1000")]);
    let before = cluster.voting().expect("there are voters");
    cluster.start_one(3);
    let fourth = cluster.number_of(3);
    assert!(!before.contains(&fourth));
    let lost = cluster.number_of(0);
    cluster.kill(0);
    let left = before.iter().copied().filter(|id| *id != lost);
    let expected: BTreeSet<_> = left.chain([fourth]).collect();
    eventually("the fourth votes instead", || {
        (cluster.voting() == Some(expected.clone())).then_some(())
    });
    // Decided behind the change, and known to all.
    cluster.any_client().create_topic("before", &[]);
    // One more may go now: with the lost one among the voters that would be one too many.
    cluster.kill(1);
    eventually("two of the three decide", || {
        // A connection to a controller that is dead ends without an answer.
        let answer = cluster.any_client().try_call(5, &lone_topic("after"));
        (answer.ok()?.topics[0].error_code == 0).then_some(())
    });
    cluster.start_one(1);
    cluster.start_one(0);
    assert_eq!(cluster.voting(), Some(expected), "who is back follows");
}
