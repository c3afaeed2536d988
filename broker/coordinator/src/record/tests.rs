//! The expected bytes were written by Apache Kafka 4.4's own classes.

use klamm_model::{Timestamp, TopicId};

use super::*;

const OFFSET_KEY_LEGACY: &str = "000000076772c3bc7070650003666f6f00000007";
const OFFSET_KEY: &str = "000100076772c3bc7070650003666f6f00000007";
const OFFSET_VALUES: [&str; 5] = [
    "00000000011f71fb04cb00026d650000018bcfe56800",
    "00010000011f71fb04cb00026d650000018bcfe568000000018bcfe56be8",
    "00020000011f71fb04cb00026d650000018bcfe56800",
    "00030000011f71fb04cb0000000500026d650000018bcfe56800",
    "00040000011f71fb04cb00000005036d650000018bcfe568000100100123456789abcdef1122334455667788",
];
const OFFSET_VALUE_WITHOUT_TOPIC_ID: &str = "00040000011f71fb04cb00000005036d650000018bcfe5680000";
const GROUP_KEY: &str = "000200076772c3bc707065";
const GROUP_VALUES: [&str; 5] = [
    "00000008636f6e73756d657200000003000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e302e310000271000000003010203000000020405",
    "00010008636f6e73756d657200000003000572616e676500036d2d310000000100036d2d31000163000a2f3132372e302e302e310000ea600000271000000003010203000000020405",
    "00020008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568000000000100036d2d31000163000a2f3132372e302e302e310000ea600000271000000003010203000000020405",
    "00030008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568000000000100036d2d310003692d31000163000a2f3132372e302e302e310000ea600000271000000003010203000000020405",
    "000409636f6e73756d6572000000030672616e6765046d2d310000018bcfe5680002046d2d3104692d3102630b2f3132372e302e302e310000ea6000002710040102030304050000",
];
const EMPTY_GROUP_VALUE: &str = "0003000000000000ffffffff000000000000000700000000";

#[test]
fn offsets_are_read_in_every_version_kafka_wrote() {
    for (version, value) in OFFSET_VALUES.iter().enumerate() {
        for key in [OFFSET_KEY_LEGACY, OFFSET_KEY] {
            let expected = CommittedOffset {
                leader_epoch: if version >= 3 { 5 } else { -1 },
                expire_timestamp: (version == 1).then_some(Timestamp(1_700_000_001_000)),
                topic_id: if version == 4 {
                    topic_id()
                } else {
                    TopicId::ZERO
                },
                ..offset()
            };
            assert_eq!(
                decode(key, value),
                Ok(offset_of(Some(expected))),
                "version {version}"
            );
        }
    }
}

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    check_offset(offset(), OFFSET_VALUES[4]);
    check_offset(
        CommittedOffset {
            topic_id: TopicId::ZERO,
            ..offset()
        },
        OFFSET_VALUE_WITHOUT_TOPIC_ID,
    );
    check_offset(
        CommittedOffset {
            expire_timestamp: Some(Timestamp(1_700_000_001_000)),
            ..offset()
        },
        OFFSET_VALUES[1],
    );
    let tombstone = offset_record("grüppe", "foo", 7, None);
    assert_eq!(
        (hex(&tombstone.key).as_str(), tombstone.value),
        (OFFSET_KEY, None)
    );
}

fn check_offset(offset: CommittedOffset, expected: &str) {
    let record = offset_record("grüppe", "foo", 7, Some(&offset));
    assert_eq!(hex(&record.key), OFFSET_KEY);
    assert_eq!(record.value.as_deref().map(hex).as_deref(), Some(expected));
}

#[test]
fn groups_are_read_in_every_version_kafka_wrote() {
    for (version, value) in GROUP_VALUES.iter().enumerate() {
        let mut expected = group();
        expected.members[0].instance_id = (version >= 3).then(|| "i-1".to_owned());
        expected.members[0].rebalance_timeout_ms = if version >= 1 { 60_000 } else { 10_000 };
        expected.state_timestamp = (version >= 2).then_some(Timestamp(1_700_000_000_000));
        assert_eq!(
            decode(GROUP_KEY, value),
            Ok(group_of(Some(expected))),
            "version {version}"
        );
    }
}

#[test]
fn groups_are_written_as_kafka_writes_them() {
    let record = group_record("grüppe", Some(&group()));
    assert_eq!(hex(&record.key), GROUP_KEY);
    assert_eq!(
        record.value.as_deref().map(hex).as_deref(),
        Some(GROUP_VALUES[3])
    );

    let empty = GroupMetadata {
        protocol_type: String::new(),
        generation: 0,
        protocol: None,
        leader: None,
        state_timestamp: Some(Timestamp(7)),
        members: Vec::new(),
    };
    let record = group_record("grüppe", Some(&empty));
    assert_eq!(
        record.value.as_deref().map(hex).as_deref(),
        Some(EMPTY_GROUP_VALUE)
    );
    assert_eq!(
        decode(GROUP_KEY, EMPTY_GROUP_VALUE),
        Ok(group_of(Some(empty)))
    );
}

#[test]
fn kinds_of_records_that_are_not_served_are_skipped() {
    for kind in [3i16, 17, 28, i16::MAX, -1] {
        assert_eq!(
            Record::decode(&kind.to_be_bytes(), Some(b"?")),
            Ok(Record::Unknown)
        );
    }
}

#[test]
fn a_record_cut_anywhere_is_an_error_and_never_a_panic() {
    let texts = OFFSET_VALUES.iter().map(|value| (OFFSET_KEY, *value));
    let groups = GROUP_VALUES.iter().map(|value| (GROUP_KEY, *value));
    for (key, value) in texts.chain(groups) {
        let (key, value) = (unhex(key), unhex(value));
        for length in 0..value.len() {
            assert!(
                Record::decode(&key, Some(&value[..length])).is_err(),
                "{length}"
            );
        }
        for length in 0..key.len() {
            assert!(
                Record::decode(&key[..length], Some(&value)).is_err(),
                "{length}"
            );
        }
    }
}

#[test]
fn counts_and_lengths_that_lie_are_errors() {
    let mut huge = unhex(GROUP_VALUES[3]);
    let count_at = huge.len() - unhex(GROUP_VALUES[3]).len() + 36;
    huge[count_at..count_at + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    assert!(Record::decode(&unhex(GROUP_KEY), Some(&huge)).is_err());
    assert_eq!(
        decode(OFFSET_KEY, "0005"),
        Err(RecordError::UnknownVersion(5))
    );
    assert_eq!(
        decode(GROUP_KEY, "ffff"),
        Err(RecordError::UnknownVersion(-1))
    );
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(key: Vec<u8>, value: Option<Vec<u8>>) {
        let _ = Record::decode(&key, value.as_deref());
    }

    #[test]
    fn offsets_round_trip(
        offset: i64, leader_epoch: i32, metadata in ".{0,20}", commit: i64,
        expire in proptest::option::of(0i64..), topic_id: [u8; 16],
    ) {
        let value = CommittedOffset {
            offset,
            leader_epoch: if expire.is_some() { -1 } else { leader_epoch },
            metadata,
            commit_timestamp: Timestamp(commit),
            expire_timestamp: expire.map(Timestamp),
            topic_id: if expire.is_some() { TopicId::ZERO } else { TopicId::from_bytes(topic_id) },
        };
        let record = offset_record("g", "t", 0, Some(&value));
        let expected = Record::Offset {
            group_id: "g".to_owned(), topic: "t".to_owned(), partition: 0, value: Some(value),
        };
        assert_eq!(Record::decode(&record.key, record.value.as_deref()), Ok(expected));
    }
}

fn offset() -> CommittedOffset {
    CommittedOffset {
        offset: 1_234_567_890_123,
        leader_epoch: 5,
        metadata: "me".to_owned(),
        commit_timestamp: Timestamp(1_700_000_000_000),
        expire_timestamp: None,
        topic_id: topic_id(),
    }
}

fn topic_id() -> TopicId {
    TopicId::from_bytes(0x0123_4567_89ab_cdef_1122_3344_5566_7788_u128.to_be_bytes())
}

fn offset_of(value: Option<CommittedOffset>) -> Record {
    Record::Offset {
        group_id: "grüppe".to_owned(),
        topic: "foo".to_owned(),
        partition: 7,
        value,
    }
}

fn group() -> GroupMetadata {
    GroupMetadata {
        protocol_type: "consumer".to_owned(),
        generation: 3,
        protocol: Some("range".to_owned()),
        leader: Some("m-1".to_owned()),
        state_timestamp: Some(Timestamp(1_700_000_000_000)),
        members: vec![MemberMetadata {
            member_id: "m-1".to_owned(),
            instance_id: Some("i-1".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
            subscription: Bytes::from_static(&[1, 2, 3]),
            assignment: Bytes::from_static(&[4, 5]),
        }],
    }
}

fn group_of(value: Option<GroupMetadata>) -> Record {
    Record::Group {
        group_id: "grüppe".to_owned(),
        value,
    }
}

fn decode(key: &str, value: &str) -> Result<Record, RecordError> {
    Record::decode(&unhex(key), Some(&unhex(value)))
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("written in hex"))
        .collect()
}
