//! Mappings of closed segments, shared by the logs of a directory: the least recently read goes
//! when there are too many, because a process may have only so many (`vm.max_map_count`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::Mapping;

/// A bounded set of mappings.
#[derive(Debug)]
pub(crate) struct Mappings {
    count_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_key: u64,
    /// Rises with every use.
    clock: u64,
    by_key: BTreeMap<MappingKey, (Mapping, u64)>,
    by_use: BTreeMap<u64, MappingKey>,
}

/// Names a segment within its log directory, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MappingKey(pub(super) u64);

impl Mappings {
    /// Keeps `count_max` mappings at most. `incarnation` is that of the log directory: names of
    /// segments are not used again after a start.
    pub(crate) fn new(count_max: usize, incarnation: u64) -> Self {
        let state = State {
            next_key: incarnation << 32,
            ..State::default()
        };
        Self {
            count_max: count_max.max(1),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name not used before.
    pub(crate) fn new_key(&self) -> MappingKey {
        let mut state = self.lock();
        state.next_key += 1;
        MappingKey(state.next_key)
    }

    /// The mapping of that name, if it is kept.
    pub(crate) fn get(&self, key: MappingKey) -> Option<Mapping> {
        let mut state = self.lock();
        let state = &mut *state;
        let (mapping, used) = state.by_key.get_mut(&key)?;
        state.clock += 1;
        state.by_use.remove(used);
        *used = state.clock;
        state.by_use.insert(state.clock, key);
        Some(mapping.clone())
    }

    /// Keeps a mapping, at the cost of the least recently used.
    pub(crate) fn put(&self, key: MappingKey, mapping: Mapping) {
        // Unmapping is slow; it happens when this goes, after the lock.
        let _replaced = self.remove(key);
        let mut evicted = Vec::new();
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        state.by_key.insert(key, (mapping, clock));
        state.by_use.insert(clock, key);
        while state.by_key.len() > self.count_max {
            let Some((_, oldest)) = state.by_use.pop_first() else {
                break;
            };
            evicted.push(state.by_key.remove(&oldest));
        }
        drop(state);
    }

    /// Gives a mapping up.
    pub(crate) fn remove(&self, key: MappingKey) -> Option<Mapping> {
        let mut state = self.lock();
        let (mapping, used) = state.by_key.remove(&key)?;
        state.by_use.remove(&used);
        Some(mapping)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::MemDisk;
    use crate::disk::{Disk as _, Open};

    #[test]
    fn the_least_recently_used_mapping_goes_first() {
        let disk = MemDisk::new(1);
        let file = disk.open(Path::new("/f"), Open::Create).unwrap();
        let mappings = Mappings::new(2, 1);
        let keys = [(); 3].map(|()| mappings.new_key());
        for key in &keys[..2] {
            mappings.put(*key, file.map_read_only(10).unwrap());
        }
        assert!(mappings.get(keys[0]).is_some());
        mappings.put(keys[2], file.map_read_only(10).unwrap());
        assert!(mappings.get(keys[1]).is_none());
        assert!(mappings.get(keys[0]).is_some());
        assert!(mappings.remove(keys[0]).is_some());
        assert!(mappings.get(keys[0]).is_none());
        assert!(mappings.get(keys[2]).is_some());
    }
}
