//! What an unclean election does to the log on the disk.

use klamm_model::Term;
use klamm_model::raft::{DataEntry, LogEntry, MetaEntry, Placement};
use klamm_replication::{Envelope, PeerMessage, UncleanElection};

use super::*;
use crate::partition::driver::unclean::{Settled, settle};

fn id(id: u64) -> ReplicaId {
    ReplicaId::new(id).unwrap()
}

fn three() -> Members {
    Members::of_voters([id(1), id(2), id(3)])
}

/// Replica `survivor` goes on with a log of which the last entry is of term 1.
fn election(survivor: u64, last: u64, end: i64) -> UncleanElection {
    UncleanElection {
        number: 1,
        survivor: id(survivor),
        last: EntryId {
            index: LogIndex(last),
            term: Term::new(1),
        },
        end_offset: Offset::new(end),
        term: Term::new(1_001),
    }
}

/// Replica 1 of three has been given so many batches of two records by replica 2, after its no-op.
fn follower_with(fixture: &Fixture, batches: u64) {
    let mut driver = fixture.driver_of(0, strict(), three());
    driver.start(NOW, &mut Vec::new());
    let meta = MetaEntry {
        index: LogIndex(1),
        term: Term::new(1),
        at_offset: Offset::ZERO,
        kind: MetaKind::Noop,
    };
    let mut entries = vec![LogEntry::Meta(meta)];
    for nth in 0..batches {
        let mut batch = batch(2);
        batch.stamp(Offset::new(2 * nth as i64), LeaderEpoch(1));
        entries.push(LogEntry::Records(DataEntry {
            index: LogIndex(2 + nth),
            term: Term::new(1),
            placement: Placement::Undecided,
            batch,
        }));
    }
    let envelope = Envelope {
        from: id(2),
        to: id(1),
        term: Term::new(1),
        visible: LogIndex::ZERO,
        message: PeerMessage::Append {
            previous: EntryId::default(),
            commit: LogIndex::ZERO,
            count: entries.len() as u32,
            flush: true,
        },
    };
    driver.received(NOW, envelope, entries, &mut Vec::new());
    fixture.sync_journal(&mut driver);
    turn(&mut driver);
    assert_eq!(driver.log_end_offset(), Offset::new(2 * batches as i64));
    driver.close().unwrap();
}

#[test]
fn a_survivor_leads_alone_with_what_it_has_however_often_it_is_told() {
    let fixture = Fixture::new();
    follower_with(&fixture, 3);
    let election = election(1, 4, 6);
    let mut log = fixture.log(0, strict()).unwrap();
    assert_eq!(
        settle(&mut log, id(1), &election).unwrap(),
        Settled::GoesOnAlone
    );
    assert_eq!(settle(&mut log, id(1), &election).unwrap(), Settled::GoesOn);
    drop(log);
    let mut log = fixture.log(0, strict()).unwrap();
    assert_eq!(settle(&mut log, id(1), &election).unwrap(), Settled::GoesOn);
    drop(log);
    let mut driver = fixture.driver_of(0, strict(), Members::default());
    driver.start(NOW, &mut Vec::new());
    fixture.sync_journal(&mut driver);
    assert!(driver.is_leader());
    assert_eq!(driver.leader_epoch(), LeaderEpoch(1_002));
    assert_eq!(driver.high_watermark(), Offset::new(6));
    assert_eq!(driver.members().to_string(), "1!1");
    assert!(driver.stage(batch(1), AppendOrigin::Client).is_ok());
}

#[test]
fn a_log_that_is_given_up_says_from_where_on_records_are_lost() {
    let check = |election: UncleanElection, settled| {
        let fixture = Fixture::new();
        follower_with(&fixture, 3);
        let mut log = fixture.log(0, strict()).unwrap();
        assert_eq!(settle(&mut log, id(4), &election).unwrap(), settled);
    };
    check(election(2, 4, 6), Settled::GoesOn);
    check(election(2, 9, 16), Settled::GoesOn);
    let lost_from = Offset::new(4);
    check(election(2, 3, 4), Settled::IsGivenUp { lost_from });
    // The second of a group of which it has missed the first: what it has in common with others ends where
    // it ends at the latest.
    let second = UncleanElection {
        number: 2,
        ..election(2, 9, 16)
    };
    let lost_from = Offset::new(6);
    check(second, Settled::IsGivenUp { lost_from });
}

#[test]
fn a_crash_at_any_operation_leaves_a_survivor_that_was_told_or_can_be_told_again() {
    let election = election(1, 4, 6);
    let (mut at, mut told_again) = (1, 0);
    loop {
        let fixture = Fixture::new();
        follower_with(&fixture, 3);
        let disk = fixture.disk.clone();
        disk.crash_at(disk.operations() + at);
        let mut log = fixture.log(0, strict()).ok();
        let settled = log.as_mut().map(|log| settle(log, id(1), &election));
        drop((log, fixture));
        let is_through = !disk.is_crashed();
        assert_eq!(
            is_through,
            matches!(settled, Some(Ok(Settled::GoesOnAlone)))
        );
        disk.restart(Crash::PowerLoss);
        let fixture = Fixture::on(disk);
        let mut log = fixture.log(0, strict()).unwrap();
        match settle(&mut log, id(1), &election).unwrap() {
            Settled::GoesOnAlone => told_again += 1,
            Settled::GoesOn => {}
            given_up @ Settled::IsGivenUp { .. } => panic!("{given_up:?}"),
        }
        assert_eq!(log.log_end_offset(), Offset::new(6));
        drop(log);
        let mut driver = fixture.driver_of(0, strict(), Members::default());
        driver.start(NOW, &mut Vec::new());
        fixture.sync_journal(&mut driver);
        assert!(driver.is_leader(), "after a crash at {at}");
        if is_through {
            break;
        }
        at += 1;
    }
    assert!(told_again > 0 && told_again < at, "{told_again} of {at}");
}
