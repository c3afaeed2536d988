//! From settings and disks to a broker that serves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::controller::Decision;
use klamm_metadata::record::ListenerAddress;
use klamm_metadata::{KLAMM_VERSION_LEVEL, MetadataRecord, PeerAddress};
use klamm_model::{BrokerId, PartitionIndex, TopicName, TopicPartition};
use klamm_replication::Members;
use klamm_storage::{Disk, FileDisk};
use tokio::net::TcpListener;

use super::identity::Settled;
use super::listeners::{Bound, PeerPort};
use super::{ServeError, Threads, identity, limits, open_files};
use crate::cleaner::Cleaner;
use crate::clock::Clock;
use crate::closer::Closer;
use crate::config::BrokerConfig;
use crate::controller::{self, Controller, METADATA_PARTITION, METADATA_TOPIC, METADATA_TOPIC_ID};
use crate::coordinator::Coordinators;
use crate::dispatch::Dispatcher;
use crate::entropy;
use crate::hosting::{Opener, Wanted};
use crate::log_dirs::{LogDirs, Owner};
use crate::metrics::counters::Counters;
use crate::metrics::meter::Meter;
use crate::net::budget::RequestBudget;
use crate::net::connection::{ConnectionConfig, NetShared};
use crate::net::quota::{ConnectionLimits, ConnectionQuota};
use crate::net::unread::UnreadReplies;
use crate::partition::{Holders, Partition};
use crate::peer::{self, Address, Introduction, Peers, Request};
use crate::shard::{Shard, ShardParts};
use crate::tasks;
use crate::upkeep;
use crate::writer::Writer;

/// Stands for "never" where a setting has no limit.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Opens the disks, finds the cluster, reads its metadata, opens all partitions.
pub(super) async fn start(
    clock: Clock,
    config: BrokerConfig,
    threads: Threads,
    counters: Arc<Counters>,
    bound: Vec<Bound>,
    peers: Option<PeerPort>,
) -> Result<Started, ServeError> {
    let connections_max = open_files::raise_limit();
    let Threads {
        background,
        writers,
        cleaner,
        closer,
    } = threads;
    let closer = Closer::new(closer);
    let disk: Arc<dyn Disk> =
        Arc::new(FileDisk::closing_with(move |closing| closer.close(closing)));
    let incarnation = entropy::uuid();
    let settled = identity::settle(&disk, &config, peers.as_ref(), incarnation).await?;
    let Settled { owner, is_founder } = settled;
    let config = config.with_node_id(owner.node_id);
    let mode = config.log.writer;
    let writer = |thread| Rc::new(Writer::new(mode, clock, thread, counters.clone()));
    let writers = writers.into_iter().map(writer).collect();
    let log_dirs = LogDirs::open(&disk, &config.identity.log_dirs, &owner, writers)?;
    let opener = Opener {
        dirs: &log_dirs,
        background: &background,
        clock,
        config: &config,
        counters: &counters,
    };
    let metadata = open_metadata(&opener, owner.node_id, is_founder).await?;
    let (listeners, advertised) = bound
        .into_iter()
        .map(|bound| (bound.listener, bound.advertised))
        .unzip();
    let meter = Meter::new(clock, counters);
    let introduction = Introduction {
        cluster_id: owner.cluster_id.clone(),
        broker: owner.node_id,
        incarnation,
        address: peers.as_ref().map(|port| port.advertised.clone()),
    };
    let shard = Rc::new(Shard::new(ShardParts {
        clock,
        partitions_affordable: limits::partitions_affordable(config.identity.log_dirs.len()),
        listeners: advertised,
        net: Rc::new(net_shared(&config, connections_max, meter)),
        controller: Controller::new(metadata, entropy::random_bytes()),
        coordinators: Coordinators::new(),
        peers: Peers::new(introduction),
        log_dirs,
        background,
        cleaner: Cleaner::new(cleaner),
        config,
    }));
    tasks::spawn(shard.clone().run_turns());
    tasks::spawn(expire_delayed(shard.clone()));
    upkeep::start_ticking(&shard);
    shard.notice_leadership(shard.controller.partition());
    shard.attend(shard.controller.partition());
    let handler = Rc::new(Dispatcher::new(shard.clone()));
    if let Some(port) = peers {
        meet_others(&shard, port, handler.clone())?;
    }
    take_part(&shard, &owner).await?;
    open_partitions(&shard).await;
    Ok(Started {
        shard,
        handler,
        listeners,
    })
}

/// A broker that may be connected to.
pub(super) struct Started {
    pub(super) shard: Rc<Shard>,
    pub(super) handler: Rc<Dispatcher>,
    pub(super) listeners: Vec<TcpListener>,
}

/// Connects to the other brokers, and lets them connect.
fn meet_others(
    shard: &Rc<Shard>,
    port: PeerPort,
    handler: Rc<Dispatcher>,
) -> Result<(), ServeError> {
    // Where they were when this broker ran last, whether that was decided for good or not.
    for record in controller::read_all(shard.controller.partition())? {
        if let MetadataRecord::RegisterBroker {
            id,
            peer: Some(PeerAddress { host, port }),
            ..
        } = record
        {
            shard.peers.learn(shard, id, Address { host, port });
        }
    }
    tasks::spawn(peer::accept(shard.clone(), port.listener, handler));
    tasks::spawn(peer::seeking::seek(shard.clone()));
    Ok(())
}

fn net_shared(config: &BrokerConfig, connections_max: usize, meter: Meter) -> NetShared {
    let network = &config.network;
    let connection = ConnectionConfig {
        request_bytes_max: network.request_max_bytes,
        in_flight_max: network.requests_in_flight_max,
        idle_max: network.connections_max_idle.unwrap_or(FOR_EVER),
        receive_max: network.request_receive_timeout.unwrap_or(FOR_EVER),
    };
    NetShared::new(
        connection,
        RequestBudget::new(network.queued_max_request_bytes),
        UnreadReplies::new(network.queued_max_response_bytes),
        ConnectionQuota::new(ConnectionLimits::of(network), connections_max),
        meter,
    )
}

async fn open_metadata(
    opener: &Opener<'_>,
    broker: BrokerId,
    is_founder: bool,
) -> Result<Rc<Partition>, ServeError> {
    let topic = TopicName::new(METADATA_TOPIC).expect("the name is legal");
    let replica = controller::metadata_replica(broker);
    let wanted = Wanted {
        id: TopicPartition::new(topic, PartitionIndex(METADATA_PARTITION)),
        topic_id: METADATA_TOPIC_ID,
        config: Rc::new(controller::metadata_topic_config(
            &opener.config.topic_defaults,
        )),
        replica,
        holders: Holders::ByNumber,
        members: match is_founder {
            true => Members::of_voters(vec![replica]),
            false => Members::default(),
        },
        is_preferred: false,
        unclean_election: None,
    };
    let mut opened = opener.open(vec![wanted]).await;
    opened.pop().ok_or(ServeError::MetadataPartition)
}

async fn expire_delayed(shard: Rc<Shard>) {
    let work = |due: Vec<Rc<dyn crate::purgatory::Delayed>>| {
        shard
            .net
            .batch(|| due.into_iter().for_each(crate::purgatory::Delayed::expire));
    };
    shard.purgatory.run(shard.clock, work).await;
}

/// Has the cluster know this broker, gives a new one its id, and waits until all that was decided
/// before is known here.
async fn take_part(shard: &Rc<Shard>, owner: &Owner) -> Result<(), ServeError> {
    if let Some((address, reason)) = peer::seeking::refusing_seed(shard).await {
        let reason = format!("{reason} (said the broker at {address})");
        return Err(ServeError::Registration(reason));
    }
    tokio::select! {
        known = become_known(shard, owner) => known?,
        error = controller::follow_quietly(shard) => return Err(error.into()),
        reason = shard.peers.removed() => return Err(ServeError::Removed(reason)),
    }
    shard.resolve_config();
    shard.quotas.changed(shard.image().client_quotas());
    for broker in shard.image().brokers() {
        controller::learn(shard, broker.id);
    }
    Ok(())
}

async fn become_known(shard: &Rc<Shard>, owner: &Owner) -> Result<(), ServeError> {
    let request = Request::Register(registration(shard));
    let mut reported = None;
    while let Err(refused) = controller::requests::ask(shard, request.clone()).await {
        if refused.is_final() {
            return Err(ServeError::Registration(refused.reason));
        }
        let now = tokio::time::Instant::now();
        if reported.is_none_or(|last| now - last >= REPORT_INTERVAL) {
            tracing::info!("waiting for the cluster: {refused}");
            reported = Some(now);
        }
    }
    if controller::leads(shard) {
        found(shard, owner).await?;
    }
    let incarnation = Some(shard.peers.own().incarnation);
    let is_known = || {
        let image = shard.image();
        let own = image.broker(shard.node_id);
        own.is_some_and(|own| own.incarnation == incarnation)
    };
    while !is_known() {
        shard.controller.advanced().await;
    }
    Ok(())
}

/// Between two lines of the log about a cluster that is not there.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Gives a new cluster its id, and the level of its metadata.
async fn found(shard: &Rc<Shard>, owner: &Owner) -> Result<(), ServeError> {
    let founded = controller::change(shard, |decider| {
        let mut records = Vec::new();
        if decider.image.cluster_id().is_none() {
            records.push(MetadataRecord::Cluster {
                id: owner.cluster_id.clone(),
            });
        }
        records.extend(decider.finalize_features());
        Decision { records, reply: () }
    });
    founded
        .await
        .map_err(|error| ServeError::Metadata(error.message()))
}

fn registration(shard: &Shard) -> MetadataRecord {
    let own = shard.peers.own();
    let address = own.address.clone();
    let dirs = shard.log_dirs.iter();
    MetadataRecord::RegisterBroker {
        id: own.broker,
        incarnation: Some(own.incarnation),
        disks: dirs.map(|dir| dir.identity().directory_id).collect(),
        peer: address.map(|Address { host, port }| PeerAddress { host, port }),
        rack: shard.rack(),
        listeners: shard.listeners().to_vec(),
        version: KLAMM_VERSION_LEVEL,
    }
}

/// Opens every partition of the metadata that is to be here, and reports files that belong to none.
async fn open_partitions(shard: &Rc<Shard>) {
    let wanted = controller::missing(shard);
    report_strays(shard, &wanted);
    let count = wanted.len();
    let config = shard.config();
    let opened = shard.opener(&config).open(wanted).await;
    shard.note_unopened(count - opened.len());
    for partition in opened {
        shard.host(partition);
    }
}

/// Files without a topic are left alone: perhaps they are all that is left of something.
fn report_strays(shard: &Shard, wanted: &[Wanted]) {
    let known: BTreeSet<_> = wanted
        .iter()
        .map(|wanted| (&wanted.id, wanted.topic_id))
        .collect();
    for (partition, topic_id) in shard.log_dirs.partitions() {
        if topic_id != METADATA_TOPIC_ID && !known.contains(&(&partition, topic_id)) {
            tracing::warn!(%partition, %topic_id,
                "a partition directory belongs to no topic of this cluster; it is left alone");
        }
    }
}

/// Says in a few lines what the broker listens on and how to stop it. `bound` is in the order of
/// the shard's listeners.
pub(super) fn announce(shard: &Shard, bound: &[SocketAddr]) {
    let image = shard.image();
    for (advertised, bound) in shard.listeners().iter().zip(bound) {
        tracing::info!("listening: {}", listening(advertised, *bound));
    }
    let config = shard.config();
    for path in &config.identity.log_dirs {
        tracing::info!("data: {}", path.display());
    }
    tracing::info!(
        "klamm {} is ready: broker {} of cluster {}, {} topics; stop it with Ctrl-C or SIGTERM",
        env!("CARGO_PKG_VERSION"),
        shard.node_id.0,
        image.cluster_id().unwrap_or_default(),
        image.topic_count(),
    );
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Where clients are told to go is named only if it is somewhere else.
fn listening(advertised: &ListenerAddress, bound: SocketAddr) -> String {
    let ListenerAddress { name, host, port } = advertised;
    let ip = bound.ip().to_string();
    match *host == ip && *port == bound.port() {
        true => format!("{name}://{bound}"),
        false => format!("{name}://{bound}, advertised as {host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_is_bound_is_shown_and_the_advertised_one_where_it_differs() {
        let check = |bound: &str, host: &str, port, expected: &str| {
            let advertised = ListenerAddress {
                name: "OUT".to_owned(),
                host: host.to_owned(),
                port,
            };
            let bound = bound.parse().unwrap();
            assert_eq!(listening(&advertised, bound), expected);
        };
        check("127.0.0.1:9092", "127.0.0.1", 9092, "OUT://127.0.0.1:9092");
        check("[::1]:9092", "::1", 9092, "OUT://[::1]:9092");
        check(
            "0.0.0.0:9092",
            "broker.example",
            1234,
            "OUT://0.0.0.0:9092, advertised as broker.example:1234",
        );
        check(
            "127.0.0.1:9092",
            "127.0.0.1",
            9093,
            "OUT://127.0.0.1:9092, advertised as 127.0.0.1:9093",
        );
    }
}
