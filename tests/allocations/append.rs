//! A turn that appends.

use crate::count::per_turn;
use crate::partition::{Partition, batch};

/// Batches of a turn, and how often it may allocate. Two are raft-rs' own (which
/// `klamm-replication` measures), two are lists that change hands: what is staged, and what is to be
/// appended. Of 16 batches the write is a list too, and they are long enough for an entry of the
/// indexes.
const BOUNDS: [(usize, usize); 2] = [(1, 4), (16, 6)];

#[test]
fn a_turn_allocates_no_more_than_this_however_many_batches_it_takes() {
    for (batches, bound) in BOUNDS {
        let mut partition = Partition::new(&format!("append-{batches}"));
        let count = per_turn(
            &mut partition,
            || vec![batch(); batches],
            |partition, batches| partition.turn(batches),
            Partition::flush,
        );
        assert!(count <= bound, "{batches} batches: {count} allocations");
    }
}
