//! The other brokers of the cluster: connections to and from them, and what is said over these.
//!
//! Each broker connects to each other one and sends by its own connection ([`link`]); what it is sent
//! comes by those that the others make ([`incoming`]). Over both go the messages of replicas
//! ([`exchange`]), the news of who leads what, and the few things that brokers ask of each other
//! ([`request`]). A connection that is made anew, or by another process, is a new life: replicas are
//! told, since what was under way is lost.
//!
//! A broker without data first finds its cluster, or founds one with others ([`joining`]).
//!
//! Not here: who votes for whom, which entry stands where (crate `klamm-replication`).

mod answers;
pub(crate) mod bulk;
mod exchange;
pub(crate) mod forwarding;
mod incoming;
pub(crate) mod joining;
mod leaders;
mod link;
mod removal;
mod request;
pub(crate) mod seeking;
mod socket;
mod unsent;
mod wire;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use klamm_metadata::MetadataImage;
use klamm_model::{BrokerId, Instant, PartitionIndex, TopicId};
use klamm_replication::frame::Format;
use tokio::sync::Notify;

use self::incoming::Incoming;
use self::leaders::Leaders;
use self::link::Link;
use self::removal::Removal;
use self::socket::LinkError;
use self::wire::{Greeting, Levels, Purpose, Refused, Welcome};
use crate::controller::{METADATA_PARTITION, METADATA_TOPIC_ID};
use crate::shard::Shard;
use crate::tasks;

pub(crate) use self::incoming::accept;
pub(crate) use self::leaders::Leader;
pub(crate) use self::link::LinkState;
pub(crate) use self::request::{Answer, Request};
pub(crate) use self::wire::{Address, Group, Led};

/// The group that keeps the cluster's metadata.
pub(crate) const METADATA_GROUP: Group = Group {
    topic_id: METADATA_TOPIC_ID,
    partition: PartitionIndex(METADATA_PARTITION),
};

/// How soon there is a leader again after one was lost, if there is going to be one: elections take tens
/// of milliseconds.
pub(crate) const SUCCESSION_TIME: Duration = Duration::from_secs(1);
/// How soon there are leaders when a broker starts: if all of the cluster does, nobody was heard of lately,
/// and elections begin after a time-out.
pub(crate) const FIRST_SUCCESSION_TIME: Duration = Duration::from_secs(3);

/// What this broker says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) cluster_id: String,
    pub(crate) broker: BrokerId,
    /// Of this process.
    pub(crate) incarnation: TopicId,
    /// Where it listens for others; `None` if it is a cluster of its own.
    pub(crate) address: Option<Address>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Peers {
    own: Introduction,
    links: RefCell<BTreeMap<BrokerId, Rc<Link>>>,
    incoming: RefCell<BTreeMap<BrokerId, Rc<Incoming>>>,
    leaders: RefCell<Leaders>,
    /// The brokers that are not reached any more, and since when.
    lost: RefCell<BTreeMap<BrokerId, Instant>>,
    removal: Removal,
    /// Until then partitions without a leader may get one in a moment.
    unsettled_until: Cell<Instant>,
    /// A leader has been heard of, or a connection has come or gone.
    news: Notify,
}

impl Peers {
    pub(crate) fn new(own: Introduction) -> Self {
        Self {
            own,
            links: RefCell::default(),
            incoming: RefCell::default(),
            leaders: RefCell::default(),
            lost: RefCell::default(),
            removal: Removal::default(),
            unsettled_until: Cell::new(Instant::START),
            news: Notify::new(),
        }
    }

    /// What this broker says of itself.
    pub(crate) fn own(&self) -> &Introduction {
        &self.own
    }

    /// Whether there can be no other broker.
    pub(crate) fn is_alone(&self) -> bool {
        self.own.address.is_none()
    }

    fn address(&self) -> Address {
        let nowhere = Address {
            host: String::new(),
            port: 0,
        };
        self.own.address.clone().unwrap_or(nowhere)
    }

    // ---- Who is there ----

    /// A broker is known to be there: a connection is made to it, and kept.
    pub(crate) fn learn(&self, shard: &Rc<Shard>, broker: BrokerId, address: Address) {
        if broker == self.own.broker || self.own.address.is_none() {
            return;
        }
        let mut links = self.links.borrow_mut();
        if let Some(link) = links.get(&broker) {
            return link.moved_to(address);
        }
        let link = Rc::new(Link::new(broker, address, shard.clock.now()));
        links.insert(broker, link.clone());
        tasks::spawn(link.run(shard.clone()));
    }

    /// A broker has left the cluster.
    pub(crate) fn forget(&self, broker: BrokerId) {
        if let Some(link) = self.links.borrow_mut().remove(&broker) {
            link.close();
        }
        if let Some(incoming) = self.incoming.borrow_mut().remove(&broker) {
            incoming.supersede();
        }
        self.lost.borrow_mut().remove(&broker);
    }

    /// The brokers that are reached, this one among them.
    pub(crate) fn alive(&self) -> BTreeSet<BrokerId> {
        let links = self.links.borrow();
        let up = links.values().filter(|link| link.is_up());
        let own = std::iter::once(self.own.broker);
        own.chain(up.map(|link| link.broker())).collect()
    }

    /// Whether a broker is reached.
    pub(crate) fn is_alive(&self, broker: BrokerId) -> bool {
        broker == self.own.broker || self.link(broker).is_some_and(|link| link.is_up())
    }

    /// How it goes with the links to all other brokers.
    pub(crate) fn link_states(&self) -> Vec<(BrokerId, LinkState)> {
        let links = self.links.borrow();
        let states = links.iter().map(|(broker, link)| (*broker, link.state()));
        states.collect()
    }

    /// How long a broker has not been reached; [`Duration::ZERO`] if it is reached, or nobody tries.
    pub(crate) fn unreached_for(&self, broker: BrokerId, now: Instant) -> Duration {
        let link = self.link(broker);
        link.map_or(Duration::ZERO, |link| link.down_for(now))
    }

    /// Whether a broker has been reached for so long without a break. This one always has.
    pub(crate) fn has_been_reached(&self, broker: BrokerId, time: Duration, now: Instant) -> bool {
        let lasts = |link: Rc<Link>| link.is_up() && link.up_for(now) >= time;
        broker == self.own.broker || self.link(broker).is_some_and(lasts)
    }

    /// The brokers that are reached, this one among them, whose processes began less than this time ago;
    /// the one that began first comes first.
    pub(crate) fn newcomers(&self, within: Duration, now: Instant) -> Vec<BrokerId> {
        let links = self.links.borrow();
        let others = links.values().filter_map(|link| {
            let up_for = link.process_up_for(now)?;
            Some((up_for, link.broker()))
        });
        let own = (now.since(Instant::START), self.own.broker);
        let mut all: Vec<_> = others.chain([own]).collect();
        all.retain(|(up_for, _)| *up_for < within);
        all.sort_unstable_by_key(|(up_for, broker)| (Reverse(*up_for), *broker));
        all.into_iter().map(|(_, broker)| broker).collect()
    }

    /// Whether a broker is reached, or was within this time. One that this process has not reached yet
    /// may have been until it began.
    pub(crate) fn was_reached(&self, broker: BrokerId, within: Duration, now: Instant) -> bool {
        let lost = self.lost.borrow().get(&broker).copied();
        self.is_alive(broker) || now < lost.unwrap_or(Instant::START) + within
    }

    /// Whether a broker is reached as far as both directions tell: one may notice a loss before the
    /// other.
    pub(crate) fn is_reached_both_ways(&self, broker: BrokerId) -> bool {
        self.is_alive(broker) && !self.lost.borrow().contains_key(&broker)
    }

    fn link(&self, broker: BrokerId) -> Option<Rc<Link>> {
        self.links.borrow().get(&broker).cloned()
    }

    /// Writes what was sent, as far as the sockets take it.
    pub(crate) fn flush(&self) {
        for link in self.links.borrow().values() {
            link.flush();
        }
    }

    /// How replicas on another broker are spoken to; `None` while there is no connection to it.
    fn format(&self, to: BrokerId) -> Option<Format> {
        self.links.borrow().get(&to)?.format()
    }

    fn send(&self, to: BrokerId, group: Group, envelope: Vec<Bytes>) {
        if let Some(link) = self.links.borrow().get(&to) {
            link.send_message(group, envelope);
        }
    }

    // ---- Who leads ----

    /// A broker is lost, or leadership is: others may lead within this time.
    pub(crate) fn note_unsettled(&self, now: Instant, time: Duration) {
        let until = self.unsettled_until.get();
        self.unsettled_until.set(until.max(now + time));
    }

    /// Whether something has happened lately after which others come to lead.
    pub(crate) fn is_unsettled(&self, now: Instant) -> bool {
        now < self.unsettled_until.get()
    }

    /// Who leads a partition, as far as it is known.
    pub(crate) fn leader(&self, group: Group) -> Option<Leader> {
        self.leaders.borrow().of(group)
    }

    /// Who leads the metadata.
    pub(crate) fn controller(&self) -> Option<BrokerId> {
        self.leader(METADATA_GROUP).map(|leader| leader.broker)
    }

    fn controller_and_address(&self) -> Option<(BrokerId, Address)> {
        let controller = self.controller()?;
        let address = match self.link(controller) {
            Some(link) => link.address(),
            None if controller == self.own.broker => self.address(),
            None => return None,
        };
        Some((controller, address))
    }

    /// The brokers that hold a replica which is in sync, as the leader said last; those that are not
    /// reached may be among them.
    pub(crate) fn in_sync(&self, group: Group) -> Option<Rc<[BrokerId]>> {
        self.leaders.borrow().in_sync(group)
    }

    /// This broker leads partitions, or others are in sync there: all other brokers are told, with
    /// the next [`flush`](Self::flush).
    pub(crate) fn lead(&self, mut led: Vec<Led>) {
        led.retain(|led| self.hear(self.own.broker, led));
        if led.is_empty() {
            return;
        }
        for link in self.links.borrow().values() {
            link.send_leaders(&led);
        }
    }

    fn hear(&self, broker: BrokerId, led: &Led) -> bool {
        let is_news = self.leaders.borrow_mut().hear(broker, led);
        if is_news {
            self.news.notify_waiters();
        }
        is_news
    }

    /// A topic is gone.
    pub(crate) fn forget_topic(&self, topic_id: TopicId) {
        self.leaders.borrow_mut().forget_topic(topic_id);
    }

    /// Waits until a leader is heard of, or a connection comes or goes, or some time has passed.
    pub(crate) async fn news(&self, limit: Duration) {
        tokio::time::timeout(limit, self.news.notified()).await.ok();
    }

    /// Asks the controller; `None` if it is not known or not reached.
    pub(crate) async fn ask_controller(&self, request: &Request) -> Option<Answer> {
        self.ask(self.controller()?, request).await
    }

    /// Asks another broker; `None` if it is not reached.
    pub(crate) async fn ask(&self, broker: BrokerId, request: &Request) -> Option<Answer> {
        let link = self.link(broker)?;
        link.ask(request).await
    }

    /// Asks all brokers that are reached, and waits until each has answered or is lost.
    pub(crate) async fn ask_all(&self, request: &Request) {
        let links: Vec<_> = self.links.borrow().values().cloned().collect();
        let mut asking = tokio::task::JoinSet::new();
        for link in links.into_iter().filter(|link| link.is_up()) {
            let request = request.clone();
            asking.spawn_local(async move { link.ask(&request).await });
        }
        asking.join_all().await;
    }

    /// Where another broker listens, if it is reached, and what to say to it first on a connection for
    /// copies.
    pub(crate) fn bulk_connection(&self, broker: BrokerId) -> Option<(Address, Greeting)> {
        let link = self.link(broker).filter(|link| link.is_up())?;
        Some((link.address(), self.greeting(Purpose::Bulk, Some(broker))))
    }

    // ---- Greetings ----

    fn greeting(&self, purpose: Purpose, expected: Option<BrokerId>) -> Greeting {
        Greeting {
            levels: Levels::OWN,
            purpose,
            cluster_id: self.own.cluster_id.clone(),
            broker: Some(self.own.broker),
            incarnation: self.own.incarnation,
            expected,
            address: self.address(),
            listener: String::new(),
        }
    }

    fn welcome(&self, greeting: &Greeting, now: Instant) -> Welcome {
        Welcome {
            level: greeting.level(),
            cluster_id: self.own.cluster_id.clone(),
            broker: Some(self.own.broker),
            incarnation: self.own.incarnation,
            address: self.address(),
            controller: self.controller_and_address(),
            up_for: now.since(Instant::START),
        }
    }

    /// Whether somebody who connects may, or why not.
    fn check_greeting(&self, image: &MetadataImage, greeting: &Greeting) -> Result<(), Refused> {
        let own = &self.own;
        if !greeting.cluster_id.is_empty() && greeting.cluster_id != own.cluster_id {
            return Err(Refused::because(format!(
                "this broker belongs to cluster {}, the one that connects to cluster {}: its klamm.seed.brokers or its log.dirs are of another cluster",
                own.cluster_id, greeting.cluster_id
            )));
        }
        if let Some(expected) = greeting.expected.filter(|expected| *expected != own.broker) {
            return Err(Refused::because(format!(
                "this is broker {}, not broker {}: klamm.peer.advertised of one of them is wrong",
                own.broker.0, expected.0
            )));
        }
        let Some(broker) = greeting.broker else {
            return Ok(());
        };
        if greeting.purpose != Purpose::Requests && broker == own.broker {
            return Err(Refused::because(format!(
                "there is a broker {} already, this one: two brokers have the same node.id, or the same data",
                broker.0
            )));
        }
        if image.is_removed(broker) {
            return Err(Refused {
                reason: removal::told(broker),
                is_final: true,
            });
        }
        Ok(())
    }

    /// Another broker refuses this one.
    fn note_refusal(&self, error: &LinkError) {
        if let LinkError::Refused(refused) = error
            && refused.is_final
        {
            self.removal.note(&refused.reason);
        }
    }

    /// The metadata say that a broker has been removed.
    pub(crate) fn note_removed(&self, broker: BrokerId) {
        if broker == self.own.broker {
            self.removal.note(&removal::told(broker));
        }
    }

    /// Waits until this broker has been removed from the cluster; what is said of it.
    pub(crate) async fn removed(&self) -> String {
        self.removal.noted().await
    }

    /// A broker has said who leads the metadata.
    fn heard_of_controller(&self, shard: &Rc<Shard>, welcome: &Welcome) {
        if let Some((broker, address)) = &welcome.controller {
            self.learn(shard, *broker, address.clone());
        }
    }
}
