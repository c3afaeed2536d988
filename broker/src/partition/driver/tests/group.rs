//! Replicas that speak to each other.

use klamm_model::raft::{LogEntry, Placement};
use klamm_replication::frame::{self, Format};
use klamm_storage::Disk;

use super::*;

/// Replicas of one group, of which the first leads, alone with those that it is told of.
pub(super) struct Group {
    pub(super) nodes: Vec<(Fixture, PartitionDriver)>,
    /// How they speak.
    pub(super) format: Format,
    /// What has been said of entries with records, since batches or members last came.
    pub(super) said: Vec<Placement>,
}

pub(super) fn id(at: usize) -> ReplicaId {
    ReplicaId::new(at as u64 + 1).unwrap()
}

/// Segments of so many bytes.
pub(super) fn config(segment_bytes: u32) -> LogConfig {
    LogConfig {
        segment_bytes,
        ..LogConfig::default()
    }
}

impl Group {
    pub(super) fn new(configs: &[LogConfig]) -> Self {
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

    /// So many voters from the beginning, of which the first leads.
    pub(super) fn of_voters(count: usize) -> Self {
        let members = Members::of_voters((0..count).map(id));
        let node = |at| {
            let fixture = Fixture::new();
            let driver = fixture.driver_as(id(at), 0, LogConfig::default(), members.clone());
            (fixture, driver)
        };
        let mut group = Self {
            nodes: (0..count).map(node).collect(),
            format: Format::Two,
            said: Vec::new(),
        };
        for (_, driver) in &mut group.nodes {
            driver.start(NOW, &mut Vec::new());
        }
        for ticks in 1.. {
            if group.driver(0).is_leader() {
                break;
            }
            let now = NOW + Duration::from_millis(50) * ticks;
            group.driver(0).tick(now, &mut Vec::new());
            group.exchange();
        }
        group
    }

    pub(super) fn driver(&mut self, at: usize) -> &mut PartitionDriver {
        &mut self.nodes[at].1
    }

    /// Everything is written, synced, sent and taken, until nobody has anything to say.
    pub(super) fn exchange(&mut self) {
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
            // Others are not there.
            let nodes = self.nodes.len() as u64;
            messages.retain(|message| message.envelope.to.get() <= nodes);
            if messages.is_empty() {
                return;
            }
            self.deliver(messages);
        }
    }

    pub(super) fn deliver(&mut self, messages: Vec<Outgoing>) {
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
    pub(super) fn announce(&mut self) {
        self.driver(0).announce(NOW, &mut Vec::new());
        self.exchange();
        let end = self.driver(0).log_end_offset();
        assert_eq!(self.driver(1).high_watermark(), end);
        assert_eq!(self.driver(1).committed_offset(), end);
    }

    pub(super) fn produce(&mut self, leader: usize, batches: usize) {
        self.said.clear();
        for _ in 0..batches {
            self.driver(leader)
                .stage(batch(1), AppendOrigin::Client)
                .unwrap();
            self.exchange();
        }
    }

    pub(super) fn change_members(&mut self, leader: usize, members: Members) {
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
    pub(super) fn segments(&self, at: usize) -> Vec<(String, u64)> {
        let listed = self.nodes[at].0.disk.list(Path::new("/data/topic-0"));
        let mut logs = listed.unwrap();
        logs.retain(|entry| entry.name.ends_with(".log"));
        logs.into_iter()
            .map(|entry| (entry.name, entry.length))
            .collect()
    }
}

pub(super) fn voters(all: &[usize]) -> Members {
    Members::of_voters(all.iter().map(|at| id(*at)))
}
