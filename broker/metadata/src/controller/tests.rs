//! What Apache Kafka 4.4 answered to the same requests, and what it means for the image.

use klamm_model::{BrokerId, PartitionIndex, TopicId};

use super::*;
use crate::describe::Describer;
use crate::image::{PartitionImage, ResourceKind};
use crate::setting::{Kind, Setting, Synonym, Table, Valid, setting};
use crate::topic_config::Configs;

mod brokers;
mod client_quotas;
mod configs;
mod model;
mod reassignments;
mod topics;
mod unclean;

/// A few broker settings: the real table is the broker's.
const ROWS: &[Setting] = &[
    setting("node.id", Kind::Int, None).says("."),
    setting("num.partitions", Kind::Int, Some("1")).says("."),
    setting("max.connections", Kind::Int, Some("100"))
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("."),
    setting("log.cleanup.policy", Kind::List, Some("delete"))
        .at_once()
        .says("."),
    setting("log.segment.bytes", Kind::Int, Some("1073741824"))
        .at_once()
        .says("."),
    setting("log.retention.ms", Kind::Long, None)
        .synonyms(&[
            Synonym::same("log.retention.ms"),
            Synonym::minutes("log.retention.minutes"),
            Synonym::hours("log.retention.hours"),
        ])
        .at_once()
        .says("."),
    setting("log.retention.minutes", Kind::Int, None).says("."),
    setting("log.retention.hours", Kind::Int, Some("168")).says("."),
    setting("log.roll.ms", Kind::Long, None)
        .synonyms(&[
            Synonym::same("log.roll.ms"),
            Synonym::hours("log.roll.hours"),
        ])
        .at_once()
        .says("."),
    setting("log.roll.hours", Kind::Int, Some("168")).says("."),
    setting("ssl.key.password", Kind::Password, None).says("."),
];
static TABLE: Table = Table::new(&[ROWS]);

/// A cluster of one broker, number 1, started with a few settings; requests change it at once.
pub(super) struct World {
    pub(super) image: MetadataImage,
    pub(super) alive: BTreeSet<BrokerId>,
    pub(super) rules: TopicRules,
    fixed: Configs,
    ids: TopicIds,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            image: MetadataImage::default(),
            alive: BTreeSet::new(),
            rules: TopicRules {
                num_partitions: 1,
                default_replication_factor: 1,
                partitions_max: usize::MAX,
                clamp_replication_factor: false,
                deletion_enabled: true,
            },
            fixed: configs(&[
                ("node.id", "1"),
                ("log.retention.hours", "100"),
                ("log.roll.ms", "500000000"),
                ("ssl.key.password", "secret"),
            ]),
            ids: TopicIds::new([0; 32]),
        };
        world.start(registration(1));
        world
    }

    /// Of brokers 1 to `count`.
    pub(super) fn of_brokers(count: i32) -> Self {
        let mut world = Self::new();
        for id in 2..=count {
            world.start(registration(id));
        }
        world
    }

    /// A broker registers, and is alive.
    pub(super) fn start(&mut self, registration: Registration) -> BrokerId {
        let id = self.register(registration).expect("nothing speaks against");
        self.alive.insert(id);
        id
    }

    pub(super) fn register(&mut self, registration: Registration) -> Result<BrokerId, Refusal> {
        self.with_either(|c| c.register_broker(registration))
    }

    pub(super) fn unregister(&mut self, id: i32) -> Result<(), Refusal> {
        self.with_either(|c| c.unregister_broker(BrokerId(id)))
    }

    /// As [`with`](Self::with), where the decision may be a refusal.
    pub(super) fn with_either<R>(
        &mut self,
        decide: impl FnOnce(&mut Controller<'_>) -> Result<Decision<R>, Refusal>,
    ) -> Result<R, Refusal> {
        self.with(|controller| Decision::of_either(decide(controller)))
    }

    /// Decides, and applies what was decided.
    pub(super) fn with<R>(&mut self, decide: impl FnOnce(&mut Controller<'_>) -> Decision<R>) -> R {
        let image = self.image.clone();
        let layers = layers(&image, &self.fixed);
        let topic_defaults = TopicConfig::defaults(&layers);
        let mut controller = Controller {
            image: &image,
            alive: &self.alive,
            layers,
            topic_defaults: &topic_defaults,
            rules: self.rules,
            ids: &mut self.ids,
        };
        let decision = decide(&mut controller);
        for record in &decision.records {
            self.image
                .apply(record)
                .expect("the controller's records fit");
        }
        decision.reply
    }

    pub(super) fn describe(&self, kind: ResourceKind, name: &str) -> Vec<String> {
        let layers = layers(&self.image, &self.fixed);
        let describer = Describer {
            image: &self.image,
            broker: BrokerId(1),
            layers,
        };
        let entries = describer
            .describe(kind as i8, name, &[])
            .expect("the resource exists");
        let show = |entry: &crate::ConfigEntry| {
            let synonyms = entry.synonyms.iter().map(|synonym| {
                let value = synonym.value.as_deref().unwrap_or("null");
                format!(" {}={value}({:?})", synonym.name, synonym.source)
            });
            let synonyms: String = synonyms.collect();
            let value = entry.value.as_deref().unwrap_or("null");
            let access = if entry.read_only { "ro" } else { "rw" };
            format!(
                "{} {value} {:?} {access}{synonyms}",
                entry.name, entry.source
            )
        };
        entries.iter().map(show).collect()
    }

    pub(super) fn create(&mut self, topic: NewTopic) -> Result<CreatedTopic, Refusal> {
        let mut reply = self.with(|controller| controller.create_topics(&[topic], false));
        assert_eq!(reply.len(), 1);
        reply.remove(0).1
    }
}

#[track_caller]
pub(super) fn refused<T>(outcome: Result<T, Refusal>, code: i16, text: &str) {
    assert_eq!(told(outcome), (code, text.to_owned()));
}

/// A broker with a disk of its own.
pub(super) fn registration(id: i32) -> Registration {
    Registration {
        id: Some(BrokerId(id)),
        incarnation: TopicId::from_bytes([1; 16]),
        disks: vec![disk(id as u8)],
        peer: None,
        rack: None,
        listeners: Vec::new(),
        version: KLAMM_VERSION_LEVEL,
    }
}

pub(super) fn disk(number: u8) -> TopicId {
    TopicId::from_bytes([number.wrapping_add(0x60); 16])
}

fn layers<'a>(image: &'a MetadataImage, fixed: &'a Configs) -> BrokerLayers<'a> {
    BrokerLayers {
        dynamic: image.configs(ResourceKind::Broker, "1"),
        dynamic_default: image.configs(ResourceKind::Broker, ""),
        fixed,
        table: &TABLE,
    }
}

pub(super) fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// The number and the text of a refusal, or neither.
pub(super) fn told<T>(outcome: Result<T, Refusal>) -> (i16, String) {
    match outcome {
        Ok(_) => (0, String::new()),
        Err(refusal) => (refusal.code(), refusal.to_string()),
    }
}

#[test]
fn producer_ids_come_in_blocks_that_never_overlap() {
    let mut world = World::new();
    let mut block = || world.with(|c| c.allocate_producer_ids().expect("there are plenty"));
    assert_eq!(block(), ProducerId(0)..ProducerId(1000));
    assert_eq!(block(), ProducerId(1000)..ProducerId(2000));
}

#[test]
fn a_cluster_gets_its_identity_once() {
    let mut world = World::new();
    let found = |c: &mut Controller<'_>| {
        let records = c.found_cluster();
        Decision {
            reply: records.len(),
            records,
        }
    };
    assert_eq!(world.image.feature(KLAMM_VERSION), None);
    assert_eq!(world.with(found), 2);
    assert_eq!(world.with(found), 0);
    assert_eq!(
        world.image.feature(KLAMM_VERSION),
        Some(KLAMM_VERSION_LEVEL)
    );
    assert_eq!(
        world.image.features().collect::<Vec<_>>(),
        [(KLAMM_VERSION, KLAMM_VERSION_LEVEL)]
    );
    let id = world.image.cluster_id().expect("founded");
    assert!(TopicId::parse(id).is_some(), "{id}");
}

#[test]
fn an_election_is_needed_only_where_another_than_the_preferred_replica_leads() {
    let mut world = World::new();
    assert!(world.create(NewTopic::with_defaults("t")).is_ok());
    let check = |topic: &str, partition, leader: Option<i32>, expected: (i16, &str)| {
        let reply = elect_leader(&world.image, topic, partition, leader.map(BrokerId));
        let (code, text) = told(reply);
        assert_eq!((code, text.as_str()), expected);
    };
    check("nope", 0, Some(1), (3, "No such topic as nope"));
    check("t", 99, Some(1), (3, "No such partition as t-99"));
    check(
        "t",
        0,
        Some(1),
        (84, "Leader election not needed for topic partition."),
    );
    check("t", 0, Some(2), (0, ""));
    check(
        "t",
        0,
        None,
        (5, "Unable to find any leader for the partition."),
    );
}

#[test]
fn records_that_do_not_fit_leave_the_image_as_it_was() {
    let mut world = World::new();
    let created = world.create(NewTopic::with_defaults("t")).expect("free");
    let before = world.image.clone();
    let partition = |index, broker| {
        let image = PartitionImage::of_brokers([BrokerId(broker)]);
        MetadataRecord::partition(created.id, PartitionIndex(index), image)
    };
    let removed = MetadataRecord::UnregisterBroker { id: BrokerId(9) };
    let name = klamm_model::TopicName::new("t").expect("legal");
    for record in [
        partition(2, 1),
        partition(0, 2),
        removed,
        MetadataRecord::RemoveTopic {
            id: TopicId::from_bytes([9; 16]),
        },
        MetadataRecord::Topic {
            name,
            id: TopicId::from_bytes([9; 16]),
        },
        MetadataRecord::ProducerIds {
            next: ProducerId(-1),
        },
    ] {
        assert!(world.image.apply(&record).is_err(), "{record:?}");
        assert_eq!(world.image, before);
    }
}
