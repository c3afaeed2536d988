//! Random requests: what is decided always fits, replaying the encoded records gives the same
//! image, and pictures taken before stay as they were.

use std::collections::BTreeSet;

use klamm_model::{BrokerId, PartitionIndex, TopicId};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::super::*;
use super::{World, configs, disk, registration};
use crate::image::{ConfigResource, PartitionImage, ResourceKind};

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    fn topic(&mut self) -> String {
        const NAMES: &[&str] = &[
            "a",
            "b",
            "a.b",
            "a_b",
            "c-1",
            "__consumer_offsets",
            "bad name",
            "",
        ];
        NAMES[self.below(NAMES.len() as u32) as usize].to_owned()
    }

    fn reassignment(&mut self, topic: &str) -> Reassignment {
        let count = self.below(4);
        let mut broker = || BrokerId(self.below(5) as i32 + 1);
        let replicas = (0..count).map(|_| broker()).collect();
        Reassignment {
            topic: topic.to_owned(),
            partition: self.below(3) as i32,
            replicas: (self.below(4) > 0).then_some(replicas),
        }
    }

    fn setting(&mut self) -> (String, Option<String>) {
        const KEYS: &[&str] = &[
            "retention.ms",
            "cleanup.policy",
            "segment.bytes",
            "no.such",
            "preallocate",
        ];
        const VALUES: &[&str] = &["1", "compact", "delete", "2097152", "", "true"];
        let key = KEYS[self.below(KEYS.len() as u32) as usize].to_owned();
        let value = VALUES.get(self.below(VALUES.len() as u32 + 1) as usize);
        (key, value.map(|value| (*value).to_owned()))
    }
}

#[test]
fn what_is_decided_at_random_is_replayed_to_the_same_image() {
    for seed in 0..30 {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let mut world = World::new();
        let mut replayed = world.image.clone();
        let mut pictures = Vec::new();
        for step in 0..150 {
            change_who_is_alive(&mut world, &mut dice);
            let before = world.image.clone();
            let records = decide(&mut world, &mut dice);
            check_placement(&world, &before, &records);
            check_replica_ids(&before, &world.image);
            for record in &records {
                let read = MetadataRecord::decode(&record.encode()).expect("just encoded");
                replayed.apply(&read).expect("it fits there as here");
            }
            assert_eq!(replayed, world.image, "seed={seed} step={step}");
            check_invariants(&world.image);
            if step % 30 == 0 {
                pictures.push((world.image.clone(), format!("{:?}", world.image)));
            }
        }
        for (picture, text) in pictures {
            assert_eq!(format!("{picture:?}"), text, "an older picture changed");
        }
    }
}

fn decide(world: &mut World, dice: &mut Dice) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    let topic = dice.topic();
    let choice = dice.below(15);
    world.with(|controller| {
        records = decision(controller, dice, topic, choice);
        Decision {
            records: records.clone(),
            reply: (),
        }
    });
    records
}

fn decision(
    c: &mut Controller<'_>,
    dice: &mut Dice,
    topic: String,
    choice: u32,
) -> Vec<MetadataRecord> {
    match choice {
        0 | 1 => {
            let configs = vec![dice.setting()];
            let num_partitions = dice.below(5) as i32 - 1;
            let other = NewTopic::with_defaults(&dice.topic());
            let new = NewTopic {
                num_partitions,
                replication_factor: [-1, 1, 2, 3][dice.below(4) as usize],
                configs,
                ..NewTopic::with_defaults(&topic)
            };
            c.create_topics(&[new, other], dice.below(5) == 0).records
        }
        2 => {
            let id = c
                .image
                .topic(&topic)
                .map_or(TopicId::ZERO, |topic| topic.id);
            let by_id = TopicRef { name: None, id };
            let named = TopicRef {
                name: Some(dice.topic()),
                id: TopicId::ZERO,
            };
            c.delete_topics(&[by_id, named]).records
        }
        3 => {
            let count = dice.below(12) as i32;
            let new = NewPartitions {
                topic,
                count,
                assignments: None,
            };
            c.create_partitions(&[new], false).records
        }
        4 => {
            let (key, value) = dice.setting();
            let operation = dice.below(5) as i8;
            let changes = vec![ConfigChange {
                key,
                operation,
                value,
            }];
            let kind = [2, 4, 32][dice.below(3) as usize];
            let name = if kind == 4 { String::new() } else { topic };
            let resource = AlterResource {
                kind,
                name,
                changes,
            };
            c.incremental_alter_configs(&[resource], false).records
        }
        5 => {
            let changes = vec![dice.setting(), dice.setting()];
            let resource = AlterResource {
                kind: 2,
                name: topic,
                changes,
            };
            c.alter_configs(&[resource], false).records
        }
        6 => {
            let mut entity = EntityParts::new();
            for part in ["user", "client-id", "ip"] {
                let name = [None, Some("a".to_owned()), Some(String::new())];
                if dice.below(5) < 3 {
                    entity.insert(part.to_owned(), name[dice.below(5) as usize / 2].clone());
                }
            }
            let op = QuotaOp {
                key: ["producer_byte_rate", "request_percentage"][dice.below(2) as usize]
                    .to_owned(),
                value: [None, Some(1.5), Some(2.0)][dice.below(3) as usize],
            };
            let ops = vec![op];
            c.alter_client_quotas(&[QuotaAlteration { entity, ops }], false)
                .records
        }
        7 => c.allocate_producer_ids().expect("there are plenty").records,
        8 | 9 => register(c, dice),
        10 => {
            // Seldom, since they never come back.
            let id = BrokerId(dice.below(40) as i32 + 1);
            let decided = c.unregister_broker(id);
            decided.map_or_else(|_| vec![], |decided| decided.records)
        }
        11 | 12 => {
            let requests = [dice.reassignment(&topic), dice.reassignment(&topic)];
            c.reassign_all(&requests, dice.below(4) > 0).records
        }
        _ => {
            let id = c.image.topic(&topic).map_or(TopicId::ZERO, |t| t.id);
            let index = PartitionIndex(dice.below(4) as i32);
            let partition = c.image.topic(&topic).and_then(|t| t.partition(index));
            let mut members: Vec<_> = partition
                .map(|p| p.target().map(|replica| replica.id).collect())
                .unwrap_or_default();
            if dice.below(4) == 0 {
                members.pop();
            }
            c.complete_reassignment(id, index, &members).records
        }
    }
}

fn register(c: &Controller<'_>, dice: &mut Dice) -> Vec<MetadataRecord> {
    let number = dice.below(6) as u8 + 1;
    let asked = [None, Some(BrokerId(i32::from(number)))][dice.below(2) as usize];
    let disks = [disk(number), disk(number + 10 * dice.below(2) as u8)];
    let decided = c.register_broker(Registration {
        id: asked,
        incarnation: TopicId::from_bytes([dice.below(200) as u8; 16]),
        disks: disks[..1 + dice.below(2) as usize].to_vec(),
        rack: Some(dice.below(2).to_string()),
        ..registration(1)
    });
    let Ok(Decision { records, reply }) = decided else {
        return vec![];
    };
    assert!(!c.image.is_removed(reply), "a number came back: {reply:?}");
    if asked.is_none() {
        assert!(c.image.last_broker_id() < Some(reply));
    }
    records
}

fn change_who_is_alive(world: &mut World, dice: &mut Dice) {
    let id = BrokerId(dice.below(8) as i32 + 1);
    if dice.below(3) == 0 {
        world.alive.remove(&id);
    } else {
        world.alive.insert(id);
    }
}

/// What is new lies on brokers that are registered and alive.
fn check_placement(world: &World, before: &MetadataImage, records: &[MetadataRecord]) {
    for record in records {
        let MetadataRecord::Partition { topic, index, .. } = record else {
            continue;
        };
        let was = before.topic_by_id(*topic).and_then(|t| t.partition(*index));
        if was.is_none() {
            let topic = world.image.topic_by_id(*topic).expect("it was just there");
            let image = topic.partition(*index).expect("it was just there");
            let fits = |id| world.alive.contains(&id) && before.broker(id).is_some();
            assert!(image.broker_ids().all(fits), "{image:?}");
        }
    }
}

/// No replica id ever comes to stand for another replica.
fn check_replica_ids(before: &MetadataImage, after: &MetadataImage) {
    for topic in after.topics() {
        let Some(was) = before.topic_by_id(topic.id) else {
            continue;
        };
        for (was, is) in was.partitions.iter().zip(&topic.partitions) {
            assert!(was.last_replica_id <= is.last_replica_id);
            for replica in &is.replicas {
                let is_new = replica.id > was.last_replica_id;
                assert!(is_new || was.broker_of(replica.id) == Some(replica.broker));
            }
        }
    }
}

fn check_invariants(image: &MetadataImage) {
    let names: Vec<_> = image.topics().map(|topic| topic.name.clone()).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), image.topic_count());
    let mut disks = BTreeSet::new();
    for broker in image.brokers() {
        assert!(!image.is_removed(broker.id));
        assert!(broker.disks.iter().all(|disk| disks.insert(*disk)));
    }
    for topic in image.topics() {
        assert_eq!(image.topic_by_id(topic.id), Some(topic));
        assert!(!topic.partitions.is_empty());
        for partition in &topic.partitions {
            assert!(partition.is_sound(), "{partition:?}");
            let is_known = |id| image.broker(id).is_some() || image.is_removed(id);
            assert!(partition.broker_ids().all(is_known));
        }
    }
    for name in image.configured(ResourceKind::Topic) {
        assert!(image.topic(name).is_some(), "settings of no topic: {name}");
    }
}

#[test]
fn ten_thousand_topics_are_listed_in_pages_and_each_picture_is_cheap() {
    let mut image = MetadataImage::default();
    let mut ids = TopicIds::new([3; 32]);
    let mut pictures = Vec::new();
    for number in 0..10_000 {
        let name = klamm_model::TopicName::new(&format!("topic_{number:05}")).expect("legal");
        let id = ids.draw();
        image
            .apply(&MetadataRecord::Topic { name, id })
            .expect("free");
        let index = klamm_model::PartitionIndex(0);
        let partition = PartitionImage::of_brokers([BrokerId(1)]);
        image
            .apply(&MetadataRecord::partition(id, index, partition))
            .expect("there");
        pictures.push(image.clone());
    }
    let page: Vec<_> = image
        .topics_from("topic_09998")
        .map(|t| t.name.to_string())
        .collect();
    assert_eq!(page, ["topic_09998", "topic_09999"]);
    assert_eq!(pictures[4_999].topic_count(), 5_000);
    assert_eq!(
        image.look_alike("topic.00007").map(|name| name.as_str()),
        Some("topic_00007")
    );
}

#[test]
fn settings_are_kept_by_resource_and_key() {
    let mut image = MetadataImage::default();
    let mut set = |key: &str, value: Option<&str>| {
        let resource = ConfigResource::new(ResourceKind::Broker, "");
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        image
            .apply(&MetadataRecord::Config {
                resource,
                key,
                value,
            })
            .expect("always fits");
        image.configs(ResourceKind::Broker, "").clone()
    };
    assert_eq!(set("a", Some("1")), configs(&[("a", "1")]));
    assert_eq!(set("b", Some("2")), configs(&[("a", "1"), ("b", "2")]));
    assert_eq!(set("a", None), configs(&[("b", "2")]));
    assert_eq!(set("b", None), configs(&[]));
}
