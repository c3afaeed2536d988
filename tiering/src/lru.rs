//! Values by key, of which the least recently used go when they are too large together.

use std::collections::BTreeMap;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    bytes_max: u64,
    bytes: u64,
    /// Rises with every use.
    clock: u64,
    by_key: BTreeMap<K, Kept<V>>,
    by_use: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    bytes: u64,
    used: u64,
}

impl<K: Ord + Clone, V> Lru<K, V> {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            clock: 0,
            by_key: BTreeMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// The value, which counts as used now.
    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        let kept = self.by_key.get_mut(key)?;
        self.clock += 1;
        self.by_use.remove(&kept.used);
        kept.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(&kept.value)
    }

    /// Makes room for a value of so many bytes; gives back what has to go.
    pub(crate) fn make_room(&mut self, bytes: u64) -> Vec<V> {
        self.shrink_to(self.bytes_max.saturating_sub(bytes))
    }

    /// Keeps a value that takes `bytes`; gives back what has to go for it: perhaps itself.
    pub(crate) fn insert(&mut self, key: K, value: V, bytes: u64) -> Vec<V> {
        let mut gone: Vec<_> = self.remove(&key).into_iter().collect();
        self.clock += 1;
        let used = self.clock;
        self.bytes += bytes;
        self.by_use.insert(used, key.clone());
        self.by_key.insert(key, Kept { value, bytes, used });
        gone.extend(self.make_room(0));
        gone
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let kept = self.by_key.remove(key)?;
        self.by_use.remove(&kept.used);
        self.bytes -= kept.bytes;
        Some(kept.value)
    }

    /// Sets how large all may be together; gives back what has to go.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: u64) -> Vec<V> {
        self.bytes_max = bytes_max;
        self.make_room(0)
    }

    fn shrink_to(&mut self, bytes_max: u64) -> Vec<V> {
        let mut gone = Vec::new();
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            gone.extend(self.remove(&oldest));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(10);
        for key in ["a", "b"] {
            assert_eq!(lru.insert(key, key, 4), [""; 0]);
        }
        assert_eq!(lru.get(&"a"), Some(&"a"));
        assert_eq!(lru.insert("c", "c", 4), ["b"]);
        assert_eq!(lru.bytes(), 8);
        assert_eq!(lru.insert("c", "d", 6), ["c"]);
        assert_eq!(lru.set_bytes_max(9), ["a"]);
        assert_eq!(lru.get(&"c"), Some(&"d"));
        assert_eq!(lru.remove(&"c"), Some("d"));
        assert_eq!((lru.bytes(), lru.by_use.len()), (0, 0));
    }

    #[test]
    fn what_is_too_large_does_not_stay() {
        let mut lru = Lru::new(0);
        assert_eq!(lru.insert(1, "large", 1), ["large"]);
        assert!(!lru.contains(&1));
        assert_eq!(lru.bytes(), 0);
    }
}
