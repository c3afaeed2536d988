//! The driver on a disk in memory, step by step; whole lives are the simulation's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klamm_model::record_batch::BatchBuilder;
use klamm_model::{
    BrokerId, LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicName,
    TopicPartition,
};
use klamm_storage::log_dir::{LogDirIdentity, LogDirOptions};
use klamm_storage::{Crash, Fault, LogDir, MemDisk, OpenLogError};

use super::*;

mod archive;
mod group;
mod members;
mod room;
mod segments;
mod unclean;
mod writes;

const WALL: Timestamp = Timestamp(1_700_000_000_000);
const NOW: Instant = Instant::START;

/// A log directory on a disk in memory.
struct Fixture {
    disk: MemDisk,
    dir: LogDir,
}

impl Fixture {
    fn new() -> Self {
        Self::on(MemDisk::new(1))
    }

    fn on(disk: MemDisk) -> Self {
        let options = LogDirOptions {
            identity: LogDirIdentity {
                cluster_id: "test".to_owned(),
                node_id: BrokerId(1),
                directory_id: TopicId::from_bytes([1; 16]),
            },
            ballast_bytes: 0,
            mappings_max: 4,
        };
        let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap();
        Self { disk, dir }
    }

    fn driver(&self, partition: i32, config: LogConfig) -> PartitionDriver {
        self.driver_of(partition, config, Members::of_voters(ReplicaId::new(1)))
    }

    fn log(&self, partition: i32, config: LogConfig) -> Result<Log, OpenLogError> {
        let name = TopicPartition {
            topic: TopicName::new("topic").unwrap(),
            partition: PartitionIndex(partition),
        };
        let id = TopicId::from_bytes([2; 16]);
        self.dir.open_log(&name, id, config, WALL)
    }

    fn driver_of(&self, partition: i32, config: LogConfig, members: Members) -> PartitionDriver {
        let replica = ReplicaId::new(1).unwrap();
        self.driver_as(replica, partition, config, members)
    }

    fn driver_as(
        &self,
        replica: ReplicaId,
        partition: i32,
        config: LogConfig,
        members: Members,
    ) -> PartitionDriver {
        let log = self.log(partition, config).unwrap();
        let params = DriverParams {
            replica,
            members,
            seed: 0,
            life: 0,
            recovering: false,
            preferred: false,
            message_bytes: PartitionDriver::MESSAGE_BYTES,
            begin_by_copy_bytes: PartitionDriver::BEGIN_BY_COPY_BYTES,
        };
        PartitionDriver::open(params, log).unwrap()
    }

    fn leader(&self, config: LogConfig) -> PartitionDriver {
        let mut driver = self.driver(0, config);
        driver.start(NOW, &mut Vec::new());
        self.sync_journal(&mut driver);
        assert!(driver.is_leader());
        driver
    }

    fn sync_journal(&self, driver: &mut PartitionDriver) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let result = self.dir.journal().sync();
        driver.journal_synced(NOW, &result, &mut outcomes);
        outcomes
    }
}

fn strict() -> LogConfig {
    LogConfig {
        flush_messages: 1,
        ..LogConfig::default()
    }
}

fn batch(records: usize) -> RecordBatch {
    fill(BatchBuilder::new(), records)
}

fn sequenced(epoch: i16, sequence: i32, records: usize) -> RecordBatch {
    let builder = BatchBuilder::new();
    let builder = builder.producer(ProducerId(7), ProducerEpoch(epoch), sequence);
    fill(builder, records)
}

fn fill(mut builder: BatchBuilder, records: usize) -> RecordBatch {
    for _ in 0..records {
        builder.append(WALL, None, Some(&[b'v'; 100]), &[]);
    }
    builder.build()
}

fn turn(driver: &mut PartitionDriver) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    driver.turn(NOW, WALL, &mut outcomes);
    while let Some(ticket) = driver.begin_write(NOW, WALL, &mut outcomes) {
        driver.write_finished(NOW, ticket.run(), &mut outcomes);
    }
    outcomes
}

fn flush(driver: &mut PartitionDriver) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    if let Some(ticket) = driver.begin_sync(&mut outcomes) {
        driver.sync_finished(NOW, ticket.run(), &mut outcomes);
    }
    outcomes
}

/// `base..=last` of a batch that was appended or repeated.
fn place(staged: Result<Staged, StageError>) -> (bool, i64, i64) {
    match staged.unwrap() {
        Staged::Appended {
            base_offset,
            last_offset,
            ..
        } => (true, base_offset.get(), last_offset.get()),
        Staged::Duplicate {
            base_offset,
            last_offset,
            ..
        } => (false, base_offset.get(), last_offset.get()),
    }
}

#[test]
fn it_leads_once_its_no_op_is_in_the_synced_journal() {
    let fixture = Fixture::new();
    let mut driver = fixture.driver(0, LogConfig::default());
    driver.start(NOW, &mut Vec::new());
    assert!(driver.awaits_journal());
    let refused = driver.stage(batch(1), AppendOrigin::Client);
    assert_eq!(refused, Err(StageError::NotLeader));
    let outcomes = fixture.sync_journal(&mut driver);
    let became = matches!(
        outcomes[0],
        Outcome::BecameLeader {
            epoch: LeaderEpoch(1),
            start_offset: Offset::ZERO
        }
    );
    assert!(became, "{outcomes:?}");
    assert_eq!(driver.leader_epoch(), LeaderEpoch(1));
    assert_eq!(driver.next_deadline(), None, "idle costs nothing");
}

#[test]
fn many_elections_share_one_fsync() {
    let fixture = Fixture::new();
    let mut drivers: Vec<_> = (0..50)
        .map(|partition| fixture.driver(partition, LogConfig::default()))
        .collect();
    let mut outcomes = Vec::new();
    fixture.disk.fail_syncs(true);
    for driver in &mut drivers {
        driver.start(NOW, &mut outcomes);
    }
    fixture.disk.fail_syncs(false);
    let result = fixture.dir.journal().sync();
    fixture.disk.fail_syncs(true);
    for driver in &mut drivers {
        driver.journal_synced(NOW, &result, &mut outcomes);
    }
    assert!(drivers.iter().all(PartitionDriver::is_leader));
}

#[test]
fn a_turn_appends_what_was_staged_where_it_was_said() {
    let mut driver = Fixture::new().leader(LogConfig::default());
    let client = AppendOrigin::Client;
    assert_eq!(place(driver.stage(batch(3), client)), (true, 0, 2));
    assert_eq!(place(driver.stage(batch(2), client)), (true, 3, 4));
    assert_eq!(driver.log_end_offset(), Offset::ZERO);
    let outcomes = turn(&mut driver);
    assert_eq!(driver.log_end_offset(), Offset::new(5));
    assert_eq!(driver.high_watermark(), Offset::new(5));
    assert_eq!(driver.committed_offset(), Offset::ZERO);
    let [Outcome::HighWatermarkMoved { bytes, .. }] = outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(bytes as u64, driver.log().size_bytes());
    flush(&mut driver);
    assert_eq!(driver.committed_offset(), Offset::new(5));
}

#[test]
fn when_strict_the_high_watermark_waits_for_the_flush() {
    let mut driver = Fixture::new().leader(strict());
    driver.stage(batch(2), AppendOrigin::Client).unwrap();
    assert!(turn(&mut driver).is_empty());
    assert_eq!(driver.sync_deadline(NOW), Some(NOW));
    let outcomes = flush(&mut driver);
    assert!(matches!(outcomes[0], Outcome::HighWatermarkMoved { .. }));
    assert_eq!(driver.high_watermark(), Offset::new(2));
}

#[test]
fn a_repeat_gets_the_place_of_the_original_within_a_turn_and_after() {
    let mut driver = Fixture::new().leader(LogConfig::default());
    let client = AppendOrigin::Client;
    assert_eq!(
        place(driver.stage(sequenced(0, 0, 2), client)),
        (true, 0, 1)
    );
    assert_eq!(
        place(driver.stage(sequenced(0, 2, 2), client)),
        (true, 2, 3)
    );
    assert_eq!(
        place(driver.stage(sequenced(0, 0, 2), client)),
        (false, 0, 1)
    );
    turn(&mut driver);
    assert_eq!(
        place(driver.stage(sequenced(0, 2, 2), client)),
        (false, 2, 3)
    );
    assert!(turn(&mut driver).is_empty());
    assert_eq!(driver.log_end_offset(), Offset::new(4));
}

#[test]
fn sequences_and_epochs_that_do_not_fit_are_refused() {
    let mut driver = Fixture::new().leader(LogConfig::default());
    let client = AppendOrigin::Client;
    driver.stage(sequenced(1, 0, 2), client).unwrap();
    let gap = driver.stage(sequenced(1, 3, 1), client);
    assert!(matches!(
        gap,
        Err(StageError::Producer(
            klamm_storage::ProducerRefusal::OutOfOrderSequence { .. }
        ))
    ));
    let fenced = driver.stage(sequenced(0, 2, 1), client);
    assert!(matches!(
        fenced,
        Err(StageError::Producer(
            klamm_storage::ProducerRefusal::InvalidEpoch { .. }
        ))
    ));
}

#[test]
fn a_coordinator_of_another_epoch_is_refused() {
    let mut driver = Fixture::new().leader(LogConfig::default());
    let coordinator = |epoch| AppendOrigin::Coordinator {
        leader_epoch: LeaderEpoch(epoch),
    };
    assert!(driver.stage(batch(1), coordinator(1)).is_ok());
    let refused = driver.stage(batch(1), coordinator(0));
    assert_eq!(refused, Err(StageError::NotLeader));
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let config = LogConfig {
        segment_bytes: 1_024,
        ..LogConfig::default()
    };
    let mut driver = Fixture::new().leader(config);
    let refused = driver.stage(batch(100), AppendOrigin::Client);
    assert!(matches!(refused, Err(StageError::BatchTooLarge { .. })));
    assert!(driver.stage(batch(1), AppendOrigin::Client).is_ok());
}

#[test]
fn a_full_disk_is_refused_before_raft_and_goes_on_when_there_is_room() {
    let fixture = Fixture::new();
    let config = LogConfig {
        segment_bytes: 64 << 10,
        ..LogConfig::default()
    };
    let mut driver = fixture.leader(config);
    fixture.disk.set_capacity(Some(fixture.disk.used_bytes()));
    let mut refused = None;
    for _ in 0..10_000 {
        if let Err(error) = driver.stage(batch(50), AppendOrigin::Client) {
            refused = Some(error);
            break;
        }
        turn(&mut driver);
    }
    assert_eq!(refused, Some(StageError::NoSpace));
    let end = driver.log_end_offset();
    assert_eq!(driver.high_watermark(), end);
    assert!(driver.offline().is_none());
    fixture.disk.set_capacity(None);
    assert!(driver.stage(batch(1), AppendOrigin::Client).is_ok());
    turn(&mut driver);
    assert_eq!(driver.high_watermark(), end.plus(1));
}

#[test]
fn a_write_that_fails_takes_the_partition_offline() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    driver.stage(batch(1), AppendOrigin::Client).unwrap();
    let next = fixture.disk.operations() + 1;
    fixture.disk.fail_at(next, Fault::Io);
    let outcomes = turn(&mut driver);
    assert!(
        matches!(outcomes[..], [Outcome::Offline { .. }]),
        "{outcomes:?}"
    );
    assert!(driver.offline().is_some());
    assert!(!driver.is_leader());
    let refused = driver.stage(batch(1), AppendOrigin::Client);
    assert_eq!(refused, Err(StageError::Offline));
    assert!(turn(&mut driver).is_empty());
}

/// Staging has nobody to tell. A leader that is not told would refuse everything and lead for ever.
#[test]
fn a_disk_that_fails_while_room_is_reserved_takes_the_partition_offline_in_the_next_turn() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    let next = fixture.disk.operations() + 1;
    fixture.disk.fail_at(next, Fault::Io);
    let refused = driver.stage(batch(1), AppendOrigin::Client);
    assert_eq!(refused, Err(StageError::Offline));
    assert!(driver.is_failing() && driver.is_leader());
    let outcomes = turn(&mut driver);
    assert!(
        matches!(outcomes[..], [Outcome::Offline { .. }]),
        "{outcomes:?}"
    );
    assert!(!driver.is_failing() && !driver.is_leader());
}

#[test]
fn an_fsync_that_fails_takes_the_partition_offline_and_commits_nothing() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    driver.stage(batch(1), AppendOrigin::Client).unwrap();
    turn(&mut driver);
    fixture.disk.fail_syncs(true);
    let outcomes = flush(&mut driver);
    assert!(
        matches!(outcomes[..], [Outcome::Offline { .. }]),
        "{outcomes:?}"
    );
    assert_eq!(driver.committed_offset(), Offset::ZERO);
}

#[test]
fn a_journal_that_fails_takes_its_partitions_offline() {
    let fixture = Fixture::new();
    let mut driver = fixture.driver(0, LogConfig::default());
    driver.start(NOW, &mut Vec::new());
    fixture.disk.fail_syncs(true);
    let outcomes = fixture.sync_journal(&mut driver);
    let [Outcome::Offline { error }] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(matches!(error, OfflineReason::Journal(_)), "{error}");
}

#[test]
fn an_election_on_a_full_disk_waits_for_room() {
    let fixture = Fixture::new();
    let mut driver = fixture.driver(0, LogConfig::default());
    let next = fixture.disk.operations() + 1;
    fixture.disk.fail_at(next, Fault::NoSpace);
    driver.start(NOW, &mut Vec::new());
    assert!(!driver.awaits_journal());
    assert!(driver.offline().is_none());
    let retry = driver.next_deadline().unwrap();
    driver.tick(retry, &mut Vec::new());
    fixture.sync_journal(&mut driver);
    assert!(driver.is_leader());
    assert_eq!(driver.next_deadline(), None);
}

#[test]
fn after_a_restart_it_leads_the_next_epoch_behind_what_was_there() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    driver.stage(batch(3), AppendOrigin::Client).unwrap();
    turn(&mut driver);
    drop(driver);
    let disk = fixture.disk.clone();
    drop(fixture);
    disk.restart(Crash::Kill);
    let fixture = Fixture::on(disk);
    let mut driver = fixture.driver(0, LogConfig::default());
    assert_eq!(driver.high_watermark(), Offset::new(3), "readable at once");
    driver.start(NOW, &mut Vec::new());
    fixture.sync_journal(&mut driver);
    assert_eq!(driver.leader_epoch(), LeaderEpoch(2));
    let staged = driver.stage(batch(1), AppendOrigin::Client);
    assert_eq!(place(staged), (true, 3, 3));
    turn(&mut driver);
    assert_eq!(driver.high_watermark(), Offset::new(4));
}
