//! Files on disk, damaged: logs, indexes, snapshots and the journal, opened and read.

use klamm_storage::Crash;

use crate::budget::{alone, rounds};
use crate::damage::{Draw, damage};
use crate::targets::Sample;

#[test]
fn damaged_files_are_opened_or_refused_and_hide_nothing() {
    // What it allocates must not count against the tests beside it.
    let _alone = alone();
    let sample = Sample::new();
    let files = sample.files();
    assert!(
        files.len() > 12,
        "segments, indexes and the journal: {files:?}"
    );
    for round in 0..rounds(200_000) / 100 {
        let mut draw = Draw(round);
        let path = &files[round as usize % files.len()];
        let mut bytes = sample.bytes_of(path);
        damage(&mut bytes, 0, &mut draw);
        let crash = match draw.below(3) {
            0 => None,
            1 => Some(Crash::Kill),
            _ => Some(Crash::PowerLoss),
        };
        sample.open_with(path, &bytes, crash);
    }
}
