//! Where the objects of an archive lie: keys, and what can be read from them.
//!
//! ```text
//! klamm.json                                                          version of the layout, cluster id
//! log/<h4>/<topic id>/<partition>/<base>-<end>-<epoch>-<plan>.log     batches, byte for byte
//! log/<h4>/<topic id>/<partition>/<base>-<end>-<epoch>-<plan>.idx     what finds records in it
//! manifest/<topic id>/<partition>/head.json                           what the archive holds
//! manifest/<topic id>/<partition>/<base>-<end>.json                   a sealed list of older objects
//! ```
//! Numbers in names have 20 digits, so that a listing is in the order of offsets. `h4` is the lower half of
//! the CRC-32 of topic id (16 bytes) and partition (i32, big-endian), as four hexadecimal digits: stores spread
//! load by prefix. Keys are relative to what the store has been told to put in front of them.

use std::fmt;
use std::ops::Range;

use klamm_model::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use klamm_storage::GroupId;

use crate::object_store::ObjectKey;

/// The version of the layout that this program writes, and the newest that it reads.
pub const LAYOUT_VERSION: u64 = 1;

/// Digits of a number in a name.
const DIGITS: usize = 20;

/// What one object of an archive holds, and which plan it was written for.
///
/// It holds at least one offset, and its epoch is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    base: Offset,
    end: Offset,
    epoch: LeaderEpoch,
    plan: u64,
}

/// A key of an archive, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveKey {
    /// Batches.
    Log(GroupId, ObjectName),
    /// What finds records in them.
    Index(GroupId, ObjectName),
    /// The head of a manifest.
    Head(GroupId),
    /// A sealed list, and the offsets of its objects.
    SealedList(GroupId, Range<Offset>),
    /// `klamm.json`.
    Mark,
}

impl ObjectName {
    /// Names the object that holds `base..end`; `None` if that is empty, or the epoch is unknown.
    pub fn new(base: Offset, end: Offset, epoch: LeaderEpoch, plan: u64) -> Option<Self> {
        let is_possible = base < end && epoch.0 >= 0;
        is_possible.then_some(Self {
            base,
            end,
            epoch,
            plan,
        })
    }

    /// Its first offset.
    pub fn base(&self) -> Offset {
        self.base
    }

    /// The offset after its last.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The leadership that planned it.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The number of the plan.
    pub fn plan(&self) -> u64 {
        self.plan
    }

    /// Whether it holds this offset.
    pub fn contains(&self, offset: Offset) -> bool {
        (self.base..self.end).contains(&offset)
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let base = take_offset(&mut parts)?;
        let end = take_offset(&mut parts)?;
        let epoch = i32::try_from(take_number(&mut parts)?).ok()?;
        let plan = take_number(&mut parts)?;
        match parts.next() {
            None => Self::new(base, end, LeaderEpoch(epoch), plan),
            Some(_) => None,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, end) = (self.base.get(), self.end.get());
        let (epoch, plan) = (self.epoch.0, self.plan);
        write!(f, "{base:020}-{end:020}-{epoch:020}-{plan:020}")
    }
}

/// Where the batches of an object lie.
pub fn log_key(group: GroupId, name: &ObjectName) -> ObjectKey {
    valid(&format!("{}{name}.log", objects_prefix(group)))
}

/// Where its index lies.
pub fn index_key(group: GroupId, name: &ObjectName) -> ObjectKey {
    valid(&format!("{}{name}.idx", objects_prefix(group)))
}

/// Where the head of a partition's manifest lies.
pub fn head_key(group: GroupId) -> ObjectKey {
    valid(&format!("{}head.json", manifest_prefix(group)))
}

/// Where the sealed list of the objects of `range` lies.
pub fn sealed_key(group: GroupId, range: &Range<Offset>) -> ObjectKey {
    let (base, end) = (range.start.get(), range.end.get());
    let prefix = manifest_prefix(group);
    valid(&format!("{prefix}{base:020}-{end:020}.json"))
}

/// Where it says that this is an archive, of which cluster and version.
pub fn mark_key() -> ObjectKey {
    valid(MARK)
}

/// What the keys of all objects of a partition begin with, and no others.
pub fn objects_prefix(group: GroupId) -> String {
    let h4 = spread(group);
    format!("log/{h4:04x}/{}/{}/", group.topic_id, group.partition.0)
}

/// What the keys of a partition's manifest begin with, and no others.
pub fn manifest_prefix(group: GroupId) -> String {
    format!("manifest/{}/{}/", group.topic_id, group.partition.0)
}

/// After this key come the objects of the partition that begin at `offset` or later.
pub(crate) fn before_objects_from(group: GroupId, offset: Offset) -> ObjectKey {
    // Shorter than any name that begins with the same number, so it comes before them.
    let prefix = objects_prefix(group);
    valid(&format!("{prefix}{:020}", offset.get()))
}

const MARK: &str = "klamm.json";

impl ArchiveKey {
    /// Reads a key; `None` if it is none that this layout gives.
    pub fn parse(key: &ObjectKey) -> Option<Self> {
        let parts: Vec<_> = key.as_str().split('/').collect();
        match parts[..] {
            [MARK] => Some(Self::Mark),
            ["log", h4, topic, partition, file] => {
                let group = parse_group(topic, partition)?;
                let is_spread = h4 == format!("{:04x}", spread(group));
                is_spread.then(|| Self::parse_object(group, file))?
            }
            ["manifest", topic, partition, file] => {
                Self::parse_manifest(parse_group(topic, partition)?, file)
            }
            _ => None,
        }
    }

    fn parse_object(group: GroupId, file: &str) -> Option<Self> {
        let (name, ending) = file.split_once('.')?;
        let name = ObjectName::parse(name)?;
        match ending {
            "log" => Some(Self::Log(group, name)),
            "idx" => Some(Self::Index(group, name)),
            _ => None,
        }
    }

    fn parse_manifest(group: GroupId, file: &str) -> Option<Self> {
        if file == "head.json" {
            return Some(Self::Head(group));
        }
        let mut parts = file.strip_suffix(".json")?.split('-');
        let base = take_offset(&mut parts)?;
        let end = take_offset(&mut parts)?;
        let is_list = parts.next().is_none() && base < end;
        is_list.then_some(Self::SealedList(group, base..end))
    }
}

fn spread(group: GroupId) -> u16 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(group.topic_id.as_bytes());
    hasher.update(&group.partition.0.to_be_bytes());
    // The lower half.
    hasher.finalize() as u16
}

fn parse_group(topic_id: &str, partition: &str) -> Option<GroupId> {
    let topic_id = TopicId::parse(topic_id)?;
    let index: i32 = partition.parse().ok()?;
    let is_as_written = index >= 0 && partition == index.to_string();
    is_as_written.then_some(GroupId {
        topic_id,
        partition: PartitionIndex(index),
    })
}

fn take_number<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<u64> {
    let part = parts.next()?;
    let is_number = part.len() == DIGITS && part.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| part.parse().ok())?
}

fn take_offset<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<Offset> {
    Offset::checked(i64::try_from(take_number(parts)?).ok()?)
}

fn valid(key: &str) -> ObjectKey {
    ObjectKey::new(key).expect("made of short parts that are not empty")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(partition: i32) -> GroupId {
        GroupId {
            topic_id: TopicId::from_bytes([0xab; 16]),
            partition: PartitionIndex(partition),
        }
    }

    fn name(base: i64, end: i64) -> ObjectName {
        ObjectName::new(Offset::new(base), Offset::new(end), LeaderEpoch(3), 7).unwrap()
    }

    #[test]
    fn keys_are_as_documented() {
        let log = log_key(group(2), &name(5, 90));
        let h4 = format!("{:04x}", spread(group(2)));
        let expected = format!(
            "log/{h4}/q6urq6urq6urq6urq6urqw/2/00000000000000000005-00000000000000000090-\
             00000000000000000003-00000000000000000007.log"
        );
        assert_eq!(log.as_str(), expected);
        assert_eq!(
            sealed_key(group(2), &(Offset::ZERO..Offset::new(5))).as_str(),
            "manifest/q6urq6urq6urq6urq6urqw/2/00000000000000000000-00000000000000000005.json"
        );
        // Another spread would lose what has been written.
        assert_eq!(h4, H4_OF_PARTITION_2);
    }

    const H4_OF_PARTITION_2: &str = "dfd1";

    #[test]
    fn an_object_holds_at_least_one_offset_of_a_known_epoch() {
        let new = |base, end, epoch| {
            ObjectName::new(Offset::new(base), Offset::new(end), LeaderEpoch(epoch), 0)
        };
        assert!(new(1, 2, 0).is_some());
        assert!(new(2, 2, 0).is_none() && new(3, 2, 0).is_none() && new(1, 2, -1).is_none());
    }

    #[test]
    fn objects_that_begin_at_an_offset_come_after_its_mark() {
        let mark = before_objects_from(group(0), Offset::new(10));
        assert!(log_key(group(0), &name(9, 99)) < mark);
        assert!(log_key(group(0), &name(10, 11)) > mark);
    }

    proptest! {
        #[test]
        fn keys_are_read_back(
            topic: [u8; 16], partition in 0..=i32::MAX, base in 0..i64::MAX,
            length in 1..=i64::MAX, epoch in 0..=i32::MAX, plan: u64,
        ) {
            let group = GroupId {
                topic_id: TopicId::from_bytes(topic),
                partition: PartitionIndex(partition),
            };
            let (base, end) = (Offset::new(base), Offset::new(base.saturating_add(length)));
            let name = ObjectName::new(base, end, LeaderEpoch(epoch), plan).unwrap();
            let check = |key: &ObjectKey, expected| {
                assert_eq!(ArchiveKey::parse(key), Some(expected), "{key}");
            };
            check(&log_key(group, &name), ArchiveKey::Log(group, name));
            check(&index_key(group, &name), ArchiveKey::Index(group, name));
            check(&head_key(group), ArchiveKey::Head(group));
            let range = base..end;
            check(&sealed_key(group, &range), ArchiveKey::SealedList(group, range));
            check(&mark_key(), ArchiveKey::Mark);
        }

        #[test]
        fn a_key_with_another_character_is_refused_or_another_one(
            at: proptest::sample::Index, other in "[-/.0-9a-zA-Z_]",
        ) {
            let key = log_key(group(2), &name(5, 90));
            let at = at.index(key.as_str().len());
            let mut changed = key.as_str().to_owned();
            changed.replace_range(at..=at, &other);
            let Ok(changed) = ObjectKey::new(&changed) else {
                return Ok(());
            };
            if let Some(ArchiveKey::Log(group, name)) = ArchiveKey::parse(&changed) {
                prop_assert_eq!(log_key(group, &name), changed);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(log|manifest)?[-/.0-9a-z]{0,120}") {
            if let Ok(key) = ObjectKey::new(&text) {
                let _ = ArchiveKey::parse(&key);
            }
        }
    }
}
