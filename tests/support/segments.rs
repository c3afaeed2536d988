//! The segments of replicas, as they lie on the disks of their brokers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::files;

/// What is in each `.log` file of a partition's directory, by its name.
pub(crate) fn segments(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = files(directory, ".log").into_iter();
    // One may be rolled away, or be compacted, while they are listed.
    let read =
        names.filter_map(|name| Some((name.clone(), std::fs::read(directory.join(name)).ok()?)));
    read.collect()
}

/// The segments that all replicas have, if they are the same files with the same bytes: those before the
/// latest beginning of a log, which one of them has deleted, do not count.
pub(crate) fn common_segments(
    directories: impl IntoIterator<Item = PathBuf>,
) -> Option<BTreeMap<String, Vec<u8>>> {
    let directories = directories.into_iter();
    let mut all: Vec<_> = directories.map(|directory| segments(&directory)).collect();
    let firsts = all.iter().map(|segments| segments.keys().next().cloned());
    let first = firsts.max()??;
    for segments in &mut all {
        *segments = segments.split_off(&first);
    }
    let one = all.pop()?;
    all.iter().all(|other| *other == one).then_some(one)
}
