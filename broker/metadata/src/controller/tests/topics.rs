//! CreateTopics, DeleteTopics, CreatePartitions.

use klamm_model::{BrokerId, TopicId};

use super::super::*;
use super::{World, registration, told};
use crate::image::PartitionImage;

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        num_partitions,
        replication_factor,
        ..NewTopic::with_defaults(name)
    }
}

fn with_config(name: &str, key: &str, value: Option<&str>) -> NewTopic {
    let configs = vec![(key.to_owned(), value.map(str::to_owned))];
    NewTopic {
        configs,
        ..NewTopic::with_defaults(name)
    }
}

fn by_hand(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let replicas = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    let assignments = assignments
        .iter()
        .map(|(p, ids)| (*p, replicas(ids)))
        .collect();
    NewTopic {
        assignments,
        ..NewTopic::with_defaults(name)
    }
}

#[test]
fn topics_are_refused_with_kafkas_numbers_and_words() {
    let mut world = World::new();
    for existing in ["t1", "a.b"] {
        assert_eq!(told(world.create(topic(existing, 3, 1))).0, 0);
    }
    let mut check = |new: NewTopic, expected: (i16, &str)| {
        let (code, text) = told(world.create(new.clone()));
        assert_eq!((code, text.as_str()), expected, "{new:?}");
    };
    check(topic("t1", 3, 1), (36, "Topic 't1' already exists."));
    check(
        topic("a_b", 1, 1),
        (17, "Topic 'a_b' collides with existing topic: a.b"),
    );
    check(
        topic("a b", 1, 1),
        (
            17,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
    );
    check(
        topic(".", 1, 1),
        (17, "Topic name is invalid: '.' is not allowed"),
    );
    check(
        topic("", 1, 1),
        (17, "Topic name is invalid: the empty string is not allowed"),
    );
    check(
        topic("__cluster_metadata", 1, 1),
        (
            42,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
    );
    check(
        topic("r3", 1, 3),
        (
            38,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
        ),
    );
    let factor = "Replication factor must be larger than 0, or -1 to use the default value.";
    check(topic("r0", 1, 0), (38, factor));
    check(topic("r0", 1, -2), (38, factor));
    let partitions = "Number of partitions was set to an invalid non-positive value.";
    check(topic("p0", 0, 1), (37, partitions));
    check(topic("p0", -2, 1), (37, partitions));
    check(
        topic("p", 20_000, 1),
        (44, "Excessively large number of partitions per request."),
    );
    check(
        with_config("c", "no.such", Some("1")),
        (40, "Unknown topic config name: no.such"),
    );
    check(
        with_config("c", "retention.ms", Some("x")),
        (
            40,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
    );
    check(
        with_config("c", "retention.ms", None),
        (
            40,
            "Null value not supported for topic configs: retention.ms",
        ),
    );
}

#[test]
fn assignments_by_hand_are_refused_with_kafkas_numbers_and_words() {
    let mut world = World::new();
    let mut check = |new: NewTopic, expected: (i16, &str)| {
        let (code, text) = told(world.create(new.clone()));
        assert_eq!((code, text.as_str()), expected, "{new:?}");
    };
    check(by_hand("m1", &[(1, &[1]), (0, &[1])]), (0, ""));
    check(
        by_hand("m2", &[(0, &[1]), (2, &[1])]),
        (
            39,
            "partitions should be a consecutive 0-based integer sequence",
        ),
    );
    check(
        by_hand("m2", &[(0, &[1, 1])]),
        (
            39,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
    );
    check(
        by_hand("m2", &[(0, &[1, 2])]),
        (
            39,
            "The manual partition assignment includes broker 2, but no such broker is registered.",
        ),
    );
    check(
        by_hand("m2", &[(0, &[-1])]),
        (
            39,
            "The manual partition assignment includes broker -1, but no such broker is registered.",
        ),
    );
    check(
        by_hand("m2", &[(0, &[])]),
        (
            39,
            "The manual partition assignment includes an empty replica list.",
        ),
    );
    check(
        by_hand("m2", &[(0, &[1]), (0, &[1])]),
        (
            39,
            "Found multiple manual partition assignments for partition 0",
        ),
    );
    check(
        NewTopic {
            num_partitions: 1,
            ..by_hand("m2", &[(0, &[1])])
        },
        (
            42,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
    );
    check(
        NewTopic {
            replication_factor: 1,
            ..by_hand("m2", &[(0, &[1])])
        },
        (
            42,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
    );
}

#[test]
fn defaults_apply_where_nobody_says_and_the_reply_tells_all() {
    let mut world = World::new();
    world.rules.num_partitions = 4;
    let created = world
        .create(with_config("t", "retention.ms", Some("77")))
        .expect("free");
    assert_eq!((created.num_partitions, created.replication_factor), (4, 1));
    let retention = created
        .configs
        .iter()
        .find(|c| c.name == "retention.ms")
        .expect("it is there");
    assert_eq!(retention.value.as_deref(), Some("77"));
    assert_eq!(retention.source, crate::ConfigSource::Topic);
    assert_eq!(created.configs.len(), 37);
    let image = world.image.topic("t").expect("created");
    assert_eq!(image.id, created.id);
    assert_eq!(world.image.topic_by_id(created.id), Some(image));
}

#[test]
fn too_many_replicas_are_as_many_as_there_are_brokers_where_that_is_asked_for() {
    let mut world = World::new();
    world.rules.clamp_replication_factor = true;
    let created = world.create(topic("t", 1, 3)).expect("clamped");
    assert_eq!(created.replication_factor, 1);
}

#[test]
fn partitions_are_placed_on_brokers_that_are_alive_with_kafkas_words_where_they_are_too_few() {
    let mut world = World::of_brokers(3);
    let unable = |count, why: &str| {
        let text = format!("Unable to replicate the partition {count} time(s): {why}");
        (38, text)
    };
    let only_registered = "The target replication factor of 4 cannot be reached because only 3 broker(s) are registered.";
    assert_eq!(
        told(world.create(topic("t", 1, 4))),
        unable(4, only_registered)
    );
    assert!(world.create(topic("t", 1, 3)).is_ok());
    world.alive.remove(&BrokerId(2));
    let grow = |world: &mut World, assignments: Option<Vec<Vec<BrokerId>>>| {
        let new = NewPartitions {
            topic: "t".to_owned(),
            count: 2,
            assignments,
        };
        told(
            world
                .with(|c| c.create_partitions(&[new], true))
                .remove(0)
                .1,
        )
    };
    let only_alive = "The target replication factor of 3 cannot be reached because only 2 of 3 registered broker(s) are alive.";
    assert_eq!(told(world.create(topic("u", 1, 3))), unable(3, only_alive));
    assert_eq!(grow(&mut world, None), unable(3, only_alive));
    assert!(world.create(topic("u", 6, 2)).is_ok());
    let placed = &world.image.topic("u").expect("created").partitions;
    for partition in placed {
        assert_eq!(partition.replica_on(BrokerId(2)), None);
    }

    assert_eq!(
        told(world.create(by_hand("h", &[(0, &[2, 1])]))).0,
        0,
        "one of them is alive"
    );
    let fenced = |partition| {
        let text = format!(
            "All brokers specified in the manual partition assignment for partition {partition} are fenced or in controlled shutdown."
        );
        (39, text)
    };
    assert_eq!(
        told(world.create(by_hand("g", &[(0, &[1]), (1, &[2])]))),
        fenced(1)
    );
    world.alive.clear();
    let by_hand = vec![vec![BrokerId(1), BrokerId(2), BrokerId(3)]];
    assert_eq!(grow(&mut world, Some(by_hand)), fenced(1));
    let all_fenced = "All brokers are currently fenced.";
    assert_eq!(told(world.create(topic("v", 1, 1))), unable(1, all_fenced));
    world.rules.clamp_replication_factor = true;
    assert_eq!(told(world.create(topic("v", 1, 1))), unable(1, all_fenced));
}

#[test]
fn replicas_go_to_different_racks_and_topics_begin_with_different_brokers() {
    let mut world = World::of_brokers(4);
    for (id, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "b")] {
        let rack = Some(rack.to_owned());
        world.start(Registration {
            rack,
            ..registration(id)
        });
    }
    let topics = ["t", "u", "v", "w"].map(|name| topic(name, 1, 2));
    let reply = world.with(|c| c.create_topics(&topics, false));
    assert!(reply.iter().all(|(_, outcome)| outcome.is_ok()));
    let mut leaders = std::collections::BTreeSet::new();
    for topic in world.image.topics() {
        let brokers: Vec<_> = topic.partitions[0].broker_ids().map(|id| id.0).collect();
        assert!((brokers[0] <= 2) != (brokers[1] <= 2), "{brokers:?}");
        leaders.insert(brokers[0]);
    }
    assert_eq!(leaders.len(), 4);
    let new = NewPartitions {
        topic: "t".to_owned(),
        count: 4,
        assignments: None,
    };
    let reply = world.with(|c| c.create_partitions(&[new], false));
    assert_eq!(reply[0].1, Ok(()));
    let partitions = &world.image.topic("t").expect("there").partitions;
    let leaders = partitions.iter().map(PartitionImage::preferred_leader);
    let leaders: std::collections::BTreeSet<_> = leaders.collect();
    assert_eq!(leaders.len(), 4);
}

#[test]
fn a_name_given_twice_is_answered_once_and_not_created() {
    let mut world = World::new();
    let reply = world.with(|c| {
        let twice = topic("t", 1, 1);
        c.create_topics(&[twice.clone(), topic("u", 1, 1), twice], false)
    });
    let reply: Vec<_> = reply
        .into_iter()
        .map(|(name, outcome)| (name, told(outcome)))
        .collect();
    assert_eq!(
        reply,
        [
            ("t".to_owned(), (42, "Duplicate topic name.".to_owned())),
            ("u".to_owned(), (0, String::new())),
        ]
    );
    assert!(world.image.topic("t").is_none() && world.image.topic("u").is_some());
}

#[test]
fn to_validate_creates_nothing() {
    let mut world = World::new();
    let reply = world.with(|c| c.create_topics(&[topic("t", 1, 1)], true));
    assert!(reply[0].1.is_ok());
    assert!(world.image.topic("t").is_none());
}

#[test]
fn topics_are_deleted_by_name_or_identity_with_what_was_set_for_them() {
    let mut world = World::new();
    let created = world
        .create(with_config("a.b", "retention.ms", Some("1")))
        .expect("free");
    let named = |name: &str| TopicRef {
        name: Some(name.to_owned()),
        id: TopicId::ZERO,
    };
    let by_id = |id| TopicRef { name: None, id };
    let mut delete = |topics: &[TopicRef]| {
        let reply = world.with(|c| c.delete_topics(topics));
        let told = reply.into_iter().map(|topic| told(topic.outcome));
        told.collect::<Vec<_>>()
    };
    let ok = (0, String::new());
    assert_eq!(
        delete(&[
            named("nope"),
            by_id(TopicId::from_bytes([5; 16])),
            by_id(TopicId::ZERO)
        ]),
        [
            (
                3,
                "This server does not host this topic-partition.".to_owned()
            ),
            (100, "This server does not host this topic ID.".to_owned()),
            (42, "Neither topic name nor id were specified.".to_owned()),
        ]
    );
    assert_eq!(
        delete(&[
            named("x"),
            named("x"),
            TopicRef {
                name: Some("y".into()),
                id: created.id
            }
        ]),
        [
            (42, "Duplicate topic name.".to_owned()),
            (42, "Duplicate topic name.".to_owned()),
            (
                42,
                "You may not specify both topic name and topic id.".to_owned()
            ),
        ]
    );
    assert_eq!(delete(&[by_id(created.id), named("a.b")])[0], ok);
    assert!(world.image.topic("a.b").is_none());
    assert!(world.image.look_alike("a_b").is_none());
    assert!(
        world
            .image
            .configs(crate::ResourceKind::Topic, "a.b")
            .is_empty()
    );
    let again = world
        .create(topic("a.b", 1, 1))
        .expect("the name is free again");
    assert_ne!(again.id, created.id);
}

#[test]
fn nothing_is_deleted_where_deletion_is_disabled() {
    let mut world = World::new();
    assert!(world.create(topic("t", 1, 1)).is_ok());
    world.rules.deletion_enabled = false;
    let reply = world.with(|c| {
        c.delete_topics(&[TopicRef {
            name: Some("t".to_owned()),
            id: TopicId::ZERO,
        }])
    });
    assert_eq!(
        told(reply[0].outcome.clone()),
        (73, "Topic deletion is disabled.".to_owned())
    );
    assert!(world.image.topic("t").is_some());
}

#[test]
fn topics_only_grow_with_kafkas_numbers_and_words() {
    let mut world = World::new();
    assert!(world.create(topic("t1", 3, 1)).is_ok());
    let mut check = |name: &str, count, by_hand: Option<&[&[i32]]>, expected: (i16, &str)| {
        let replicas = |ids: &&[i32]| ids.iter().copied().map(BrokerId).collect();
        let assignments = by_hand.map(|lists| lists.iter().map(replicas).collect());
        let new = NewPartitions {
            topic: name.to_owned(),
            count,
            assignments,
        };
        let mut reply = world.with(|c| c.create_partitions(&[new], false));
        let (code, text) = told(reply.remove(0).1);
        assert_eq!((code, text.as_str()), expected);
    };
    for count in [1, 0, -1] {
        let text =
            format!("The topic t1 currently has 3 partition(s); {count} would not be an increase.");
        check("t1", count, None, (37, &text));
    }
    check("t1", 3, None, (37, "Topic already has 3 partition(s)."));
    check(
        "nope",
        3,
        None,
        (3, "This server does not host this topic-partition."),
    );
    check(
        "t1",
        20_000,
        None,
        (
            44,
            "Excessively large number of additional partitions per request.",
        ),
    );
    check(
        "t1",
        5,
        Some(&[&[1]]),
        (
            39,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
    );
    check(
        "t1",
        4,
        Some(&[&[9]]),
        (
            39,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
    );
    check(
        "t1",
        4,
        Some(&[&[]]),
        (
            39,
            "The manual partition assignment includes an empty replica list.",
        ),
    );
    check("t1", 4, Some(&[&[1]]), (0, ""));
    check("t1", 6, None, (0, ""));
    assert_eq!(world.image.topic("t1").expect("there").partitions.len(), 6);
}

#[test]
fn beyond_the_limit_of_partitions_nothing_is_created_and_what_is_there_stays() {
    let mut world = World::new();
    world.rules.partitions_max = 5;
    let refused = (
        44,
        "There may be 5 partition(s) in all, and that would be more: delete topics, or raise \
         klamm.partitions.max."
            .to_owned(),
    );
    let create = |world: &mut World, topics: &[NewTopic]| {
        let reply = world.with(|c| c.create_topics(topics, false));
        let told = reply.into_iter().map(|(_, outcome)| told(outcome));
        told.collect::<Vec<_>>()
    };
    let create_one = |world: &mut World, topic| create(world, &[topic]).remove(0);
    let ok = (0, String::new());
    assert_eq!(
        create(
            &mut world,
            &[topic("a", 3, 1), topic("b", 3, 1), topic("c", 1, 1)]
        ),
        [ok.clone(), refused.clone(), ok.clone()],
        "what is refused takes no room"
    );
    let grow = |world: &mut World, topic: &str, count| {
        let topic = topic.to_owned();
        let assignments = None;
        let new = NewPartitions {
            topic,
            count,
            assignments,
        };
        told(
            world
                .with(|c| c.create_partitions(&[new], false))
                .remove(0)
                .1,
        )
    };
    assert_eq!(grow(&mut world, "a", 5), refused);
    assert_eq!(grow(&mut world, "a", 4), ok);
    assert_eq!(create_one(&mut world, topic("d", -1, -1)), refused);
    let needed = NewTopic {
        is_needed: true,
        ..topic("d", 50, 1)
    };
    assert_eq!(create_one(&mut world, needed), ok);
    assert_eq!(create_one(&mut world, topic("e", 1, 1)), refused);
    let reply = world.with(|c| {
        c.delete_topics(&[TopicRef {
            name: Some("d".to_owned()),
            id: TopicId::ZERO,
        }])
    });
    assert_eq!(reply[0].outcome, Ok(()));
    assert_eq!(create_one(&mut world, topic("e", 1, 1)), refused);
    world.rules.partitions_max = 6;
    assert_eq!(create_one(&mut world, topic("e", 1, 1)), ok);
}
