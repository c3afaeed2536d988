//! What goes wrong, how often, and for how long; and how fast everything else goes.

use klamm_simulation::Random;
use klamm_storage::{Crash, Fault};

use super::messages::Group;
use super::world::{Event, World};

/// How fast things go in a life, in µs, and how often they go wrong.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) message_us: u64,
    pub(super) write_us: u64,
    pub(super) sync_us: u64,
    /// One message in so many is lost.
    pub(super) lost_one_in: u64,
    faults_us: u64,
    /// How often each kind comes.
    weights: [(Kind, u64); 9],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kill,
    LosePower,
    CrashInWrite,
    FailSync,
    Halt,
    Cut,
    Stall,
    Wall,
    HandOver,
}

impl Pace {
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut of = |kind, most| (kind, random.below(most));
        let weights = [
            (Kind::Kill, 3),
            of(Kind::LosePower, 5),
            of(Kind::CrashInWrite, 5),
            of(Kind::FailSync, 3),
            of(Kind::Halt, 5),
            of(Kind::Cut, 8),
            of(Kind::Stall, 4),
            of(Kind::Wall, 2),
            of(Kind::HandOver, 4),
        ];
        let slow = |random: &mut Random, usual: u64, slow: u64| match random.one_in(4) {
            true => slow,
            false => usual,
        };
        Self {
            message_us: slow(random, 1_000, 20_000),
            write_us: slow(random, 200, 4_000),
            sync_us: slow(random, 3_000, 30_000),
            lost_one_in: slow(random, 1_000, 60),
            faults_us: 300_000 + random.below(1_500_000),
            weights,
        }
    }
}

/// Wall clocks are wrong by this much at most, in ms: less than brokers remember producers for.
const WALL_OFF_MAX_MS: u64 = 10 * 60 * 60 * 1_000;

impl World<'_> {
    /// Something goes wrong, and something else will.
    pub(super) fn fault(&mut self) {
        if self.is_healed {
            return;
        }
        let next_us = self.random.below(2 * self.pace.faults_us);
        self.after(next_us, Event::Fault);
        let broker = self.random.place(&self.brokers);
        let weights = self.pace.weights.map(|(_, weight)| weight);
        let (kind, _) = self.pace.weights[self.random.weighted(&weights)];
        match kind {
            Kind::Kill => self.kill(broker),
            Kind::LosePower => self.lose_power(broker),
            Kind::CrashInWrite => self.crash_in_write(broker),
            Kind::FailSync => self.fail_sync(broker),
            Kind::Halt => self.halt(broker),
            Kind::Cut => self.cut(broker),
            Kind::Stall => self.stall(broker),
            Kind::Wall => self.jump(broker),
            Kind::HandOver => self.hand_over(broker),
        }
    }

    fn kill(&mut self, broker: usize) {
        if self.brokers[broker].process.is_some() {
            self.end(broker, Crash::Kill);
        }
    }

    pub(super) fn lose_power(&mut self, broker: usize) {
        if self.may_lose(broker) {
            self.end(broker, Crash::PowerLoss);
        }
    }

    /// Whether what a broker had not fsynced may be lost: always where everything acknowledged was fsynced,
    /// else of one broker at a time, which is a minority of every group.
    fn may_lose(&self, broker: usize) -> bool {
        let mut others = self.brokers.iter().enumerate();
        self.rules.strict || others.all(|(other, host)| other == broker || !host.is_lossy)
    }

    /// The process ends in the middle of what it does to its disk.
    fn crash_in_write(&mut self, broker: usize) {
        self.crash_within(broker, 40);
    }

    pub(super) fn crash_within(&mut self, broker: usize, operations: u64) {
        let host = &self.brokers[broker];
        if host.process.is_some() {
            let at = host.disk.operations() + 1 + self.random.below(operations);
            host.disk.crash_at(at);
            self.note(format!("{}: will crash at operation {at}", broker + 1));
        }
    }

    /// The device fails: partitions go out of service until the broker is started again.
    fn fail_sync(&mut self, broker: usize) {
        if self.brokers[broker].process.is_none() || !self.may_lose(broker) {
            return;
        }
        self.tally.count("failed fsyncs");
        self.brokers[broker].is_lossy = !self.rules.strict;
        let host = &self.brokers[broker];
        let at = host.disk.operations() + 1 + self.random.below(10);
        host.disk.fail_at(at, Fault::Io);
        self.note(format!("{}: operation {at} will fail", broker + 1));
    }

    fn halt(&mut self, broker: usize) {
        let us = 50_000 + self.random.below(6_000_000);
        if self.brokers[broker].process.is_some() {
            self.tally.count("halts");
            self.brokers[broker].halted_until = self.now_us + us;
            self.note(format!("{}: stands still for {us}", broker + 1));
        }
    }

    fn cut(&mut self, broker: usize) {
        self.tally.count("cuts");
        let leader = self.random.place(&self.brokers);
        self.network
            .change_cuts(&mut self.random, broker, Some(leader));
        self.note(self.network.to_string());
    }

    fn stall(&mut self, broker: usize) {
        let us = 50_000 + self.random.below(5_000_000);
        self.tally.count("stalled disks");
        self.brokers[broker].disk_stalls_until = self.now_us + us;
        self.note(format!("{}: its disk stalls for {us}", broker + 1));
    }

    fn jump(&mut self, broker: usize) {
        self.tally.count("jumps of wall clocks");
        let off_ms = self.random.below(2 * WALL_OFF_MAX_MS) as i64 - WALL_OFF_MAX_MS as i64;
        self.brokers[broker].clock.wall_off_ms = off_ms;
        self.note(format!(
            "{}: its wall clock is off by {off_ms} ms",
            broker + 1
        ));
    }

    fn hand_over(&mut self, to: usize) {
        let Some(broker) = self.brokers.iter().position(|host| host.process.is_some()) else {
            return;
        };
        let process = self.brokers[broker].process.as_ref().expect("it runs");
        let leads = process.hosted.iter().filter(|(_, hosted)| hosted.leads());
        let leads: Vec<Group> = leads.map(|(group, _)| *group).collect();
        if leads.is_empty() || broker == to {
            return;
        }
        self.tally.count("leaderships handed over");
        let group = leads[self.random.place(&leads)];
        self.at_broker(broker, |process, turn| process.hand_over(group, to, turn));
    }

    /// A process is over; another one begins after a while.
    pub(super) fn end(&mut self, broker: usize, crash: Crash) {
        let host = &mut self.brokers[broker];
        host.end(crash);
        if crash == Crash::PowerLoss {
            host.is_lossy = !self.rules.strict;
        }
        self.tally.count(match crash {
            Crash::Kill => "kills",
            Crash::PowerLoss => "power losses",
        });
        self.network.stopped(broker);
        self.note(format!("{}: {crash:?}", broker + 1));
        let after_us = 100_000 + self.random.below(4_000_000);
        self.after(after_us, Event::Starts { broker });
    }

    /// A disk that has crashed takes its process along; one that has failed lets it be started again.
    pub(super) fn notice_disk(&mut self, broker: usize) {
        let host = &self.brokers[broker];
        let Some(process) = &host.process else {
            return;
        };
        if host.disk.is_crashed() {
            let crash = match self.random.one_in(2) && self.may_lose(broker) {
                true => Crash::PowerLoss,
                false => Crash::Kill,
            };
            self.end(broker, crash);
        } else if process.has_failed() && self.random.one_in(20) {
            self.end(broker, Crash::Kill);
        }
    }

    /// A broker that has caught up lacks nothing any more.
    pub(super) fn note_whole(&mut self, broker: usize) {
        let host = &mut self.brokers[broker];
        if let Some(process) = &host.process {
            let is_sound = |hosted: &super::hosted::Hosted| hosted.driver.offline().is_none();
            let is_whole = process.is_known && !process.dir.boot().recovering;
            let was_started = host.is_lossy && is_whole && process.hosted.values().all(is_sound);
            if was_started && !host.disk.has_forgotten() {
                host.is_lossy = false;
            }
        }
    }
}
