//! Record batches with every codec, damaged behind a right checksum as a hostile producer would.

use bytes::Bytes;
use klamm_model::Timestamp;
use klamm_model::record_batch::{BatchBuilder, Compression, RecordBatch, TimestampType};
use klamm_protocol::validate::{Depth, ProduceRules, validate};

use crate::budget::{allocated, alone, rounds};
use crate::damage::{Draw, damage};
use crate::targets;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

const INFLATED_BYTES_MAX: usize = 256 * 1024;

/// What the decoders need to work at all: windows and buffers. What liblz4 and zstd set aside
/// themselves is not counted by Rust's allocator.
const CODEC_BYTES: usize = 1 << 20;

/// Bytes inflated are held, copied and grown into: some times the limit.
const ALLOCATED_BYTES_MAX: usize = CODEC_BYTES + 8 * INFLATED_BYTES_MAX;

fn rules(draw: &mut Draw) -> ProduceRules {
    ProduceRules {
        version: 9,
        batch_bytes_max: 1 << 20,
        inflated_bytes_max: INFLATED_BYTES_MAX,
        compression: (draw.below(3) == 0).then_some((CODECS[draw.below(CODECS.len())], 1)),
        compacted: draw.below(4) == 0,
        timestamp_type: if draw.below(4) == 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        depth: if draw.below(4) == 0 {
            Depth::Header
        } else {
            Depth::Records
        },
    }
}

fn sample_batch(draw: &mut Draw) -> RecordBatch {
    let codec = CODECS[draw.below(CODECS.len())];
    let mut builder = BatchBuilder::new().compression(codec, codec.default_level());
    for _ in 0..=draw.below(6) {
        let key = vec![draw.next() as u8; draw.below(10)];
        let value = vec![draw.next() as u8; draw.below(300)];
        let key = (draw.below(3) > 0).then_some(&key[..]);
        let value = (draw.below(5) > 0).then_some(&value[..]);
        let headers = [("a", None), ("bc", Some(&b"d"[..]))];
        let timestamp = Timestamp(draw.next() as i64 >> 20);
        builder.append(timestamp, key, value, &headers[..draw.below(3)]);
    }
    builder.build()
}

/// Makes length and checksum right again, so that the damage is seen by what comes behind them.
fn repair(bytes: &mut [u8]) {
    if bytes.len() < 61 {
        return;
    }
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn damaged_batches_neither_panic_nor_inflate_beyond_the_limit() {
    let _alone = alone();
    let rounds = rounds(200_000) / 10;
    let mut accepted = 0_u64;
    for round in 0..rounds {
        let mut draw = Draw(round);
        let rules = rules(&mut draw);
        let mut bytes = sample_batch(&mut draw).to_bytes().to_vec();
        let from = if draw.below(4) == 0 { 0 } else { 61 };
        damage(&mut bytes, from, &mut draw);
        if draw.below(10) > 0 {
            repair(&mut bytes);
        }
        let bytes = Bytes::from(bytes);
        targets::batches(bytes.clone());
        let allowed = ALLOCATED_BYTES_MAX + 4 * bytes.len();
        let (result, allocated) = allocated(|| validate(Some(bytes), &rules, Timestamp(0)));
        assert!(
            allocated <= allowed,
            "round={round} allocated={allocated} of {allowed}"
        );
        let Ok(validated) = result else { continue };
        accepted += 1;
        let batch = RecordBatch::parse(&mut validated.batch.to_bytes());
        assert_eq!(batch.as_ref(), Ok(&validated.batch), "round={round}");
        if rules.depth == Depth::Records {
            check_readable(&validated.batch, round);
        }
    }
    assert!(
        accepted > rounds / 50 && accepted < rounds,
        "{accepted} of {rounds} are accepted"
    );
}

/// A batch whose records were looked at is one that consumers can read.
fn check_readable(batch: &RecordBatch, round: u64) {
    let records = batch
        .records(INFLATED_BYTES_MAX)
        .expect("it inflated before");
    let mut offsets = 0;
    for record in records {
        match record {
            Ok(record) => assert_eq!(record.offset.get(), offsets, "round={round}"),
            // Header names are not looked at by the broker, nor by Kafka's.
            Err(_) => return,
        }
        offsets += 1;
    }
    assert_eq!(
        offsets,
        i64::from(batch.header().record_count()),
        "round={round}"
    );
}

#[test]
fn bombs_are_given_up_at_the_limit() {
    let _alone = alone();
    let zeros = vec![0; 64 << 20];
    for codec in &CODECS[1..] {
        let bomb = codec.deflate(codec.default_level(), &zeros);
        assert!(
            bomb.len() < 4 << 20,
            "{codec:?} is a bomb of {} bytes",
            bomb.len()
        );
        let (result, allocated) = allocated(|| codec.inflate(&bomb, INFLATED_BYTES_MAX));
        assert!(result.is_err(), "{codec:?}");
        assert!(
            allocated <= ALLOCATED_BYTES_MAX,
            "{codec:?} allocated={allocated}"
        );
    }
}
