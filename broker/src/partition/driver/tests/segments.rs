//! Where segments begin is the leader's to say.

use klamm_model::raft::{LogEntry, Placement};
use klamm_replication::frame::{self, Format};
use klamm_storage::Disk;

use super::*;

/// Replicas of one group, of which the first leads, alone with those that it is told of.
struct Group {
    nodes: Vec<(Fixture, PartitionDriver)>,
    /// How they speak.
    format: Format,
    /// What has been said of entries with records, since batches or members last came.
    said: Vec<Placement>,
}

fn id(at: usize) -> ReplicaId {
    ReplicaId::new(at as u64 + 1).unwrap()
}

/// Segments of so many bytes.
fn config(segment_bytes: u32) -> LogConfig {
    LogConfig {
        segment_bytes,
        ..LogConfig::default()
    }
}

impl Group {
    fn new(configs: &[LogConfig]) -> Self {
        let fixture = Fixture::new();
        let leader = fixture.leader(configs[0].clone());
        let mut nodes = vec![(fixture, leader)];
        for (at, config) in configs.iter().enumerate().skip(1) {
            let fixture = Fixture::new();
            let driver = fixture.driver_as(id(at), 0, config.clone(), Members::default());
            nodes.push((fixture, driver));
        }
        for (_, driver) in &mut nodes[1..] {
            driver.start(NOW, &mut Vec::new());
        }
        Self {
            nodes,
            format: Format::Two,
            said: Vec::new(),
        }
    }

    fn driver(&mut self, at: usize) -> &mut PartitionDriver {
        &mut self.nodes[at].1
    }

    /// Everything is written, synced, sent and taken, until nobody has anything to say.
    fn exchange(&mut self) {
        loop {
            let mut messages = Vec::new();
            for (fixture, driver) in &mut self.nodes {
                turn(driver);
                flush(driver);
                while driver.awaits_journal() {
                    fixture.sync_journal(driver);
                    turn(driver);
                    flush(driver);
                }
                messages.extend(driver.take_outgoing());
            }
            if messages.is_empty() {
                return;
            }
            self.deliver(messages);
        }
    }

    fn deliver(&mut self, messages: Vec<Outgoing>) {
        for Outgoing { envelope, entries } in messages {
            let bytes = frame::encode(&envelope, &entries, self.format).concat();
            let (envelope, entries) = frame::decode(bytes.into()).unwrap();
            let records = entries.iter().filter_map(|entry| match entry {
                LogEntry::Records(entry) => Some(entry.placement),
                LogEntry::Meta(_) => None,
            });
            self.said.extend(records);
            let to = usize::try_from(envelope.to.get()).unwrap() - 1;
            self.driver(to)
                .received(NOW, envelope, entries, &mut Vec::new());
        }
    }

    /// Followers learn how far the log is shown and committed.
    fn announce(&mut self) {
        self.driver(0).announce(NOW, &mut Vec::new());
        self.exchange();
        let end = self.driver(0).log_end_offset();
        assert_eq!(self.driver(1).high_watermark(), end);
        assert_eq!(self.driver(1).committed_offset(), end);
    }

    fn produce(&mut self, leader: usize, batches: usize) {
        self.said.clear();
        for _ in 0..batches {
            self.driver(leader)
                .stage(batch(1), AppendOrigin::Client)
                .unwrap();
            self.exchange();
        }
    }

    fn change_members(&mut self, leader: usize, members: Members) {
        self.said.clear();
        let driver = self.driver(leader);
        driver.change_members(NOW, members, &mut Vec::new());
        self.exchange();
        // Whoever is new says where its log ends when it is next asked.
        let due = NOW + Duration::from_secs(1);
        self.driver(leader).tick(due, &mut Vec::new());
        self.exchange();
    }

    /// Names and lengths of the `.log` files.
    fn segments(&self, at: usize) -> Vec<(String, u64)> {
        let listed = self.nodes[at].0.disk.list(Path::new("/data/topic-0"));
        let mut logs = listed.unwrap();
        logs.retain(|entry| entry.name.ends_with(".log"));
        logs.into_iter()
            .map(|entry| (entry.name, entry.length))
            .collect()
    }
}

fn voters(all: &[usize]) -> Members {
    Members::of_voters(all.iter().map(|at| id(*at)))
}

#[test]
fn a_follower_is_told_where_segments_begin_by_new_entries_and_by_those_of_the_log() {
    let mut group = Group::new(&[config(1_000), config(10_000), config(500)]);
    // What was there before it had anybody to tell is read from the log.
    group.produce(0, 30);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    assert!(group.said.len() >= 30);
    group.produce(0, 30);
    // These the leader still has in memory.
    group.change_members(0, voters(&[0]).with_learners([id(1), id(2)]));
    assert!(!group.said.contains(&Placement::Undecided));
    let segments = group.segments(0);
    assert!(segments.len() > 8, "{segments:?}");
    assert_eq!(group.segments(1), segments);
    assert_eq!(group.segments(2), segments);
}

#[test]
fn who_was_not_told_decides_alone_and_tells_others_when_it_leads() {
    let mut group = Group::new(&[config(1_000), config(700), config(10_000)]);
    group.format = Format::One;
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 30);
    assert_ne!(group.segments(0), group.segments(1));
    group.format = Format::Two;
    group.change_members(0, voters(&[0, 1]));
    group
        .driver(0)
        .transfer_leadership(NOW, id(1), &mut Vec::new());
    group.exchange();
    assert!(group.driver(1).is_leader());
    group.change_members(1, voters(&[0, 1]).with_learners([id(2)]));
    assert!(group.said.len() >= 30);
    assert!(!group.said.contains(&Placement::Undecided));
    group.produce(1, 30);
    assert_eq!(group.segments(1), group.segments(2));
    // Also where they were not the same they are from the next beginning on.
    let (first, second) = (group.segments(0), group.segments(1));
    assert_eq!(first.last(), second.last());
}

#[test]
fn where_retention_empties_the_log_a_segment_ends_on_the_leader_first() {
    let config = LogConfig {
        retention_ms: 1_000,
        ..LogConfig::default()
    };
    let mut group = Group::new(&[config.clone(), config]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 10);
    group.announce();
    let later = Timestamp(WALL.0 + 5_000);
    assert!(group.driver(1).apply_retention(later).unwrap().is_none());
    let dropped = group.driver(0).apply_retention(later).unwrap();
    dropped.unwrap().run().unwrap();
    let start = group.driver(0).log_start_offset();
    assert_eq!(start, Offset::new(10));
    let dropped = group.driver(1).delete_records(start, later).unwrap();
    dropped.unwrap().run().unwrap();
    assert_eq!(group.segments(1), group.segments(0));
    group.produce(0, 3);
    let [begins, continues] = [Placement::Begins, Placement::Continues];
    assert_eq!(group.said, [begins, continues, continues]);
    assert_eq!(group.segments(1), group.segments(0));
}

#[test]
fn deleting_all_records_ends_the_segment_so_that_its_file_goes() {
    let mut group = Group::new(&[LogConfig::default()]);
    group.produce(0, 10);
    let end = group.driver(0).log_end_offset();
    // Not while more is on its way to it.
    group
        .driver(0)
        .stage(batch(1), AppendOrigin::Client)
        .unwrap();
    group.driver(0).turn(NOW, WALL, &mut Vec::new());
    let deleted = group.driver(0).delete_records(end, WALL).unwrap();
    deleted.unwrap().run().unwrap();
    assert_eq!(group.segments(0)[0].0, "00000000000000000000.log");
    group.exchange();
    let end = group.driver(0).log_end_offset();
    let deleted = group.driver(0).delete_records(end, WALL).unwrap();
    deleted.unwrap().run().unwrap();
    let names = [("00000000000000000011.log".to_owned(), 0)];
    assert_eq!(group.segments(0), names);
}

#[test]
fn a_segment_does_not_end_before_entries_that_have_come_and_are_not_written() {
    let mut group = Group::new(&[LogConfig::default(), LogConfig::default()]);
    group.change_members(0, voters(&[0]).with_learners([id(1)]));
    group.produce(0, 10);
    group.announce();
    let end = group.driver(1).log_end_offset();
    group
        .driver(0)
        .stage(batch(1), AppendOrigin::Client)
        .unwrap();
    turn(group.driver(0));
    let messages = group.driver(0).take_outgoing();
    group.deliver(messages);
    let deleted = group.driver(1).delete_records(end, WALL).unwrap();
    deleted.unwrap().run().unwrap();
    group.exchange();
    assert_eq!(group.segments(1), group.segments(0));
}
