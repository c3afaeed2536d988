use klamm_model::record_batch::BatchBuilder;
use klamm_model::{PartitionIndex, ProducerEpoch, ProducerId, TopicName, TopicPartition};

use super::*;
use crate::ErrorCode;

const NOW: Timestamp = Timestamp(1_000_000);

fn rules() -> ProduceRules {
    ProduceRules {
        version: 9,
        batch_bytes_max: 100_000,
        inflated_bytes_max: 1_000_000,
        compression: None,
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        depth: Depth::Records,
    }
}

fn builder() -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    builder.append(NOW, Some(b"key"), Some(&[7; 2_000]), &[]);
    builder.append(NOW.plus_millis(5), Some(b"key"), None, &[("h", None)]);
    builder
}

/// A batch with bytes of its header overwritten and a right checksum.
fn patched(position: usize, value: &[u8]) -> Bytes {
    let mut bytes = builder().build().to_bytes().to_vec();
    bytes[position..position + value.len()].copy_from_slice(value);
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}

fn check_refused(records: impl Into<Bytes>, rules: ProduceRules, code: ErrorCode) -> ProduceError {
    let error = validate(Some(records.into()), &rules, NOW).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    error
}

#[test]
fn a_good_batch_passes_untouched_at_both_depths() {
    for depth in [Depth::Header, Depth::Records] {
        for codec in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let bytes = builder().compression(codec, 3).build().to_bytes();
            let validated =
                validate(Some(bytes.clone()), &ProduceRules { depth, ..rules() }, NOW).unwrap();
            assert_eq!(validated.batch.to_bytes(), bytes);
            assert_eq!(validated.log_append_time, Timestamp::NONE);
        }
    }
}

#[test]
fn quirk_24_exactly_one_whole_batch_with_a_right_checksum() {
    let bytes = builder().build().to_bytes();
    assert_eq!(
        validate(None, &rules(), NOW).unwrap_err(),
        ProduceError::NoBatch { version: 9 }
    );
    check_refused(
        bytes.slice(..bytes.len() - 1),
        rules(),
        ErrorCode::InvalidRecord,
    );
    check_refused(
        [&bytes[..], &bytes[..]].concat(),
        rules(),
        ErrorCode::InvalidRecord,
    );
    let mut damaged = bytes.to_vec();
    damaged[100] ^= 1;
    check_refused(damaged, rules(), ErrorCode::CorruptMessage);
    // What is left of a second batch is dropped.
    let cut = [&bytes[..], &bytes[..70]].concat();
    assert_eq!(
        validate(Some(cut.into()), &rules(), NOW)
            .unwrap()
            .batch
            .to_bytes(),
        bytes
    );
}

#[test]
fn quirk_24_header_fields_that_clients_may_not_set() {
    let check = |position: usize, value: &[u8], code| {
        for depth in [Depth::Header, Depth::Records] {
            check_refused(
                patched(position, value),
                ProduceRules { depth, ..rules() },
                code,
            );
        }
    };
    check(0, &1_i64.to_be_bytes(), ErrorCode::InvalidRecord); // base offset
    check(8, &3_i32.to_be_bytes(), ErrorCode::CorruptMessage); // length
    check(16, &[1], ErrorCode::InvalidRecord); // magic
    check(16, &[3], ErrorCode::CorruptMessage);
    check(22, &[0x20], ErrorCode::InvalidRecord); // control
    check(22, &[0x08], ErrorCode::InvalidTimestamp); // LogAppendTime
    check(22, &[0x05], ErrorCode::InvalidRecord); // codec
    check(23, &2_i32.to_be_bytes(), ErrorCode::InvalidRecord); // last offset delta
    check(23, &(-1_i32).to_be_bytes(), ErrorCode::InvalidRecord);
    check(43, &7_i64.to_be_bytes(), ErrorCode::InvalidRecord); // producer id, no sequence
    check(57, &0_i32.to_be_bytes(), ErrorCode::InvalidRecord); // count
}

#[test]
fn quirk_24_records_are_counted_and_their_offsets_consecutive() {
    let plain = builder().build();
    let good = plain.inflated_record_bytes(1_000_000).unwrap();
    let with_records =
        |records: &[u8]| plain.recompressed(Compression::Gzip, 6, records).to_bytes();
    assert!(validate(Some(with_records(&good)), &rules(), NOW).is_ok());
    check_refused(
        with_records(&good[..good.len() - 1]),
        rules(),
        ErrorCode::InvalidRecord,
    );
    check_refused(
        with_records(&[&good[..], &[1]].concat()),
        rules(),
        ErrorCode::InvalidRecord,
    );
    // The offset delta of the second record: length, attributes, timestamp delta, then it.
    let position = good.len() - 13 + 3;
    let mut gap = good.to_vec();
    assert_eq!(gap[position], 2, "zigzag of 1");
    gap[position] = 4;
    let error = check_refused(with_records(&gap), rules(), ErrorCode::InvalidRecord);
    assert_eq!(
        error,
        ProduceError::OffsetDelta {
            index: 1,
            offset_delta: 2
        }
    );
}

#[test]
fn quirk_24_a_compacted_topic_names_the_records_without_a_key() {
    let mut builder = builder();
    builder.append(NOW, None, Some(b"v"), &[]);
    let rules = ProduceRules {
        compacted: true,
        depth: Depth::Header,
        ..rules()
    };
    let error = check_refused(builder.build().to_bytes(), rules, ErrorCode::InvalidRecord);
    let fault = RecordFault {
        index: 2,
        kind: RecordFaultKind::NoKey,
    };
    assert_eq!(error.record_faults(), [fault]);
    let partition = TopicPartition::new(TopicName::new("t").unwrap(), PartitionIndex(0));
    assert_eq!(
        error.message(&partition),
        "One or more records have been rejected due to 1 record errors in total"
    );
}

#[test]
fn quirk_24_timestamps_out_of_range_are_named_at_both_depths() {
    for depth in [Depth::Header, Depth::Records] {
        let check = |before, after, index, expected: bool| {
            let mut builder = BatchBuilder::new();
            builder.append(Timestamp(900_000), None, None, &[]);
            builder.append(Timestamp(1_100_000), None, None, &[]);
            let rules = ProduceRules {
                timestamp_before_max_ms: before,
                timestamp_after_max_ms: after,
                depth,
                ..rules()
            };
            let result = validate(Some(builder.build().to_bytes()), &rules, NOW);
            assert_eq!(result.is_ok(), expected);
            if let Err(error) = result {
                assert_eq!(error.code(), ErrorCode::InvalidTimestamp);
                assert_eq!(error.record_faults()[0].index, index);
            }
        };
        check(100_000, 100_000, 0, true);
        check(99_999, 100_000, 0, false);
        check(100_000, 99_999, 1, false);
        check(i64::MAX, i64::MAX, 0, true);
    }
}

#[test]
fn quirk_23_log_append_time_is_stamped_and_told() {
    let rules = ProduceRules {
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: 0,
        timestamp_after_max_ms: 0,
        ..rules()
    };
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(5), None, None, &[]); // far too old, but nobody asks
    let validated = validate(Some(builder.build().to_bytes()), &rules, NOW).unwrap();
    assert_eq!(validated.log_append_time, NOW);
    let header = *validated.batch.header();
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(header.max_timestamp(), NOW);
    assert!(RecordBatch::parse(&mut validated.batch.to_bytes()).is_ok());
}

#[test]
fn quirk_25_another_codec_only_where_the_topic_names_one_and_zstd_only_from_version_7() {
    let check = |sent, target: Option<(Compression, i32)>, expected| {
        let bytes = builder().compression(sent, 3).build().to_bytes();
        let rules = ProduceRules {
            compression: target,
            depth: Depth::Header,
            ..rules()
        };
        let batch = validate(Some(bytes.clone()), &rules, NOW).unwrap().batch;
        assert_eq!(batch.header().compression(), Some(expected));
        assert_eq!(batch.to_bytes() == bytes, sent == expected);
        assert_eq!(batch.records(1_000_000).unwrap().count(), 2);
    };
    check(Compression::Gzip, None, Compression::Gzip);
    check(
        Compression::Gzip,
        Some((Compression::Gzip, 9)),
        Compression::Gzip,
    );
    check(
        Compression::Gzip,
        Some((Compression::Zstd, 3)),
        Compression::Zstd,
    );
    check(
        Compression::Lz4,
        Some((Compression::None, 0)),
        Compression::None,
    );
    check(
        Compression::None,
        Some((Compression::Snappy, 0)),
        Compression::Snappy,
    );

    let zstd = builder().compression(Compression::Zstd, 3).build();
    let rules = ProduceRules {
        version: 6,
        ..rules()
    };
    check_refused(
        zstd.to_bytes(),
        rules,
        ErrorCode::UnsupportedCompressionType,
    );
}

#[test]
fn the_largest_batch_is_measured_before_and_after_another_codec() {
    let plain = builder().build().to_bytes();
    let small = builder()
        .compression(Compression::Gzip, 9)
        .build()
        .to_bytes();
    assert!(small.len() < 500 && plain.len() > 2_000);
    let rules = ProduceRules {
        batch_bytes_max: 500,
        ..rules()
    };
    check_refused(plain, rules, ErrorCode::MessageTooLarge);
    assert!(validate(Some(small.clone()), &rules, NOW).is_ok());
    let rules = ProduceRules {
        compression: Some((Compression::None, 0)),
        ..rules
    };
    check_refused(small.clone(), rules, ErrorCode::MessageTooLarge);
    let rules = ProduceRules {
        inflated_bytes_max: 1_000,
        ..rules
    };
    check_refused(small, rules, ErrorCode::MessageTooLarge);
}

#[test]
fn a_false_maximal_timestamp_is_put_right() {
    let bytes = patched(35, &(NOW.0 + 77).to_be_bytes());
    let batch = validate(Some(bytes), &rules(), NOW).unwrap().batch;
    assert_eq!(batch.header().max_timestamp(), NOW.plus_millis(5));
    assert!(RecordBatch::parse(&mut batch.to_bytes()).is_ok());
}

#[test]
fn an_idempotent_producers_batch_keeps_its_numbers() {
    let bytes = builder()
        .producer(ProducerId(9), ProducerEpoch(1), 41)
        .build()
        .to_bytes();
    let rules = ProduceRules {
        compression: Some((Compression::Lz4, 9)),
        ..rules()
    };
    let batch = validate(Some(bytes), &rules, NOW).unwrap().batch;
    assert_eq!(batch.header().producer_id(), ProducerId(9));
    assert_eq!(batch.header().base_sequence(), 41);
}
