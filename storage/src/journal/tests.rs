use bytes::Bytes;
use klamm_model::archive::ArchiveState;
use klamm_model::raft::MetaKind;
use klamm_model::{LeaderEpoch, Term};

use super::*;
use crate::{Crash, EpochEntry, Fault, MemDisk};

const PATH: &str = "/klamm.journal";

fn group(number: u8) -> GroupId {
    GroupId {
        topic_id: TopicId::from_bytes([number; 16]),
        partition: PartitionIndex(0),
    }
}

fn open(disk: &MemDisk, lossy: bool) -> Result<Journal, JournalError> {
    Journal::open(Arc::new(disk.clone()), Path::new(PATH), lossy)
}

fn hard_state(term: u64) -> HardState {
    HardState {
        term: Term::new(term),
        vote: term + 1,
        commit: LogIndex(term + 2),
    }
}

fn noop(index: u64, term: u64, at_offset: i64) -> MetaEntry {
    MetaEntry {
        index: LogIndex(index),
        term: Term::new(term),
        at_offset: Offset::new(at_offset),
        kind: MetaKind::Noop,
    }
}

fn fill(journal: &Journal) {
    let membership = MetaEntry {
        kind: MetaKind::Membership("abc".into()),
        ..noop(7, 1, 5)
    };
    journal.save_hard_state(group(1), hard_state(1)).unwrap();
    journal.append_meta(group(1), &noop(1, 1, 0)).unwrap();
    journal
        .segment(group(1), Offset::ZERO, LogIndex(2))
        .unwrap();
    journal.append_meta(group(1), &membership).unwrap();
    journal.append_meta(group(1), &noop(9, 2, 6)).unwrap();
    journal
        .segment(group(1), Offset::new(6), LogIndex(10))
        .unwrap();
    journal.save_hard_state(group(2), hard_state(5)).unwrap();
    journal.save_hard_state(group(3), hard_state(6)).unwrap();
    journal.drop_group(group(3)).unwrap();
    let anchor = Anchor {
        first_index: LogIndex(10),
        prev_term: Term::new(2),
        first_offset: Offset::new(6),
        compacted: None,
        log_start_offset: Offset::new(6),
        members: "members".into(),
    };
    journal.anchor(group(1), &anchor).unwrap();
    let compacted = Compacted {
        end_offset: Offset::new(30),
        epochs: vec![EpochEntry {
            epoch: LeaderEpoch(2),
            start_offset: Offset::new(6),
        }],
    };
    let compacted = Anchor {
        compacted: Some(compacted),
        ..anchor
    };
    journal.anchor(group(4), &compacted).unwrap();
    journal
        .closed_at(group(2), Offset::new(3), LogIndex(4))
        .unwrap();
    journal
        .truncate_from(group(1), LogIndex(30), Offset::new(20))
        .unwrap();
}

fn all(journal: &Journal) -> Vec<(GroupId, GroupState)> {
    let groups = journal.groups().into_iter();
    groups.map(|group| (group, journal.group(group))).collect()
}

#[test]
fn what_was_said_is_known_again() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    let before = all(&journal);
    assert_eq!(before.len(), 3);
    let known = &before[0].1;
    assert_eq!(
        known.metas.len(),
        1,
        "changes of members outlive the anchor"
    );
    assert_eq!(known.segments.len(), 1);
    drop(journal);
    assert_eq!(all(&open(&disk, false).unwrap()), before);
}

#[test]
fn a_rewritten_journal_says_the_same() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    let before = all(&journal);
    let long = journal.length_bytes();
    journal.rewrite().unwrap();
    assert!(journal.length_bytes() < long);
    assert_eq!(all(&journal), before);
    journal.save_hard_state(group(2), hard_state(9)).unwrap();
    let before = all(&journal);
    assert_eq!(all(&open(&disk, true).unwrap()), before);
}

#[test]
fn a_copy_takes_the_place_of_all_but_the_vote() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    let one = group(1);
    journal
        .truncate_from(one, LogIndex(2), Offset::new(1))
        .unwrap();
    let voted = HardState {
        vote: 3,
        ..hard_state(9)
    };
    let anchor = Anchor {
        first_index: LogIndex(40),
        prev_term: Term::new(7),
        first_offset: Offset::new(30),
        log_start_offset: Offset::new(33),
        compacted: Some(Compacted {
            end_offset: Offset::new(32),
            epochs: vec![crate::EpochEntry {
                epoch: klamm_model::LeaderEpoch(5),
                start_offset: Offset::new(31),
            }],
        }),
        members: Bytes::from_static(b"three"),
    };
    let copied = Copied {
        topic: klamm_model::TopicName::new("orders").unwrap(),
        end_offset: Offset::new(50),
        last_index: LogIndex(60),
        last_term: Term::new(9),
        anchor,
        metas: vec![noop(41, 9, 33)],
        segments: [(Offset::new(32), LogIndex(40))].into(),
    };
    for (before, vote) in [(hard_state(8), 0), (voted, 3)] {
        journal.save_hard_state(one, before).unwrap();
        journal.copied(one, copied.clone()).unwrap();
        let now = journal.group(one);
        assert_eq!(now.metas, copied.metas);
        assert_eq!(now.segments, copied.segments);
        assert_eq!(now.anchor, Some(copied.anchor.clone()));
        assert_eq!(now.closed_at, Some((Offset::new(50), LogIndex(61))));
        assert_eq!(now.cut_to, None);
        let HardState { term, commit, .. } = now.hard_state;
        assert_eq!((term, commit), (Term::new(9), LogIndex(60)));
        assert_eq!(now.hard_state.vote, vote);
    }
    let is_kept = |state: Option<CopyState>| {
        assert_eq!(journal.copy_state(one), state);
        let before = all(&journal);
        assert_eq!(all(&open(&disk.fork(), false).unwrap()), before);
        journal.rewrite().unwrap();
        assert_eq!(all(&journal), before);
        assert_eq!(all(&open(&disk.fork(), false).unwrap()), before);
    };
    is_kept(Some(CopyState::Unplaced(copied.topic.clone())));
    journal.checkpointed(one).unwrap();
    is_kept(Some(CopyState::Unplaced(copied.topic.clone())));
    journal.copy_placed(one).unwrap();
    is_kept(Some(CopyState::Placed));
    journal.checkpointed(one).unwrap();
    is_kept(None);
}

#[test]
fn garbage_makes_it_want_a_rewrite() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    let mut term = 0;
    while !journal.wants_rewrite() {
        term += 1;
        journal.save_hard_state(group(1), hard_state(term)).unwrap();
        assert!(journal.length_bytes() < 1 << 20);
    }
    journal.rewrite().unwrap();
    assert!(!journal.wants_rewrite());
    assert!(journal.length_bytes() < 1000);
    assert_eq!(journal.group(group(1)).hard_state, hard_state(term));
}

#[test]
fn an_entry_replaces_those_at_and_after_its_index() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    for entry in [noop(1, 1, 0), noop(5, 2, 3), noop(9, 3, 6), noop(5, 4, 3)] {
        journal.append_meta(group(1), &entry).unwrap();
    }
    let metas = journal.group(group(1)).metas;
    assert_eq!(metas, [noop(1, 1, 0), noop(5, 4, 3)]);
}

#[test]
fn an_unfinished_last_write_is_cut_after_a_kill() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    let before = all(&journal);
    let whole = journal.length_bytes();
    journal.save_hard_state(group(1), hard_state(77)).unwrap();
    let length = journal.length_bytes();
    for cut in whole..length {
        let disk = disk.fork();
        let file = disk.open(Path::new(PATH), Open::Existing).unwrap();
        file.truncate(cut).unwrap();
        let journal = open(&disk, false).unwrap();
        assert_eq!(all(&journal), before, "cut at {cut}");
        journal.save_hard_state(group(1), hard_state(78)).unwrap();
        assert_eq!(all(&open(&disk, false).unwrap()), all(&journal));
    }
}

#[test]
fn every_flipped_bit_is_found_and_nothing_is_cut() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    journal.sync().unwrap();
    let length = journal.length_bytes();
    for position in 0..length {
        let disk = disk.fork();
        disk.damage(Path::new(PATH), position, 1 << (position % 8));
        let opened = open(&disk, false);
        assert!(
            matches!(
                opened,
                Err(JournalError::Corrupt { .. } | JournalError::Foreign { .. })
            ),
            "at {position}: {opened:?}"
        );
        let file = disk.open(Path::new(PATH), Open::Existing).unwrap();
        assert_eq!(file.length().unwrap(), length);
    }
}

#[test]
fn damage_below_what_was_synced_is_found_even_after_a_power_loss() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    let durable = journal.length_bytes();
    journal.sync().unwrap();
    journal.save_hard_state(group(1), hard_state(50)).unwrap();
    for position in 16..durable {
        let disk = disk.fork();
        disk.damage(Path::new(PATH), position, 0x10);
        let opened = open(&disk, true);
        assert!(
            matches!(opened, Err(JournalError::Corrupt { .. })),
            "at {position}"
        );
    }
}

#[test]
fn a_power_loss_keeps_what_was_synced() {
    for seed in 0..100 {
        let disk = MemDisk::new(seed);
        let journal = open(&disk, false).unwrap();
        for term in 1..20 {
            journal.save_hard_state(group(1), hard_state(term)).unwrap();
        }
        journal.sync().unwrap();
        for term in 20..60 {
            journal.save_hard_state(group(1), hard_state(term)).unwrap();
        }
        disk.restart(Crash::PowerLoss);
        let journal = open(&disk, true).unwrap();
        let term = journal.group(group(1)).hard_state.term.get();
        assert!((19..60).contains(&term), "seed {seed}: {term}");
    }
}

#[test]
fn a_failed_sync_is_not_tried_again() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    fill(&journal);
    disk.fail_at(disk.operations() + 1, Fault::Io);
    assert!(matches!(journal.sync(), Err(JournalError::Offline { .. })));
    let operations = disk.operations();
    assert!(journal.sync().is_err());
    assert!(journal.save_hard_state(group(1), hard_state(1)).is_err());
    assert!(journal.rewrite().is_err());
    assert_eq!(disk.operations(), operations);
}

#[test]
fn a_full_disk_is_a_clean_refusal() {
    for nth in 1..4 {
        let disk = MemDisk::new(nth);
        let journal = open(&disk, false).unwrap();
        fill(&journal);
        let before = all(&journal);
        disk.fail_at(disk.operations() + nth, Fault::NoSpace);
        let mut refused = 0;
        for _ in 0..4 {
            match journal.save_hard_state(group(2), hard_state(5)) {
                Ok(()) => {}
                Err(JournalError::NoSpace { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(refused, 1);
        assert_eq!(all(&journal), before);
        assert_eq!(all(&open(&disk, false).unwrap()), before);
    }
}

#[test]
fn something_else_is_not_taken_for_a_journal() {
    let disk = MemDisk::new(1);
    let file = disk.open(Path::new(PATH), Open::Create).unwrap();
    file.write_at(&mut [IoSlice::new(b"hello, I am a text file")], 0)
        .unwrap();
    assert!(matches!(
        open(&disk, false),
        Err(JournalError::Foreign { .. })
    ));
}

#[test]
fn of_what_was_said_about_the_archive_the_last_stays_whatever_the_log_loses() {
    let disk = MemDisk::new(1);
    let journal = open(&disk, false).unwrap();
    let state = |end: i64| ArchiveState::beginning_at(Offset::new(end));
    for (index, end) in [(2, 1), (3, 2), (5, 3), (7, 4)] {
        let entry = MetaEntry {
            kind: MetaKind::Archive(state(end)),
            ..noop(index, 1, end)
        };
        journal.append_meta(group(1), &entry).unwrap();
    }
    let anchor = Anchor {
        first_index: LogIndex(6),
        prev_term: Term::new(1),
        first_offset: Offset::new(3),
        compacted: None,
        log_start_offset: Offset::new(3),
        members: "members".into(),
    };
    journal.anchor(group(1), &anchor).unwrap();
    let kept = |journal: &Journal| {
        let metas = journal.group(group(1)).metas.into_iter();
        metas.map(|meta| meta.index.0).collect::<Vec<_>>()
    };
    assert_eq!(kept(&journal), [5, 7]);
    journal.rewrite().unwrap();
    let before = all(&journal);
    drop(journal);
    let journal = open(&disk, false).unwrap();
    assert_eq!(all(&journal), before);
    journal
        .truncate_from(group(1), LogIndex(6), Offset::new(3))
        .unwrap();
    assert_eq!(kept(&journal), [5], "the one before is known again");
}
