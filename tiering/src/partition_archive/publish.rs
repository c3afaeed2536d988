//! Writes down what the archive holds: sealed lists, then a new head.
//!
//! The head is replaced only if it is still the one that is known. If it is not, whoever has the higher leader
//! epoch goes on: a leader that was replaced finds out here at the latest. Within an epoch there is one
//! leader, so a head that it does not know is not its own; but one whose answer was lost is, and is
//! recognised by its bytes.

use bytes::Bytes;
use klamm_model::LeaderEpoch;

use super::asking::{FoundHead, create, head_of};
use super::{ArchiveError, PartitionArchive};
use crate::archived_object::ArchivedObject;
use crate::layout;
use crate::manifest::{ManifestHead, SealedList, SealedRange, sealable};
use crate::object_store::{ObjectKey, ObjectTag, StoreError};

/// How often a head is read again that was replaced meanwhile.
const RACES_MAX: usize = 5;

/// Lists that are tried, of one object less each, where others lie in their places already: histories that an
/// unclean election has ended.
const SEAL_TRIES: usize = 8;

/// Heads that are remembered while the store does not answer: those of half a day, if each is another one.
const ATTEMPTS_MAX: usize = 4096;

/// Why a head was not published. The archive is what it was; try again later, or step down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A later leader has published, or another broker in the same epoch: this one leads no more.
    #[error("another leader has published the manifest epoch={} sequence={sequence}", epoch.0)]
    Superseded {
        /// Of the head that is there.
        epoch: LeaderEpoch,
        /// Of the head that is there.
        sequence: u64,
    },
    /// Again and again somebody else was quicker.
    #[error("the manifest changes faster than it can be read")]
    Busy,
    /// The store does not do it, or what lies there must not be replaced.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Archive(error.into())
    }
}

/// The head in the store, as far as it is known.
#[derive(Debug)]
pub(super) struct Published {
    tag: Option<ObjectTag>,
    leader_epoch: LeaderEpoch,
    sequence: u64,
    /// Checksums of what was sent since, at most [`ATTEMPTS_MAX`]: one of it may have taken effect.
    attempts: Vec<u32>,
    /// The epoch in which another broker was found to publish.
    lost_epoch: Option<LeaderEpoch>,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            tag: None,
            leader_epoch: LeaderEpoch::UNKNOWN,
            sequence: 0,
            attempts: Vec::new(),
            lost_epoch: None,
        }
    }
}

impl Published {
    pub(super) fn of(found: &FoundHead) -> Self {
        let mut published = Self::default();
        match found {
            FoundHead::Missing => {}
            FoundHead::Damaged(tag, _) => published.tag = Some(tag.clone()),
            FoundHead::Read(tag, head, _) => {
                published.tag = Some(tag.clone());
                published.leader_epoch = head.leader_epoch;
                published.sequence = head.sequence;
            }
        }
        published
    }

    fn note_attempt(&mut self, body: &[u8]) {
        let checksum = crc32fast::hash(body);
        if self.attempts.last() == Some(&checksum) {
            return;
        }
        if self.attempts.len() == ATTEMPTS_MAX {
            self.attempts.remove(0);
        }
        self.attempts.push(checksum);
    }

    fn superseded(&self) -> PublishError {
        PublishError::Superseded {
            epoch: self.leader_epoch,
            sequence: self.sequence,
        }
    }
}

impl PartitionArchive {
    /// Publishes what is known now, for the leader of `epoch`. When recent objects are many, they become
    /// sealed lists first.
    ///
    /// # Errors
    /// [`PublishError::Superseded`] if a later head is there. After an error of the store, the head may or may
    /// not have been replaced; publishing again is safe.
    pub async fn publish(&self, epoch: LeaderEpoch) -> Result<(), PublishError> {
        let mut published = self.published.lock().await;
        if published.leader_epoch > epoch || published.lost_epoch == Some(epoch) {
            return Err(published.superseded());
        }
        self.seal().await?;
        for _ in 0..RACES_MAX {
            let head = self.head(epoch, published.sequence + 1);
            let body = head.encode();
            published.note_attempt(&body);
            match self.replace(published.tag.as_ref(), body).await {
                Ok(tag) => {
                    *published = Published {
                        tag: Some(tag),
                        leader_epoch: epoch,
                        sequence: head.sequence,
                        ..Published::default()
                    };
                    return Ok(());
                }
                Err(StoreError::ConditionFailed(_) | StoreError::NotFound(_)) => {
                    self.look_again(&mut published, epoch).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(PublishError::Busy)
    }

    fn head(&self, leader_epoch: LeaderEpoch, sequence: u64) -> ManifestHead {
        let view = self.view();
        ManifestHead {
            owner: self.owner.clone(),
            leader_epoch,
            sequence,
            start: view.start,
            end: view.end,
            epochs: view.epochs(),
            sealed: view.sealed.clone(),
            recent: view.recent.clone(),
        }
    }

    async fn replace(&self, tag: Option<&ObjectTag>, body: Bytes) -> Result<ObjectTag, StoreError> {
        let key = self.head_key();
        match tag {
            Some(tag) => self.store.put_if_match(&key, tag, body).await,
            None => create(&*self.store, &key, body).await,
        }
    }

    /// The head is not the one that was known.
    async fn look_again(
        &self,
        published: &mut Published,
        epoch: LeaderEpoch,
    ) -> Result<(), PublishError> {
        let found = head_of(&*self.store, &self.owner).await?;
        let before = published.sequence;
        let attempts = std::mem::take(&mut published.attempts);
        *published = Published::of(&found);
        let FoundHead::Read(_, head, bytes) = found else {
            published.sequence = before;
            return Ok(());
        };
        let is_own = attempts.contains(&crc32fast::hash(&bytes));
        let is_later = head.leader_epoch > epoch
            || head.leader_epoch == epoch && head.sequence > before && !is_own;
        if is_later {
            published.lost_epoch = Some(epoch);
            return Err(published.superseded());
        }
        Ok(())
    }

    /// Makes lists of recent objects while there are enough of them.
    async fn seal(&self) -> Result<(), PublishError> {
        loop {
            let objects = {
                let view = self.view();
                let count = sealable(&view.recent);
                view.recent[..count].to_vec()
            };
            if objects.is_empty() || !self.write_list(&objects).await? {
                return Ok(());
            }
        }
    }

    /// Whether the objects, or all but a few, are a list now.
    async fn write_list(&self, objects: &[ArchivedObject]) -> Result<bool, PublishError> {
        for left_out in 0..SEAL_TRIES.min(objects.len()) {
            let objects = &objects[..objects.len() - left_out];
            let list = SealedList {
                owner: self.owner.clone(),
                objects: objects.to_vec(),
            };
            let named = list.summary();
            let key = layout::sealed_key(self.owner.group, &named.range);
            let is_there = match create(&*self.store, &key, list.encode()).await {
                Ok(_) => true,
                Err(StoreError::ConditionFailed(_)) => self.is_sealed(&key, objects).await?,
                Err(error) => return Err(error.into()),
            };
            if is_there {
                self.view().seal(objects);
                return Ok(true);
            }
        }
        let range = SealedRange::of(objects).range;
        tracing::warn!(topic = %self.owner.topic, partition = self.owner.group.partition.0, ?range,
            "lists of other objects lie where these should, which stay in the head");
        Ok(false)
    }

    /// Whether a list that is there already holds the same objects.
    async fn is_sealed(
        &self,
        key: &ObjectKey,
        objects: &[ArchivedObject],
    ) -> Result<bool, PublishError> {
        let bytes = self
            .store
            .get_range(key, 0..crate::manifest::MANIFEST_BYTES_MAX);
        let Ok(list) = SealedList::decode(&bytes.await?) else {
            return Ok(false);
        };
        let facts = |object: &ArchivedObject| (object.name, object.bytes);
        Ok(list.objects.iter().map(facts).eq(objects.iter().map(facts)))
    }
}
