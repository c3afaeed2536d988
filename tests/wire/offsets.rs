//! ListOffsets and DeleteRecords: quirks 49 to 51.

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use klamm_model::record_batch::{BatchBuilder, Compression};
use klamm_protocol::ErrorCode;

use crate::ask::{Fetch, batch_at, epoch_of, list_offsets_request, millis};
use crate::client::{Client, frame};
use crate::requests::batch;
use crate::world::World;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Error code, offset and timestamp.
fn look(client: &mut Client, topic: &str, timestamp: i64) -> (i16, i64, i64) {
    let found = client.list_offset(10, topic, timestamp);
    (found.error_code, found.offset, found.timestamp)
}

#[test]
fn quirk_49_times_are_found_at_the_precision_of_records_with_every_codec() {
    let world = World::new();
    let mut client = world.client();
    let base = millis() - 100_000;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let topic = format!("t-{codec:?}");
        client.create_topic(&topic, &[]);
        for times in [[0, 10, 5], [20, 15, 30], [25, 28, 29]] {
            let builder = BatchBuilder::new().compression(codec, codec.default_level());
            let times = times.map(|time| base + time);
            assert_eq!(
                client
                    .append(9, &topic, &batch_at(builder, &times))
                    .error_code,
                0
            );
        }
        let mut at = |time: i64| {
            let (code, offset, timestamp) = look(&mut client, &topic, base + time);
            assert_eq!(code, 0);
            (offset, timestamp - base)
        };
        assert_eq!(at(-1_000), (0, 0), "{codec:?}");
        assert_eq!(at(0), (0, 0), "{codec:?}");
        assert_eq!(at(1), (1, 10), "{codec:?}");
        assert_eq!(at(6), (1, 10), "{codec:?}");
        assert_eq!(at(11), (3, 20), "{codec:?}");
        assert_eq!(at(21), (5, 30), "{codec:?}");
        assert_eq!(at(30), (5, 30), "{codec:?}");
        assert_eq!(
            look(&mut client, &topic, base + 31),
            (0, -1, -1),
            "{codec:?}: none"
        );
        let max = look(&mut client, &topic, MAX_TIMESTAMP);
        assert_eq!(max, (0, 5, base + 30), "{codec:?}: the latest");
    }
}

#[test]
fn quirk_49_special_timestamps_name_the_ends() {
    let mut world = World::with_topics(&["t", "empty"]);
    let time = millis();
    let client = &mut world.client();
    client.append(9, "t", &batch_at(BatchBuilder::new(), &[time, time, time]));
    assert_eq!(client.delete_records("t", 1), (0, 1));
    let first_epoch = epoch_of(&client.describe("t"));
    world.restart();
    let client = &mut world.client();
    client.append(9, "t", &batch_at(BatchBuilder::new(), &[time - 1]));
    assert_eq!(look(client, "t", LATEST), (0, 4, -1));
    assert_eq!(look(client, "t", EARLIEST), (0, 1, -1));
    assert_eq!(look(client, "t", EARLIEST_LOCAL), (0, 1, -1));
    assert_eq!(
        look(client, "t", LATEST_TIERED),
        (0, -1, -1),
        "nothing is archived"
    );
    let (code, offset, timestamp) = look(client, "t", MAX_TIMESTAMP);
    assert_eq!((code, timestamp), (0, time));
    assert!((0..3).contains(&offset), "one of those with that time");
    for (timestamp, offset) in [(LATEST, 0), (EARLIEST, 0), (MAX_TIMESTAMP, -1), (time, -1)] {
        assert_eq!(
            look(client, "empty", timestamp),
            (0, offset, -1),
            "{timestamp}"
        );
    }
    let epoch = epoch_of(&client.describe("t"));
    assert_eq!(client.list_offset(5, "t", LATEST).leader_epoch, epoch);
    assert_eq!(
        client.list_offset(5, "t", EARLIEST).leader_epoch,
        first_epoch
    );
    assert_eq!(client.list_offset(5, "t", time).leader_epoch, first_epoch);
    assert_eq!(
        client.list_offset(3, "t", LATEST).leader_epoch,
        -1,
        "not told before 4"
    );
}

#[test]
fn quirk_49_readers_of_committed_records_end_at_the_last_stable_offset() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"v"]));
    let request = list_offsets_request("t", -1, LATEST).with_isolation_level(1);
    let answer = client.call(5, &request);
    assert_eq!(answer.topics[0].partitions[0].offset, 1);
}

#[test]
fn quirk_49_special_timestamps_are_only_for_versions_that_know_them() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let rows = [
        (LATEST, 1),
        (EARLIEST, 1),
        (MAX_TIMESTAMP, 7),
        (EARLIEST_LOCAL, 8),
        (LATEST_TIERED, 9),
        (EARLIEST_PENDING_UPLOAD, 11),
        (-7, i16::MAX),
    ];
    for (timestamp, since) in rows {
        for version in 1..=10 {
            let found = client.list_offset(version, "t", timestamp);
            let expected = if version < since { unsupported } else { 0 };
            assert_eq!(
                found.error_code, expected,
                "timestamp={timestamp} version={version}"
            );
        }
    }
    // Version 11 is newer than the client's library, and like version 10.
    let mut request = frame(
        10,
        7,
        &list_offsets_request("t", -1, EARLIEST_PENDING_UPLOAD),
    )
    .to_vec();
    request[6..8].copy_from_slice(&11_i16.to_be_bytes());
    client.send_bytes(&request).expect("open");
    let answer = client.receive::<kafka_protocol::messages::ListOffsetsRequest>(10);
    let found = &answer.expect("an answer").topics[0].partitions[0];
    assert_eq!(
        (found.error_code, found.offset, found.timestamp),
        (0, -1, -1)
    );
}

#[test]
fn quirk_49_deleted_records_are_not_found() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let time = millis() - 1_000;
    client.append(
        9,
        "t",
        &batch_at(BatchBuilder::new(), &[time, time + 1, time + 2]),
    );
    client.append(9, "t", &batch_at(BatchBuilder::new(), &[time + 3]));
    assert_eq!(client.delete_records("t", 2), (0, 2));
    assert_eq!(look(&mut client, "t", time), (0, 2, time + 2));
    assert_eq!(client.delete_records("t", 3), (0, 3));
    assert_eq!(look(&mut client, "t", time), (0, 3, time + 3));
    assert_eq!(client.delete_records("t", 4), (0, 4));
    assert_eq!(look(&mut client, "t", time), (0, -1, -1));
}

#[test]
fn quirk_49_a_partition_that_comes_twice_is_refused() {
    let world = World::with_topics(&["t"]);
    let mut request = list_offsets_request("t", -1, LATEST);
    let again = ListOffsetsPartition::default().with_timestamp(EARLIEST);
    request.topics[0].partitions.push(again);
    let answer = world.client().call(5, &request);
    let codes: Vec<_> = answer.topics[0]
        .partitions
        .iter()
        .map(|p| p.error_code)
        .collect();
    assert!(!codes.is_empty());
    assert!(
        codes
            .iter()
            .all(|code| *code == ErrorCode::InvalidRequest.code())
    );
}

#[test]
fn quirk_50_a_lone_leader_knows_its_end_as_soon_as_it_serves() {
    let mut world = World::with_topics(&["t"]);
    for round in 1..4 {
        world.client().append(9, "t", &batch(&[b"v"]));
        world.kill_and_restart();
        for version in [1, 4, 5, 10] {
            let found = world.client().list_offset(version, "t", LATEST);
            assert_eq!(
                (found.error_code, found.offset),
                (0, round),
                "version={version}"
            );
        }
    }
}

#[test]
fn quirk_51_records_are_deleted_up_to_the_high_watermark() {
    let mut world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"a", b"b", b"c"]));
    client.append(9, "t", &batch(&[b"d", b"e"]));
    let out_of_range = (ErrorCode::OffsetOutOfRange.code(), -1);
    assert_eq!(client.delete_records("t", 6), out_of_range);
    assert_eq!(client.delete_records("t", -2), out_of_range);
    assert_eq!(client.delete_records("t", 1), (0, 1));
    assert_eq!(client.ends("t"), (1, 5));
    assert_eq!(client.delete_records("t", 0), (0, 1), "it has gone already");
    assert_eq!(client.values("t", 0), ["b", "c", "d", "e"]);
    world.kill_and_restart();
    let mut client = world.client();
    assert_eq!(client.ends("t"), (1, 5), "what was deleted stays so");
    assert_eq!(client.delete_records("t", -1), (0, 5));
    assert_eq!(client.ends("t"), (5, 5));
    assert_eq!(client.append(9, "t", &batch(&[b"f"])).base_offset, 5);
    let gone = Fetch::of("t").from(4).first(&mut client, 12);
    assert_eq!(gone.error_code, ErrorCode::OffsetOutOfRange.code());
}

#[test]
fn quirk_51_where_records_may_not_be_deleted() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("compacted", &[("cleanup.policy", "compact")]);
    client.create_topic("both", &[("cleanup.policy", "compact,delete")]);
    let refused = (ErrorCode::PolicyViolation.code(), -1);
    assert_eq!(client.delete_records("compacted", 0), refused);
    assert_eq!(client.delete_records("both", 0), (0, 0));
    client.find_coordinator("g");
    let internal = client.delete_records("__consumer_offsets", 0);
    assert_eq!(internal, (ErrorCode::InvalidTopicException.code(), -1));
    let unknown = (ErrorCode::UnknownTopicOrPartition.code(), -1);
    assert_eq!(client.delete_records("nowhere", 0), unknown);
}
