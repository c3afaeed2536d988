//! What every disk does, run against each implementation.
#![expect(
    clippy::disallowed_methods,
    reason = "a temporary directory for tests of the real disk"
)]

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Disk, Open};

/// A directory that goes when it is dropped.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes a directory no other test has.
pub(crate) fn temporary_directory(name: &str) -> TemporaryDirectory {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("klamm-storage-{name}-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    TemporaryDirectory(path)
}

/// Runs the suite in an empty directory.
pub(crate) fn run(disk: &dyn Disk, root: &Path) {
    writes_are_read_back(disk, root);
    lengths_follow_writes_and_truncation(disk, root);
    allocation_does_not_change_the_length(disk, root);
    mappings_see_later_writes(disk, root);
    what_was_written_or_populated_is_resident(disk, root);
    reading_at_once_reads_what_is_in_memory(disk, root);
    many_slices_are_one_write(disk, root);
    names_are_renamed_listed_and_removed(disk, root);
    what_is_missing_is_not_found(disk, root);
    a_lock_is_held_once(disk, root);
}

fn writes_are_read_back(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("a"), Open::Create).unwrap();
    let slices = &mut [
        IoSlice::new(b""),
        IoSlice::new(b"hello "),
        IoSlice::new(b"world"),
    ];
    file.write_at(slices, 3).unwrap();
    let mut buffer = [9; 20];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 14);
    assert_eq!(&buffer[..14], b"\0\0\0hello world");
    assert_eq!(file.read_at(&mut buffer, 9).unwrap(), 5);
    assert_eq!(file.read_at(&mut buffer, 100).unwrap(), 0);
    file.write_at(&mut [], 0).unwrap();
    file.sync_data().unwrap();
}

fn lengths_follow_writes_and_truncation(disk: &dyn Disk, root: &Path) {
    let path = root.join("b");
    let file = disk.open(&path, Open::Create).unwrap();
    assert_eq!(file.length().unwrap(), 0);
    file.write_at(&mut [IoSlice::new(&[7; 5000])], 0).unwrap();
    assert_eq!(file.length().unwrap(), 5000);
    file.truncate(100).unwrap();
    assert_eq!(file.length().unwrap(), 100);
    file.truncate(200).unwrap();
    let mut buffer = [1; 200];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 200);
    assert!(buffer[100..].iter().all(|byte| *byte == 0));
    drop(file);
    assert_eq!(
        disk.open(&path, Open::Existing).unwrap().length().unwrap(),
        200
    );
    assert_eq!(
        disk.open(&path, Open::Create).unwrap().length().unwrap(),
        200
    );
    assert_eq!(
        disk.open(&path, Open::Truncate).unwrap().length().unwrap(),
        0
    );
}

fn allocation_does_not_change_the_length(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("c"), Open::Create).unwrap();
    file.allocate(0, 1 << 20).unwrap();
    assert_eq!(file.length().unwrap(), 0);
    file.write_at(&mut [IoSlice::new(b"x")], 0).unwrap();
    assert_eq!(file.length().unwrap(), 1);
    file.truncate(1).unwrap();
}

fn mappings_see_later_writes(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("d"), Open::Create).unwrap();
    let mapping = file.map_read_only(1 << 20).unwrap();
    file.write_at(&mut [IoSlice::new(b"first")], 0).unwrap();
    assert_eq!(mapping.slice(0..5), &b"first"[..]);
    let position = 3 * 4096 - 2;
    file.write_at(&mut [IoSlice::new(b"second")], position as u64)
        .unwrap();
    assert_eq!(mapping.slice(position..position + 6), &b"second"[..]);
    let mut buffer = [0; 6];
    mapping.read(&mut buffer, position);
    assert_eq!(&buffer, b"second");
    drop(file);
    disk.remove_file(&root.join("d")).unwrap();
    assert_eq!(
        mapping.slice(1..5),
        &b"irst"[..],
        "a mapping outlives the name"
    );
    let empty = disk.open(&root.join("e"), Open::Create).unwrap();
    assert!(empty.map_read_only(0).unwrap().is_empty());
}

fn what_was_written_or_populated_is_resident(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("g"), Open::Create).unwrap();
    let mapping = file.map_read_only(4 << 20).unwrap();
    let length = (1 << 20) + 4097;
    file.write_at(&mut [IoSlice::new(&vec![7; length])], 0)
        .unwrap();
    for range in [0..length, 1..2, 4095..4097, 5000..length, 9..9] {
        mapping.populate(range.clone()).unwrap();
        assert!(mapping.is_resident(range.clone()), "{range:?}");
        let slice = mapping.slice(range);
        assert!(slice.iter().all(|byte| *byte == 7));
    }
    let empty = disk.open(&root.join("h"), Open::Create).unwrap();
    let nothing = empty.map_read_only(0).unwrap();
    nothing.populate(0..0).unwrap();
    assert!(nothing.is_resident(0..0));
}

fn reading_at_once_reads_what_is_in_memory(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("i"), Open::Create).unwrap();
    file.write_at(&mut [IoSlice::new(b"hello")], 0).unwrap();
    let mut buffer = [0; 5];
    assert_eq!(file.read_at_once(&mut buffer, 0).unwrap(), Some(5));
    assert_eq!(&buffer, b"hello");
    assert_eq!(file.read_at_once(&mut buffer, 3).unwrap(), Some(2));
    assert_eq!(file.read_at_once(&mut buffer, 9).unwrap(), Some(0));
}

fn many_slices_are_one_write(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("f"), Open::Create).unwrap();
    let pieces: Vec<Vec<u8>> = (0..3000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    file.write_at(&mut slices, 0).unwrap();
    let mut buffer = vec![0; 12_000];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 12_000);
    assert_eq!(buffer, pieces.concat());
}

fn names_are_renamed_listed_and_removed(disk: &dyn Disk, root: &Path) {
    let directory = root.join("names");
    disk.create_dir_all(&directory.join("inner")).unwrap();
    disk.create_dir_all(&directory.join("inner")).unwrap();
    let file = disk.open(&directory.join("x"), Open::Create).unwrap();
    file.write_at(&mut [IoSlice::new(b"123")], 0).unwrap();
    disk.open(&directory.join("y"), Open::Create).unwrap();
    disk.rename(&directory.join("x"), &directory.join("y"))
        .unwrap();
    disk.sync_dir(&directory).unwrap();
    let listed: Vec<(String, bool, u64)> = disk
        .list(&directory)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.name, entry.is_dir, entry.length))
        .collect();
    assert_eq!(listed, [("inner".into(), true, 0), ("y".into(), false, 3)]);
    let moved = root.join("moved");
    disk.rename(&directory, &moved).unwrap();
    assert_eq!(disk.list(&moved).unwrap().len(), 2);
    disk.remove_dir_all(&moved).unwrap();
    assert!(disk.list(&moved).unwrap_err().is_not_found());
    assert!(disk.space(root).unwrap().available_bytes > 0);
}

fn what_is_missing_is_not_found(disk: &dyn Disk, root: &Path) {
    let missing = root.join("missing");
    assert!(
        disk.open(&missing, Open::Existing)
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        disk.open(&missing.join("x"), Open::Create)
            .unwrap_err()
            .is_not_found()
    );
    assert!(disk.remove_file(&missing).unwrap_err().is_not_found());
    assert!(disk.remove_dir_all(&missing).unwrap_err().is_not_found());
    assert!(
        disk.rename(&missing, &root.join("m"))
            .unwrap_err()
            .is_not_found()
    );
    assert!(disk.list(&missing).unwrap_err().is_not_found());
}

fn a_lock_is_held_once(disk: &dyn Disk, root: &Path) {
    let path = root.join(".lock");
    let held = disk.lock(&path).unwrap();
    let second = disk.lock(&path);
    assert!(matches!(second, Err(super::DiskError::Locked { .. })));
    drop(held);
    disk.lock(&path).unwrap();
}
