//! Messages as bytes: what is written is read, and nothing else is taken for a message.

use bytes::{Bytes, BytesMut};
use klamm_model::archive::ArchiveState;
use klamm_model::raft::{DataEntry, LogEntry, MetaEntry, MetaKind, Placement};
use klamm_model::{LogIndex, Offset, Term};
use klamm_replication::frame::{Format, FrameError, decode, encode};
use klamm_replication::{Configuration, EntryId, Envelope, Members, PeerMessage, ReplicaId};
use proptest::prelude::*;

use crate::batch;

fn id() -> impl Strategy<Value = EntryId> {
    (0..u64::MAX >> 1, 0..u64::from(u32::MAX >> 1)).prop_map(|(index, term)| EntryId {
        index: LogIndex(index),
        term: Term::new(term),
    })
}

fn index() -> impl Strategy<Value = LogIndex> {
    (0..u64::MAX >> 1).prop_map(LogIndex)
}

/// Also none at all.
fn members() -> impl Strategy<Value = Members> {
    (0..5_u64, 0..4_u64).prop_map(|(voters, learners)| match voters {
        0 => Members::default(),
        _ => Members::of_voters((1..=voters).filter_map(ReplicaId::new))
            .with_learners((9..9 + learners).filter_map(ReplicaId::new)),
    })
}

fn message() -> impl Strategy<Value = PeerMessage> {
    let flags = any::<(bool, bool)>();
    prop_oneof![
        (flags, id(), id()).prop_map(|((pre, transfer), last, commit)| {
            PeerMessage::VoteRequest {
                pre,
                last,
                commit,
                transfer,
            }
        }),
        (flags, id()).prop_map(|((pre, granted), commit)| PeerMessage::VoteResponse {
            pre,
            granted,
            commit
        }),
        (index(), index()).prop_map(|(through, commit)| PeerMessage::Accepted { through, commit }),
        index().prop_map(|through| PeerMessage::Written { through }),
        (index(), id(), index()).prop_map(|(previous, hint, commit)| PeerMessage::Rejected {
            previous,
            hint,
            commit
        }),
        id().prop_map(|unless| PeerMessage::TakeCopy { unless }),
        (index(), any::<bool>())
            .prop_map(|(commit, sleep)| PeerMessage::Heartbeat { commit, sleep }),
        (index(), any::<bool>())
            .prop_map(|(commit, asleep)| PeerMessage::HeartbeatResponse { commit, asleep }),
        Just(PeerMessage::TimeoutNow),
        any::<u64>().prop_map(|life| PeerMessage::Recovering { life }),
        (any::<u64>(), index())
            .prop_map(|(life, through)| PeerMessage::CatchUpTo { life, through }),
        (any::<u64>(), id(), index(), members()).prop_map(|(life, last, since, members)| {
            let commit = EntryId::default();
            PeerMessage::Holds {
                life,
                last,
                commit,
                configuration: Box::new(Configuration { since, members }),
            }
        }),
    ]
}

const PLACEMENTS: [Placement; 3] = [
    Placement::Undecided,
    Placement::Begins,
    Placement::Continues,
];

/// An append of entries of all kinds: 0 a no-op, 1 a membership, 2 about the archive, else so many records
/// less two.
fn append() -> impl Strategy<Value = (PeerMessage, Vec<LogEntry>)> {
    let kinds = prop::collection::vec((0..6_usize, prop::sample::select(&PLACEMENTS)), 0..6);
    (0..1_000_u64, kinds, any::<bool>()).prop_map(|(previous, kinds, flush)| {
        let mut offset = Offset::ZERO;
        let mut entries = Vec::new();
        for (nth, (kind, placement)) in (1..).zip(kinds) {
            let index = LogIndex(previous + nth);
            let term = Term::new(3);
            entries.push(match kind {
                0..=2 => LogEntry::Meta(MetaEntry {
                    index,
                    term,
                    at_offset: offset,
                    kind: match kind {
                        0 => MetaKind::Noop,
                        1 => MetaKind::Membership(Bytes::from_static(b"members")),
                        _ => MetaKind::Archive(ArchiveState::beginning_at(offset)),
                    },
                }),
                records => {
                    let mut batch = batch(records - 2);
                    batch.stamp(offset, term.leader_epoch());
                    offset = batch.next_offset();
                    LogEntry::Records(DataEntry {
                        index,
                        term,
                        batch,
                        placement,
                    })
                }
            });
        }
        let message = PeerMessage::Append {
            previous: EntryId {
                index: LogIndex(previous),
                term: Term::new(2),
            },
            commit: LogIndex(previous),
            count: u32::try_from(entries.len()).unwrap(),
            flush,
        };
        (message, entries)
    })
}

fn whole() -> impl Strategy<Value = (Envelope, Vec<LogEntry>)> {
    let said = prop_oneof![
        message().prop_map(|message| (message, Vec::new())),
        append(),
    ];
    (1..u64::MAX, 1..u64::MAX, id(), said).prop_map(|(from, to, id, (message, entries))| {
        let envelope = Envelope {
            from: ReplicaId::new(from).unwrap(),
            to: ReplicaId::new(to).unwrap(),
            term: id.term,
            visible: id.index,
            message,
        };
        (envelope, entries)
    })
}

fn bytes(envelope: &Envelope, entries: &[LogEntry]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for piece in encode(envelope, entries, Format::Three) {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// What distinguishes entries; batches have no equality of their own.
fn facts(entry: &LogEntry) -> (EntryId, Offset, Content) {
    let content = match entry {
        LogEntry::Records(entry) => Content::Records(entry.placement, entry.batch.to_bytes()),
        LogEntry::Meta(entry) => Content::Meta(entry.kind.clone()),
    };
    (EntryId::of(entry), entry.base_offset(), content)
}

#[derive(Debug, PartialEq)]
enum Content {
    Records(Placement, Bytes),
    Meta(MetaKind),
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_024) })]

    #[test]
    fn what_is_written_is_read((envelope, entries) in whole()) {
        let (read, read_entries) = decode(bytes(&envelope, &entries).freeze()).unwrap();
        prop_assert_eq!(read, envelope);
        let facts = |entries: &[LogEntry]| entries.iter().map(facts).collect::<Vec<_>>();
        prop_assert_eq!(facts(&read_entries), facts(&entries));
    }

    #[test]
    fn the_first_format_says_nothing_of_segments((envelope, mut entries) in whole()) {
        let bytes = encode(&envelope, &entries, Format::One).concat();
        let (read, read_entries) = decode(bytes.into()).unwrap();
        prop_assert_eq!(read, envelope);
        for entry in &mut entries {
            if let LogEntry::Records(entry) = entry {
                entry.placement = Placement::Undecided;
            }
        }
        let facts = |entries: &[LogEntry]| entries.iter().map(facts).collect::<Vec<_>>();
        prop_assert_eq!(facts(&read_entries), facts(&entries));
    }

    #[test]
    fn half_a_message_and_one_and_a_half_are_refused((envelope, entries) in whole(), at in any::<prop::sample::Index>()) {
        let mut whole = bytes(&envelope, &entries);
        let half = whole.clone().freeze().slice(..at.index(whole.len()));
        prop_assert!(decode(half).is_err());
        whole.extend_from_slice(b"more");
        prop_assert_eq!(decode(whole.freeze()).unwrap_err(), FrameError::Trailing(4));
    }

    #[test]
    fn no_byte_makes_it_panic((envelope, entries) in whole(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut whole = bytes(&envelope, &entries);
        let at = at.index(whole.len());
        whole[at] = byte;
        if let Ok((envelope, entries)) = decode(whole.freeze()) {
            let _ = encode(&envelope, &entries, Format::One);
        }
    }
}
