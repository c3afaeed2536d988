//! Where each key was written last: the hash of a key to an offset.
//!
//! As Kafka's `SkimpyOffsetMap` it holds no keys, only 128 bits of each: two that look alike would
//! cost the older of them its record. With a secret seed nobody can make such two, and by chance
//! it takes more keys than a broker sees in the age of the universe.

use std::hash::Hasher;

use klamm_model::{Offset, RecordBatch};
use siphasher::sip128::{Hasher128, SipHasher13};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct OffsetMap {
    hasher: SipHasher13,
    slots: Vec<Slot>,
    used: usize,
    slots_max: usize,
    load_factor: f64,
    full: bool,
    /// After the last offset whose keys are in the map.
    end: Offset,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: (u64, u64),
    /// The offset, plus one: zero is a free slot.
    next: i64,
}

const SLOT_BYTES: usize = size_of::<Slot>();

const SLOTS_MIN: usize = 1024;

impl OffsetMap {
    pub(super) fn new(buffer_bytes: usize, load_factor: f64, seed: u128) -> Self {
        let slots_max = (buffer_bytes / SLOT_BYTES).max(2);
        Self {
            hasher: SipHasher13::new_with_key(&seed.to_ne_bytes()),
            slots: vec![Slot::default(); slots_max.min(SLOTS_MIN)],
            used: 0,
            slots_max,
            load_factor,
            full: false,
            end: Offset::ZERO,
        }
    }

    /// Whether a key was left out: nothing is added any more.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// After the last offset whose keys are in the map.
    pub(super) fn end_offset(&self) -> Offset {
        self.end
    }

    /// Says that up to this offset there is no key to be added.
    pub(super) fn skip_to(&mut self, last: Offset) {
        if !self.full {
            self.end = last.plus(1);
        }
    }

    /// Adds the keys of the records from an offset on. What does not inflate has none.
    pub(super) fn add_keys(&mut self, batch: &RecordBatch, from: Offset, inflated_max: usize) {
        if self.full {
            return;
        }
        if let Ok(inflated) = batch.inflated_record_bytes(inflated_max) {
            for record in batch.facts(&inflated).map_while(Result::ok) {
                let offset = batch.base_offset().plus(i64::from(record.offset_delta));
                let key = record.key.filter(|_| offset >= from);
                if let Some(key) = key
                    && !self.put(key, offset)
                {
                    self.full = true;
                    return;
                }
                self.end = offset.plus(1);
            }
        }
        self.skip_to(batch.last_offset());
    }

    /// `false` if there is no room for the key.
    fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let mut at = self.find(hash);
        if self.slots[at].next == 0 {
            if !self.has_room() {
                if self.slots.len() == self.slots_max {
                    return false;
                }
                self.grow();
                at = self.find(hash);
            }
            self.used += 1;
        }
        self.slots[at] = Slot {
            hash,
            next: offset.get() + 1,
        };
        true
    }

    fn has_room(&self) -> bool {
        // A free slot ends every search.
        let usable = (self.slots.len() as f64 * self.load_factor) as usize;
        self.used < usable.clamp(1, self.slots.len() - 1)
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).min(self.slots_max);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); length]);
        for slot in old.into_iter().filter(|slot| slot.next != 0) {
            let at = self.find(slot.hash);
            self.slots[at] = slot;
        }
    }

    /// Where a key was written last.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let next = self.slots[self.find(self.hash(key))].next;
        Offset::checked(next - 1)
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let mut hasher = self.hasher;
        hasher.write(key);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }

    /// The slot of a hash, or the free one where it would go.
    fn find(&self, hash: (u64, u64)) -> usize {
        let length = self.slots.len();
        let mut at = (hash.0 % length as u64) as usize;
        while self.slots[at].next != 0 && self.slots[at].hash != hash {
            at = (at + 1) % length;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_key_is_found_while_the_map_grows() {
        let mut map = OffsetMap::new(1 << 20, 0.9, 7);
        for offset in 0..30_000_i64 {
            let key = (offset % 20_000).to_be_bytes();
            assert!(map.put(&key, Offset::new(offset)));
        }
        for key in 0..20_000_i64 {
            let last = if key < 10_000 { key + 20_000 } else { key };
            assert_eq!(map.get(&key.to_be_bytes()), Some(Offset::new(last)));
        }
        assert_eq!(map.get(b"other"), None);
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(10 * SLOT_BYTES, 0.5, 7);
        for key in 0..5_u8 {
            assert!(map.put(&[key], Offset::new(1)));
        }
        assert!(!map.put(&[5], Offset::new(2)));
        assert!(map.put(&[4], Offset::new(3)));
        assert_eq!(map.get(&[4]), Some(Offset::new(3)));
    }
}
