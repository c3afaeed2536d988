use klamm_model::record_batch::BatchBuilder;
use klamm_model::{LeaderEpoch, ProducerEpoch};

use super::*;

/// A batch of `count` records at an offset.
fn batch(id: i64, epoch: i16, sequence: i32, count: usize, offset: i64) -> RecordBatch {
    let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    for _ in 0..count {
        builder.append(Timestamp(100), None, Some(b"x"), &[]);
    }
    let mut batch = builder.build();
    batch.stamp(Offset::new(offset), LeaderEpoch(1));
    batch
}

/// What the check says, in a word.
fn said(state: &ProducerState, batch: &RecordBatch) -> String {
    match state.check(batch.header()) {
        Ok(ProducerCheck::Accept) => "accept".to_owned(),
        Ok(ProducerCheck::Duplicate(range)) => {
            format!("duplicate {}..{}", range.base_offset(), range.last_offset)
        }
        Err(ProducerRefusal::InvalidEpoch { .. }) => "epoch".to_owned(),
        Err(ProducerRefusal::OutOfOrderSequence { .. }) => "order".to_owned(),
        Err(ProducerRefusal::InvalidTransactionState { .. }) => "transaction".to_owned(),
    }
}

#[test]
fn the_last_five_batches_are_known_and_gaps_are_refused() {
    let mut state = ProducerState::default();
    for number in 0..7 {
        state.record(&batch(1, 0, number * 2, 2, i64::from(number) * 2));
    }
    let check = |sequence, count, expected: &str| {
        let found = said(&state, &batch(1, 0, sequence, count, 99));
        assert_eq!(found, expected, "sequence {sequence}");
    };
    check(14, 1, "accept");
    check(12, 2, "duplicate 12..13");
    check(4, 2, "duplicate 4..5");
    check(2, 2, "order");
    check(0, 2, "order");
    check(15, 1, "order");
    check(12, 1, "order");
}

#[test]
fn an_unknown_producer_may_start_anywhere_a_new_epoch_at_zero() {
    let mut state = ProducerState::default();
    assert_eq!(said(&state, &batch(1, 3, 500, 1, 0)), "accept");
    state.record(&batch(1, 3, 500, 1, 0));
    assert_eq!(said(&state, &batch(1, 3, 501, 1, 1)), "accept");
    assert_eq!(said(&state, &batch(1, 4, 501, 1, 1)), "order");
    assert_eq!(said(&state, &batch(1, 4, 0, 1, 1)), "accept");
    assert_eq!(said(&state, &batch(1, 2, 501, 1, 1)), "epoch");
    assert_eq!(said(&state, &batch(2, 0, 7, 1, 1)), "accept");
    assert_eq!(said(&state, &batch(-1, -1, -1, 1, 1)), "accept");
}

#[test]
fn sequences_wrap_to_zero() {
    let mut state = ProducerState::default();
    state.record(&batch(1, 0, i32::MAX - 1, 2, 0));
    assert_eq!(said(&state, &batch(1, 0, 0, 1, 2)), "accept");
    assert_eq!(said(&state, &batch(1, 0, 1, 1, 2)), "order");
    state.record(&batch(1, 0, 0, 1, 2));
    let mut state = ProducerState::default();
    state.record(&batch(1, 0, i32::MAX, 3, 0));
    assert_eq!(said(&state, &batch(1, 0, i32::MAX, 3, 0)), "duplicate 0..2");
    assert_eq!(said(&state, &batch(1, 0, 2, 1, 3)), "accept");
}

#[test]
fn what_is_staged_counts_as_if_it_were_there() {
    let mut state = ProducerState::default();
    state.record(&batch(1, 0, 0, 1, 0));
    let mut staged = StagedProducers::new();
    let second = batch(1, 0, 1, 1, 1);
    let third = batch(1, 0, 2, 1, 2);
    assert!(staged.check(&state, third.header()).is_err());
    assert_eq!(
        staged.check(&state, second.header()),
        Ok(ProducerCheck::Accept)
    );
    staged.stage(&state, second.header());
    assert_eq!(
        staged.check(&state, third.header()),
        Ok(ProducerCheck::Accept)
    );
    let again = staged.check(&state, second.header());
    assert!(matches!(again, Ok(ProducerCheck::Duplicate(range)) if range.base_offset().get() == 1));
    staged.clear();
    assert!(staged.check(&state, third.header()).is_err());
}

#[test]
fn silent_producers_are_forgotten() {
    let mut state = ProducerState::default();
    state.record(&batch(1, 0, 0, 1, 0));
    assert_eq!(state.expire(Timestamp(1099), 1000), 0);
    assert_eq!(state.expire(Timestamp(1100), 1000), 1);
    assert_eq!(said(&state, &batch(1, 0, 5, 1, 1)), "accept");
}

#[test]
fn a_write_outside_of_an_open_transaction_is_refused() {
    let mut state = ProducerState::default();
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(1), ProducerEpoch(0), 0)
        .transactional();
    builder.append(Timestamp(1), None, None, &[]);
    state.record(&builder.build());
    assert_eq!(said(&state, &batch(1, 0, 1, 1, 1)), "transaction");
    assert_eq!(
        state.first_unstable_offset(Offset::new(1)),
        Some(Offset::ZERO)
    );
    assert_eq!(
        state.expire(Timestamp(i64::MAX), 1),
        0,
        "its transaction is open"
    );
}

#[test]
fn a_snapshot_is_kafkas_and_reads_back() {
    let mut state = ProducerState::default();
    state.record(&batch(7, 2, 10, 3, 40));
    let bytes = encode(&state);
    let mut expected = vec![0, 1];
    expected.extend(crc32c::crc32c(&bytes[6..]).to_be_bytes());
    expected.extend(1_i32.to_be_bytes());
    expected.extend(7_i64.to_be_bytes());
    expected.extend(2_i16.to_be_bytes());
    expected.extend(12_i32.to_be_bytes());
    expected.extend(42_i64.to_be_bytes());
    expected.extend(2_i32.to_be_bytes());
    expected.extend(100_i64.to_be_bytes());
    expected.extend((-1_i32).to_be_bytes());
    expected.extend((-1_i64).to_be_bytes());
    assert_eq!(bytes, expected);
    let read = decode(&bytes).unwrap();
    assert_eq!(said(&read, &batch(7, 2, 10, 3, 0)), "duplicate 40..42");
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        assert_eq!(decode(&damaged), None, "at {position}");
        assert_eq!(decode(&bytes[..position]), None, "cut at {position}");
    }
}

#[test]
fn a_count_that_is_a_lie_allocates_nothing() {
    let mut bytes = encode(&ProducerState::default());
    bytes[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[6..]);
    bytes[2..6].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(decode(&bytes), None);
}
