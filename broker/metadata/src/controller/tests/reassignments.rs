//! AlterPartitionReassignments and ListPartitionReassignments.

use klamm_model::{BrokerId, PartitionIndex, TopicId};

use super::super::*;
use super::{World, told};

fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().copied().map(BrokerId).collect()
}

fn request(topic: &str, partition: i32, replicas: Option<&[i32]>) -> Reassignment {
    Reassignment {
        topic: topic.to_owned(),
        partition,
        replicas: replicas.map(ids),
    }
}

/// Topic `t` on brokers 1 and 2, of five.
fn world() -> World {
    let mut world = World::of_brokers(5);
    let by_hand = NewTopic {
        assignments: vec![(0, ids(&[1, 2])), (1, ids(&[2, 1]))],
        ..NewTopic::with_defaults("t")
    };
    assert!(world.create(by_hand).is_ok());
    world
}

fn reassign(world: &mut World, request: &Reassignment, allow: bool) -> (i16, String) {
    told(world.with_either(|c| {
        c.reassign(request, allow)
            .map(|records| Decision { records, reply: () })
    }))
}

/// Brokers and replica ids, those added, those removed.
type Shown = (Vec<(i32, u64)>, Vec<BrokerId>, Vec<BrokerId>);

fn shown(world: &World) -> Shown {
    let image = &world.image.topic("t").expect("there").partitions[0];
    let replicas = image.replicas.iter().map(|r| (r.broker.0, r.id));
    (
        replicas.collect(),
        image.adding.clone(),
        image.removing.clone(),
    )
}

fn complete(world: &mut World) -> bool {
    let topic = world.image.topic("t").expect("there").id;
    let partition = &world.image.topic("t").expect("there").partitions[0];
    let members: Vec<_> = partition.target().map(|replica| replica.id).collect();
    let stale = world.with(|c| c.complete_reassignment(topic, PartitionIndex(0), &[77]));
    assert!(!stale, "the group has followed another");
    world.with(|c| c.complete_reassignment(topic, PartitionIndex(0), &members))
}

#[test]
fn reassignments_are_refused_with_kafkas_numbers_and_words() {
    let mut world = World::new();
    assert!(world.create(NewTopic::with_defaults("t")).is_ok());
    let mut check = |topic: &str, partition, replicas: Option<&[i32]>, expected: (i16, &str)| {
        let (code, text) = reassign(&mut world, &request(topic, partition, replicas), true);
        assert_eq!((code, text.as_str()), expected);
    };
    let unknown = |id| {
        format!(
            "The manual partition assignment includes broker {id}, but no such broker is registered."
        )
    };
    check("t", 0, Some(&[1]), (0, ""));
    check("t", 0, Some(&[2]), (39, &unknown(2)));
    check("t", 0, Some(&[1, 2]), (39, &unknown(2)));
    check("t", 0, Some(&[-1]), (39, &unknown(-1)));
    let twice = "The manual partition assignment includes the broker 1 more than once.";
    check("t", 0, Some(&[1, 1]), (39, twice));
    let empty = "The manual partition assignment includes an empty replica list.";
    check("t", 0, Some(&[]), (39, empty));
    let none = "No partition reassignment is in progress.";
    check("t", 0, None, (85, none));
    check("t", 99, Some(&[1]), (3, "Unable to find partition t:99."));
    check("t", -1, Some(&[1]), (3, "Unable to find partition t:-1."));
    let nope = "Unable to find a topic named nope.";
    check("nope", 9, Some(&[1]), (3, nope));
    check("nope", 9, None, (3, nope));
    let metadata = "Unable to find a topic named __cluster_metadata.";
    check(METADATA_TOPIC, 0, Some(&[1]), (3, metadata));
}

#[test]
fn the_number_of_replicas_changes_only_where_that_is_allowed() {
    let mut world = world();
    let check = |world: &mut World, replicas: &[i32], from, to| {
        let text = format!("The replication factor is changed from {from} to {to}");
        let request = request("t", 0, Some(replicas));
        assert_eq!(reassign(world, &request, false), (38, text));
        assert_eq!(reassign(world, &request, true).0, 0);
    };
    check(&mut world, &[1], 2, 1);
    // From what it shall be, not from all that are concerned.
    check(&mut world, &[3, 4, 5], 1, 3);
    let same = request("t", 0, Some(&[1, 2, 3]));
    assert_eq!(reassign(&mut world, &same, false).0, 0);
}

#[test]
fn another_order_is_in_force_at_once() {
    let mut world = world();
    let order = request("t", 0, Some(&[2, 1]));
    assert_eq!(reassign(&mut world, &order, false).0, 0);
    assert_eq!(shown(&world), (vec![(2, 2), (1, 1)], vec![], vec![]));
    assert!(list_reassignments(&world.image, None).is_empty());
    assert!(!complete(&mut world));
}

#[test]
fn a_partition_moves_once_its_group_has_followed() {
    let mut world = world();
    let moving = request("t", 0, Some(&[3, 1]));
    assert_eq!(reassign(&mut world, &moving, false).0, 0);
    let expected = (vec![(3, 3), (1, 1), (2, 2)], ids(&[3]), ids(&[2]));
    assert_eq!(shown(&world), expected);
    let before = world.image.clone();
    assert_eq!(
        reassign(&mut world, &moving, false).0,
        0,
        "asked for once more"
    );
    assert_eq!(world.image, before);
    assert!(complete(&mut world));
    assert_eq!(shown(&world), (vec![(3, 3), (1, 1)], vec![], vec![]));
    assert!(!complete(&mut world), "there is none");

    let back = request("t", 0, Some(&[1, 2]));
    assert_eq!(reassign(&mut world, &back, false).0, 0);
    let expected = (vec![(1, 1), (2, 4), (3, 3)], ids(&[2]), ids(&[3]));
    assert_eq!(shown(&world), expected, "2 is not who it was");
    let nowhere = TopicId::from_bytes([9; 16]);
    assert!(!world.with(|c| c.complete_reassignment(nowhere, PartitionIndex(0), &[1])));
}

#[test]
fn to_remove_only_waits_for_the_group_too() {
    let mut world = world();
    let less = request("t", 0, Some(&[2]));
    assert_eq!(reassign(&mut world, &less, true).0, 0);
    assert_eq!(shown(&world), (vec![(2, 2), (1, 1)], vec![], ids(&[1])));
    let topic = world.image.topic("t").expect("there");
    assert_eq!(topic.replication_factor(), 1);
    assert!(complete(&mut world));
    assert_eq!(shown(&world), (vec![(2, 2)], vec![], vec![]));
}

#[test]
fn a_reassignment_is_called_off_or_replaced() {
    let mut world = world();
    let off = request("t", 0, None);
    let none = (85, "No partition reassignment is in progress.".to_owned());
    assert_eq!(reassign(&mut world, &off, true), none);
    for target in [&[3, 4], &[4, 5]] {
        let moving = request("t", 0, Some(target));
        assert_eq!(reassign(&mut world, &moving, false).0, 0);
    }
    let all = vec![(4, 4), (5, 5), (1, 1), (2, 2), (3, 3)];
    let (adding, removing) = (ids(&[4, 5, 3]), ids(&[1, 2, 3]));
    assert_eq!(shown(&world), (all, adding, removing));
    assert_eq!(reassign(&mut world, &off, true).0, 0);
    assert!(complete(&mut world), "once the group has followed");
    assert_eq!(shown(&world), (vec![(1, 1), (2, 2)], vec![], vec![]));
    assert_eq!(reassign(&mut world, &off, true), none);
}

#[test]
fn a_partition_named_twice_in_one_request_goes_where_the_last_says() {
    let mut world = world();
    let requests = [
        request("t", 0, Some(&[3, 4])),
        request("t", 0, Some(&[4, 5])),
        request("t", 0, Some(&[9])),
        request("t", 1, Some(&[1, 2])),
    ];
    let reply = world.with(|c| c.reassign_all(&requests, false));
    let codes: Vec<_> = reply.into_iter().map(|outcome| told(outcome).0).collect();
    assert_eq!(codes, [0, 0, 39, 0]);
    let all = vec![(4, 3), (5, 4), (1, 1), (2, 2)];
    assert_eq!(shown(&world), (all, ids(&[4, 5]), ids(&[1, 2])));
}

#[test]
fn what_is_under_way_is_listed() {
    let mut world = world();
    assert!(world.create(NewTopic::with_defaults("u")).is_ok());
    let moving = request("t", 1, Some(&[3, 2]));
    assert_eq!(reassign(&mut world, &moving, false).0, 0);
    let ongoing = OngoingReassignment {
        partition: PartitionIndex(1),
        replicas: ids(&[3, 2, 1]),
        adding: ids(&[3]),
        removing: ids(&[1]),
    };
    let expected = [TopicReassignments {
        topic: klamm_model::TopicName::new("t").expect("legal"),
        partitions: vec![ongoing],
    }];
    assert_eq!(list_reassignments(&world.image, None), expected);
    let only = |topic: &str, partitions: &[i32]| {
        let asked = [(topic.to_owned(), partitions.to_vec())];
        list_reassignments(&world.image, Some(&asked))
    };
    assert_eq!(only("t", &[0, 1, 7, -1]), expected);
    for (topic, partitions) in [("t", &[0][..]), ("t", &[]), ("u", &[0]), ("nope", &[0])] {
        assert_eq!(only(topic, partitions), []);
    }
    assert_eq!(list_reassignments(&world.image, Some(&[])), []);
}

#[test]
fn the_preferred_leader_is_the_first_of_those_that_shall_be() {
    let mut world = world();
    let moving = request("t", 0, Some(&[3, 1]));
    assert_eq!(reassign(&mut world, &moving, false).0, 0);
    let elected = elect_leader(&world.image, "t", 0, Some(BrokerId(1)));
    assert_eq!(elected, Ok(Election::HandOver(BrokerId(3))));
}
