//! Idempotent producers: quirks 31 to 33, and 79 as far as it needs no transactions.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeProducersRequest, InitProducerIdRequest, ProducerId as WireProducerId, TransactionalId,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{ProducerEpoch, ProducerId};
use klamm_protocol::ErrorCode;

use crate::ask::{Fetch, batch_at, batches, millis, topic_name};
use crate::client::Client;
use crate::requests::{produce_request, text};
use crate::support::eventually;
use crate::world::World;

const OUT_OF_ORDER: Result<i64, i16> = Err(ErrorCode::OutOfOrderSequenceNumber.code());

/// Without transactions.
fn init() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transaction_timeout_ms(60_000)
        .with_transactional_id(None)
}

/// Appends `count` records of a producer: the first offset, or the error code.
fn append(
    client: &mut Client,
    (id, epoch): (i64, i16),
    sequence: i32,
    count: usize,
) -> Result<i64, i16> {
    let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    let answer = client.append(9, "t", &batch_at(builder, &vec![millis(); count]));
    match answer.error_code {
        0 => Ok(answer.base_offset),
        error => Err(error),
    }
}

#[test]
fn quirk_31_the_last_five_batches_may_be_repeated_and_nothing_else() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let producer = (client.producer_id(), 0);
    for sequence in 0..7 {
        let offset = i64::from(sequence);
        assert_eq!(append(&mut client, producer, sequence, 1), Ok(offset));
    }
    for sequence in [6, 2, 4, 3, 5, 6] {
        let original = Ok(i64::from(sequence));
        assert_eq!(append(&mut client, producer, sequence, 1), original);
    }
    for older in [0, 1] {
        assert_eq!(
            append(&mut client, producer, older, 1),
            OUT_OF_ORDER,
            "{older}"
        );
    }
    assert_eq!(append(&mut client, producer, 8, 1), OUT_OF_ORDER, "a gap");
    assert_eq!(
        append(&mut client, producer, 6, 2),
        OUT_OF_ORDER,
        "not that batch"
    );
    assert_eq!(client.ends("t"), (0, 7));
    assert_eq!(append(&mut client, producer, 7, 2), Ok(7));
    assert_eq!(
        append(&mut client, producer, 7, 1),
        OUT_OF_ORDER,
        "half of that batch"
    );
    assert_eq!(append(&mut client, producer, 9, 1), Ok(9));
}

#[test]
fn quirk_31_sequences_wrap_to_zero() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let producer = (client.producer_id(), 0);
    // An unknown producer may begin anywhere. This batch ends with sequence 1.
    assert_eq!(append(&mut client, producer, i32::MAX - 1, 4), Ok(0));
    assert_eq!(
        append(&mut client, producer, i32::MAX - 1, 4),
        Ok(0),
        "a repeat"
    );
    assert_eq!(append(&mut client, producer, 1, 1), OUT_OF_ORDER);
    assert_eq!(append(&mut client, producer, 3, 1), OUT_OF_ORDER);
    assert_eq!(append(&mut client, producer, 2, 1), Ok(4));
    let other = (client.producer_id(), 0);
    assert_eq!(append(&mut client, other, i32::MAX, 1), Ok(5));
    assert_eq!(append(&mut client, other, 0, 1), Ok(6));
}

#[test]
fn quirk_31_a_new_epoch_begins_at_zero_and_fences_the_old_one() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let id = client.producer_id();
    assert_eq!(append(&mut client, (id, 0), 0, 1), Ok(0));
    assert_eq!(append(&mut client, (id, 1), 1, 1), OUT_OF_ORDER);
    assert_eq!(append(&mut client, (id, 1), 0, 1), Ok(1));
    let fenced = Err(ErrorCode::InvalidProducerEpoch.code());
    assert_eq!(append(&mut client, (id, 0), 1, 1), fenced);
    assert_eq!(append(&mut client, (id, 0), 0, 1), fenced, "also a repeat");
}

#[test]
fn quirk_31_repeats_in_flight_are_told_apart() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let id = client.producer_id();
    let batch = |sequence| {
        let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), sequence);
        produce_request("t", 0, -1, &batch_at(builder, &[millis()]))
    };
    // All in one write, so that none is written when the next is looked at.
    for sequence in [0, 0, 1, 3, 1, 2] {
        client.send_produce(&batch(sequence)).expect("open");
    }
    let answers: Vec<_> = (0..6)
        .map(|_| client.receive_produced().expect("an answer"))
        .collect();
    assert_eq!(answers, [Ok(0), Ok(0), Ok(1), OUT_OF_ORDER, Ok(1), Ok(2)]);
    assert_eq!(client.ends("t"), (0, 3));
}

#[test]
fn quirk_31_a_repeat_is_told_the_time_of_its_original() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[("message.timestamp.type", "LogAppendTime")]);
    let id = client.producer_id();
    let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), 0);
    let sent = batch_at(builder, &[millis()]);
    let original = client.append(9, "t", &sent);
    while millis() <= original.log_append_time_ms {
        std::thread::yield_now();
    }
    let repeat = client.append(9, "t", &sent);
    assert_eq!((repeat.error_code, repeat.base_offset), (0, 0));
    assert_eq!(repeat.log_append_time_ms, original.log_append_time_ms);
}

#[test]
fn quirk_32_sequences_survive_restarts_crashes_and_deleted_records() {
    let mut world = World::with_topics(&["t"]);
    let producer = (world.client().producer_id(), 0);
    for sequence in 0..3 {
        let appended = append(&mut world.client(), producer, sequence, 1);
        assert_eq!(appended, Ok(i64::from(sequence)));
    }
    for round in 0..4 {
        match round {
            0 => world.kill_and_restart(),
            1 => world.restart(),
            _ => {
                let mut client = world.client();
                let (_, end) = client.ends("t");
                assert_eq!(client.delete_records("t", -1), (0, end));
                if round == 2 {
                    world.kill_and_restart();
                } else {
                    world.restart();
                }
            }
        }
        let client = &mut world.client();
        let next = 3 + round;
        let last = i64::from(next) - 1;
        assert_eq!(
            append(client, producer, next - 1, 1),
            Ok(last),
            "a repeat, round={round}"
        );
        assert_eq!(
            append(client, producer, next + 1, 1),
            OUT_OF_ORDER,
            "a gap, round={round}"
        );
        assert_eq!(
            append(client, producer, next, 1),
            Ok(last + 1),
            "round={round}"
        );
    }
}

#[test]
fn quirk_32_sequences_survive_retention() {
    let mut world = World::with(&[
        ("log.initial.task.delay.ms", "0"),
        ("log.retention.check.interval.ms", "20"),
    ]);
    let mut client = world.client();
    // Every batch has a segment of its own, which is too old at once.
    client.create_topic("t", &[("segment.ms", "1"), ("retention.ms", "1")]);
    let producer = (client.producer_id(), 0);
    let mut next = 0;
    eventually("the first records are gone", || {
        assert_eq!(append(&mut client, producer, next, 1), Ok(i64::from(next)));
        next += 1;
        (client.ends("t").0 > 2).then_some(())
    });
    for crash in [false, true] {
        if crash {
            world.kill_and_restart();
        } else {
            world.restart();
        }
        let mut client = world.client();
        assert_eq!(append(&mut client, producer, next + 1, 1), OUT_OF_ORDER);
        assert_eq!(append(&mut client, producer, next, 1), Ok(i64::from(next)));
        assert_eq!(
            append(&mut client, producer, next, 1),
            Ok(i64::from(next)),
            "a repeat"
        );
        next += 1;
    }
}

#[test]
fn quirk_32_producers_can_be_looked_at() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let producer = (client.producer_id(), 3);
    append(&mut client, producer, 5, 2).expect("the first may have any sequence");
    let topic = TopicRequest::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0, 1]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let answer = client.call(0, &request);
    let [known, unknown] = &answer.topics[0].partitions[..] else {
        panic!("one answer each: {answer:?}");
    };
    assert_eq!(
        unknown.error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
    let active = &known.active_producers[0];
    assert_eq!(
        (active.producer_id.0, active.producer_epoch),
        (producer.0, 3)
    );
    assert_eq!(active.last_sequence, 6);
    assert_eq!(active.current_txn_start_offset, -1);
    assert!((millis() - active.last_timestamp).abs() < 60_000);
}

#[test]
fn quirk_33_every_producer_gets_an_id_that_nobody_had_before() {
    let mut world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mut client = world.client();
        for version in 0..=5 {
            let answer = client.call(version, &init());
            assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
            assert!(seen.insert(answer.producer_id.0), "{answer:?} of {seen:?}");
        }
        world.kill_and_restart();
    }
}

#[test]
fn quirk_33_a_producer_that_begins_anew_without_transactions_gets_another_id() {
    let world = World::new();
    let mut client = world.client();
    let id = client.producer_id();
    let request = init()
        .with_producer_id(WireProducerId(id))
        .with_producer_epoch(0);
    let answer = client.call(3, &request);
    assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
    assert_ne!(answer.producer_id.0, id);
}

#[test]
fn quirk_33_a_transactional_producer_is_told_so_at_once() {
    let world = World::new();
    let mut client = world.client();
    let code = |client: &mut Client, id: &str| {
        let request = init().with_transactional_id(Some(TransactionalId(text(id))));
        let answer = client.call(4, &request);
        assert_eq!((answer.producer_id.0, answer.producer_epoch), (-1, -1));
        answer.error_code
    };
    let empty = code(&mut client, "");
    assert_eq!(empty, ErrorCode::InvalidRequest.code());
    let named = ErrorCode::from_code(code(&mut client, "t")).expect("a code that clients know");
    assert!(
        !named.is_none() && !named.is_retriable(),
        "{named:?} is final"
    );
}

#[test]
fn quirk_33_batches_of_transactions_are_refused_and_hold_up_no_reader() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let id = client.producer_id();
    let builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), 0);
    let sent = batch_at(builder.transactional(), &[millis()]);
    let refused = ErrorCode::TransactionalIdAuthorizationFailed.code();
    let mut request = produce_request("t", 0, -1, &sent);
    for transactional_id in [None, Some("t")] {
        let transactional_id = transactional_id.map(|id| TransactionalId(text(id)));
        request.transactional_id = transactional_id;
        assert_eq!(client.append_request(9, &request).error_code, refused);
    }
    assert_eq!(
        append(&mut client, (id, 0), 0, 1),
        Ok(0),
        "nothing was kept"
    );
    let found = Fetch::of("t").committed().first(&mut client, 12);
    assert_eq!((found.high_watermark, found.last_stable_offset), (1, 1));
    assert_eq!(batches(found.records.as_ref()).len(), 1);
}

#[test]
fn quirk_79_a_producer_goes_on_from_another_connection() {
    let mut world = World::with_topics(&["t"]);
    let producer = (world.client().producer_id(), 0);
    for sequence in 0..4 {
        let offset = i64::from(sequence);
        assert_eq!(
            append(&mut world.client(), producer, sequence, 1),
            Ok(offset)
        );
        if sequence == 1 {
            world.restart();
        }
    }
    let found = Fetch::of("t").first(&mut world.client(), 12);
    let found = batches(found.records.as_ref());
    assert!(
        found
            .iter()
            .all(|batch| batch.header().producer_id() == ProducerId(producer.0))
    );
}
