//! Writes that are made elsewhere, and what comes meanwhile.

use super::*;

const CLIENT: AppendOrigin = AppendOrigin::Client;

/// Proposes what was staged, and begins the write.
fn begin(driver: &mut PartitionDriver) -> Option<AppendTicket> {
    let mut outcomes = Vec::new();
    driver.turn(NOW, WALL, &mut outcomes);
    let ticket = driver.begin_write(NOW, WALL, &mut outcomes);
    assert!(outcomes.is_empty(), "{outcomes:?}");
    ticket
}

fn finish(driver: &mut PartitionDriver, ticket: AppendTicket) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    driver.write_finished(NOW, ticket.run(), &mut outcomes);
    outcomes
}

#[test]
fn what_comes_while_a_write_is_out_goes_with_the_next() {
    let mut driver = Fixture::new().leader(LogConfig::default());
    driver.stage(batch(3), CLIENT).unwrap();
    let first = begin(&mut driver).unwrap();
    for expected in [(true, 3, 4), (true, 5, 5)] {
        let records = usize::try_from(expected.2 - expected.1 + 1).unwrap();
        assert_eq!(place(driver.stage(batch(records), CLIENT)), expected);
        assert!(begin(&mut driver).is_none(), "one write at a time");
    }
    assert!(driver.is_writing());
    assert_eq!(
        driver.log_end_offset(),
        Offset::ZERO,
        "nothing is written yet"
    );
    finish(&mut driver, first);
    assert_eq!(driver.high_watermark(), Offset::new(3));
    assert!(driver.wants_write());
    let second = begin(&mut driver).unwrap();
    finish(&mut driver, second);
    assert_eq!(driver.high_watermark(), Offset::new(6));
    assert!(!driver.is_writing());
}

#[test]
fn sequences_go_on_from_batches_that_are_being_written() {
    let mut driver = Fixture::new().leader(LogConfig::default());
    driver.stage(sequenced(0, 0, 2), CLIENT).unwrap();
    let first = begin(&mut driver).unwrap();
    assert_eq!(
        place(driver.stage(sequenced(0, 2, 1), CLIENT)),
        (true, 2, 2)
    );
    assert!(begin(&mut driver).is_none());
    assert_eq!(
        place(driver.stage(sequenced(0, 0, 2), CLIENT)),
        (false, 0, 1)
    );
    finish(&mut driver, first);
    assert_eq!(
        place(driver.stage(sequenced(0, 2, 1), CLIENT)),
        (false, 2, 2)
    );
    assert_eq!(
        place(driver.stage(sequenced(0, 3, 1), CLIENT)),
        (true, 3, 3)
    );
    let second = begin(&mut driver).unwrap();
    finish(&mut driver, second);
    assert_eq!(
        place(driver.stage(sequenced(0, 3, 1), CLIENT)),
        (false, 3, 3)
    );
    assert_eq!(driver.high_watermark(), Offset::new(4));
}

#[test]
fn a_flush_covers_what_is_written_and_not_what_is_being_written() {
    let mut driver = Fixture::new().leader(strict());
    driver.stage(batch(2), CLIENT).unwrap();
    turn(&mut driver);
    driver.stage(batch(2), CLIENT).unwrap();
    let ticket = begin(&mut driver).unwrap();
    flush(&mut driver);
    assert_eq!(driver.high_watermark(), Offset::new(2));
    finish(&mut driver, ticket);
    assert_eq!(driver.high_watermark(), Offset::new(2));
    flush(&mut driver);
    assert_eq!(driver.high_watermark(), Offset::new(4));
}

#[test]
fn room_is_reserved_beside_that_of_a_write_that_is_out() {
    let fixture = Fixture::new();
    let config = LogConfig {
        segment_bytes: 64 << 10,
        ..LogConfig::default()
    };
    let mut driver = fixture.leader(config);
    driver.stage(batch(50), CLIENT).unwrap();
    turn(&mut driver);
    fixture
        .disk
        .set_capacity(Some(fixture.disk.used_bytes() + (96 << 10)));
    driver.stage(batch(50), CLIENT).unwrap();
    let mut ticket = begin(&mut driver);
    let mut refused = None;
    while refused.is_none() {
        refused = driver.stage(batch(50), CLIENT).err();
        driver.turn(NOW, WALL, &mut Vec::new());
    }
    assert_eq!(refused, Some(StageError::NoSpace));
    // Whatever was accepted has its room, also where a write has begun a segment meanwhile.
    while let Some(write) = ticket {
        let outcomes = finish(&mut driver, write);
        assert!(driver.offline().is_none(), "{outcomes:?}");
        ticket = driver.begin_write(NOW, WALL, &mut Vec::new());
    }
    assert!(driver.log().segment_count() > 1, "it rolled");
    assert!(!driver.is_writing());
    assert_eq!(driver.high_watermark(), driver.log_end_offset());
}

#[test]
fn the_active_segment_stays_while_a_write_to_it_is_out() {
    let mut driver = Fixture::new().leader(LogConfig {
        retention_bytes: 0,
        ..LogConfig::default()
    });
    driver.stage(batch(2), CLIENT).unwrap();
    turn(&mut driver);
    flush(&mut driver);
    driver.stage(batch(2), CLIENT).unwrap();
    let ticket = begin(&mut driver).unwrap();
    let bound = driver.committed_offset();
    let deleted = driver.log_mut().apply_retention(WALL, bound, true).unwrap();
    assert!(deleted.is_none());
    driver.log_mut().roll(WALL).unwrap();
    assert_eq!(driver.log().segment_count(), 1);
    finish(&mut driver, ticket);
    assert_eq!(driver.high_watermark(), Offset::new(4));
}

#[test]
fn a_write_that_fails_elsewhere_takes_the_partition_offline_with_what_waits() {
    let fixture = Fixture::new();
    let mut driver = fixture.leader(LogConfig::default());
    driver.stage(batch(1), CLIENT).unwrap();
    let ticket = begin(&mut driver).unwrap();
    driver.stage(batch(1), CLIENT).unwrap();
    driver.turn(NOW, WALL, &mut Vec::new());
    let next = fixture.disk.operations() + 1;
    fixture.disk.fail_at(next, Fault::Io);
    let outcomes = finish(&mut driver, ticket);
    assert!(
        matches!(outcomes[..], [Outcome::Offline { .. }]),
        "{outcomes:?}"
    );
    assert!(!driver.is_writing(), "nobody waits for it");
    assert!(begin(&mut driver).is_none());
    assert_eq!(driver.high_watermark(), Offset::ZERO);
}

#[test]
fn room_reserved_in_a_next_segment_is_used_in_the_one_that_a_write_began() {
    let fixture = Fixture::new();
    let segment_bytes = 1 << 20;
    let mut driver = fixture.leader(LogConfig {
        segment_bytes,
        ..LogConfig::default()
    });
    while driver.log().size_bytes() + 8_000 < u64::from(segment_bytes) {
        driver.stage(batch(50), CLIENT).unwrap();
        turn(&mut driver);
    }
    driver.stage(batch(100), CLIENT).unwrap();
    let rolls = begin(&mut driver).unwrap();
    driver.stage(batch(1_000), CLIENT).unwrap();
    fixture.disk.set_capacity(Some(fixture.disk.used_bytes()));
    finish(&mut driver, rolls);
    assert_eq!(driver.log().segment_count(), 2, "it rolled");
    let next = begin(&mut driver).unwrap();
    finish(&mut driver, next);
    assert!(driver.offline().is_none());
    assert_eq!(driver.high_watermark(), driver.log_end_offset());
}
