//! Time, chance and the network of one life of a cluster.
//!
//! Virtual time goes from event to event. Everything that is under way (messages, writes, fsyncs, answers)
//! is an event with a time; what comes later is decided by chance, which comes from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_metadata::NewTopic;
use klamm_simulation::history::event::{Entry, Event as Noted, Partition};
use klamm_simulation::network::News;
use klamm_simulation::{Network, Packet, Random, Tally, Trace};
use klamm_storage::Crash;

use super::broker::Broker;
use super::clients::admin::Admin;
use super::clients::member::Member;
use super::clients::producer::Producer;
use super::clients::reader::Reader;
use super::clients::{Client, Moment};
use super::cruelty::{Blow, Cruelty};
use super::faults::Pace;
use super::messages::{Asker, Group, Message, Reply, Request};
use super::oracle::Oracle;
use super::process::{Effect, Process, Turn};
use super::rules::{OFFSETS_TOPIC, Rules, Sabotage};

/// Between two looks of a broker at what time has brought, in µs.
const TICK_US: u64 = 50_000;

/// Something that happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    /// A broker looks at its clock; how often it has, in this life of it.
    Tick {
        broker: usize,
        life: u64,
        nth: u64,
    },
    /// The network is looked at.
    Watch,
    Arrives(Packet<Message>),
    Written {
        broker: usize,
        life: u64,
        group: Group,
    },
    Synced {
        broker: usize,
        life: u64,
        group: Group,
    },
    JournalSynced {
        broker: usize,
        life: u64,
    },
    Asked {
        broker: usize,
        life: u64,
        asker: Asker,
        request: Request,
    },
    Answered {
        asker: Asker,
        reply: Reply,
    },
    Wakes {
        client: usize,
    },
    Starts {
        broker: usize,
    },
    /// Something goes wrong.
    Fault,
    /// Something goes wrong at the worst moment.
    Struck {
        broker: usize,
        life: u64,
        blow: Blow,
    },
}

/// See the module.
pub(super) struct World<'a> {
    pub(super) rules: Arc<Rules>,
    pub(super) random: Random,
    pub(super) trace: &'a Trace,
    pub(super) now_us: u64,
    /// What is to come, by time and number.
    queue: BTreeMap<(u64, u64), Box<Event>>,
    events: u64,
    pub(super) brokers: Vec<Broker>,
    pub(super) network: Network<Message>,
    pub(super) pace: Pace,
    pub(super) cruelty: Cruelty,
    pub(super) tally: Tally,
    /// How often the end of a log was cut off.
    pub(super) corrections: u64,
    /// Nothing goes wrong any more.
    pub(super) is_healed: bool,
    pub(super) clients: Vec<Seat>,
    /// When the last message of a client to a broker, or of a broker to a client, arrives.
    connections: BTreeMap<(usize, usize, Way), u64>,
    pub(super) history: Vec<Entry>,
    pub(super) oracle: Oracle,
    pub(super) data: Vec<Partition>,
}

/// From a client to a broker, or from the broker to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    There,
    Back,
}

/// A client, and when it acts next.
pub(super) struct Seat {
    pub(super) client: Box<dyn Client>,
    wakes_us: u64,
    is_noted: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>, trace: &'a Trace) -> Self {
        let mut random = Random::new(seed);
        let brokers = 3 + random.below(3) as usize;
        let rules = Arc::new(Rules {
            brokers,
            strict: random.one_in(4),
            segment_bytes: 2_048 + random.below(8_192) as u32,
            flush_ms: 20 + random.below(500) as i64,
            sabotage,
        });
        Self {
            brokers: (0..brokers)
                .map(|place| Broker::new(place, &mut random))
                .collect(),
            pace: Pace::draw(&mut random),
            cruelty: Cruelty::draw(&mut random),
            corrections: 0,
            tally: Tally::default(),
            is_healed: false,
            rules,
            random,
            trace,
            now_us: 0,
            queue: BTreeMap::new(),
            events: 0,
            network: Network::new(brokers),
            clients: Vec::new(),
            connections: BTreeMap::new(),
            history: Vec::new(),
            oracle: Oracle::default(),
            data: Vec::new(),
        }
    }

    /// Brokers start, and clients come.
    pub(super) fn begin(&mut self) {
        for broker in 0..self.brokers.len() {
            let after_us = self.random.below(500_000);
            self.after(after_us, Event::Starts { broker });
        }
        self.after(TICK_US, Event::Watch);
        let partitions = 1 + self.random.below(2) as i32;
        self.data = (0..partitions)
            .map(|index| Partition::new("data", index))
            .collect();
        let topic = |name: &str, num_partitions| NewTopic {
            name: name.to_owned(),
            num_partitions,
            replication_factor: 3,
            ..NewTopic::default()
        };
        let topics = vec![topic("data", partitions), topic(OFFSETS_TOPIC, 1)];
        let moves_us = 1_000_000 + self.random.below(4_000_000);
        let moves = (self.brokers.len() > 3 || self.random.one_in(2)).then_some(moves_us);
        self.seat(Box::new(Admin::new(topics, moves)));
        for nth in 1..=2 + self.random.below(2) as u32 {
            let partition = self.data[self.random.place(&self.data)].clone();
            let pace_us = 20_000 + self.random.below(200_000);
            self.seat(Box::new(Producer::new(nth, partition, pace_us)));
        }
        let data = self.data.clone();
        self.seat(Box::new(Reader::new(1, &data)));
        for nth in 1..=2 + self.random.below(2) as usize {
            self.seat(Box::new(Member::new(nth, &data)));
        }
        self.after(2_000_000, Event::Fault);
    }

    /// A client comes.
    pub(super) fn seat(&mut self, client: Box<dyn Client>) {
        let name = client.name().to_owned();
        self.note_history(Noted::Started { client: name });
        let nth = self.clients.len();
        self.clients.push(Seat {
            client,
            wakes_us: self.now_us,
            is_noted: false,
        });
        self.after(0, Event::Wakes { client: nth });
    }

    fn note_history(&mut self, event: Noted) {
        let at_us = self.now_us;
        self.history.push(Entry { at_us, event });
    }

    pub(super) fn note(&self, line: String) {
        self.trace.note(format!("{:9} {line}", self.now_us));
    }

    // ---- Time ----

    pub(super) fn after(&mut self, us: u64, event: Event) {
        self.events += 1;
        self.queue
            .insert((self.now_us + us, self.events), Box::new(event));
    }

    /// Lives on until then, or until `is_enough`.
    pub(super) fn live_until(&mut self, until_us: u64, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            let next = self.queue.first_entry().expect("time goes on");
            if next.key().0 > until_us {
                self.now_us = until_us;
                return;
            }
            let ((at_us, number), event) = next.remove_entry();
            self.now_us = at_us;
            if let Some(until_us) = self.halt_of(&event) {
                // In the same order when it goes on.
                self.queue.insert((until_us, number), event);
                continue;
            }
            self.happens(*event);
        }
    }

    /// Until when the broker of an event stands still.
    fn halt_of(&self, event: &Event) -> Option<u64> {
        let broker = match event {
            Event::Tick { broker, .. }
            | Event::Written { broker, .. }
            | Event::Synced { broker, .. }
            | Event::JournalSynced { broker, .. }
            | Event::Asked { broker, .. } => *broker,
            Event::Arrives(packet) => packet.to,
            _ => return None,
        };
        let until_us = self.brokers[broker].halted_until;
        (until_us > self.now_us).then_some(until_us)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Tick { broker, life, nth } => self.tick(broker, life, nth),
            Event::Watch => self.watch(),
            Event::Arrives(packet) => self.arrives(packet),
            Event::Written {
                broker,
                life,
                group,
            } => {
                self.in_life(broker, life, |process, turn| process.written(group, turn));
            }
            Event::Synced {
                broker,
                life,
                group,
            } => {
                self.in_life(broker, life, |process, turn| process.synced(group, turn));
            }
            Event::JournalSynced { broker, life } => {
                self.in_life(broker, life, |process, turn| process.journal_synced(turn));
            }
            Event::Asked {
                broker,
                life,
                asker,
                request,
            } => {
                self.note(format!(
                    "{}: asked by {}: {request}",
                    broker + 1,
                    asker.client
                ));
                self.in_life(broker, life, |process, turn| {
                    process.serve(asker, request, turn)
                });
            }
            Event::Answered { asker, reply } => {
                self.note(format!("{} told: {reply}", asker.client));
                self.act(asker.client, Some((asker.call, reply)));
            }
            Event::Wakes { client } => {
                if self.clients[client].wakes_us <= self.now_us {
                    self.act(client, None);
                }
            }
            Event::Starts { broker } => self.start(broker),
            Event::Fault => self.fault(),
            Event::Struck { broker, life, blow } => self.struck(broker, life, blow),
        }
    }

    // ---- Brokers ----

    fn in_life(
        &mut self,
        broker: usize,
        life: u64,
        work: impl FnOnce(&mut Process, &mut Turn<'_>),
    ) {
        if self.network.life(broker) == life {
            self.at_broker(broker, work);
        }
    }

    /// Lets a process do something, if there is one, and does what it wants done.
    pub(super) fn at_broker(
        &mut self,
        broker: usize,
        work: impl FnOnce(&mut Process, &mut Turn<'_>),
    ) {
        let host = &mut self.brokers[broker];
        let now = host.now(self.now_us);
        let Some(process) = &mut host.process else {
            return;
        };
        let mut effects = Vec::new();
        let mut turn = Turn {
            now,
            effects: &mut effects,
        };
        work(process, &mut turn);
        self.perform(broker, effects);
        self.notice_disk(broker);
    }

    fn perform(&mut self, broker: usize, effects: Vec<Effect>) {
        let life = self.network.life(broker);
        for effect in effects {
            match effect {
                Effect::Send { to, message } => self.send(broker, to, message),
                Effect::Reply { asker, reply } => self.answer(broker, asker, reply),
                Effect::Write(group) => {
                    let us = self.disk_time(broker, self.pace.write_us);
                    self.after(
                        us,
                        Event::Written {
                            broker,
                            life,
                            group,
                        },
                    );
                }
                Effect::Sync(group) => {
                    let us = self.disk_time(broker, self.pace.sync_us);
                    self.after(
                        us,
                        Event::Synced {
                            broker,
                            life,
                            group,
                        },
                    );
                }
                Effect::SyncJournal => {
                    let us = self.disk_time(broker, self.pace.sync_us);
                    self.after(us, Event::JournalSynced { broker, life });
                }
                Effect::Led { group, epoch } => {
                    self.oracle.leads(group, epoch, (broker, life));
                    self.doom(broker);
                }
                Effect::Deposed => self.torment_deposed(broker),
                Effect::Corrected(group) => {
                    self.corrections += 1;
                    self.torment_corrected(broker, group);
                }
                Effect::Shown { group, batches } => self.oracle.shows(group, &batches),
                Effect::Applied { offset, image } => self.oracle.applied(offset, image),
                Effect::Note(line) => self.note(line),
            }
        }
    }

    fn disk_time(&mut self, broker: usize, usual_us: u64) -> u64 {
        let stalls_us = self.brokers[broker]
            .disk_stalls_until
            .saturating_sub(self.now_us);
        stalls_us + usual_us / 2 + self.random.below(usual_us)
    }

    fn tick(&mut self, broker: usize, life: u64, nth: u64) {
        if self.network.life(broker) != life || self.brokers[broker].process.is_none() {
            return;
        }
        self.after(
            TICK_US,
            Event::Tick {
                broker,
                life,
                nth: nth + 1,
            },
        );
        self.at_broker(broker, |process, turn| {
            process.tick(turn);
            if nth.is_multiple_of(4) {
                process.move_replicas(turn);
            }
            if nth.is_multiple_of(10) {
                process.tell_leads(turn);
                process.register(turn);
                process.keep_quorum(turn);
                process.note_recovered();
            }
        });
        self.note_whole(broker);
    }

    pub(super) fn start(&mut self, broker: usize) {
        if self.brokers[broker].process.is_some() {
            return;
        }
        let seed = self.random.number();
        let now = self.brokers[broker].now(self.now_us);
        let mut effects = Vec::new();
        let mut turn = Turn {
            now,
            effects: &mut effects,
        };
        self.network.started(broker);
        self.note(format!("{}: starts", broker + 1));
        let rules = self.rules.clone();
        let has_started = self.brokers[broker].start(&rules, seed, &mut turn);
        self.perform(broker, effects);
        if !has_started {
            return self.end(broker, Crash::Kill);
        }
        let life = self.network.life(broker);
        let after_us = self.random.below(TICK_US);
        self.after(
            after_us,
            Event::Tick {
                broker,
                life,
                nth: 0,
            },
        );
        self.notice_disk(broker);
    }

    // ---- The network ----

    fn send(&mut self, from: usize, to: usize, message: Message) {
        if self.random.one_in(self.pace.lost_one_in) {
            return;
        }
        let us = self.pace.message_us / 2 + self.random.below(self.pace.message_us);
        let packet = self.network.packet(from, to, message);
        self.after(us, Event::Arrives(packet));
    }

    fn arrives(&mut self, packet: Packet<Message>) {
        let arrival = self.network.arrive(&packet);
        for (at, other) in arrival.greetings {
            self.at_broker(at, |process, turn| process.greet(other, turn));
        }
        if !arrival.is_heard {
            return;
        }
        let Packet {
            from, to, message, ..
        } = packet;
        self.at_broker(to, |process, turn| match message {
            Message::Replica { group, bytes } => process.received(from, group, bytes, turn),
            Message::Leads(leads) => process.hear_of_leaders(from, &leads),
            Message::Wish(wish) => process.wish(wish, turn),
        });
    }

    fn watch(&mut self) {
        self.after(TICK_US, Event::Watch);
        for broker in 0..self.brokers.len() {
            let is_halted = self.brokers[broker].halted_until > self.now_us;
            self.network.halt(broker, is_halted);
        }
        for news in self.network.tick() {
            match news {
                News::Lost { at, of } => {
                    self.note(format!("{}: misses {}", at + 1, of + 1));
                    self.at_broker(at, |process, turn| process.miss(of, turn));
                }
                News::Anew { at, of } => {
                    self.at_broker(at, |process, turn| process.greet(of, turn));
                }
            }
        }
    }

    // ---- Clients ----

    fn act(&mut self, nth: usize, answer: Option<(u64, Reply)>) {
        if self.clients[nth].client.is_done() {
            return;
        }
        let mut at = Moment {
            now_us: self.now_us,
            brokers: self.brokers.len(),
            random: &mut self.random,
            history: &mut self.history,
            asked: Vec::new(),
            wake_us: u64::MAX,
        };
        let seat = &mut self.clients[nth];
        seat.client.act(&mut at, answer);
        let Moment { asked, wake_us, .. } = at;
        let is_done = seat.client.is_done();
        if is_done && !std::mem::replace(&mut seat.is_noted, true) {
            let client = seat.client.name().to_owned();
            return self.note_history(Noted::Stopped { client });
        }
        seat.wakes_us = wake_us;
        if wake_us < u64::MAX {
            self.after(wake_us - self.now_us, Event::Wakes { client: nth });
        }
        for (broker, call, request) in asked {
            let asker = Asker { client: nth, call };
            self.ask(broker, asker, request);
        }
    }

    fn ask(&mut self, broker: usize, asker: Asker, request: Request) {
        if self.random.one_in(self.pace.lost_one_in) {
            return;
        }
        let life = self.network.life(broker);
        let us = self.connection_time((asker.client, broker, Way::There));
        self.after(
            us,
            Event::Asked {
                broker,
                life,
                asker,
                request,
            },
        );
    }

    fn answer(&mut self, broker: usize, asker: Asker, reply: Reply) {
        if self.random.one_in(self.pace.lost_one_in) {
            return;
        }
        let us = self.connection_time((asker.client, broker, Way::Back));
        self.after(us, Event::Answered { asker, reply });
    }

    /// Connections keep the order of what goes over them.
    fn connection_time(&mut self, connection: (usize, usize, Way)) -> u64 {
        let us = self.pace.message_us / 2 + self.random.below(self.pace.message_us);
        let last_us = self.connections.entry(connection).or_default();
        *last_us = (*last_us).max(self.now_us + us);
        *last_us - self.now_us
    }
}
