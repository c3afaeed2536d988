//! Between this broker's replicas and those of others: messages come in, messages go out, and
//! connections that come and go are told to the replicas that they concern.

use std::rc::Rc;

use bytes::Bytes;
use klamm_model::BrokerId;
use klamm_replication::{ReplicaId, frame};

use super::incoming::Incoming;
use super::link::Link;
use super::wire::{Address, Group, Led};
use super::{METADATA_GROUP, SUCCESSION_TIME};
use crate::partition::Partition;
use crate::shard::Shard;
use crate::upkeep::in_sync;

impl Shard {
    /// The partition of that group, if this broker holds a replica of it.
    pub(crate) fn hosted(&self, group: Group) -> Option<Rc<Partition>> {
        if group == METADATA_GROUP {
            return Some(self.controller.partition().clone());
        }
        let topics = self.topics.borrow();
        topics
            .by_id(group.topic_id)?
            .partition(group.partition.0)
            .cloned()
    }

    /// All partitions with a replica on that broker, and the replica's number.
    fn shared_with(&self, broker: BrokerId) -> Vec<(Rc<Partition>, ReplicaId)> {
        let topics = self.topics.borrow();
        let all = topics.partitions().chain([self.controller.partition()]);
        all.filter_map(|partition| Some((partition.clone(), partition.replica_on(broker)?)))
            .collect()
    }

    /// The brokers that began so lately that clients may not have tried them again, the first of them
    /// first.
    pub(crate) fn newcomers(&self) -> Vec<BrokerId> {
        let config = self.config();
        let within = config.cluster.as_ref().map(|cluster| cluster.settled_after);
        within.map_or(Vec::new(), |within| {
            self.peers.newcomers(within, self.clock.now())
        })
    }

    // ---- Connections ----

    /// A connection to a broker is there: it hears what is led here, and its replicas are asked how
    /// far they have come, since what was sent before is lost.
    pub(super) fn link_is_up(self: &Rc<Self>, link: &Link) {
        let led = self.peers.leaders.borrow().led_by(self.node_id);
        link.send_leaders(&led);
        self.peers.lost.borrow_mut().remove(&link.broker());
        self.drop_older_than(link);
        self.note_restarted(link.broker());
        self.peers.news.notify_waiters();
    }

    /// What a process said that is not there any more must not put replicas to sleep.
    fn drop_older_than(&self, link: &Link) {
        let mut all = self.peers.incoming.borrow_mut();
        let is_older = |incoming: &Rc<Incoming>| Some(incoming.incarnation) != link.incarnation();
        if let Some(incoming) = all
            .get(&link.broker())
            .filter(|incoming| is_older(incoming))
        {
            incoming.supersede();
            all.remove(&link.broker());
        }
    }

    /// The connection to a broker is lost: whoever follows it looks for another leader.
    pub(super) fn link_is_down(self: &Rc<Self>, broker: BrokerId) {
        let now = self.clock.now();
        self.peers.lost.borrow_mut().entry(broker).or_insert(now);
        self.peers.note_unsettled(now, SUCCESSION_TIME);
        self.tell_unreachable(broker);
        // Who waits for that broker's replicas need not wait for the next look.
        in_sync::review(self);
        self.peers.flush();
        self.peers.news.notify_waiters();
    }

    /// A broker has connected. What it may have sent by an older connection is not taken any more.
    pub(super) fn incoming_link(
        self: &Rc<Self>,
        broker: BrokerId,
        incoming: &Rc<Incoming>,
        address: Address,
    ) {
        let mut all = self.peers.incoming.borrow_mut();
        let before = all.insert(broker, incoming.clone());
        drop(all);
        if self.peers.is_alive(broker) {
            self.peers.lost.borrow_mut().remove(&broker);
        }
        if let Some(before) = before {
            before.supersede();
        }
        let reached = self.peers.link(broker).and_then(|link| link.incarnation());
        if reached != Some(incoming.incarnation) {
            // Its process is a new one.
            self.note_restarted(broker);
        }
        self.peers.learn(self, broker, address);
        if let Some(link) = self.peers.link(broker) {
            link.stir();
        }
    }

    /// The connection that a broker made has ended.
    pub(super) fn incoming_link_ended(self: &Rc<Self>, broker: BrokerId, ended: &Rc<Incoming>) {
        let mut all = self.peers.incoming.borrow_mut();
        let is_current = all
            .get(&broker)
            .is_some_and(|incoming| Rc::ptr_eq(incoming, ended));
        if is_current {
            all.remove(&broker);
            drop(all);
            self.link_is_down(broker);
        }
    }

    /// A broker gives no sign of life. It may only stand still for a moment: nobody counts on it, and
    /// nothing that was sent is lost.
    pub(super) fn fell_silent(self: &Rc<Self>, broker: BrokerId) {
        tracing::warn!(
            broker = broker.0,
            "a broker has fallen silent; others lead in its place"
        );
        self.tell_unreachable(broker);
    }

    fn tell_unreachable(self: &Rc<Self>, broker: BrokerId) {
        let newcomers = self.newcomers();
        for (partition, replica) in self.shared_with(broker) {
            let now = self.clock.now();
            let newcomers = newcomers.iter();
            let newcomers = newcomers.filter_map(|broker| partition.replica_on(*broker));
            let newcomers = newcomers.collect();
            partition.drive(|driver, outcomes| {
                driver.peer_unreachable(now, replica, newcomers, outcomes);
            });
            self.attend(&partition);
        }
        self.peers.flush();
    }

    /// A broker has been silent for too long. The connection to it may look alive.
    pub(super) fn give_up(&self, broker: BrokerId) {
        if let Some(link) = self.peers.link(broker) {
            link.break_off();
        }
    }

    fn note_restarted(self: &Rc<Self>, broker: BrokerId) {
        for (partition, replica) in self.shared_with(broker) {
            let now = self.clock.now();
            partition.drive(|driver, outcomes| driver.peer_restarted(now, replica, outcomes));
            self.attend(&partition);
        }
        self.peers.flush();
    }

    // ---- Messages ----

    /// Takes a message of another broker's replica.
    pub(super) fn take_message(self: &Rc<Self>, from: BrokerId, group: Group, bytes: Bytes) {
        let Some(partition) = self.hosted(group) else {
            return;
        };
        let (envelope, entries) = match frame::decode(bytes) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(partition = %partition.id(), broker = from.0, %error,
                    "a message of another broker cannot be read");
                return;
            }
        };
        // Of a replica that is not known to be there, or not of that broker: the metadata here may be
        // older, and what is lost comes again.
        let is_known = partition.broker_of(envelope.from) == Some(from)
            && partition.replica_on(self.node_id) == Some(envelope.to);
        if !is_known {
            return;
        }
        let now = self.clock.now();
        partition.drive(|driver, outcomes| driver.received(now, envelope, entries, outcomes));
        self.attend(&partition);
    }

    /// All that had come by a connection has been taken.
    pub(super) fn messages_taken(&self) {
        self.peers.flush();
    }

    /// A broker has said what it leads.
    pub(super) fn hear_of_leaders(self: &Rc<Self>, broker: BrokerId, leaders: &[Led]) {
        for led in leaders {
            self.peers.hear(broker, led);
        }
    }

    /// Sends what a partition's replica has to say, and has it take part in the next turn if there is
    /// anything else to do for it.
    pub(crate) fn attend(self: &Rc<Self>, partition: &Rc<Partition>) {
        self.send_outgoing(partition);
        self.copy_when_wanted(partition);
        self.keep_time(partition);
        if partition.wants_turn() {
            self.touch(partition);
        }
    }

    /// Hands what a partition's replica has to say to the connections; [`Peers::flush`] writes it.
    ///
    /// [`Peers::flush`]: super::Peers::flush
    pub(crate) fn send_outgoing(&self, partition: &Partition) {
        let outgoing = partition.driver_mut().take_outgoing();
        for message in outgoing {
            if let Some(broker) = partition.broker_of(message.envelope.to)
                && let Some(format) = self.peers.format(broker)
            {
                let bytes = frame::encode(&message.envelope, &message.entries, format);
                self.peers.send(broker, partition.group(), bytes);
            }
        }
    }
}
