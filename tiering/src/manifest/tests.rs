use klamm_model::{PartitionIndex, TopicId};
use proptest::prelude::*;

use super::*;
use crate::archived_object::ObjectDetails;
use crate::layout::ObjectName;

fn owner() -> ArchiveOwner {
    ArchiveOwner {
        cluster_id: "a cluster".to_owned(),
        topic: TopicName::new("orders").unwrap(),
        group: GroupId {
            topic_id: TopicId::from_bytes([5; 16]),
            partition: PartitionIndex(3),
        },
    }
}

fn object(base: i64, end: i64, is_known: bool) -> ArchivedObject {
    let (base, end) = (Offset::new(base), Offset::new(end));
    let details = ObjectDetails {
        records: 9,
        min_timestamp: Timestamp(1_700_000_000_000),
        max_timestamp: Timestamp(1_700_000_000_000 + end.get()),
        first_epoch: LeaderEpoch(1),
        last_epoch: LeaderEpoch(2),
        checksum: Some("AAAAAAAAAAA=".to_owned()),
    };
    ArchivedObject {
        name: ObjectName::new(base, end, LeaderEpoch(2), 11).unwrap(),
        bytes: 1 << 20,
        details: is_known.then_some(details),
    }
}

/// A head of lists up to 100, and of objects up to 160.
fn head() -> ManifestHead {
    let list = |base: i64, end: i64| SealedRange {
        range: Offset::new(base)..Offset::new(end),
        objects: 4,
        bytes: 4096,
        max_timestamp: (base == 0).then_some(Timestamp(7)),
    };
    ManifestHead {
        owner: owner(),
        leader_epoch: LeaderEpoch(2),
        sequence: u64::MAX,
        start: Offset::new(10),
        end: Offset::new(160),
        epochs: vec![EpochEntry {
            epoch: LeaderEpoch(1),
            start_offset: Offset::ZERO,
        }],
        sealed: vec![list(0, 40), list(40, 100)],
        recent: vec![object(100, 130, true), object(130, 160, false)],
    }
}

fn list() -> SealedList {
    SealedList {
        owner: owner(),
        objects: vec![object(0, 10, true), object(10, 40, true)],
    }
}

#[test]
fn what_was_written_is_read_back() {
    assert_eq!(ManifestHead::decode(&head().encode()), Ok(head()));
    assert_eq!(SealedList::decode(&list().encode()), Ok(list()));
    let empty = ManifestHead {
        start: Offset::new(10),
        end: Offset::new(10),
        sealed: Vec::new(),
        recent: Vec::new(),
        ..head()
    };
    assert_eq!(ManifestHead::decode(&empty.encode()), Ok(empty));
}

#[test]
fn a_person_can_read_it() {
    let text = String::from_utf8(head().encode().to_vec()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains(r#""topic":"orders""#), "{text}");
    assert!(
        lines.iter().any(|line| line.starts_with(r#"{"base":130,"#)),
        "{text}"
    );
}

#[test]
fn every_cut_is_refused() {
    let (head, list) = (head().encode(), list().encode());
    // The last byte is the end of the line.
    for cut in 0..head.len() - 1 {
        assert!(ManifestHead::decode(&head[..cut]).is_err(), "cut at {cut}");
    }
    for cut in 0..list.len() - 1 {
        assert!(SealedList::decode(&list[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_flipped_byte_is_refused_or_a_manifest_all_the_same() {
    let bytes = head().encode();
    for position in 0..bytes.len() {
        for mask in [1, 0x20, 0x80] {
            let mut damaged = bytes.to_vec();
            damaged[position] ^= mask;
            if let Ok(head) = ManifestHead::decode(&damaged) {
                assert_eq!(head.check(), Ok(()));
            }
        }
    }
}

/// The head with one part of its text replaced.
fn changed(from: &str, to: &str) -> Result<ManifestHead, ManifestError> {
    let text = String::from_utf8(head().encode().to_vec()).unwrap();
    assert!(text.contains(from), "{text}");
    ManifestHead::decode(text.replacen(from, to, 1).as_bytes())
}

#[test]
fn what_it_does_not_know_is_no_matter_but_a_newer_version_is() {
    assert_eq!(
        changed(r#""topic":"#, r#""colour":["red"],"topic":"#),
        Ok(head())
    );
    let newer = changed(r#""version":1"#, r#""version":2"#);
    assert_eq!(newer, Err(ManifestError::Newer { version: 2 }));
}

#[test]
fn impossible_fields_are_refused() {
    let cases = [
        (r#""version":1"#, r#""version":0"#),
        (r#""version":1"#, r#""version":"1""#),
        (r#""partition":3"#, r#""partition":-3"#),
        (r#""partition":3"#, r#""partition":3000000000"#),
        (r#""topic":"orders""#, r#""topic":"or/ders""#),
        (r#""start":10"#, r#""start":-1"#),
        (r#""start":10"#, r#""start":1e3"#),
        (r#""sealed":["#, r#""other":["#),
        (r#""records":9"#, r#""records":-9"#),
        (r#""epoch":2"#, r#""epoch":3000000000"#),
    ];
    for (from, to) in cases {
        let refused = changed(from, to);
        assert!(
            matches!(refused, Err(ManifestError::Damaged(_))),
            "{to}: {refused:?}"
        );
    }
}

#[test]
fn gaps_and_overlaps_are_refused() {
    let check = |change: &dyn Fn(&mut ManifestHead), at: i64| {
        let mut head = head();
        change(&mut head);
        let expected = ManifestError::Ranges {
            at: Offset::new(at),
        };
        assert_eq!(ManifestHead::decode(&head.encode()), Err(expected));
    };
    check(&|head| head.sealed.truncate(1), 40);
    check(&|head| drop(head.recent.remove(0)), 100);
    check(&|head| head.recent[0] = object(99, 130, true), 100);
    check(&|head| head.recent.truncate(1), 160);
    check(&|head| head.start = Offset::new(40), 40);
    check(&|head| head.sealed[0].range.end = Offset::ZERO, 10);
}

#[test]
fn a_list_is_taken_only_for_what_the_head_has_named() {
    let list = list();
    assert_eq!(list.check(&owner(), &list.summary()), Ok(()));
    let other = SealedRange {
        bytes: 1,
        ..list.summary()
    };
    assert!(list.check(&owner(), &other).is_err());
    let stranger = ArchiveOwner {
        cluster_id: "another".to_owned(),
        ..owner()
    };
    assert_eq!(
        list.check(&stranger, &list.summary()),
        Err(ManifestError::Foreign)
    );
}

#[test]
fn objects_are_sealed_by_their_number_and_by_their_bytes() {
    let objects: Vec<_> = (0..2_500).map(|at| object(at, at + 1, false)).collect();
    assert_eq!(sealable(&objects), SEAL_OBJECTS);
    assert_eq!(sealable(&objects[..999]), 0);
    let mut large = object(0, 1, true);
    let checksum = "x".repeat(100 << 10);
    large.details.as_mut().unwrap().checksum = Some(checksum);
    assert_eq!(sealable(&vec![large; 5]), 3);
}

proptest! {
    #[test]
    fn any_text_is_refused_or_fits_itself(text in r#"\{("[a-z_]{1,8}":(-?[0-9]{1,3}|"[a-z]*"|\[\]),?)*\}"#) {
        if let Ok(head) = ManifestHead::decode(text.as_bytes()) {
            prop_assert_eq!(head.check(), Ok(()));
        }
    }
}
