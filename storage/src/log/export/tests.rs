use std::path::Path;

use klamm_model::RecordBatch;

use super::*;
use crate::testing::*;
use crate::{Disk, LogConfig};

fn at(offset: i64) -> Offset {
    Offset::new(offset)
}

fn export(log: &mut Log, range: Range<i64>) -> Result<Export, ExportError> {
    let ticket = log.begin_export(at(range.start)..at(range.end))?;
    let mut seen = Vec::new();
    let export = ticket.run(|header| seen.push(header.base_offset().get()))?;
    assert_eq!(seen, offsets(&export));
    Ok(export)
}

/// A log of three segments and more, of records of about 170 bytes.
fn long() -> World {
    let mut world = World::new(small_config());
    append_many(&mut world.log, 30);
    assert!(world.log.segment_count() > 3);
    world
}

fn offsets(export: &Export) -> Vec<i64> {
    let mut bytes = export.read(0..export.size_bytes()).unwrap();
    let mut offsets = Vec::new();
    while !bytes.is_empty() {
        let batch = RecordBatch::parse(&mut bytes).unwrap();
        offsets.push(batch.base_offset().get());
    }
    offsets
}

#[test]
fn an_export_holds_the_batches_of_its_range_wherever_segments_begin() {
    let mut world = long();
    for range in [0..30, 0..1, 5..25, 29..30, 11..13] {
        let export = export(&mut world.log, range.clone()).unwrap();
        assert_eq!(export.range(), at(range.start)..at(range.end));
        let expected: Vec<_> = range.collect();
        assert_eq!(offsets(&export), expected);
    }
}

#[test]
fn the_export_of_a_segment_is_its_file() {
    let mut world = long();
    let end = world.log.closed_segment_end(at(0), at(30)).unwrap();
    let export = export(&mut world.log, 0..end.get()).unwrap();
    let bytes = export.read(0..export.size_bytes()).unwrap();
    assert_eq!(bytes, world.bytes_of("00000000000000000000.log"));
}

#[test]
fn bytes_are_read_from_wherever_they_lie() {
    let mut world = long();
    let export = export(&mut world.log, 3..28).unwrap();
    let all = export.read(0..export.size_bytes()).unwrap();
    let size = export.size_bytes();
    for start in (0..size).step_by(97) {
        for length in [0, 1, 150, 1700, size] {
            let end = size.min(start + length);
            let expected = &all[start as usize..end as usize];
            assert_eq!(export.read(start..end).unwrap(), expected);
        }
    }
}

#[test]
fn what_is_not_there_is_not_exported() {
    let mut world = long();
    let refused = |log: &mut Log, range: Range<i64>| {
        let error = export(log, range).unwrap_err();
        assert!(matches!(error, ExportError::NotThere { .. }), "{error}");
    };
    refused(&mut world.log, 0..31);
    refused(&mut world.log, 4..4);
    drop(world.log.delete_records(at(20), at(30)).unwrap());
    refused(&mut world.log, 0..5);
    export(&mut world.log, 20..30).unwrap();
}

#[test]
fn a_range_ends_where_a_batch_does() {
    let mut world = World::new(LogConfig::default());
    append(&mut world.log, vec![batch(1, &["a", "b"])]).unwrap();
    let error = export(&mut world.log, 0..1).unwrap_err();
    assert!(matches!(error, ExportError::NotThere { .. }), "{error}");
}

#[test]
fn damaged_records_are_not_exported() {
    let mut world = long();
    let path = Path::new(ROOT).join("orders-0/00000000000000000000.log");
    let file = world.disk.open(&path, Open::Existing).unwrap();
    file.write_at(&mut [std::io::IoSlice::new(b"?")], 300)
        .unwrap();
    let error = export(&mut world.log, 0..30).unwrap_err();
    let ExportError::Damaged(damage) = error else {
        panic!("{error}");
    };
    assert_eq!((damage.file, damage.first_offset), (path, at(1)));
    assert_eq!(offsets(&export(&mut world.log, 20..22).unwrap()), [20, 21]);
}

#[test]
fn what_has_begun_is_read_although_the_log_lets_it_go() {
    let mut world = long();
    let export = export(&mut world.log, 0..30).unwrap();
    let ticket = world.log.delete_records(at(30), at(30)).unwrap();
    ticket.unwrap().run().unwrap();
    assert_eq!(offsets(&export).len(), 30);
}

#[test]
fn a_disk_that_does_not_give_the_records_is_an_error_of_the_export_alone() {
    let mut world = long().reopen_clean();
    let ticket = world.log.begin_export(at(0)..at(30)).unwrap();
    world.disk.evict();
    let path = Path::new(ROOT).join("orders-0/00000000000000000000.log");
    assert!(world.disk.fail_reads(&path, 0..100));
    let error = ticket.run(|_| {}).unwrap_err();
    assert!(matches!(error, ExportError::Unreadable(_)), "{error}");
    assert!(world.log.offline().is_none());
}
