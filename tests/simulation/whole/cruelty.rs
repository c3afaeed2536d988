//! Faults that come at the worst moments. What Raft and the log are careful about takes a certain order of
//! events, which is rare where faults come at any time.
//!
//! In a cruel life a leader is cut off soon after its election, while clients still reach it, and is heard
//! again as soon as another one leads: it has batches then that nobody else has, and cuts them off. It may
//! crash in the middle of that, lose its power a moment later, or lead again before its producers have found
//! somebody else.

use klamm_simulation::Random;

use super::messages::Group;
use super::process::{Process, Turn};
use super::world::{Event, World};

/// See the module.
#[derive(Debug)]
pub(super) struct Cruelty {
    is_there: bool,
    /// Who is cut off.
    isolated: Option<usize>,
}

/// What is done to a broker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blow {
    IsCutOff,
    IsHeardAgain,
    LosesPower,
    LeadsAgain(Group),
}

/// How long a leader leads before it is cut off, at most, in µs.
const REIGN_US: u64 = 400_000;
/// How long it hears nothing of the one that follows it, at most.
const BEHIND_US: u64 = 400_000;
/// How long anybody is cut off, at most.
const CUT_OFF_US: u64 = 4_000_000;
/// Operations of a disk among which there is the cut of a log.
const OPERATIONS: u64 = 12;

impl Cruelty {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            is_there: random.one_in(2),
            isolated: None,
        }
    }
}

impl World<'_> {
    fn is_cruel(&self) -> bool {
        self.cruelty.is_there && !self.is_healed
    }

    fn strike(&mut self, broker: usize, within_us: u64, blow: Blow) {
        let life = self.network.life(broker);
        let us = self.random.below(within_us);
        self.after(us, Event::Struck { broker, life, blow });
    }

    /// A broker leads a group from now on.
    pub(super) fn doom(&mut self, broker: usize) {
        if !self.is_cruel() {
            return;
        }
        match self.cruelty.isolated {
            Some(isolated) if isolated != broker => {
                self.strike(isolated, BEHIND_US, Blow::IsHeardAgain);
            }
            None => self.strike(broker, REIGN_US, Blow::IsCutOff),
            _ => {}
        }
    }

    /// A broker leads a group no more.
    pub(super) fn torment_deposed(&mut self, broker: usize) {
        if self.is_cruel() && self.random.one_in(6) {
            self.crash_within(broker, OPERATIONS);
        }
    }

    /// A broker has cut off what others went on without.
    pub(super) fn torment_corrected(&mut self, broker: usize, group: Group) {
        if !self.is_cruel() {
            return;
        }
        match self.random.below(4) {
            0 => self.strike(broker, 6_000, Blow::LosesPower),
            1 | 2 => self.strike(broker, 6_000, Blow::LeadsAgain(group)),
            _ => {}
        }
    }

    pub(super) fn struck(&mut self, broker: usize, life: u64, blow: Blow) {
        let is_same = self.network.life(broker) == life;
        if self.is_healed {
            return;
        }
        match blow {
            Blow::IsCutOff if is_same && self.cruelty.isolated.is_none() => {
                self.cruelty.isolated = Some(broker);
                self.tally.count("cuts");
                self.network.isolate(broker);
                self.note(self.network.to_string());
                self.tell_others(broker, |process, turn| process.miss(broker, turn));
                self.strike(broker, CUT_OFF_US, Blow::IsHeardAgain);
            }
            Blow::IsHeardAgain if self.cruelty.isolated == Some(broker) => self.relent(),
            Blow::LosesPower if is_same => self.lose_power(broker),
            Blow::LeadsAgain(group) if is_same => self.have_lead(group, broker),
            _ => {}
        }
    }

    /// Whoever is cut off is heard again.
    pub(super) fn relent(&mut self) {
        let Some(broker) = self.cruelty.isolated.take() else {
            return;
        };
        self.network.heal();
        self.note(self.network.to_string());
        self.tell_others(broker, |process, turn| process.greet(broker, turn));
        for other in (0..self.brokers.len()).filter(|other| *other != broker) {
            self.at_broker(broker, |process, turn| process.greet(other, turn));
        }
    }

    /// As connections that end, or begin, tell brokers at once.
    fn tell_others(&mut self, of: usize, tell: impl Fn(&mut Process, &mut Turn<'_>)) {
        for other in (0..self.brokers.len()).filter(|other| *other != of) {
            self.at_broker(other, &tell);
        }
    }

    fn have_lead(&mut self, group: Group, to: usize) {
        let leads = |host: &super::broker::Broker| {
            let process = host.process.as_ref();
            let hosted = process.and_then(|process| process.hosted.get(&group));
            hosted.is_some_and(|hosted| hosted.leads())
        };
        if let Some(leader) = self.brokers.iter().position(leads).filter(|at| *at != to) {
            self.tally.count("leaderships handed over");
            self.note(format!("{}: is to lead again", to + 1));
            self.at_broker(leader, |process, turn| process.hand_over(group, to, turn));
        }
    }
}
