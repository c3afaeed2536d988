//! Brokers register and are unregistered.

use super::super::*;
use super::{World, disk, refused, registration, told};
use crate::image::{ConfigResource, ResourceKind};
use crate::record::{ListenerAddress, PeerAddress};
use klamm_model::TopicId;

fn without_number(number: u8) -> Registration {
    Registration {
        id: None,
        disks: vec![disk(number)],
        ..registration(1)
    }
}

#[test]
fn what_a_broker_says_is_what_the_cluster_knows() {
    let mut world = World::new();
    let peer = PeerAddress {
        host: "b2.internal".to_owned(),
        port: 9093,
    };
    let said = Registration {
        id: Some(BrokerId(2)),
        incarnation: TopicId::from_bytes([3; 16]),
        disks: vec![disk(3), disk(2)],
        peer: Some(peer.clone()),
        rack: Some("a".to_owned()),
        listeners: vec![],
        version: 1,
    };
    assert_eq!(world.register(said), Ok(BrokerId(2)));
    let known = world.image.broker(BrokerId(2)).expect("registered");
    assert_eq!(known.incarnation, Some(TopicId::from_bytes([3; 16])));
    assert_eq!(known.disks, [disk(2), disk(3)]);
    assert_eq!(known.peer, Some(peer));
    assert_eq!(known.rack.as_deref(), Some("a"));
    assert_eq!(known.version, 1);
}

#[test]
fn a_broker_that_registers_again_as_it_was_changes_nothing() {
    let mut world = World::new();
    let mut count = |registration: Registration| {
        world.with(|c| {
            let Decision { records, reply } = c.register_broker(registration).expect("the same");
            assert_eq!(reply, BrokerId(1));
            Decision {
                reply: records.len(),
                records,
            }
        })
    };
    let address = |port| Registration {
        listeners: vec![ListenerAddress {
            name: "P".into(),
            host: "h".into(),
            port,
        }],
        ..registration(1)
    };
    assert_eq!(count(registration(1)), 0);
    assert_eq!(count(address(1)), 1);
    assert_eq!(count(address(1)), 0);
    assert_eq!(count(address(2)), 1);
    let again = Registration {
        incarnation: TopicId::from_bytes([2; 16]),
        ..address(2)
    };
    assert_eq!(count(again), 1);
}

#[test]
fn a_number_is_the_smallest_above_all_that_were_ever_used() {
    let mut world = World::new();
    assert_eq!(world.register(without_number(2)), Ok(BrokerId(2)));
    assert_eq!(world.register(registration(7)), Ok(BrokerId(7)));
    assert_eq!(world.register(without_number(8)), Ok(BrokerId(8)));
    assert_eq!(world.unregister(8), Ok(()));
    assert_eq!(world.register(without_number(9)), Ok(BrokerId(9)));
    let last = Registration {
        id: Some(BrokerId(i32::MAX)),
        ..without_number(10)
    };
    assert!(world.register(last).is_ok());
    refused(
        world.register(without_number(11)),
        -1,
        "there are no broker ids left",
    );
    let mut empty = World::new();
    empty.image = MetadataImage::default();
    assert_eq!(empty.register(without_number(1)), Ok(BrokerId(1)));
    empty.image = MetadataImage::default();
    let zero = Registration {
        id: Some(BrokerId(0)),
        ..without_number(1)
    };
    assert_eq!(empty.register(zero), Ok(BrokerId(0)));
    assert_eq!(empty.register(without_number(2)), Ok(BrokerId(1)));
}

#[test]
fn a_number_stays_with_its_disks() {
    let mut world = World::of_brokers(2);
    let with = |id, disks: &[u8]| Registration {
        disks: disks.iter().copied().map(disk).collect(),
        ..registration(id)
    };
    let other = |broker: i32, missing| {
        let disk = disk(missing);
        format!(
            "Broker {broker} is registered with another disk: it has directory {disk}, which is not here. \
             If that is lost, unregister broker {broker}, and start this one with empty disks and another node.id."
        )
    };
    refused(world.register(with(2, &[5])), 101, &other(2, 2));
    assert!(world.register(with(2, &[5, 2])).is_ok(), "one more");
    refused(world.register(with(2, &[2])), 101, &other(2, 5));
    refused(
        world.register(with(3, &[3, 5])),
        119,
        &format!("Broker 2 is already registered with directory {}", disk(5)),
    );
    refused(
        world.register(with(2, &[2, 5, 1])),
        119,
        &format!("Broker 1 is already registered with directory {}", disk(1)),
    );
    refused(
        world.register(with(3, &[])),
        119,
        "No directories specified in request",
    );
    refused(
        world.register(with(3, &[3, 3])),
        119,
        "Duplicate directory ID in request",
    );
    let zero = Registration {
        disks: vec![TopicId::ZERO],
        ..registration(3)
    };
    refused(
        world.register(zero),
        119,
        "Reserved directory ID in request",
    );
    refused(
        world.register(with(-1, &[3])),
        42,
        "Invalid negative broker ID.",
    );
}

#[test]
fn the_only_broker_may_give_up_disks_but_not_all() {
    let mut world = World::new();
    let with = |disks: &[u8]| Registration {
        disks: disks.iter().copied().map(disk).collect(),
        ..registration(1)
    };
    assert!(world.register(with(&[1, 2, 3])).is_ok());
    assert!(world.register(with(&[1, 4])).is_ok());
    assert_eq!(told(world.register(with(&[2]))).0, 101);
}

#[test]
fn a_broker_whose_disks_are_not_known_yet_names_them() {
    let mut world = World::new();
    world.image = MetadataImage::default();
    let old = MetadataRecord::RegisterBroker {
        id: BrokerId(1),
        incarnation: None,
        disks: vec![],
        peer: None,
        rack: None,
        listeners: vec![],
        version: 0,
    };
    world.image.apply(&old).expect("fits");
    assert_eq!(world.register(registration(1)), Ok(BrokerId(1)));
    let known = world.image.broker(BrokerId(1)).expect("registered");
    assert_eq!(known.disks, [disk(1)]);
}

#[test]
fn a_broker_too_old_for_the_cluster_stays_outside() {
    let mut world = World::new();
    let old = Registration {
        version: 0,
        ..registration(2)
    };
    assert!(
        world.register(old.clone()).is_ok(),
        "nothing is finalized yet"
    );
    world.with(|c| Decision {
        records: c.finalize_features().into_iter().collect(),
        reply: (),
    });
    let text = "Unable to register because the broker does not support finalized version 2 of \
                klamm.version. The broker wants a version between 1 and 0, inclusive.";
    refused(world.register(old), 35, text);
    let name = KLAMM_VERSION.to_owned();
    let taken_back = MetadataRecord::Feature { name, level: 0 };
    world.image.apply(&taken_back).expect("always fits");
    assert_eq!(world.image.feature(KLAMM_VERSION), None);
}

#[test]
fn a_broker_that_was_unregistered_never_comes_back() {
    let mut world = World::of_brokers(3);
    let key = "max.connections".to_owned();
    let value = Some("7".to_owned());
    let resource = ConfigResource::new(ResourceKind::Broker, "2");
    let config = MetadataRecord::Config {
        resource,
        key,
        value,
    };
    world.image.apply(&config).expect("always fits");
    let by_hand = NewTopic {
        assignments: vec![(0, vec![BrokerId(2), BrokerId(3)])],
        ..NewTopic::with_defaults("t")
    };
    assert!(world.create(by_hand).is_ok());

    assert_eq!(world.unregister(2), Ok(()));
    assert!(world.image.broker(BrokerId(2)).is_none());
    assert!(world.image.is_removed(BrokerId(2)) && !world.image.is_removed(BrokerId(3)));
    assert!(world.image.configs(ResourceKind::Broker, "2").is_empty());
    let replicas = world.image.topic("t").expect("there").partitions[0].broker_ids();
    let replicas: Vec<_> = replicas.collect();
    assert_eq!(
        replicas,
        [BrokerId(2), BrokerId(3)],
        "until it is reassigned"
    );

    refused(
        world.unregister(2),
        102,
        "Broker ID 2 is not currently registered",
    );
    refused(
        world.unregister(9),
        102,
        "Broker ID 9 is not currently registered",
    );
    refused(
        world.register(registration(2)),
        101,
        "Broker 2 was unregistered, and its number is never given out again: start this broker \
         with empty disks and another node.id.",
    );
    let image = world.image.clone();
    let record = MetadataRecord::RegisterBroker {
        id: BrokerId(2),
        incarnation: None,
        disks: vec![],
        peer: None,
        rack: None,
        listeners: vec![],
        version: 0,
    };
    assert!(world.image.apply(&record).is_err());
    assert_eq!(world.image, image);
    assert_eq!(world.unregister(3), Ok(()));
    refused(
        world.unregister(1),
        42,
        "Broker 1 is the only one, and cannot be unregistered.",
    );
}

#[test]
fn a_broker_without_data_gets_a_number_that_nobody_else_gets() {
    let mut world = World::new();
    let mut admit = |wanted: Option<i32>| {
        world.with_either(|decider| decider.admit_broker(wanted.map(BrokerId)))
    };
    let first = admit(None).expect("there are numbers");
    let second = admit(None).expect("there are numbers");
    assert_eq!(second.0, first.0 + 1, "also before either has registered");
    assert_eq!(admit(Some(40)), Ok(BrokerId(40)), "its settings say so");
    let refused = admit(Some(1)).map(drop);
    assert_eq!(told(refused).0, 101, "one with data has it");
}
