//! Fetch: quirks 36 and 41 to 44.

use std::time::{Duration, Instant};

use klamm_model::record_batch::BatchBuilder;
use klamm_protocol::ErrorCode;

use crate::ask::{Fetch, batch_at, batches, millis};
use crate::client::Client;
use crate::requests::{batch, produce_request};
use crate::support::LIMIT;
use crate::world::World;

/// Longer than a test may take to be answered at once.
const LONG: Duration = LIMIT;

fn offsets(client: &mut Client, fetch: &Fetch) -> Vec<Vec<i64>> {
    let answer = fetch.ask(client, 12);
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            let found = batches(partition.records.as_ref());
            found
                .iter()
                .map(|batch| batch.base_offset().get())
                .collect()
        })
        .collect()
}

#[test]
fn quirk_36_aborted_transactions_are_told_only_to_readers_of_committed_records() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"v"]));
    for version in [4, 11, 12] {
        let found = Fetch::of("t").first(&mut client, version);
        assert_eq!(found.aborted_transactions, None);
        assert_eq!((found.high_watermark, found.last_stable_offset), (1, 1));
        let found = Fetch::of("t").committed().first(&mut client, version);
        assert_eq!(found.aborted_transactions, Some(vec![]));
        assert_eq!(batches(found.records.as_ref()).len(), 1);
    }
}

#[test]
fn quirk_41_the_whole_batch_that_holds_the_offset_is_returned() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"a", b"b", b"c"]));
    client.append(9, "t", &batch(&[b"d"]));
    for from in 0..3 {
        assert_eq!(
            offsets(&mut client, &Fetch::of("t").from(from)),
            [[0, 3]],
            "from {from}"
        );
    }
    assert_eq!(offsets(&mut client, &Fetch::of("t").from(3)), [[3]]);
}

#[test]
fn quirk_41_the_first_batch_is_returned_however_large_and_later_ones_within_the_limits() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    for topic in ["t", "u"] {
        for _ in 0..2 {
            client.append(9, topic, &batch(&[&[7; 10_000]]));
        }
    }
    let none: [i64; 0] = [];
    let both = Fetch::of("t").and("u", 0, 0);
    assert_eq!(offsets(&mut client, &both), [[0, 1], [0, 1]]);
    assert_eq!(
        offsets(&mut client, &both.clone().bytes(1)),
        [&[0][..], &none]
    );
    assert_eq!(
        offsets(&mut client, &both.clone().bytes(15_000)),
        [&[0][..], &none]
    );
    assert_eq!(
        offsets(&mut client, &both.clone().bytes(25_000)),
        [&[0, 1][..], &none]
    );
    let small = Fetch::of("t")
        .partition_bytes(1)
        .and("u", 0, 0)
        .partition_bytes(1);
    assert_eq!(offsets(&mut client, &small), [&[0][..], &none]);
    let small = Fetch::of("t")
        .from(2)
        .partition_bytes(1)
        .and("u", 0, 0)
        .partition_bytes(1);
    assert_eq!(
        offsets(&mut client, &small),
        [&none[..], &[0]],
        "the first that has any"
    );
}

#[test]
fn quirk_42_offsets_outside_the_log_are_out_of_range_and_its_end_is_not() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"a", b"b", b"c"]));
    assert_eq!(client.delete_records("t", 1), (0, 1));
    let mut code = |from: i64| {
        let found = Fetch::of("t").from(from).first(&mut client, 12);
        (found.error_code, batches(found.records.as_ref()).len())
    };
    let out_of_range = ErrorCode::OffsetOutOfRange.code();
    assert_eq!(code(0), (out_of_range, 0));
    assert_eq!(code(1), (0, 1));
    assert_eq!(code(3), (0, 0), "the end");
    assert_eq!(code(4), (out_of_range, 0));
    assert_eq!(code(-1), (out_of_range, 0));
}

#[test]
fn quirk_43_a_fetch_is_answered_when_its_time_is_up() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let wait = Duration::from_millis(100);
    let began = Instant::now();
    let nothing = Fetch::of("t").min_bytes(1).wait(wait);
    assert_eq!(nothing.first(&mut client, 12).error_code, 0);
    assert!(began.elapsed() >= wait, "it had nothing to tell");
    client.append(9, "u", &batch(&[b"v"]));
    let began = Instant::now();
    let too_little = Fetch::of("t").and("u", 0, 0).min_bytes(10_000).wait(wait);
    assert_eq!(offsets(&mut client, &too_little), [&[][..], &[0]]);
    assert!(began.elapsed() >= wait, "it had less than was asked for");
}

#[test]
fn quirk_43_a_fetch_is_answered_when_there_is_enough() {
    let world = World::with_topics(&["t"]);
    let (mut consumer, mut producer) = (world.client(), world.client());
    let began = Instant::now();
    let fetch = Fetch::of("t").min_bytes(1_000).wait(LONG).request();
    consumer.send(12, &fetch).expect("open");
    for _ in 0..3 {
        producer.append(9, "t", &batch(&[&[7; 400]]));
    }
    let answer = consumer.receive::<kafka_protocol::messages::FetchRequest>(12);
    let answer = answer.expect("an answer");
    let records = answer.responses[0].partitions[0].records.as_ref();
    assert!(records.is_some_and(|records| records.len() >= 1_000));
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn quirk_43_an_error_of_any_partition_is_told_at_once() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let began = Instant::now();
    let fetch = Fetch::of("t").and("t", 9, 0).and("nowhere", 0, 0);
    let answer = fetch.min_bytes(1).wait(LONG).ask(&mut client, 12);
    let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
    let codes: Vec<_> = partitions.map(|p| p.error_code).collect();
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(codes, [0, unknown, unknown]);
    let answer = Fetch::none().min_bytes(1).wait(LONG).ask(&mut client, 12);
    assert!(answer.responses.is_empty(), "nothing to wait for");
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn quirk_43_partitions_are_answered_in_the_order_in_which_they_were_asked() {
    let world = World::with_topics(&["a", "b", "c"]);
    let mut client = world.client();
    for order in [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]] {
        let fetch = order
            .iter()
            .fold(Fetch::none(), |fetch, name| fetch.and(name, 0, 0));
        let answer = fetch.ask(&mut client, 12);
        let names: Vec<_> = answer
            .responses
            .iter()
            .map(|topic| topic.topic.as_str())
            .collect();
        assert_eq!(names, order);
    }
}

#[test]
fn quirk_44_no_other_replica_is_ever_preferred() {
    let world = World::with(&[("broker.rack", "a")]);
    let mut client = world.client();
    client.create_topic("t", &[]);
    client.append_request(9, &produce_request("t", 0, 1, &batch(&[b"v"])));
    for version in 11..=12 {
        let request = Fetch::of("t")
            .request()
            .with_rack_id(crate::requests::text("b"));
        let answer = client.call(version, &request);
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.preferred_read_replica.0, -1);
        assert_eq!(batches(partition.records.as_ref()).len(), 1);
    }
}

#[test]
fn quirk_41_positions_move_however_small_the_limits() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    for size in [1, 4, 2] {
        client.append(
            9,
            "t",
            &batch_at(BatchBuilder::new(), &vec![millis(); size]),
        );
    }
    let mut next = 0;
    while next < 7 {
        let found = Fetch::of("t")
            .from(next)
            .partition_bytes(1)
            .first(&mut client, 12);
        let last = batches(found.records.as_ref()).remove(0);
        assert!(last.next_offset().get() > next);
        next = last.next_offset().get();
    }
    assert_eq!(next, 7);
}

#[test]
fn quirk_41_limits_of_nothing_and_less_still_return_a_batch() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    for _ in 0..2 {
        client.append(9, "t", &batch(&[b"v"]));
    }
    for limit in [0, -1, i32::MIN] {
        let partition = Fetch::of("t").partition_bytes(limit);
        assert_eq!(
            offsets(&mut client, &partition),
            [[0]],
            "of the partition {limit}"
        );
        assert_eq!(
            offsets(&mut client, &Fetch::of("t").bytes(limit)),
            [[0]],
            "of all {limit}"
        );
    }
    let most = Fetch::of("t").partition_bytes(i32::MAX).bytes(i32::MAX);
    assert_eq!(offsets(&mut client, &most), [[0, 1]]);
}

#[test]
fn quirk_43_who_waits_for_a_topic_is_told_when_it_is_deleted() {
    let world = World::with_topics(&["t", "u"]);
    let (mut consumer, mut admin) = (world.client(), world.client());
    let began = Instant::now();
    let fetch = Fetch::of("t")
        .and("u", 0, 0)
        .min_bytes(1)
        .wait(LONG)
        .request();
    consumer.send(12, &fetch).expect("open");
    let request = kafka_protocol::messages::DeleteTopicsRequest::default()
        .with_topic_names(vec![crate::ask::topic_name("u")]);
    assert_eq!(admin.call(5, &request).responses[0].error_code, 0);
    let answer = consumer.receive::<kafka_protocol::messages::FetchRequest>(12);
    let answer = answer.expect("an answer");
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    let code = answer.responses[1].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn quirk_43_a_topic_that_grows_does_not_disturb_who_waits() {
    let world = World::with_topics(&["t"]);
    let (mut consumer, mut producer) = (world.client(), world.client());
    let fetch = Fetch::of("t").min_bytes(1).wait(LONG).request();
    consumer.send(12, &fetch).expect("open");
    let topic =
        kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic::default()
            .with_name(crate::ask::topic_name("t"))
            .with_count(3)
            .with_assignments(None);
    let request = kafka_protocol::messages::CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(20_000);
    assert_eq!(producer.call(3, &request).results[0].error_code, 0);
    let elsewhere = produce_request("t", 1, -1, &batch(&[b"elsewhere"]));
    assert_eq!(producer.append_request(9, &elsewhere).error_code, 0);
    producer.append(9, "t", &batch(&[b"here"]));
    let answer = consumer.receive::<kafka_protocol::messages::FetchRequest>(12);
    let answer = answer.expect("an answer");
    let found = batches(answer.responses[0].partitions[0].records.as_ref());
    assert_eq!(found.len(), 1);
}

#[test]
fn a_fetch_waits_no_longer_than_the_broker_allows() {
    let world = World::with(&[("klamm.fetch.max.wait.ms", "200")]);
    let mut client = world.client();
    client.create_topic("t", &[]);
    let begun = Instant::now();
    let fetch = Fetch::of("t").min_bytes(1).wait(Duration::from_secs(3_600));
    let answer = fetch.first(&mut client, 12);
    assert_eq!(answer.error_code, 0);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(190), "{waited:?}");
}
