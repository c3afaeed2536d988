//! What there is of a cluster, as this broker knows it.

use std::collections::BTreeMap;
use std::rc::Rc;

use klamm_model::BrokerId;

use crate::controller;
use crate::handler::cluster::TopicLeaders;
use crate::partition::Partition;
use crate::peer::LinkState;
use crate::shard::Shard;

/// See the module. What is said of partitions is said of those that are led here, but for the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterSurvey {
    pub(crate) led: u64,
    /// With fewer replicas in sync than they have.
    pub(crate) under_replicated: u64,
    /// With fewer in sync than `min.insync.replicas`.
    pub(crate) under_min_in_sync: u64,
    /// Of all partitions of the cluster those that nobody leads who is reached.
    pub(crate) leaderless: u64,
    pub(crate) is_controller: bool,
    /// Metadata records that are decided and not applied here.
    pub(crate) metadata_lag: u64,
    /// The other brokers, by number.
    pub(crate) peers: BTreeMap<BrokerId, PeerSurvey>,
}

/// Another broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerSurvey {
    pub(crate) link: LinkState,
    /// Entries that its followers lack of what is led here.
    pub(crate) lag_entries: u64,
}

impl ClusterSurvey {
    /// Without its partitions.
    pub(super) async fn take(shard: &Rc<Shard>) -> Self {
        let links = shard.peers.link_states().into_iter();
        let peers = links.map(|(broker, link)| {
            let peer = PeerSurvey {
                link,
                lag_entries: 0,
            };
            (broker, peer)
        });
        let mut survey = Self {
            is_controller: controller::leads(shard),
            metadata_lag: shard.controller.lag(),
            peers: peers.collect(),
            ..Self::default()
        };
        for topic in shard.image().topics() {
            let leaders = TopicLeaders::of(shard, topic);
            let indexes = 0..topic.partitions.len();
            let leaderless = indexes.filter(|index| leaders.partition(*index).leader < 0);
            survey.leaderless += leaderless.count() as u64;
            tokio::task::yield_now().await;
        }
        survey
    }

    pub(super) fn add(&mut self, shard: &Shard, partition: &Partition) {
        let driver = partition.driver();
        if !driver.is_leader() || partition.group() == crate::peer::METADATA_GROUP {
            return;
        }
        self.led += 1;
        let end = driver.log().last_index().0;
        for (replica, written) in driver.followers() {
            let peer = partition.broker_of(replica);
            if let Some(peer) = peer.and_then(|broker| self.peers.get_mut(&broker)) {
                peer.lag_entries += end.saturating_sub(written.0);
            }
        }
        let in_sync = shard.peers.in_sync(partition.group());
        let reached = |broker: &&BrokerId| shard.peers.is_alive(**broker);
        let in_sync = in_sync.map_or(1, |all| all.iter().filter(reached).count());
        let wanted = partition.config().min_insync_replicas;
        self.under_replicated += u64::from(in_sync < partition.holder_count());
        self.under_min_in_sync += u64::from(in_sync < usize::try_from(wanted).unwrap_or(0));
    }
}
