//! A majority of a partition's replicas is lost: on order the one that is left goes on alone.

use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, ElectLeadersRequest, OffsetForLeaderEpochRequest, TopicName,
};
use rustix::process::Signal;

use super::metrics::{becomes, of_one};
use super::moves::four;
use super::{Cluster, Follower, metadata, numbers};
use crate::client::Client;
use crate::requests::{NOT_LEADER_OR_FOLLOWER, batch, text};
use crate::support::eventually;

const UNCLEAN: i8 = 1;
const ELIGIBLE_LEADERS_NOT_AVAILABLE: i16 = 83;
const ELECTION_NOT_NEEDED: i16 = 84;

/// What comes of an order to elect a leader of `t`, whatever is lost by that: the code, and what is said of it.
fn elect_uncleanly(client: &mut Client) -> (i16, String) {
    let partitions = TopicPartitions::default()
        .with_topic(TopicName(text("t")))
        .with_partitions(vec![0]);
    let told = elect_uncleanly_in(client, Some(vec![partitions]));
    told.expect("the partition was named")
}

/// The same in all partitions that may lack a leader: what is said of the first.
fn elect_uncleanly_in(
    client: &mut Client,
    partitions: Option<Vec<TopicPartitions>>,
) -> Option<(i16, String)> {
    let request = ElectLeadersRequest::default()
        .with_election_type(UNCLEAN)
        .with_topic_partitions(partitions)
        .with_timeout_ms(20_000);
    let answer = client.call(2, &request);
    assert_eq!(answer.error_code, 0);
    let result = &answer.replica_election_results.first()?.partition_result[0];
    let message = result.error_message.as_deref().unwrap_or_default();
    Some((result.error_code, message.to_owned()))
}

#[test]
fn an_unclean_election_is_refused_where_there_is_a_leader_and_where_nobody_can_decide() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 1);
    let leader = cluster.leader("t", 0);
    let mut follower = Follower::new(&cluster, "t");
    (0..10).for_each(|_| follower.produce());
    let (producer, sent) = (follower.producer, follower.sent);
    let last = (0..3).find(|at| *at != leader).expect("there are three");
    let mut client = cluster.client(last);
    assert_eq!(elect_uncleanly(&mut client).0, ELECTION_NOT_NEEDED);
    (0..3)
        .filter(|at| *at != last)
        .for_each(|at| cluster.kill(at));
    let (code, message) = elect_uncleanly(&mut client);
    assert_eq!(code, ELIGIBLE_LEADERS_NOT_AVAILABLE);
    assert!(message.contains("no controller is reached"), "{message}");
    cluster.start_all();
    // It gets the offset behind all that there was.
    Follower::resumed(&cluster, "t", producer, sent).produce();
    becomes(&cluster, "klamm_unclean_elections_total", 0);
}

/// Three brokers vote on the metadata, two of which hold the partition with a third one: so two of its
/// replicas can be lost, and there is a controller all the same.
struct Seats {
    survivor: usize,
    /// Those that are lost.
    lost: [usize; 2],
    /// Holds nothing.
    other: usize,
}

fn four_with_a_partition_on_three() -> (Cluster, Seats) {
    let cluster = four();
    let seats = Seats {
        survivor: 0,
        lost: [1, 3],
        other: 2,
    };
    let brokers = [seats.lost[0], seats.survivor, seats.lost[1]];
    let brokers = brokers.map(|at| BrokerId(cluster.number_of(at)));
    let assignment = CreatableReplicaAssignment::default()
        .with_partition_index(0)
        .with_broker_ids(brokers.to_vec());
    let topic = CreatableTopic::default()
        .with_name(TopicName(text("t")))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(20_000);
    let answer = cluster.any_client().call(5, &request);
    assert_eq!(answer.topics[0].error_code, 0);
    cluster.leader("t", 0);
    (cluster, seats)
}

fn leader_epoch(client: &mut Client) -> i32 {
    metadata(client, "t").topics[0].partitions[0].leader_epoch
}

/// Where the leader says that an epoch ended: what consumers find out by that they were shown what is
/// lost (KIP-320).
fn end_of_epoch(client: &mut Client, epoch: i32) -> i64 {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(0)
        .with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let answer = client.call(4, &request);
    answer.topics[0].partitions[0].end_offset
}

/// The survivor has ten records, and the others fifteen, when `lose` takes these away; `find` brings them
/// back, with what they had.
fn check(lose: fn(&mut Cluster, usize), find: fn(&mut Cluster, usize)) {
    let (mut cluster, seats) = four_with_a_partition_on_three();
    let mut follower = Follower::new(&cluster, "t");
    (0..10).for_each(|_| follower.produce());
    let (producer, sent) = (follower.producer, follower.sent);
    let all = [seats.survivor, seats.lost[0], seats.lost[1]];
    cluster.assert_equal_on(&all, "t", 0);
    cluster.kill(seats.survivor);
    let mut follower = Follower::resumed(&cluster, "t", producer, sent);
    (0..5).for_each(|_| follower.produce());
    let before = leader_epoch(&mut cluster.client(seats.other));

    for at in seats.lost {
        lose(&mut cluster, at);
    }
    cluster.start_one(seats.survivor);
    let mut survivor = cluster.client(seats.survivor);
    let refused = survivor.produce("t", &batch(&[b"refused"]));
    assert_eq!(refused, Err(NOT_LEADER_OR_FOLLOWER));
    eventually("the order is carried out", || {
        let (code, message) = elect_uncleanly_in(&mut cluster.client(seats.other), None)?;
        // A controller has to be there, and brokers that stand still have to be missed.
        assert!(
            matches!(code, 0 | ELIGIBLE_LEADERS_NOT_AVAILABLE),
            "{code}: {message}"
        );
        (code == 0).then_some(())
    });

    assert_eq!(survivor.values("t", 0), numbers(10));
    assert!(leader_epoch(&mut survivor) > before, "epochs never go back");
    assert_eq!(end_of_epoch(&mut survivor, before), 10);
    assert_eq!(elect_uncleanly(&mut survivor).0, ELECTION_NOT_NEEDED);
    assert_eq!(elect_uncleanly_in(&mut survivor, None), None);
    let mut values = numbers(10);
    for value in ["a", "b"] {
        let offset = i64::try_from(values.len()).expect("a few");
        let produced = survivor.produce("t", &batch(&[value.as_bytes()]));
        assert_eq!(produced, Ok(offset));
        values.push(value.to_owned());
    }
    let counted = |at| of_one(&cluster, at, "klamm_unclean_elections_total");
    assert_eq!(counted(seats.survivor) + counted(seats.other), 1);
    // It goes on alone after a restart as well, and is told only once.
    cluster.kill(seats.survivor);
    cluster.start_one(seats.survivor);
    let mut survivor = cluster.client(seats.survivor);
    eventually("it leads again", || {
        survivor.produce("t", &batch(&[b"c"])).ok()
    });
    values.push("c".to_owned());
    assert_eq!(survivor.values("t", 0), values);

    for at in seats.lost {
        find(&mut cluster, at);
    }
    // All of them vote again, under numbers that nobody had: so one of them can be lost.
    for at in seats.lost {
        cluster.broker(at).says("members=2,4,5!1");
    }
    cluster.assert_equal_on(&all, "t", 0);
    let losses = |at| of_one(&cluster, at, "klamm_acknowledged_losses_total");
    assert_eq!(
        seats.lost.map(losses),
        [1, 1],
        "each held what was given up"
    );
    cluster.kill(seats.survivor);
    let leader = cluster.leader("t", 0);
    assert!(seats.lost.contains(&leader));
    assert_eq!(cluster.values("t", 0), values);
}

#[test]
fn the_last_replica_goes_on_alone_and_those_that_come_back_follow_it() {
    check(Cluster::kill, Cluster::start_one);
}

#[test]
fn replicas_that_stood_still_meanwhile_give_up_what_they_have() {
    let stop = |cluster: &mut Cluster, at: usize| {
        cluster.broker(at).process.signal(Signal::STOP);
    };
    let go_on = |cluster: &mut Cluster, at: usize| {
        cluster.broker(at).process.signal(Signal::CONT);
    };
    check(stop, go_on);
}
