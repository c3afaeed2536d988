//! What a group says about its offsets: who may commit and delete them, and when they expire.

use klamm_model::Timestamp;

use super::{ClassicGroup, GroupState};
use crate::record::CommittedOffset;
use crate::request::OffsetCommit;
use crate::turn::Turn;
use crate::{GroupError, MemberId};

/// The protocol type of consumers, whose metadata Kafka's brokers read too.
pub(super) const CONSUMER: &str = "consumer";

/// From when an offset's retention counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetainedSince {
    /// The group is in use in a way that keeps all offsets.
    InUse,
    /// The offset's own commit.
    Commit,
    /// This time, the same for all offsets: when the group became empty.
    Empty(Timestamp),
}

impl ClassicGroup {
    /// Whether the offsets may be committed. A member that commits is alive.
    pub(crate) fn commit(
        &self,
        turn: &mut Turn<'_>,
        commit: &OffsetCommit,
    ) -> Result<(), GroupError> {
        let OffsetCommit {
            generation,
            member_id,
            instance_id,
            ..
        } = commit;
        // Tools and consumers that assign partitions themselves have no generation.
        if *generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if *generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        self.check_generation(member_id, instance_id.as_deref(), *generation)?;
        match self.state {
            // The member knows the generation, so it has been told that it has to sync.
            GroupState::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::Stable | GroupState::PreparingRebalance => {
                self.restart_session(turn, &MemberId::new(member_id));
                Ok(())
            }
            GroupState::Empty | GroupState::Dead => Ok(()),
        }
    }

    /// Whether single offsets may be deleted: of consumers, those not subscribed to.
    pub(crate) fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self.state {
            GroupState::Empty => Ok(()),
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            _ if self.protocol_type() == CONSUMER => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn check_delete(&self) -> Result<(), GroupError> {
        match self.state {
            GroupState::Empty => Ok(()),
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Whether a member reads the topic. Consumers whose subscriptions cannot be read may read
    /// anything.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type() == CONSUMER,
        }
    }

    /// From when the retention of offsets counts (KIP-211).
    pub(crate) fn offsets_retained_since(&self) -> RetainedSince {
        if self.protocol_type.is_none() {
            return RetainedSince::Commit;
        }
        match self.state {
            GroupState::Empty => self
                .state_since
                .map_or(RetainedSince::Commit, RetainedSince::Empty),
            // What a stable group does not read any more.
            GroupState::Stable
                if self.protocol_type() == CONSUMER && self.subscribed_topics.is_some() =>
            {
                RetainedSince::Commit
            }
            _ => RetainedSince::InUse,
        }
    }
}

impl RetainedSince {
    /// Whether the offset has outlived `retention_ms`. A time the client gave stands above all.
    pub(crate) fn is_over(
        self,
        offset: &CommittedOffset,
        now: Timestamp,
        retention_ms: i64,
    ) -> bool {
        let since = match self {
            Self::InUse => return false,
            Self::Commit => offset.commit_timestamp,
            Self::Empty(since) => since,
        };
        match offset.expire_timestamp {
            Some(expiry) => now >= expiry,
            None => now.millis().saturating_sub(since.millis()) >= retention_ms,
        }
    }
}
