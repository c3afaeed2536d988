//! What must hold at every moment: one leader in a term, one log that is shown, and one image of the
//! metadata at each of their offsets.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_metadata::MetadataImage;
use klamm_model::{LeaderEpoch, Offset, RecordBatch};

use super::messages::Group;

/// See the module.
#[derive(Default)]
pub(super) struct Oracle {
    leaders: BTreeMap<(Group, LeaderEpoch), (usize, u64)>,
    shown: BTreeMap<Group, Shown>,
    images: BTreeMap<Offset, MetadataImage>,
}

/// What replicas of a group have shown.
struct Shown {
    batches: BTreeMap<Offset, Bytes>,
    end: Offset,
}

impl Oracle {
    /// A broker leads, in this life of it.
    pub(super) fn leads(&mut self, group: Group, epoch: LeaderEpoch, broker: (usize, u64)) {
        let first = self.leaders.entry((group, epoch)).or_insert(broker);
        assert_eq!(
            *first, broker,
            "two leaders of {group:?} in epoch {}",
            epoch.0
        );
    }

    /// A replica shows these batches.
    pub(super) fn shows(&mut self, group: Group, batches: &[RecordBatch]) {
        let log = self.shown.entry(group).or_insert_with(|| Shown {
            batches: BTreeMap::new(),
            end: Offset::ZERO,
        });
        for batch in batches {
            let (offset, bytes) = (batch.base_offset(), batch.to_bytes());
            if offset == log.end {
                log.end = batch.next_offset();
                log.batches.insert(offset, bytes.clone());
            }
            let first = log.batches.get(&offset);
            let first = first.expect("what is shown has no gaps");
            assert_eq!(*first, bytes, "two batches are shown at {offset}");
        }
    }

    /// The image of a broker is this below the offset.
    pub(super) fn applied(&mut self, offset: Offset, image: MetadataImage) {
        let first = self.images.entry(offset).or_insert_with(|| image.clone());
        assert_eq!(*first, image, "one image at {offset}");
    }

    /// How much of a group was shown.
    pub(super) fn end_of(&self, group: Group) -> Offset {
        self.shown.get(&group).map_or(Offset::ZERO, |log| log.end)
    }
}
