//! Time, chance, producers and the network of one cluster's life.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_broker::partition::driver::{AppendOrigin, Outcome, PartitionDriver, Staged};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{Instant, LeaderEpoch, Offset, Timestamp};
use klamm_replication::{Members, ReplicaId, frame};
use klamm_simulation::members::{are_too_lossy, draw_change, draw_group, place};
use klamm_simulation::network::News;
use klamm_simulation::{Network, Pace, Packet, Random, Step, Tally, Trace};
use klamm_storage::{Crash, Disk, LogConfig};

use super::ledger::{Ledger, content};
use super::node::{Node, Process};
use super::segments;
use crate::disk::{Lie, LyingDisk};

/// Steps before everything heals; twice as many if members change.
const STEPS: usize = 4_000;
/// Changes of members that were asked for and may be on their way.
const ASKED_MAX: usize = 3;
const KINDS_OF_FAULTS: u64 = 7;
pub(super) const WALL: Timestamp = Timestamp(1_700_000_000_000);

/// A guard that is left out, or a lie that is told to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// After a loss of power a replica is told that nothing can be missing.
    NoVoteBar,
    /// Segments are not synced.
    SegmentSyncIsALie,
    /// The journal is not synced.
    JournalSyncIsALie,
    /// Producers are answered when the leader has written.
    AckByLeaderAlone,
}

pub(super) struct World<'a> {
    sabotage: Option<Sabotage>,
    pub(super) random: Random,
    pub(super) trace: &'a Trace,
    now: Instant,
    pub(super) config: LogConfig,
    pace: Pace,
    /// How often copies get on, in a thousand steps.
    copies: u64,
    /// Whether replicas join and leave.
    changes: bool,
    /// Whether one of them should lead.
    preferred: bool,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network<Bytes>,
    /// How often a replica fell asleep.
    sleeps: u64,
    /// Batches that a leader has taken and nobody has acknowledged.
    pending: Vec<Pending>,
    ledger: Ledger,
    produced: u64,
    /// Members that leaders were lately asked for.
    asked: Vec<Members>,
    /// The last configuration that a leader has put in force, and how many there were.
    changed: (Members, u64),
    /// Whether logs are shortened at their beginnings.
    shortens: bool,
    pub(super) copied: u64,
    tally: Tally,
}

/// What came of a life.
#[derive(Clone, Debug)]
pub(super) struct Lived {
    pub(super) tally: Tally,
    /// Records that were acknowledged.
    pub(super) records: u64,
    /// Copies that have taken the place of a log.
    pub(super) copies: u64,
    /// Changes of members.
    pub(super) changes: u64,
    /// How often a replica fell asleep.
    pub(super) sleeps: u64,
}

struct Pending {
    node: usize,
    life: u64,
    epoch: LeaderEpoch,
    base_offset: Offset,
    next_offset: Offset,
    content: Bytes,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>, trace: &'a Trace) -> Self {
        let mut random = Random::new(seed);
        let changes = random.one_in(2);
        let (ids, first) = draw_group(&mut random, changes);
        let node = |id: &ReplicaId| {
            let first = match first.voters.contains(id) {
                true => first.clone(),
                false => Members::default(),
            };
            Node::new(*id, first, random.number())
        };
        let nodes: Vec<_> = ids.iter().map(node).collect();
        Self {
            config: LogConfig {
                segment_bytes: 1_024 + random.below(4_096) as u32,
                index_interval_bytes: 256,
                segment_index_bytes: 4_096,
                flush_messages: if random.one_in(4) { 1 } else { i64::MAX },
                ..LogConfig::default()
            },
            pace: Pace::draw(&mut random, KINDS_OF_FAULTS, changes),
            copies: 1 + random.below(30),
            changes,
            preferred: random.one_in(2),
            shortens: random.one_in(2),
            sabotage,
            random,
            trace,
            now: Instant::START,
            network: Network::new(nodes.len()),
            nodes,
            sleeps: 0,
            pending: Vec::new(),
            ledger: Ledger::default(),
            produced: 0,
            asked: Vec::new(),
            changed: (Members::default(), 0),
            copied: 0,
            tally: Tally::default(),
        }
    }

    /// Lives it.
    pub(super) fn live(mut self) -> Lived {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for _ in 0..STEPS * (1 + usize::from(self.changes)) {
            self.step();
        }
        self.heal();
        self.tally.ended(self.now.since_start());
        Lived {
            tally: self.tally,
            records: self.ledger.records(),
            copies: self.copied,
            changes: self.changed.1,
            sleeps: self.sleeps,
        }
    }

    fn step(&mut self) {
        let node = self.random.below(self.nodes.len() as u64) as usize;
        if self.random.below(1_000) < self.copies {
            return self.copy(node);
        }
        match self.pace.next(&mut self.random) {
            Step::Produce => self.produce(node),
            Step::Deliver => self.deliver(),
            Step::Write => self.write(node),
            Step::Sync => self.flush(node),
            Step::SyncJournal => self.sync_journal(node),
            Step::Tick => self.tick(),
            Step::Fault => self.disturb(node),
            Step::ChangeMembers => self.change_members(),
            Step::Start => self.start(node),
            Step::Lull => self.live_through_a_lull(),
        }
    }

    fn disturb(&mut self, node: usize) {
        match self.random.below(KINDS_OF_FAULTS) {
            0 => self.change_cuts(node),
            1 => self.kill(node),
            2 => self.lose_power(node),
            3 => self.transfer(node),
            4 => self.miss_leader(node),
            5 => self.fill_disk_or_make_room(node),
            _ if self.shortens => self.delete_records(node),
            _ => {}
        }
    }

    /// Lets a driver do something, and takes in what comes of it.
    pub(super) fn drive(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut Process, Instant, &mut Vec<Outcome>),
    ) {
        let node = &mut self.nodes[at];
        let Some(process) = &mut node.process else {
            return;
        };
        let mut outcomes = Vec::new();
        let slept = process.driver.is_asleep();
        work(process, self.now, &mut outcomes);
        if !slept && process.driver.is_asleep() {
            self.sleeps += 1;
            self.trace.note(format!("{}: sleeps", at + 1));
        }
        for outgoing in process.driver.take_outgoing() {
            self.trace
                .note(format!("{}: send {}", at + 1, outgoing.envelope));
            let to = place(outgoing.envelope.to);
            let bytes = frame::encode(&outgoing.envelope, &outgoing.entries, frame::Format::Two);
            self.network.send(at, to, bytes.concat().into());
        }
        for outcome in outcomes {
            self.trace.note(format!("{}: {outcome:?}", at + 1));
            match outcome {
                Outcome::Recovered => node.recovered(),
                Outcome::MembersChanged { members } => {
                    let leads = node
                        .process
                        .as_ref()
                        .is_some_and(|own| own.driver.is_leader());
                    if leads && members != self.changed.0 {
                        self.changed = (members, self.changed.1 + 1);
                    }
                }
                Outcome::Truncated { lost_visible, .. } => {
                    assert!(!lost_visible, "acknowledged records are cut");
                }
                Outcome::Offline { error } => panic!("offline: {error}"),
                Outcome::LostLeadership | Outcome::StagedDropped { .. } => {
                    self.pending.retain(|pending| pending.node != at);
                }
                Outcome::CopyWanted { from } => node.wants_copy(from),
                _ => {}
            }
        }
        self.acknowledge(at);
    }

    /// What a process had taken is nobody's any more.
    pub(super) fn forget_pending(&mut self, at: usize) {
        self.pending.retain(|pending| pending.node != at);
    }

    fn acknowledge(&mut self, at: usize) {
        let node = &self.nodes[at];
        let Some(process) = &node.process else {
            return;
        };
        let driver = &process.driver;
        let end = match self.sabotage {
            Some(Sabotage::AckByLeaderAlone) => driver.log_end_offset(),
            _ => driver.high_watermark(),
        };
        let life = self.network.life(at);
        let is_done = |pending: &mut Pending| {
            pending.node == at && pending.life == life && pending.next_offset <= end
        };
        let done: Vec<Pending> = self.pending.extract_if(.., is_done).collect();
        for Pending {
            base_offset,
            next_offset,
            content,
            epoch,
            ..
        } in done
        {
            assert_eq!(
                epoch,
                driver.leader_epoch(),
                "who waits is told of a new epoch"
            );
            self.ledger.acknowledge(base_offset, next_offset, content);
        }
    }

    fn produce(&mut self, at: usize) {
        let Some(process) = &self.nodes[at].process else {
            return;
        };
        if !process.driver.is_leader() || process.driver.offline().is_some() {
            return;
        }
        let count = 1 + self.random.below(3);
        for _ in 0..count {
            self.stage(at);
        }
        self.drive(at, |process, now, outcomes| {
            process.driver.turn(now, WALL, outcomes)
        });
    }

    fn stage(&mut self, at: usize) {
        self.produced += 1;
        let mut builder = BatchBuilder::new();
        for _ in 0..=self.random.below(3) {
            let value = format!(
                "{} {}",
                self.produced,
                "v".repeat(self.random.below(200) as usize)
            );
            let time = Timestamp(WALL.0 + self.produced as i64);
            builder.append(time, None, Some(value.as_bytes()), &[]);
        }
        let batch = builder.build();
        let node = &mut self.nodes[at];
        let driver: &mut PartitionDriver = &mut node.process.as_mut().expect("it runs").driver;
        let content = content(&batch);
        match driver.stage(batch, AppendOrigin::Client) {
            Ok(Staged::Appended {
                base_offset,
                last_offset,
                ..
            }) => self.pending.push(Pending {
                node: at,
                life: self.network.life(at),
                epoch: driver.leader_epoch(),
                base_offset,
                next_offset: last_offset.plus(1),
                content,
            }),
            Ok(Staged::Duplicate { .. }) => panic!("there are no idempotent producers"),
            Err(_) => {}
        }
    }

    /// A write begins, or one that has begun ends.
    fn write(&mut self, at: usize) {
        self.drive(at, |process, now, outcomes| match process.write.take() {
            Some(ticket) => {
                process.driver.write_finished(now, ticket.run(), outcomes);
            }
            None => process.write = process.driver.begin_write(now, WALL, outcomes),
        });
    }

    fn flush(&mut self, at: usize) {
        self.drive(at, |process, now, outcomes| match process.flush.take() {
            Some(ticket) => process.driver.sync_finished(now, ticket.run(), outcomes),
            None => process.flush = process.driver.begin_sync(outcomes),
        });
    }

    fn sync_journal(&mut self, at: usize) {
        self.drive(at, |process, now, outcomes| {
            if process.driver.awaits_journal() {
                let result = process.dir.journal().sync();
                process.driver.journal_synced(now, &result, outcomes);
            }
        });
    }

    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(50);
        let now = self.now;
        for at in 0..self.nodes.len() {
            self.drive(at, |process, now, outcomes| {
                process.driver.tick(now, outcomes)
            });
            let process = self.nodes[at].process.as_mut();
            let due = process.and_then(|process| process.driver.sync_deadline(now));
            if due.is_some_and(|due| due <= now) {
                self.flush(at);
            }
        }
        for news in self.network.tick() {
            match news {
                News::Lost { at, of } => self.miss(at, of),
                News::Anew { at, of } => self.greet(at, of),
            }
        }
    }

    /// Nobody produces anything, and the group may fall asleep; whatever happens then finds it so.
    fn live_through_a_lull(&mut self) {
        self.trace.note("a lull".to_owned());
        for _ in 0..60 + self.random.below(60) {
            self.tick();
            for packet in self.network.take_all() {
                if !self.random.one_in(60) {
                    self.arrive(packet);
                }
            }
            self.finish_writes(1);
            let node = self.random.place(&self.nodes);
            match self.random.below(200) {
                0 => self.kill(node),
                1 => self.change_cuts(node),
                2 => self.produce(node),
                3..10 => self.start(node),
                _ => {}
            }
        }
    }

    fn finish_writes(&mut self, rounds: usize) {
        for at in 0..self.nodes.len() {
            for _ in 0..rounds {
                self.write(at);
                self.sync_journal(at);
            }
            self.flush(at);
            self.flush(at);
        }
    }

    fn deliver(&mut self) {
        if let Some(packet) = self.network.next(&mut self.random) {
            self.arrive(packet);
        }
    }

    fn arrive(&mut self, packet: Packet<Bytes>) {
        let arrival = self.network.arrive(&packet);
        for (at, peer) in arrival.greetings {
            self.greet(at, peer);
        }
        if arrival.is_heard {
            let (envelope, entries) = frame::decode(packet.message).expect("a whole message");
            self.trace
                .note(format!("{}: got {envelope}", packet.to + 1));
            self.drive(packet.to, |process, now, outcomes| {
                process.driver.received(now, envelope, entries, outcomes);
            });
        }
    }

    fn greet(&mut self, at: usize, peer: usize) {
        let peer = self.nodes[peer].id;
        self.drive(at, |process, now, outcomes| {
            process.driver.peer_restarted(now, peer, outcomes);
        });
    }

    /// A disk is full for a while, at most as long as its broker lives.
    fn fill_disk_or_make_room(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let is_full = node.process.is_some() && !node.is_full;
        node.set_full(is_full);
        if is_full {
            self.tally.count("full disks");
        }
        self.trace.note(format!("{}: full: {is_full}", at + 1));
    }

    /// A leader is asked to give its place to somebody.
    fn transfer(&mut self, to: usize) {
        if let Some(leader) = self.leader() {
            self.tally.count("leaderships handed over");
            self.trace
                .note(format!("{}: transfers to {}", leader + 1, to + 1));
            let to = self.nodes[to].id;
            self.drive(leader, |process, now, outcomes| {
                process.driver.transfer_leadership(now, to, outcomes);
            });
        }
    }

    /// A broker takes that of the leader for gone, and need not be right.
    fn miss_leader(&mut self, at: usize) {
        if let Some(leader) = self.leader() {
            self.tally.count("leaders taken for gone");
            self.miss(at, leader);
        }
    }

    fn miss(&mut self, at: usize, gone: usize) {
        let gone = self.nodes[gone].id;
        // Who has just come is seldom known to all in the same way.
        let newcomer = self.random.below(4 * self.nodes.len() as u64) as usize;
        let newcomers = self.nodes.get(newcomer).map(|node| node.id);
        let newcomers = newcomers.into_iter().collect();
        self.trace
            .note(format!("{}: misses {}", at + 1, gone.get()));
        self.drive(at, |process, now, outcomes| {
            process
                .driver
                .peer_unreachable(now, gone, newcomers, outcomes);
        });
    }

    /// A leader is asked for other members.
    fn change_members(&mut self) {
        let Some(leader) = self.leader().filter(|_| self.changes) else {
            return;
        };
        let process = self.nodes[leader].process.as_ref().expect("it leads");
        if !process.driver.can_change_members() {
            return;
        }
        let members = process.driver.members().clone();
        let ids: Vec<_> = self.nodes.iter().map(|node| node.id).collect();
        let wanted = draw_change(&mut self.random, &ids, &members);
        if wanted.voters.is_empty() || self.is_too_lossy(&wanted, None) {
            return;
        }
        self.trace.note(format!("{}: wants {wanted}", leader + 1));
        self.asked.push(wanted.clone());
        let old = self.asked.len().saturating_sub(ASKED_MAX);
        self.asked.drain(..old);
        self.drive(leader, |process, now, outcomes| {
            process.driver.change_members(now, wanted, outcomes);
        });
    }

    /// Whether more than a minority of those who decide lack what they had not fsynced, with one more.
    fn is_too_lossy(&self, members: &Members, more: Option<usize>) -> bool {
        are_too_lossy(members, |id| {
            let at = place(id);
            self.nodes[at].recovering || more == Some(at)
        })
    }

    fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| process.driver.is_leader())
        };
        self.nodes.iter().position(leads)
    }

    fn change_cuts(&mut self, node: usize) {
        self.tally.count("cuts");
        let leader = self.leader();
        self.network.change_cuts(&mut self.random, node, leader);
        self.trace.note(self.network.to_string());
    }

    fn kill(&mut self, at: usize) {
        if self.nodes[at].process.is_some() {
            self.tally.count("kills");
            self.end_process(at);
        }
    }

    fn end_process(&mut self, at: usize) {
        if self.nodes[at].process.is_some() {
            self.end_life(at, Crash::Kill);
            self.pending.retain(|pending| pending.node != at);
            self.trace.note(format!("{}: ends", at + 1));
            for other in 0..self.nodes.len() {
                if self.random.one_in(3) {
                    self.miss(other, at);
                }
            }
        }
    }

    fn end_life(&mut self, at: usize, crash: Crash) {
        self.nodes[at].crash(crash);
        self.network.stopped(at);
    }

    /// Of a minority at a time, until it has caught up; with an fsync before each acknowledgement,
    /// of anybody.
    fn lose_power(&mut self, at: usize) {
        let strict = self.config.flush_messages == 1;
        let in_logs = self.nodes.iter().flat_map(Node::configurations);
        let mut configurations = in_logs.chain(self.asked.iter().cloned());
        if strict || !configurations.any(|one| self.is_too_lossy(&one, Some(at))) {
            self.tally.count("power losses");
            self.end_process(at);
            self.end_life(at, Crash::PowerLoss);
            self.nodes[at].recovering = self.bars();
            self.trace.note(format!("{}: lost power", at + 1));
        }
    }

    fn start(&mut self, at: usize) {
        if self.nodes[at].process.is_some() {
            return;
        }
        let seed = self.random.number() >> 1;
        let disk = self.disk_of(at);
        let barred = self.bars();
        let preferred = at == 0 && self.preferred;
        self.network.started(at);
        let config = segments::config_of(at, &self.config);
        self.nodes[at].start(disk, &config, barred, preferred, seed);
        self.trace.note(format!("{}: started", at + 1));
        self.drive(at, |process, now, outcomes| {
            process.driver.start(now, outcomes)
        });
    }

    /// Whether a replica may lack what it acknowledged after a loss of power: not if it fsyncs first.
    fn bars(&self) -> bool {
        self.config.flush_messages != 1 && self.sabotage != Some(Sabotage::NoVoteBar)
    }

    fn disk_of(&self, at: usize) -> Arc<dyn Disk> {
        let disk = self.nodes[at].disk.clone();
        let about = match self.sabotage {
            Some(Sabotage::SegmentSyncIsALie) => ".log",
            Some(Sabotage::JournalSyncIsALie) => "klamm.journal",
            _ => return Arc::new(disk),
        };
        let lie = Lie::Synced;
        Arc::new(LyingDisk { disk, about, lie })
    }

    /// Faults end: there must be one leader, and one log that holds what was acknowledged.
    fn heal(&mut self) {
        self.trace.note("healed".to_owned());
        self.network.heal();
        for at in 0..self.nodes.len() {
            self.nodes[at].set_full(false);
            self.start(at);
        }
        self.rest(250);
        self.close_those_who_left();
        self.rest(100);
        self.check_end();
        self.outlive_the_leader();
    }

    /// As their brokers do. They would go on asking the others for what they may have lost.
    fn close_those_who_left(&mut self) {
        let leader = self.leader().expect("one leads");
        let process = self.nodes[leader].process.as_ref().expect("it leads");
        let members: Vec<_> = process.driver.members().all().collect();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if !members.contains(&node.id) {
                node.process = None;
                self.network.stopped(at);
            }
        }
    }

    /// So many ticks in which everything arrives and is written.
    fn rest(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick();
            for _ in 0..8 {
                for packet in self.network.take_all() {
                    self.arrive(packet);
                }
                self.finish_writes(4);
                for at in 0..self.nodes.len() {
                    for _ in 0..4 {
                        self.copy(at);
                    }
                }
            }
        }
    }

    /// Whoever led the group, which sleeps, is gone, and those that are left notice.
    fn outlive_the_leader(&mut self) {
        let leader = self.leader().expect("one leads");
        let process = self.nodes[leader].process.as_ref().expect("it leads");
        if process.driver.members().voters.len() < 3 {
            return;
        }
        self.end_life(leader, Crash::Kill);
        self.trace.note(format!("{}: gone", leader + 1));
        self.rest(120);
        let heir = self.leader().expect("another leads");
        self.produce(heir);
        self.rest(40);
        let process = self.nodes[heir].process.as_ref().expect("it leads");
        let end = process.driver.log_end_offset();
        assert_eq!(process.driver.high_watermark(), end, "the group goes on");
    }

    fn check_end(&mut self) {
        let leads = |node: &&Node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| process.driver.is_leader())
        };
        let leaders: Vec<_> = self.nodes.iter().filter(leads).collect();
        assert_eq!(leaders.len(), 1, "one leader in the end");
        let leader = leaders[0].process.as_ref().expect("all run");
        let members = leader.driver.members().clone();
        assert!(!members.is_joint(), "every joint configuration is left");
        let (mut logs, mut segments) = (Vec::new(), Vec::new());
        for id in members.all() {
            let node = &mut self.nodes[place(id)];
            let process = node.process.as_mut().expect("all run");
            let end = process.driver.log_end_offset();
            assert_eq!(process.driver.high_watermark(), end, "all of it is shown");
            assert_eq!(
                process.driver.committed_offset(),
                end,
                "all of it is committed"
            );
            assert_eq!(process.driver.members(), &members, "one configuration");
            assert!(!node.recovering, "nobody is barred for ever");
            let is_asleep = process.driver.is_asleep() || members.all().count() == 1;
            assert!(is_asleep, "{id:?} is awake");
            let batches = process.batches(end);
            let log = process.driver.log();
            let start = log.log_start_offset();
            self.ledger.check(&batches, start);
            logs.push((start, log.last_index(), batches));
            segments.push(segments::segments(&node.disk));
        }
        let start = logs.iter().map(|(start, ..)| *start).max();
        let start = start.expect("there are members");
        let what_all_have = logs.iter().map(|(_, last, batches)| {
            let batches = batches.iter();
            let batches = batches.filter(|batch| batch.base_offset() >= start);
            let bytes: Vec<Bytes> = batches.map(|batch| batch.to_bytes()).collect();
            (last, bytes)
        });
        let logs: Vec<_> = what_all_have.collect();
        assert!(logs.iter().all(|log| *log == logs[0]), "one log in the end");
        segments::check_equal(&segments);
    }
}
