//! Produce and the record batch: quirks 23 to 27 and 30.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use klamm_model::record_batch::{BatchBuilder, Compression, TimestampType};
use klamm_model::{ProducerEpoch, ProducerId, Timestamp};
use klamm_protocol::ErrorCode;

use crate::ask::{Fetch, batch_at, batches, epoch_in, epoch_of, millis, topic_name};
use crate::client::Client;
use crate::requests::{batch, now, produce_request};
use crate::world::World;

/// Appends bytes that need not be a batch.
fn append_bytes(client: &mut Client, version: i16, records: Bytes) -> PartitionProduceResponse {
    let data = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic_name("t"))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(20_000)
        .with_topic_data(vec![topic]);
    client.append_request(version, &request)
}

/// A batch of one record with bytes changed at a place of its header, and a right checksum.
fn changed(place: usize, bytes: &[u8]) -> Bytes {
    let mut batch = BytesMut::from(&batch(&[b"v"]).to_bytes()[..]);
    batch[place..place + bytes.len()].copy_from_slice(bytes);
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch.freeze()
}

#[test]
fn quirk_23_offset_and_epoch_are_written_into_the_batch_and_nothing_else() {
    let mut world = World::with_topics(&["t"]);
    world.restart();
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"first"]));
    let sent = batch_at(BatchBuilder::new(), &[millis() - 5, millis() - 7]);
    let answer = client.append(9, "t", &sent);
    assert_eq!((answer.base_offset, answer.log_append_time_ms), (1, -1));
    let found = Fetch::of("t").from(1).first(&mut client, 12);
    let found = batches(found.records.as_ref()).remove(0);
    assert_eq!(found.base_offset().get(), 1);
    assert_eq!(epoch_in(&found), epoch_of(&client.describe("t")));
    assert_eq!(found.header().checksum(), sent.header().checksum());
    // Magic, checksum and all behind it.
    assert_eq!(found.to_bytes()[16..], sent.to_bytes()[16..]);
}

#[test]
fn quirk_23_append_time_is_written_summed_and_answered() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[("message.timestamp.type", "LogAppendTime")]);
    let before = millis();
    let sent = batch_at(BatchBuilder::new(), &[1, 2]);
    let answer = client.append(9, "t", &sent);
    let time = answer.log_append_time_ms;
    assert!((before..=millis()).contains(&time), "{time}");
    let found = Fetch::of("t").first(&mut client, 12);
    let found = batches(found.records.as_ref()).remove(0);
    assert_eq!(
        found.header().timestamp_type(),
        TimestampType::LogAppendTime
    );
    assert_eq!(found.header().max_timestamp(), Timestamp(time));
    assert_eq!(found.header().base_timestamp(), Timestamp(1), "as it came");
}

#[test]
fn quirk_23_append_time_is_written_into_batches_of_every_codec() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[("message.timestamp.type", "LogAppendTime")]);
    let settings = [
        ("message.timestamp.type", "LogAppendTime"),
        ("compression.type", "zstd"),
    ];
    client.create_topic("u", &settings);
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        for topic in ["t", "u"] {
            let builder = BatchBuilder::new().compression(codec, codec.default_level());
            let answer = client.append(9, topic, &batch_at(builder, &[5, 6]));
            assert_eq!(answer.error_code, 0, "{codec:?}");
            let found = Fetch::of(topic)
                .from(answer.base_offset)
                .first(&mut client, 12);
            // Reading checks the checksum.
            let found = batches(found.records.as_ref()).remove(0);
            let records = found.records(1 << 20).expect("sound");
            let times: Vec<_> = records
                .map(|r| r.expect("sound").timestamp.millis())
                .collect();
            assert_eq!(times, [answer.log_append_time_ms; 2], "{codec:?}");
            let time = client.list_offset(7, topic, answer.log_append_time_ms);
            assert_eq!(time.timestamp, answer.log_append_time_ms, "{codec:?}");
        }
    }
    let first = client.list_offset(7, "t", 0);
    assert_eq!(first.offset, 0);
    assert!(first.timestamp > 6, "the broker's time");
}

#[test]
fn quirk_24_what_is_no_sound_batch_is_refused() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let invalid = ErrorCode::InvalidRecord;
    let corrupt = ErrorCode::CorruptMessage;
    let sound = batch(&[b"v"]).to_bytes();
    let mut flipped = BytesMut::from(&sound[..]);
    *flipped.last_mut().expect("it has bytes") ^= 1;
    let two = [&sound[..], &sound[..]].concat();
    let mut producer = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), -1);
    producer.append(now(), None, Some(b"v"), &[]);
    let mut control = BatchBuilder::new().control();
    control.append(now(), Some(b"\0\0\0\0"), Some(b"\0\0\0\0\0\0"), &[]);
    let cases = [
        ("nothing", Bytes::new(), invalid),
        ("two batches", two.into(), invalid),
        ("a flipped bit", flipped.freeze(), corrupt),
        (
            "more records than there are",
            changed(57, &9_i32.to_be_bytes()),
            invalid,
        ),
        ("a control batch", control.build().to_bytes(), invalid),
        (
            "a producer without a sequence",
            producer.build().to_bytes(),
            invalid,
        ),
        (
            "the time of a broker",
            changed(21, &8_i16.to_be_bytes()),
            ErrorCode::InvalidTimestamp,
        ),
    ];
    for (what, records, code) in cases {
        let answer = append_bytes(&mut client, 9, records);
        assert_eq!(answer.error_code, code.code(), "{what}");
        assert_eq!(answer.base_offset, -1, "{what}");
    }
    assert_eq!(client.ends("t"), (0, 0));
    assert_eq!(append_bytes(&mut client, 9, sound).error_code, 0);
}

#[test]
fn quirk_24_rules_of_the_topic_name_the_records_that_break_them() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("compacted", &[("cleanup.policy", "compact")]);
    client.create_topic("recent", &[("message.timestamp.before.max.ms", "60000")]);
    client.create_topic("small", &[("max.message.bytes", "200")]);
    let mut keyless = BatchBuilder::new();
    keyless.append(now(), Some(b"k"), Some(b"v"), &[]);
    keyless.append(now(), None, Some(b"v"), &[]);
    let keyless = keyless.build();
    let refused = client.append(9, "compacted", &keyless);
    assert_eq!(refused.error_code, ErrorCode::InvalidRecord.code());
    let at_fault: Vec<_> = refused
        .record_errors
        .iter()
        .map(|e| e.batch_index)
        .collect();
    assert_eq!(at_fault, [1]);
    assert!(refused.error_message.is_some());
    let before = client.append(7, "compacted", &keyless);
    assert_eq!(before.error_code, ErrorCode::InvalidRecord.code());
    assert!(
        before.record_errors.is_empty(),
        "not known before version 8"
    );

    let old = batch_at(BatchBuilder::new(), &[millis(), millis() - 120_000]);
    let refused = client.append(9, "recent", &old);
    assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp.code());
    let future = batch_at(BatchBuilder::new(), &[millis() + 2 * 3_600_000]);
    let refused = client.append(9, "recent", &future);
    assert_eq!(
        refused.error_code,
        ErrorCode::InvalidTimestamp.code(),
        "an hour is the default"
    );

    let large = client.append(9, "small", &batch(&[&[0; 300]]));
    assert_eq!(large.error_code, ErrorCode::MessageTooLarge.code());
    for topic in ["compacted", "recent", "small"] {
        assert_eq!(client.ends(topic), (0, 0), "{topic}");
    }
}

#[test]
fn quirk_25_records_are_compressed_anew_only_where_the_topic_says_so() {
    let world = World::new();
    let mut client = world.client();
    let codecs = [
        ("uncompressed", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (topic_codec, expected) in codecs {
        client.create_topic(topic_codec, &[("compression.type", topic_codec)]);
        for (_, codec) in codecs {
            let builder = BatchBuilder::new().compression(codec, codec.default_level());
            let sent = batch_at(builder, &[millis(), millis() + 1]);
            let answer = client.append(9, topic_codec, &sent);
            assert_eq!(answer.error_code, 0, "{codec:?} to {topic_codec}");
            let fetch = Fetch::of(topic_codec).from(answer.base_offset);
            let found = fetch.first(&mut client, 12);
            let found = batches(found.records.as_ref()).remove(0);
            assert_eq!(found.header().compression(), Some(expected));
            let records = found.records(1 << 20).expect("sound");
            let records: Result<Vec<_>, _> = records.collect();
            assert_eq!(records.expect("sound").len(), 2);
            if codec == expected {
                let same = found.header().checksum() == sent.header().checksum();
                assert!(same, "{codec:?} goes as it came");
            }
        }
    }
}

#[test]
fn the_level_of_a_topic_is_that_of_its_batches() {
    let world = World::new();
    let mut client = world.client();
    let lines: Vec<String> = (0_u32..2_000)
        .map(|nth| {
            format!(
                "user={} page=/p/{}",
                nth.wrapping_mul(2_654_435_761) >> 16,
                nth % 7
            )
        })
        .collect();
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    let sent = batch(&lines);
    let mut size_at = |level| {
        let topic = format!("level-{level}");
        let settings = [
            ("compression.type", "lz4"),
            ("compression.lz4.level", level),
        ];
        client.create_topic(&topic, &settings);
        assert_eq!(client.append(9, &topic, &sent).error_code, 0);
        let found = Fetch::of(&topic).first(&mut client, 12);
        batches(found.records.as_ref()).remove(0).size_bytes()
    };
    let (fast, low, high) = (size_at("9"), size_at("1"), size_at("17"));
    assert!(fast > low && low > high, "{fast} {low} {high}");
}

#[test]
fn quirk_25_zstd_is_only_for_clients_that_know_it() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    let zstd = BatchBuilder::new().compression(Compression::Zstd, 3);
    let zstd = batch_at(zstd, &[millis()]);
    let unsupported = ErrorCode::UnsupportedCompressionType.code();
    assert_eq!(client.append(6, "t", &zstd).error_code, unsupported);
    assert_eq!(client.append(7, "t", &zstd).error_code, 0);
    assert_eq!(Fetch::of("t").first(&mut client, 9).error_code, unsupported);
    assert_eq!(Fetch::of("t").first(&mut client, 10).error_code, 0);
}

#[test]
fn quirk_26_formats_before_version_2_are_refused() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    // Offset, size, checksum, magic 1, attributes, timestamp, key, value.
    let mut message = BytesMut::new();
    message.extend_from_slice(&[1, 0]);
    message.extend_from_slice(&millis().to_be_bytes());
    message.extend_from_slice(&(-1_i32).to_be_bytes());
    message.extend_from_slice(&1_i32.to_be_bytes());
    message.extend_from_slice(b"v");
    let mut set = BytesMut::from(&0_i64.to_be_bytes()[..]);
    set.extend_from_slice(&(message.len() as i32 + 4).to_be_bytes());
    set.extend_from_slice(&0_i32.to_be_bytes());
    set.extend_from_slice(&message);
    for version in [3, 9] {
        let answer = append_bytes(&mut client, version, set.clone().freeze());
        assert_eq!(
            answer.error_code,
            ErrorCode::InvalidRecord.code(),
            "version={version}"
        );
    }
    assert_eq!(client.ends("t"), (0, 0));
}

#[test]
fn quirk_27_acks_are_none_one_or_all() {
    let world = World::new();
    let mut client = world.client();
    client.create_topic("t", &[]);
    client.create_topic("strict", &[("min.insync.replicas", "2")]);
    let mut code = |topic: &str, acks: i16| {
        let request = produce_request(topic, 0, acks, &batch(&[b"v"]));
        client.append_request(9, &request).error_code
    };
    let invalid = ErrorCode::InvalidRequiredAcks.code();
    for acks in [-2, 2, i16::MAX] {
        assert_eq!(code("t", acks), invalid, "{acks}");
    }
    assert_eq!((code("t", 1), code("t", -1)), (0, 0));
    assert_eq!(code("strict", -1), ErrorCode::NotEnoughReplicas.code());
    assert_eq!(code("strict", 1), 0, "the leader alone is enough");
    assert_eq!(client.ends("t"), (0, 2));
    assert_eq!(
        client.ends("strict"),
        (0, 1),
        "refused before it was appended"
    );
}

#[test]
fn quirk_30_producers_learn_where_the_log_begins() {
    let world = World::with_topics(&["t"]);
    let mut client = world.client();
    client.append(9, "t", &batch(&[b"a", b"b", b"c"]));
    assert_eq!(client.delete_records("t", 2), (0, 2));
    assert_eq!(client.append(5, "t", &batch(&[b"d"])).log_start_offset, 2);
    assert_eq!(client.append(12, "t", &batch(&[b"e"])).log_start_offset, 2);
    assert_eq!(
        client.append(4, "t", &batch(&[b"f"])).log_start_offset,
        -1,
        "not told"
    );
}

#[test]
fn quirk_27_one_bad_partition_does_not_spoil_the_others() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.try_create_topic("t", 3, &[]).0, 0);
    let mut request = produce_request("t", 0, -1, &batch(&[b"v"]));
    let corrupt = Bytes::from_static(&[0; 70]);
    let sound = batch(&[b"w"]).to_bytes();
    let more = [(1, corrupt), (9, sound.clone()), (2, sound)].map(|(index, records)| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(records))
    });
    request.topic_data[0].partition_data.extend(more);
    let answer = client.call(9, &request);
    let partitions = answer.responses[0].partition_responses.iter();
    let codes: Vec<_> = partitions.map(|p| (p.index, p.error_code == 0)).collect();
    assert_eq!(codes, [(0, true), (1, false), (9, false), (2, true)]);
    assert_eq!(
        (client.values("t", 0), client.values("t", 2)),
        (vec!["v".into()], vec!["w".into()])
    );
}
