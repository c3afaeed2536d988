//! Which of the objects that a listing shows are the archive.
//!
//! The group says what range is archived, not in which objects. They are the ones that follow each other
//! without a gap to exactly the end of it. There may be others: a plan that was carried out and never
//! committed, and what an unclean election has left behind. Of two that would do, the one of the higher
//! epoch is taken, and then the one of the higher plan.

use std::collections::BTreeMap;
use std::ops::Range;

use klamm_model::Offset;
use klamm_storage::GroupId;

use crate::archived_object::ArchivedObject;
use crate::layout::{self, ArchiveKey, ObjectName};
use crate::object_store::{ListedObject, ObjectKey};

/// What has been listed so far.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    objects: BTreeMap<ObjectName, Halves>,
}

/// An object has two.
#[derive(Clone, Copy, Debug, Default)]
struct Halves {
    log_bytes: Option<u64>,
    has_index: bool,
}

/// The archive cannot be put together from what is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The archive can be had up to here, and not further.
    pub(crate) from: Offset,
    /// Where it could go on.
    pub(crate) to: Offset,
    /// There would be no hole if this object had both its halves.
    pub(crate) half: Option<Half>,
}

/// What is there of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Log(ObjectName),
    Index(ObjectName),
}

impl Half {
    pub(crate) fn key(self, group: GroupId) -> ObjectKey {
        match self {
            Self::Log(name) => layout::log_key(group, &name),
            Self::Index(name) => layout::index_key(group, &name),
        }
    }
}

impl Listed {
    /// Takes note of a key of the partition; others are left out. Whether it begins at or above `end`: then
    /// nothing that follows in the listing is of use.
    pub(crate) fn add(&mut self, group: GroupId, listed: &ListedObject, end: Offset) -> bool {
        match ArchiveKey::parse(&listed.key) {
            Some(ArchiveKey::Log(of, name)) if of == group => {
                self.halves(name).log_bytes = Some(listed.size_bytes);
                name.base() >= end
            }
            Some(ArchiveKey::Index(of, name)) if of == group => {
                self.halves(name).has_index = true;
                name.base() >= end
            }
            _ => false,
        }
    }

    fn halves(&mut self, name: ObjectName) -> &mut Halves {
        self.objects.entry(name).or_default()
    }

    /// The objects of `range`, in order; the first holds its start and may begin earlier.
    pub(crate) fn chain(&self, range: Range<Offset>) -> Result<Vec<ArchivedObject>, Hole> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let usable = self.usable(range.end);
        let first = usable
            .values()
            .filter(|object| object.name.contains(range.start))
            .max_by_key(|object| rank(&object.name));
        let Some(first) = first else {
            return Err(self.hole(range));
        };
        let mut chain = vec![first.clone()];
        let mut end = first.end();
        while end < range.end {
            let next = usable
                .get(&end)
                .expect("a usable object is followed by one");
            end = next.end();
            chain.push(next.clone());
        }
        Ok(chain)
    }

    /// For each offset the best object that begins there and from which others lead to `end`.
    fn usable(&self, end: Offset) -> BTreeMap<Offset, ArchivedObject> {
        let mut usable: BTreeMap<Offset, ArchivedObject> = BTreeMap::new();
        // From the end to the start: what follows an object begins above it.
        for (name, bytes) in self.whole().rev() {
            let leads_on = name.end() == end || usable.contains_key(&name.end());
            let best = usable.get(&name.base());
            let is_better = best.is_none_or(|best| rank(&best.name) < rank(&name));
            if leads_on && name.end() <= end && is_better {
                let details = None;
                let object = ArchivedObject {
                    name,
                    bytes,
                    details,
                };
                usable.insert(name.base(), object);
            }
        }
        usable
    }

    /// Objects with both halves, by rising base.
    fn whole(&self) -> impl DoubleEndedIterator<Item = (ObjectName, u64)> {
        self.objects.iter().filter_map(|(name, halves)| {
            let bytes = halves.log_bytes.filter(|_| halves.has_index)?;
            Some((*name, bytes))
        })
    }

    /// Where the way from the start of the range to its end breaks off.
    fn hole(&self, range: Range<Offset>) -> Hole {
        let mut from = range.start;
        for (name, _) in self.whole() {
            let goes_on = name.base() <= from && from < name.end();
            if goes_on && name.end() <= range.end {
                from = name.end();
            }
        }
        let above = self.whole().map(|(name, _)| name.base());
        let halves = self.objects.iter().filter(|(name, _)| name.contains(from));
        let half = halves
            .filter_map(
                |(name, halves)| match (halves.log_bytes, halves.has_index) {
                    (Some(_), false) => Some(Half::Log(*name)),
                    (None, true) => Some(Half::Index(*name)),
                    _ => None,
                },
            )
            .next();
        Hole {
            from,
            to: above
                .filter(|base| *base > from)
                .min()
                .unwrap_or(range.end)
                .min(range.end),
            half,
        }
    }
}

fn rank(name: &ObjectName) -> (i32, u64) {
    (name.epoch().0, name.plan())
}

#[cfg(test)]
mod tests {
    use klamm_model::{LeaderEpoch, PartitionIndex, TopicId};
    use proptest::prelude::*;

    use super::*;
    use crate::layout::{index_key, log_key};
    use crate::object_store::ObjectTag;

    const GROUP: GroupId = GroupId {
        topic_id: TopicId::from_bytes([1; 16]),
        partition: PartitionIndex(0),
    };

    fn name((base, end, epoch): (i64, i64, i32)) -> ObjectName {
        ObjectName::new(Offset::new(base), Offset::new(end), LeaderEpoch(epoch), 1).unwrap()
    }

    fn add(listed: &mut Listed, key: ObjectKey) {
        let object = ListedObject {
            key,
            size_bytes: 10,
            tag: ObjectTag("t".to_owned()),
        };
        listed.add(GROUP, &object, Offset::new(1000));
    }

    fn listed(objects: &[(i64, i64, i32)]) -> Listed {
        let mut listed = Listed::default();
        for object in objects {
            add(&mut listed, log_key(GROUP, &name(*object)));
            add(&mut listed, index_key(GROUP, &name(*object)));
        }
        listed
    }

    #[track_caller]
    fn check(objects: &[(i64, i64, i32)], range: Range<i64>, expected: &[(i64, i64, i32)]) {
        let range = Offset::new(range.start)..Offset::new(range.end);
        let chain = listed(objects).chain(range).unwrap();
        let names: Vec<_> = chain.iter().map(|object| object.name).collect();
        let expected: Vec<_> = expected.iter().copied().map(name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_objects_that_lead_to_the_end_are_the_archive() {
        let all = [(0, 10, 1), (10, 20, 1), (20, 30, 2), (30, 45, 2)];
        check(&all, 0..45, &all);
        check(&all, 12..30, &all[1..3]);
        check(&all, 30..30, &[]);
        // Planned and never committed.
        check(
            &[(0, 10, 1), (10, 25, 1), (10, 20, 2)],
            0..20,
            &[(0, 10, 1), (10, 20, 2)],
        );
    }

    #[test]
    fn of_two_histories_the_one_that_reaches_the_end_is_taken() {
        let all = [
            (0, 10, 1),
            (10, 50, 1),
            (50, 60, 1),
            (10, 40, 2),
            (40, 55, 2),
        ];
        check(&all, 0..60, &[(0, 10, 1), (10, 50, 1), (50, 60, 1)]);
        check(&all, 0..55, &[(0, 10, 1), (10, 40, 2), (40, 55, 2)]);
    }

    #[test]
    fn of_two_that_would_do_the_one_of_the_higher_epoch_is_taken() {
        let all = [
            (0, 10, 1),
            (0, 10, 3),
            (10, 20, 2),
            (10, 30, 1),
            (20, 30, 2),
        ];
        check(&all, 0..30, &[(0, 10, 3), (10, 20, 2), (20, 30, 2)]);
        check(&all, 5..30, &[(0, 10, 3), (10, 20, 2), (20, 30, 2)]);
    }

    #[track_caller]
    fn check_hole(listed: &Listed, range: Range<i64>, hole: (i64, i64), half: Option<Half>) {
        let range = Offset::new(range.start)..Offset::new(range.end);
        let expected = Hole {
            from: Offset::new(hole.0),
            to: Offset::new(hole.1),
            half,
        };
        assert_eq!(listed.chain(range), Err(expected));
    }

    #[test]
    fn what_is_missing_is_named() {
        check_hole(&listed(&[]), 0..10, (0, 10), None);
        check_hole(&listed(&[(5, 10, 1)]), 0..10, (0, 5), None);
        check_hole(&listed(&[(0, 10, 1), (20, 30, 1)]), 0..30, (10, 20), None);
        check_hole(&listed(&[(0, 10, 1), (10, 20, 1)]), 0..15, (10, 15), None);
    }

    #[test]
    fn an_object_without_its_other_half_counts_for_nothing_and_is_named() {
        let name = name((10, 20, 1));
        for half in [Half::Log(name), Half::Index(name)] {
            let mut listed = listed(&[(0, 10, 1), (20, 30, 1)]);
            add(&mut listed, half.key(GROUP));
            check_hole(&listed, 0..30, (10, 20), Some(half));
        }
    }

    #[test]
    fn keys_of_others_are_left_out() {
        let mut listed = Listed::default();
        let other = GroupId {
            partition: PartitionIndex(1),
            ..GROUP
        };
        add(&mut listed, log_key(other, &name((0, 10, 1))));
        add(&mut listed, ObjectKey::new("log/0000/readme").unwrap());
        assert!(listed.objects.is_empty());
    }

    /// Whether some objects lead from one that holds `from` to exactly `end`, tried one after the other.
    fn is_reachable(objects: &[(i64, i64, i32)], from: i64, end: i64, is_first: bool) -> bool {
        from == end && !is_first
            || objects.iter().any(|(base, to, _)| {
                let fits = *base == from || is_first && *base < from;
                fits && from < *to && *to <= end && is_reachable(objects, *to, end, false)
            })
    }

    proptest! {
        #[test]
        fn there_is_a_chain_if_and_only_if_objects_lead_to_the_end(
            objects in prop::collection::vec((0_i64..12, 1_i64..6, 0_i32..3), 0..25),
            start in 0_i64..12, length in 1_i64..10,
        ) {
            let objects: Vec<_> = objects
                .into_iter()
                .map(|(base, length, epoch)| (base, base + length, epoch))
                .collect();
            let range = Offset::new(start)..Offset::new(start + length);
            match listed(&objects).chain(range.clone()) {
                Ok(chain) => {
                    prop_assert!(chain[0].name.contains(range.start));
                    prop_assert_eq!(chain[chain.len() - 1].end(), range.end);
                    let follow = chain.windows(2).all(|two| two[0].end() == two[1].base());
                    prop_assert!(follow);
                }
                Err(hole) => {
                    prop_assert!(!is_reachable(&objects, start, start + length, true));
                    prop_assert!(range.start <= hole.from && hole.to <= range.end);
                }
            }
        }
    }
}
