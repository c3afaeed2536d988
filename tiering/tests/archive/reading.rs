//! Records come back as they were.

use klamm_model::{Offset, ProducerId, Timestamp};
use klamm_storage::AbortedTransaction;
use klamm_tiering::ReadAheadLimits;

use crate::readers::{CHUNK_BYTES, NO_READ_AHEAD, batches, bytes_of, read_all, reader};
use crate::world::{GROUP, World, block_on};

#[test]
fn what_was_archived_is_read_back_byte_for_byte() {
    for world in [World::new(), World::in_directory()] {
        block_on(async {
            let first = batches(100);
            let second = batches(first[first.len() - 1].next_offset().get());
            let cached = reader(
                &world,
                1 << 30,
                ReadAheadLimits {
                    bytes_min: 8192,
                    bytes_max: 65_536,
                },
            );
            let small = reader(&world, 3 * CHUNK_BYTES, NO_READ_AHEAD);
            for batches in [first, second] {
                let object = world.upload(&batches, 1, Vec::new()).await;
                let expected = bytes_of(&batches);
                for bytes_max in [0, 1000, CHUNK_BYTES as usize, 100_000, usize::MAX] {
                    assert_eq!(read_all(&cached, &object, bytes_max).await, expected);
                    assert_eq!(read_all(&small, &object, bytes_max).await, expected);
                }
            }
            assert!(small.cache_stats().bytes <= 3 * CHUNK_BYTES);
            let uncached = reader(&world, 0, NO_READ_AHEAD);
            let third = batches(10_000);
            let object = world.upload(&third, 1, Vec::new()).await;
            assert_eq!(read_all(&uncached, &object, 5000).await, bytes_of(&third));
        });
    }
}

#[test]
fn a_read_begins_with_the_batch_that_holds_the_offset() {
    block_on(async {
        let world = World::new();
        let batches = batches(0);
        let object = world.upload(&batches, 1, Vec::new()).await;
        let reader = reader(&world, 1 << 20, NO_READ_AHEAD);
        for batch in &batches {
            for offset in batch.base_offset().get()..=batch.last_offset().get() {
                let read = reader
                    .read(GROUP, &object, Offset::new(offset), 1)
                    .await
                    .unwrap();
                assert_eq!(read.base_offset, batch.base_offset());
                assert_eq!(read.next_offset, batch.next_offset());
                assert_eq!(read.records, batch.to_bytes());
            }
        }
    });
}

#[test]
fn where_batches_are_missing_the_next_one_is_read() {
    block_on(async {
        let world = World::new();
        let all = batches(0);
        let some: Vec<_> = all.iter().step_by(3).cloned().collect();
        let object = world.upload(&some, 1, Vec::new()).await;
        let reader = reader(&world, 1 << 20, NO_READ_AHEAD);
        for batch in &all[..some.len() * 3 - 2] {
            let expected = some
                .iter()
                .find(|kept| kept.last_offset() >= batch.base_offset());
            let read = reader
                .read(GROUP, &object, batch.base_offset(), 1)
                .await
                .unwrap();
            assert_eq!(read.records, expected.unwrap().to_bytes());
        }
    });
}

#[test]
fn a_record_is_found_by_its_time() {
    block_on(async {
        let world = World::new();
        let object = world.upload(&batches(100), 1, Vec::new()).await;
        let reader = reader(&world, 1 << 20, NO_READ_AHEAD);
        // The time of a record is its offset.
        let check = async |time: i64, from: i64, expected: Option<i64>| {
            let (time, from) = (Timestamp(time), Offset::new(from));
            let found = reader
                .offset_for_timestamp(GROUP, &object, time, from)
                .await
                .unwrap();
            assert_eq!(
                found.map(|found| found.offset.get()),
                expected,
                "{time} {from}"
            );
            assert!(found.is_none_or(|found| found.timestamp >= time));
        };
        let end = object.end().get();
        for time in 100..end {
            check(time, 100, Some(time)).await;
        }
        check(0, 100, Some(100)).await;
        check(0, 103, Some(103)).await;
        check(end, 100, None).await;
        check(150, 160, Some(160)).await;
    });
}

#[test]
fn aborted_transactions_are_those_of_the_index() {
    block_on(async {
        let world = World::new();
        let transaction = AbortedTransaction {
            producer_id: ProducerId(7),
            first_offset: Offset::new(90),
            last_offset: Offset::new(104),
            last_stable_offset: Offset::new(95),
        };
        let object = world.upload(&batches(100), 1, vec![transaction]).await;
        let reader = reader(&world, 1 << 20, NO_READ_AHEAD);
        let range = Offset::new(100)..Offset::new(103);
        let found = reader
            .aborted_transactions(GROUP, &object, &range)
            .await
            .unwrap();
        assert_eq!(found.transactions, [transaction]);
        assert!(found.is_complete);
    });
}
