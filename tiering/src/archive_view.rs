//! What one broker knows of a partition's archive, without asking the store.
//!
//! Older objects are known by the sealed list that holds them; a few of those lists are kept once they were
//! read. The group says where the archive starts and ends; this says in which objects.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use klamm_model::{LeaderEpoch, Offset};
use klamm_storage::EpochEntry;

use crate::archived_object::{ArchivedObject, ObjectDetails};
use crate::layout::ObjectName;
use crate::manifest::{ManifestHead, SealedRange};

/// Lists that are kept in memory: readers of a partition at different places.
const LISTS_MAX: usize = 4;

/// Objects of a sealed list, shared by those who look at them.
pub(crate) type List = Arc<[ArchivedObject]>;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct ArchiveView {
    /// The first offset that can be read.
    pub(crate) start: Offset,
    /// The offset after the last.
    pub(crate) end: Offset,
    pub(crate) sealed: Vec<SealedRange>,
    pub(crate) recent: Vec<ArchivedObject>,
    epochs: BTreeMap<LeaderEpoch, Offset>,
    /// Least recently used first.
    lists: Vec<(Range<Offset>, List)>,
}

/// Where an offset is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// In this object.
    Object(ArchivedObject),
    /// In an object of a list that has to be read.
    List(SealedRange),
    /// Not in the archive.
    Nowhere,
}

impl ArchiveView {
    /// Nothing but these objects, which follow each other to `end`.
    pub(crate) fn of_objects(range: Range<Offset>, recent: Vec<ArchivedObject>) -> Self {
        Self {
            start: range.start,
            end: range.end,
            sealed: Vec::new(),
            recent,
            epochs: BTreeMap::new(),
            lists: Vec::new(),
        }
    }

    /// What a head says of `range`; `None` if that is not all of it.
    pub(crate) fn of_head(head: &ManifestHead, range: Range<Offset>) -> Option<Self> {
        if head.start > range.start || head.end < range.end {
            return None;
        }
        let mut view = Self::of_objects(range.clone(), head.recent.clone());
        view.sealed.clone_from(&head.sealed);
        view.note_epochs(&head.epochs);
        view.cut(range).then_some(view)
    }

    /// Leaves out what lies outside of `range`; whether an object, or a list, ends where it does.
    fn cut(&mut self, range: Range<Offset>) -> bool {
        self.sealed.retain(|list| list.range.end <= range.end);
        self.recent.retain(|object| object.end() <= range.end);
        self.epochs.retain(|_, offset| *offset < range.end);
        let last_list = self.sealed.last().map(|list| list.range.end);
        let last = self.recent.last().map(ArchivedObject::end).or(last_list);
        let ends_there = range.is_empty() || last == Some(range.end);
        self.forget_below(range.start);
        ends_there
    }

    /// Moves the start; what lies wholly below it is forgotten.
    pub(crate) fn forget_below(&mut self, start: Offset) {
        self.start = start;
        self.sealed.retain(|list| list.range.end > start);
        self.recent.retain(|object| object.end() > start);
        self.lists.retain(|(range, _)| range.end > start);
        let older = |(_, offset): &(&LeaderEpoch, &Offset)| **offset <= start;
        let first = self
            .epochs
            .iter()
            .filter(older)
            .map(|(epoch, _)| *epoch)
            .next_back();
        if let Some(first) = first {
            self.epochs.retain(|epoch, _| *epoch >= first);
        }
    }

    /// Leader epochs of the records that are known, each with its first offset.
    pub(crate) fn epochs(&self) -> Vec<EpochEntry> {
        let entry = |(epoch, offset): (&LeaderEpoch, &Offset)| EpochEntry {
            epoch: *epoch,
            start_offset: *offset,
        };
        self.epochs.iter().map(entry).collect()
    }

    pub(crate) fn note_epochs(&mut self, epochs: &[EpochEntry]) {
        for entry in epochs {
            let known = self.epochs.entry(entry.epoch).or_insert(entry.start_offset);
            *known = (*known).min(entry.start_offset);
        }
    }

    /// Takes note of the next object; whether it is the next.
    pub(crate) fn add(&mut self, object: ArchivedObject) -> bool {
        let is_next = object.base() == self.end;
        if is_next {
            self.end = object.end();
            self.recent.push(object);
        }
        is_next
    }

    /// The object that holds `offset`.
    pub(crate) fn find(&mut self, offset: Offset) -> Located {
        if offset < self.start || offset >= self.end {
            return Located::Nowhere;
        }
        if let Some(object) = find_in(&self.recent, offset) {
            return Located::Object(object.clone());
        }
        if let Some(object) = self.find_in_lists(offset) {
            return Located::Object(object);
        }
        match self.list_of(offset) {
            Some(list) => Located::List(list.clone()),
            None => Located::Nowhere,
        }
    }

    /// The sealed list whose objects hold `offset`.
    pub(crate) fn list_of(&self, offset: Offset) -> Option<&SealedRange> {
        let after = self
            .sealed
            .partition_point(|list| list.range.start <= offset);
        let list = self.sealed.get(after.checked_sub(1)?)?;
        list.range.contains(&offset).then_some(list)
    }

    fn find_in_lists(&mut self, offset: Offset) -> Option<ArchivedObject> {
        let at = self
            .lists
            .iter()
            .position(|(range, _)| range.contains(&offset))?;
        let kept = self.lists.remove(at);
        let found = find_in(&kept.1, offset).cloned();
        self.lists.push(kept);
        found
    }

    /// Keeps a list that was read, if it is still one of the archive.
    pub(crate) fn keep(&mut self, objects: List) {
        let (Some(first), Some(last)) = (objects.first(), objects.last()) else {
            return;
        };
        let range = first.base()..last.end();
        if self.sealed.iter().all(|list| list.range != range) {
            return;
        }
        self.lists.retain(|(kept, _)| *kept != range);
        self.lists.push((range, objects));
        if self.lists.len() > LISTS_MAX {
            self.lists.remove(0);
        }
    }

    /// Takes note of what the index of an object says. Of a list, that is kept as long as the list is.
    pub(crate) fn set_details(&mut self, name: &ObjectName, details: &ObjectDetails) {
        let set = |object: &mut ArchivedObject| object.details = Some(details.clone());
        if let Some(object) = find_mut(&mut self.recent, name) {
            return set(object);
        }
        for (range, list) in &mut self.lists {
            if !range.contains(&name.base()) {
                continue;
            }
            let mut objects = list.to_vec();
            if let Some(object) = find_mut(&mut objects, name) {
                set(object);
                *list = objects.into();
            }
        }
    }

    /// The oldest recent objects have become a list.
    pub(crate) fn seal(&mut self, objects: &[ArchivedObject]) {
        // Meanwhile the start may have moved past some of them.
        let Some(last) = objects.last().filter(|last| last.end() > self.start) else {
            return;
        };
        let sealed = SealedRange::of(objects);
        self.recent.retain(|object| object.base() >= last.end());
        self.sealed.push(sealed);
        self.keep(objects.into());
    }
}

/// The object that holds `offset`, of objects that follow each other.
pub(crate) fn find_in(objects: &[ArchivedObject], offset: Offset) -> Option<&ArchivedObject> {
    let after = objects.partition_point(|object| object.base() <= offset);
    let object = objects.get(after.checked_sub(1)?)?;
    object.name.contains(offset).then_some(object)
}

fn find_mut<'a>(
    objects: &'a mut [ArchivedObject],
    name: &ObjectName,
) -> Option<&'a mut ArchivedObject> {
    let at = objects.partition_point(|object| object.base() < name.base());
    objects.get_mut(at).filter(|object| object.name == *name)
}
