//! The network between nodes, which delays, reorders and loses messages, and what nodes know of each
//! other by their connections: that one has fallen silent, and that one begins anew.
//!
//! A connection is between two lives of its ends. Messages of an earlier life of either are dropped;
//! the first of a new life tells that there is one. Messages are lost besides, without anybody being told.

use std::fmt;

use crate::random::Random;

/// Ticks after which a connection by which nothing comes counts as lost.
const SILENCE_TICKS: u32 = 30;
/// One message in so many is lost.
const LOST_ONE_IN: u64 = 40;

/// See the [module](self).
#[derive(Debug)]
pub struct Network<T> {
    nodes: Vec<Node>,
    /// Under way.
    packets: Vec<Packet<T>>,
    isolated: Option<usize>,
    /// What the first of two says does not come to the second.
    one_way: Option<(usize, usize)>,
}

#[derive(Clone, Debug)]
struct Node {
    /// Counts its processes.
    life: u64,
    runs: bool,
    /// It says nothing, though its life goes on.
    is_halted: bool,
    /// The lives of the others that it has heard of.
    known_lives: Vec<u64>,
    /// For so many ticks nothing could come to it from each of the others.
    silent: Vec<u32>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Packet<T> {
    /// Who sent it.
    pub from: usize,
    /// Whom it is for.
    pub to: usize,
    /// What it says.
    pub message: T,
    /// The lives of sender and receiver that the connection is between.
    lives: (u64, u64),
}

/// What comes of a message that arrives, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The first of each pair learns that the second has a new life.
    pub greetings: Vec<(usize, usize)>,
    /// Whether the receiver gets the message.
    pub is_heard: bool,
}

/// What a node learns of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It has not been heard for too long.
    Lost {
        /// Who learns it.
        at: usize,
        /// Of whom.
        of: usize,
    },
    /// It is heard again, or for the first time in its life.
    Anew {
        /// Who learns it.
        at: usize,
        /// Of whom.
        of: usize,
    },
}

impl<T> Network<T> {
    /// Between so many nodes, of which none runs.
    pub fn new(nodes: usize) -> Self {
        let node = Node {
            life: 0,
            runs: false,
            is_halted: false,
            known_lives: vec![0; nodes],
            silent: vec![0; nodes],
        };
        Self {
            nodes: vec![node; nodes],
            packets: Vec::new(),
            isolated: None,
            one_way: None,
        }
    }

    /// A node begins a life.
    pub fn started(&mut self, at: usize) {
        self.nodes[at].life += 1;
        self.nodes[at].runs = true;
    }

    /// A node's life ends.
    pub fn stopped(&mut self, at: usize) {
        self.nodes[at].runs = false;
    }

    /// A node stands still, or goes on.
    pub fn halt(&mut self, at: usize, is_halted: bool) {
        self.nodes[at].is_halted = is_halted;
    }

    /// Which life of a node it is.
    pub fn life(&self, at: usize) -> u64 {
        self.nodes[at].life
    }

    /// Whether a node has heard of the life that another one leads now, or led last.
    pub fn knows_life(&self, at: usize, of: usize) -> bool {
        self.nodes[at].known_lives[of] == self.nodes[of].life
    }

    // ---- Messages ----

    /// A message from the sender's life, on the connection it knows of.
    pub fn packet(&self, from: usize, to: usize, message: T) -> Packet<T> {
        let sender = &self.nodes[from];
        Packet {
            from,
            to,
            message,
            lives: (sender.life, sender.known_lives[to]),
        }
    }

    /// A message is under way from now on.
    pub fn send(&mut self, from: usize, to: usize, message: T) {
        let packet = self.packet(from, to, message);
        self.packets.push(packet);
    }

    /// The next message that arrives, mostly the oldest; `None` if there is none, or it is lost.
    pub fn next(&mut self, random: &mut Random) -> Option<Packet<T>> {
        if self.packets.is_empty() {
            return None;
        }
        let at = match random.one_in(4) {
            true => random.place(&self.packets),
            false => 0,
        };
        let packet = self.packets.remove(at);
        (!random.one_in(LOST_ONE_IN)).then_some(packet)
    }

    /// All that is under way.
    pub fn take_all(&mut self) -> Vec<Packet<T>> {
        std::mem::take(&mut self.packets)
    }

    /// A message is there.
    pub fn arrive(&mut self, packet: &Packet<T>) -> Arrival {
        let (from, to) = (packet.from, packet.to);
        let (sent_in, for_life) = packet.lives;
        let receiver = &self.nodes[to];
        let mut arrival = Arrival::default();
        if !receiver.runs || sent_in < receiver.known_lives[from] || self.is_cut(from, to) {
            return arrival;
        }
        let life = receiver.life;
        if sent_in > receiver.known_lives[from] {
            self.nodes[to].known_lives[from] = sent_in;
            arrival.greetings.push((to, from));
        }
        arrival.is_heard = for_life == life;
        let sender = &mut self.nodes[from];
        if !arrival.is_heard && sender.life == sent_in && sender.known_lives[to] < life {
            // A new connection: the sender learns whom it talks to.
            sender.known_lives[to] = life;
            arrival.greetings.push((from, to));
        }
        arrival
    }

    // ---- Connections ----

    /// A tick has passed; what nodes have learnt of each other by it.
    pub fn tick(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let nodes = self.nodes.len();
        for (at, of) in (0..nodes).flat_map(|at| (0..nodes).map(move |of| (at, of))) {
            if self.nodes[at].is_halted {
                continue;
            }
            if at == of || !self.nodes[at].runs {
                self.nodes[at].silent[of] = 0;
                continue;
            }
            let before = self.nodes[at].silent[of];
            let is_silent = !self.nodes[of].runs || self.nodes[of].is_halted;
            if is_silent || self.is_cut(of, at) {
                self.nodes[at].silent[of] = before + 1;
                if before + 1 == SILENCE_TICKS {
                    news.push(News::Lost { at, of });
                }
                continue;
            }
            let life = self.nodes[of].life;
            let node = &mut self.nodes[at];
            node.silent[of] = 0;
            if before >= SILENCE_TICKS || node.known_lives[of] < life {
                node.known_lives[of] = life;
                news.push(News::Anew { at, of });
            }
        }
        news
    }

    /// Whether nothing comes to one node from another.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.is_isolated(from) || self.is_isolated(to) || self.one_way == Some((from, to))
    }

    /// Whether a node is cut off from all others.
    pub fn is_isolated(&self, node: usize) -> bool {
        self.isolated == Some(node)
    }

    /// One node, most of the time the leader, is cut off for a while, or one of two directions is.
    pub fn change_cuts(&mut self, random: &mut Random, node: usize, leader: Option<usize>) {
        self.isolated = match self.isolated {
            Some(node) if random.one_in(2) => Some(node),
            Some(_) => None,
            None if random.one_in(3) => Some(node),
            None => leader,
        };
        self.one_way = match (leader, self.isolated) {
            (Some(leader), None) if random.one_in(2) && leader != node => match random.one_in(2) {
                true => Some((leader, node)),
                false => Some((node, leader)),
            },
            _ => None,
        };
    }

    /// One node is cut off from all others.
    pub fn isolate(&mut self, node: usize) {
        self.isolated = Some(node);
    }

    /// Everybody reaches everybody.
    pub fn heal(&mut self) {
        self.isolated = None;
        self.one_way = None;
    }
}

/// Who is cut off.
impl<T> fmt::Display for Network<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            isolated, one_way, ..
        } = self;
        write!(f, "isolated: {isolated:?}, not heard: {one_way:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody runs, and has heard of everybody.
    fn started(nodes: usize) -> Network<&'static str> {
        let mut network = Network::new(nodes);
        (0..nodes).for_each(|node| network.started(node));
        assert_eq!(network.tick().len(), nodes * (nodes - 1));
        network
    }

    #[test]
    fn a_message_to_a_life_that_is_over_is_dropped_and_its_sender_learns_of_the_new_one() {
        let mut network = started(2);
        let old = network.packet(0, 1, "old");
        assert!(network.arrive(&old).is_heard);
        network.stopped(1);
        assert_eq!(network.arrive(&old), Arrival::default());
        network.started(1);
        let told = Arrival {
            greetings: vec![(0, 1)],
            is_heard: false,
        };
        assert_eq!(network.arrive(&old), told);
        assert!(network.arrive(&network.packet(0, 1, "new")).is_heard);
    }

    #[test]
    fn who_is_not_heard_is_lost_once_and_begins_anew_when_it_is_heard_again() {
        let mut network = started(2);
        network.one_way = Some((1, 0));
        let lost = (0..2 * SILENCE_TICKS).flat_map(|_| network.tick());
        assert_eq!(lost.collect::<Vec<_>>(), [News::Lost { at: 0, of: 1 }]);
        network.heal();
        assert_eq!(network.tick(), [News::Anew { at: 0, of: 1 }]);
        assert_eq!(network.tick(), []);
    }
}
