//! What goes wrong, and when.

use std::collections::BTreeMap;
use std::io;

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops in the middle of it.
    Crash,
    /// The disk is full; a write may have been done in part.
    NoSpace,
    /// The device fails; a write may have been done in part, a sync loses what it should keep.
    Io,
}

/// What the disk is to do with an operation.
pub(super) enum Verdict {
    Proceed,
    Refuse {
        kind: io::ErrorKind,
        /// How much of it is done all the same.
        done: Option<usize>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Faults {
    random: Random,
    operations: u64,
    planned: BTreeMap<u64, Fault>,
    fail_syncs: bool,
    crashed: bool,
}

/// What a dead machine answers.
pub(super) fn dead() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the machine is down")
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            operations: 0,
            planned: BTreeMap::new(),
            fail_syncs: false,
            crashed: false,
        }
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) fn crashed(&self) -> bool {
        self.crashed
    }

    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    pub(super) fn plan(&mut self, operation: u64, fault: Fault) {
        self.planned.insert(operation, fault);
    }

    pub(super) fn fail_syncs(&mut self, fail: bool) {
        self.fail_syncs = fail;
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    pub(super) fn restart(&mut self) {
        self.crashed = false;
        self.planned.clear();
        self.fail_syncs = false;
    }

    /// Decides about the next operation.
    pub(super) fn next(&mut self, is_sync: bool, extent: usize) -> Verdict {
        if self.crashed {
            return Verdict::Refuse {
                kind: io::ErrorKind::NotConnected,
                done: None,
            };
        }
        self.operations += 1;
        let part = Some(self.random.below(extent as u64 + 1) as usize);
        match self.planned.remove(&self.operations) {
            Some(Fault::Crash) => {
                self.crashed = true;
                Verdict::Refuse {
                    kind: io::ErrorKind::NotConnected,
                    done: part,
                }
            }
            Some(Fault::NoSpace) => Verdict::Refuse {
                kind: io::ErrorKind::StorageFull,
                // Only a long write can have been done in part.
                done: part.filter(|_| extent > 1),
            },
            Some(Fault::Io) => Verdict::Refuse {
                kind: io::ErrorKind::Other,
                done: part.filter(|_| extent > 1),
            },
            None if is_sync && self.fail_syncs => Verdict::Refuse {
                kind: io::ErrorKind::Other,
                done: None,
            },
            None => Verdict::Proceed,
        }
    }
}

/// SplitMix64: small, portable, good enough to choose sectors.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let next = self.next();
        if bound == 0 { 0 } else { next % bound }
    }
}
