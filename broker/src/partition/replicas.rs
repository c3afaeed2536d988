//! What a partition's leader knows of its other replicas: which of them are in sync, and how many have
//! written what a topic wants more than a majority to hold.

use std::time::Duration;

use klamm_model::{BrokerId, Instant, LeaderEpoch, LogIndex};

use super::Partition;
use super::driver::PartitionDriver;
use super::in_sync::{Change, Follower, View};
use crate::peer::Led;

impl Partition {
    // ---- Who is in sync ----

    /// This replica leads from now on; of those who were in sync, these are reached. What others are
    /// told.
    pub(crate) fn begin_in_sync(
        &self,
        now: Instant,
        own: BrokerId,
        epoch: LeaderEpoch,
        reached: impl Iterator<Item = BrokerId>,
    ) -> Led {
        let holds = |broker: &BrokerId| *broker != own && self.replica_on(*broker).is_some();
        self.in_sync.borrow_mut().begin(now, reached.filter(holds));
        self.led(own, epoch)
    }

    /// Looks who is in sync now, if this replica leads: what has changed, and what others are told.
    pub(crate) fn review_in_sync(
        &self,
        now: Instant,
        lag_max: Duration,
        own: BrokerId,
        is_reached: impl Fn(BrokerId) -> bool,
    ) -> Option<(Change, Led)> {
        let driver = self.driver.borrow();
        if !driver.is_leader() {
            return None;
        }
        let followers = driver.followers().filter_map(|(replica, written)| {
            let broker = self.broker_of(replica)?;
            Some(Follower {
                broker,
                written,
                is_reached: is_reached(broker),
            })
        });
        let followers: Vec<_> = followers.collect();
        let shown = (!driver.is_high_watermark_behind()).then(|| driver.visible_index());
        let view = View {
            end: driver.log().last_index(),
            shown,
            lag_max,
        };
        let change = self.in_sync.borrow_mut().review(now, view, &followers);
        let epoch = driver.leader_epoch();
        change.is_any().then(|| (change, self.led(own, epoch)))
    }

    fn led(&self, own: BrokerId, epoch: LeaderEpoch) -> Led {
        let followers = self.in_sync.borrow();
        Led {
            group: self.group(),
            epoch,
            in_sync: std::iter::once(own).chain(followers.followers()).collect(),
        }
    }

    // ---- More replicas than a majority ----

    /// `min.insync.replicas`.
    fn replicas_wanted(&self) -> usize {
        usize::try_from(self.config.borrow().min_insync_replicas).unwrap_or(usize::MAX)
    }

    pub(super) fn asks_for_more_than_majority(&self, driver: &PartitionDriver) -> bool {
        let voters = driver.members().voters.len();
        self.replicas_wanted() > voters / 2 + 1
    }

    /// The last entry that is shown, and written by as many replicas as the topic wants.
    pub(super) fn held(&self, driver: &PartitionDriver) -> LogIndex {
        let written = driver.written_by(self.replicas_wanted());
        written.min(driver.visible_index())
    }

    pub(super) fn may_acknowledge_held(&self, driver: &PartitionDriver) -> bool {
        let first = self.acks.first_to_be_held();
        first.is_some_and(|first| first <= self.held(driver))
    }

    /// Whether so many replicas are in sync that an acknowledgement which asks for more than a majority
    /// may come; any other asks nobody who is in sync.
    pub(crate) fn has_enough_in_sync(&self) -> bool {
        let driver = self.driver.borrow();
        !self.asks_for_more_than_majority(&driver)
            || self.voters_in_sync(&driver) >= self.replicas_wanted()
    }

    /// The leader counts.
    fn voters_in_sync(&self, driver: &PartitionDriver) -> usize {
        let in_sync = self.in_sync.borrow();
        let voters = &driver.members().voters;
        let votes = |broker: &BrokerId| {
            let replica = self.replica_on(*broker);
            replica.is_some_and(|replica| voters.contains(&replica))
        };
        1 + in_sync.followers().filter(votes).count()
    }

    /// Answers those who wait for more replicas than are in sync, once what they wait for is shown: it
    /// stands, but not as safe as they want it.
    pub(crate) fn give_up_on_replicas(&self) {
        if self.acks.first_to_be_held().is_some() && !self.has_enough_in_sync() {
            let visible = self.driver.borrow().visible_index();
            self.acks.give_up_holding(visible);
        }
    }
}
