//! Requests and responses of the hot path.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{BatchSize, Criterion};
use klamm_model::TopicId;
use klamm_model::record_batch::{Compression, TimestampType};
use klamm_protocol::messages::{FetchResponse, FetchablePartition, FetchableTopic};
use klamm_protocol::validate::{Depth, ProduceRules, validate};
use klamm_protocol::{ApiKey, ErrorCode, Request, RequestHeader, Response};

use crate::samples::{NOW, batch};

const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 17;
/// Partitions of a fetch response.
const PARTITIONS: [i32; 2] = [1, 6];

const RULES: ProduceRules = ProduceRules {
    version: PRODUCE_VERSION,
    batch_bytes_max: 1 << 20,
    inflated_bytes_max: 16 << 20,
    compression: None,
    compacted: false,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: i64::MAX,
    depth: Depth::Header,
};

pub(crate) fn produce(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("produce request");
    for records in [1, 16] {
        let frame = produce_frame(&batch(0, records, Compression::None).to_bytes());
        group.bench_function(
            format!("decode and validate {records} records"),
            |bencher| {
                bencher.iter(|| decode_and_validate(black_box(frame.clone())));
            },
        );
    }
}

fn decode_and_validate(frame: Bytes) {
    let Ok((_, Request::Produce(request))) = Request::decode(frame) else {
        panic!("it is a produce request");
    };
    for topic in request.topics {
        for partition in topic.partitions {
            black_box(validate(partition.records, &RULES, NOW).expect("valid"));
        }
    }
}

/// A frame without its length: one topic, one partition, `acks=all`.
fn produce_frame(records: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(0);
    frame.put_i16(PRODUCE_VERSION);
    frame.put_i32(1);
    text16(&mut frame, "producer-1");
    frame.put_u8(0);
    // No transaction; acks, time-out.
    frame.put_u8(0);
    frame.put_i16(-1);
    frame.put_i32(30_000);
    // Lists and texts say one more than they are long.
    frame.put_u8(2);
    frame.put_u8(6);
    frame.put_slice(b"topic");
    frame.put_u8(2);
    frame.put_i32(0);
    varint(&mut frame, records.len() + 1);
    frame.put_slice(records);
    // No tags: of the partition, the topic, the request.
    frame.put_slice(&[0, 0, 0]);
    frame.freeze()
}

fn text16(frame: &mut BytesMut, text: &str) {
    frame.put_i16(i16::try_from(text.len()).expect("short"));
    frame.put_slice(text.as_bytes());
}

fn varint(frame: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        frame.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    frame.put_u8(value as u8);
}

pub(crate) fn fetch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fetch response");
    let header = RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: FETCH_VERSION,
        correlation_id: 1,
        client_id: None,
    };
    for partitions in PARTITIONS {
        let response = fetch_response(partitions);
        group.bench_function(format!("encode {partitions} partitions"), |bencher| {
            bencher.iter_batched(
                || Response::Fetch(response.clone()),
                |response| response.encode(&header).expect("valid").into_pieces(),
                BatchSize::SmallInput,
            );
        });
    }
}

fn fetch_response(partitions: i32) -> FetchResponse {
    let records = batch(0, 16, Compression::None).to_bytes();
    let partition = |index| FetchablePartition {
        records: vec![records.clone()],
        ..FetchablePartition::error(index, ErrorCode::None)
    };
    let topic = FetchableTopic {
        name: Default::default(),
        topic_id: TopicId::from_bytes([2; 16]),
        partitions: (0..partitions).map(partition).collect(),
    };
    FetchResponse {
        topics: vec![topic],
        ..FetchResponse::default()
    }
}
