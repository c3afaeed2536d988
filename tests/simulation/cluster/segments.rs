//! The segments of a partition's replicas, byte for byte, as they lie on their disks.

use std::collections::BTreeMap;
use std::path::Path;

use klamm_storage::disk::{Disk, Open};
use klamm_storage::{LogConfig, MemDisk};

use super::node::partition;

/// The settings of one of the brokers: by its own each would have other segments.
pub(super) fn config_of(at: usize, config: &LogConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes + 300 * at as u32,
        segment_ms: 10 + 3 * at as i64,
        ..config.clone()
    }
}

/// What is in each `.log` file, by its name.
pub(super) fn segments(disk: &MemDisk) -> BTreeMap<String, Vec<u8>> {
    let directory = Path::new("/data").join(partition().to_string());
    let all = disk
        .list(&directory)
        .expect("the partition has a directory");
    let logs = all.into_iter().filter(|entry| entry.name.ends_with(".log"));
    let read = logs.map(|entry| {
        let file = disk.open(&directory.join(&entry.name), Open::Existing);
        let file = file.expect("it was listed");
        let mut bytes = vec![0; entry.length as usize];
        let length = file.read_at(&mut bytes, 0).expect("the disk works");
        assert_eq!(length, bytes.len(), "{} is read whole", entry.name);
        (entry.name, bytes)
    });
    read.collect()
}

/// From where all logs have begun, segments are the same files with the same bytes. An empty one at the
/// end is none yet: what comes next decides whether it stays.
pub(super) fn check_equal(all: &[BTreeMap<String, Vec<u8>>]) {
    let first = all.iter().filter_map(|segments| segments.keys().next());
    let first = first.max().expect("every log has a segment");
    let common = |segments: &BTreeMap<String, Vec<u8>>| -> Vec<(String, Vec<u8>)> {
        let common = segments.range(first.clone()..);
        common
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect()
    };
    let leading = common(&all[0]);
    for segments in all {
        let names: Vec<_> = segments.keys().collect();
        let leading_names: Vec<_> = all[0].keys().collect();
        assert!(
            common(segments) == leading,
            "the same segments in the end: {names:?} and {leading_names:?}"
        );
    }
}
