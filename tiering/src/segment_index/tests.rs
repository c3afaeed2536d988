use klamm_model::record_batch::{BatchBuilder, BatchHeader};
use klamm_model::{LeaderEpoch, ProducerId};
use proptest::prelude::*;

use super::*;

/// A batch of `count` records at `offset`, with these times of its first and latest record.
fn header(offset: i64, count: usize, epoch: i32, times: (i64, i64)) -> BatchHeader {
    let mut builder = BatchBuilder::new();
    for nth in 0..count {
        let time = if nth == 0 { times.0 } else { times.1 };
        builder.append(Timestamp(time), None, Some(&[7; 100]), &[]);
    }
    let mut batch = builder.build();
    batch.stamp(Offset::new(offset), LeaderEpoch(epoch));
    *batch.header()
}

fn aborted(producer: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: ProducerId(producer),
        first_offset: Offset::new(first),
        last_offset: Offset::new(last),
        last_stable_offset: Offset::new(stable),
    }
}

/// Ten batches of two records from offset 100 on; every second one has an entry.
fn index() -> SegmentIndex {
    let mut builder = SegmentIndexBuilder::new(Offset::new(100), 300, &[]);
    for nth in 0..10 {
        let time = 1000 + nth * 10;
        builder
            .add(&header(
                100 + nth * 2,
                2,
                3 + nth as i32 / 5,
                (time, time + 5),
            ))
            .unwrap();
    }
    let transactions = vec![aborted(1, 90, 104, 95), aborted(2, 106, 113, 110)];
    builder.finish(
        Offset::new(120),
        transactions,
        Bytes::from_static(b"all producers"),
    )
}

#[test]
fn an_index_says_what_the_batches_say() {
    let index = index();
    let facts = index.facts();
    assert_eq!(
        (facts.base, facts.end),
        (Offset::new(100), Offset::new(120))
    );
    assert_eq!(facts.records, 20);
    assert_eq!(facts.min_timestamp, Timestamp(1000));
    assert_eq!(facts.max_timestamp, Timestamp(1095));
    let epochs: Vec<_> = index
        .epochs()
        .iter()
        .map(|at| (at.epoch.0, at.start_offset))
        .collect();
    assert_eq!(epochs, [(3, Offset::new(100)), (4, Offset::new(110))]);
    assert_eq!(
        index.first_and_last_epoch(),
        (LeaderEpoch(3), LeaderEpoch(4))
    );
    assert_eq!(&index.producers()[..], b"all producers");
}

#[test]
fn a_lookup_says_where_a_batch_begins_at_or_before_the_record() {
    let index = index();
    let size = header(0, 2, 1, (0, 5)).size_bytes() as u64;
    let check = |offset: i64, batch: u64| {
        let found = index.position_of(Offset::new(offset));
        let expected = (Offset::new(100 + batch as i64 * 2), batch * size);
        assert_eq!((found.offset, found.position), expected, "{offset}");
    };
    check(100, 0);
    check(103, 0);
    check(104, 2);
    check(107, 2);
    check(119, 8);
}

#[test]
fn a_time_is_looked_up_where_all_before_is_earlier() {
    let index = index();
    let check = |time: i64, offset: Option<i64>| {
        let found = index.position_of_time(Timestamp(time));
        assert_eq!(found.map(|at| at.offset.get()), offset, "{time}");
    };
    check(0, Some(100));
    check(1015, Some(100));
    check(1016, Some(104));
    check(1095, Some(116));
    check(1096, None);
}

#[test]
fn aborted_transactions_are_found_until_no_later_one_can_concern_the_range() {
    let index = index();
    let check = |from: i64, upper: i64, producers: &[i64], is_complete: bool| {
        let found = index.aborted(&(Offset::new(from)..Offset::new(upper)));
        let ids: Vec<_> = found
            .transactions
            .iter()
            .map(|at| at.producer_id.0)
            .collect();
        assert_eq!(
            (&ids[..], found.is_complete),
            (producers, is_complete),
            "{from}..{upper}"
        );
    };
    check(100, 102, &[1], true);
    check(100, 120, &[1, 2], true);
    check(105, 110, &[2], true);
    check(114, 120, &[], true);
    check(114, 121, &[], false);
}

/// The header of a batch of a transaction, or of its marker.
fn of_transaction(offset: i64, producer: i64, is_marker: bool) -> BatchHeader {
    let epoch = klamm_model::ProducerEpoch(0);
    let builder = BatchBuilder::new()
        .producer(ProducerId(producer), epoch, 0)
        .transactional();
    let mut builder = if is_marker {
        builder.control()
    } else {
        builder
    };
    builder.append(Timestamp(1), None, None, &[]);
    let mut batch = builder.build();
    batch.stamp(Offset::new(offset), LeaderEpoch(1));
    *batch.header()
}

#[test]
fn a_search_for_aborted_transactions_goes_on_only_if_one_is_open_that_concerns_it() {
    let open = [OpenTransaction {
        producer_id: ProducerId(9),
        first_offset: Offset::new(3),
    }];
    let mut builder = SegmentIndexBuilder::new(Offset::new(10), 100, &open);
    for (offset, producer, is_marker) in [
        (10, 5, false),
        (11, 9, true),
        (12, 6, false),
        (13, 5, true),
        (14, 6, false),
    ] {
        builder
            .add(&of_transaction(offset, producer, is_marker))
            .unwrap();
    }
    let index = builder.finish(Offset::new(15), Vec::new(), Bytes::new());
    let expected = OpenTransaction {
        producer_id: ProducerId(6),
        first_offset: Offset::new(12),
    };
    assert_eq!(index.open_transactions(), [expected]);
    let is_complete = |from, to| {
        index
            .aborted(&(Offset::new(from)..Offset::new(to)))
            .is_complete
    };
    assert!(is_complete(10, 12));
    assert!(!is_complete(10, 13));
    assert_eq!(SegmentIndex::decode(&index.encode()), Ok(index));
}

#[test]
fn a_batch_that_does_not_follow_is_refused() {
    let mut builder = SegmentIndexBuilder::new(Offset::new(10), 100, &[]);
    let refused = |offset| {
        Err(OutOfOrder {
            base: Offset::new(offset),
        })
    };
    assert_eq!(builder.add(&header(9, 1, 1, (0, 0))), refused(9));
    assert_eq!(builder.add(&header(10, 2, 2, (0, 0))), Ok(()));
    assert_eq!(builder.add(&header(11, 1, 2, (0, 0))), refused(11));
    assert_eq!(builder.add(&header(12, 1, 1, (0, 0))), refused(12));
    assert_eq!(builder.add(&header(12, 1, 2, (0, 0))), Ok(()));
}

#[test]
fn each_cut_and_each_flipped_byte_is_refused() {
    let bytes = index().encode();
    assert_eq!(SegmentIndex::decode(&bytes).as_ref(), Ok(&index()));
    for cut in 0..bytes.len() {
        assert!(SegmentIndex::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for position in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[position] ^= 0x11;
        assert!(
            SegmentIndex::decode(&damaged).is_err(),
            "flipped at {position}"
        );
    }
}

/// The index with one field changed, and the checksum made right again.
fn forged(position: usize, field: &[u8]) -> Result<SegmentIndex, SegmentIndexError> {
    let mut bytes = index().encode().to_vec();
    bytes[position..position + field.len()].copy_from_slice(field);
    let summed = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..summed]).to_be_bytes();
    bytes[summed..].copy_from_slice(&checksum);
    SegmentIndex::decode(&bytes)
}

#[test]
fn what_no_lookup_could_live_with_is_refused_even_if_the_checksum_is_right() {
    assert!(forged(9, &100_i64.to_be_bytes()).is_ok());
    let cases: [(usize, &[u8]); 7] = [
        (9, &(-1_i64).to_be_bytes()),
        (9, &120_i64.to_be_bytes()),
        (17, &110_i64.to_be_bytes()),
        (25, &10_u64.to_be_bytes()),
        (57, &u32::MAX.to_be_bytes()),
        (61, &115_i64.to_be_bytes()),
        (69, &1_u64.to_be_bytes()),
    ];
    for (position, field) in cases {
        let refused = forged(position, field);
        let is_damaged = matches!(refused, Err(SegmentIndexError::Damaged(_)));
        assert!(is_damaged, "{position}: {refused:?}");
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut bytes = index().encode().to_vec();
    bytes[8] = 2;
    assert_eq!(
        SegmentIndex::decode(&bytes),
        Err(SegmentIndexError::Newer(2))
    );
    bytes[8] = 0;
    assert_eq!(
        SegmentIndex::decode(&bytes),
        Err(SegmentIndexError::Foreign)
    );
}

proptest! {
    #[test]
    fn whatever_batches_there_are_the_index_is_read_back_and_finds_them(
        batches in prop::collection::vec((1_usize..4, 0_i64..3, 0_i32..2, 0_i64..1000), 1..40),
        interval in 0_u64..1000,
    ) {
        let mut builder = SegmentIndexBuilder::new(Offset::new(7), interval, &[]);
        let (mut offset, mut epoch, mut position) = (7, 0, 0);
        let mut begins = Vec::new();
        for (count, gap, epochs, time) in batches {
            offset += gap;
            epoch += epochs;
            let batch = header(offset, count, epoch, (time, time));
            builder.add(&batch).unwrap();
            begins.push((offset, position, time));
            offset += count as i64;
            position += batch.size_bytes() as u64;
        }
        let index = builder.finish(Offset::new(offset), Vec::new(), Bytes::new());
        let read = SegmentIndex::decode(&index.encode());
        prop_assert_eq!(read.as_ref(), Ok(&index));
        for (offset, position, time) in &begins {
            let found = index.position_of(Offset::new(*offset));
            prop_assert!(found.position <= *position);
            prop_assert!(begins.iter().any(|at| (at.0, at.1) == (found.offset.get(), found.position)));
            let found = index.position_of_time(Timestamp(*time)).unwrap();
            let first = begins.iter().find(|at| at.2 >= *time).unwrap();
            prop_assert!(found.position <= first.1);
        }
    }

    #[test]
    fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(SegmentIndex::decode(&bytes).is_err());
        bytes.splice(..0, *b"KLAMMIDX\x01");
        prop_assert!(SegmentIndex::decode(&bytes).is_err());
    }
}
