//! What a new leader does not have is cut, and its own entries take the place: whatever stops the machine
//! meanwhile, no entry of the deposed leader is found among them.

use super::*;

/// Entries as the log lists them: index, term, and where they end.
type Listed = Vec<(u64, u64, i64)>;

/// The first entry of the deposed leader: its no-op.
const CUT: LogIndex = LogIndex(5);

/// Three batches of term 1, and two of term 2, whose leader is deposed.
fn of_two_terms(seed: u64) -> World {
    let mut world = World::open(MemDisk::new(seed), LogConfig::default());
    lead(&mut world.log, 1).unwrap();
    append_many(&mut world.log, 3);
    lead(&mut world.log, 2).unwrap();
    append_many(&mut world.log, 2);
    world.log.sync().unwrap();
    world
}

fn listed(log: &mut Log) -> Listed {
    let entries = log.entries(LogIndex(1), 100).unwrap();
    let listed = entries
        .iter()
        .map(|entry| (entry.index.0, entry.term.get(), entry.next_offset.get()));
    listed.collect()
}

/// A cut is several files. Below its records the journal must not speak of entries that are gone, nor may
/// the segments hold batches that it does not speak of.
#[test]
fn a_crash_in_the_middle_of_a_cut_leaves_a_part_of_what_was_there() {
    let before = {
        let mut world = of_two_terms(0);
        (listed(&mut world.log), read_all(&mut world.log))
    };
    for (nth, seed) in (1..=12).flat_map(|nth| (0..5).map(move |seed| (nth, seed))) {
        for crash in [Crash::Kill, Crash::PowerLoss] {
            let mut world = of_two_terms(seed);
            let now = world.disk.operations();
            world.disk.crash_at(now + nth);
            let _ = world.log.truncate_from(CUT);
            let mut world = world.reopen_after(crash);
            let what = format!("{crash:?} at {nth}, seed {seed}");
            let (entries, records) = (listed(&mut world.log), read_all(&mut world.log));
            assert!(before.0.starts_with(&entries), "{what}: {entries:?}");
            assert!(before.1.starts_with(&records), "{what}: {records:?}");
            assert!(entries.len() >= 4, "{what}: {entries:?}");
        }
    }
}

/// The new leader's entries may begin with some that it had before it led: batches, which need nothing in
/// the journal. What is cut must be gone from there all the same before they can be.
#[test]
fn what_was_synced_in_the_place_of_a_cut_is_there_after_a_loss_of_power() {
    for seed in 0..30 {
        let mut world = of_two_terms(seed);
        world.log.truncate_from(CUT).unwrap();
        append(&mut world.log, vec![batch(9, &["taken by term 1"])]).unwrap();
        world.log.sync().unwrap();
        let expected = (listed(&mut world.log), read_all(&mut world.log));
        assert_eq!(world.log.last_term(), Term::new(1));
        let mut world = world.reopen_after(Crash::PowerLoss);
        let found = (listed(&mut world.log), read_all(&mut world.log));
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// Or a leader that has cut a batch and leads again would take it for a repetition, and acknowledge what is
/// not there.
#[test]
fn a_batch_that_was_cut_may_be_sent_again() {
    let mut world = World::new(LogConfig::default());
    let sent = |sequence| produced(7, 0, sequence, &["x"]);
    append(&mut world.log, vec![sent(0), sent(1)]).unwrap();
    let check = |log: &Log, sequence| log.producers().check(sent(sequence).header());
    let again = check(&world.log, 1);
    assert!(matches!(again, Ok(crate::ProducerCheck::Duplicate(_))));
    world.log.truncate_from(LogIndex(3)).unwrap();
    let anew = check(&world.log, 1);
    assert!(matches!(anew, Ok(crate::ProducerCheck::Accept)), "{anew:?}");
    let before = check(&world.log, 0);
    assert!(matches!(before, Ok(crate::ProducerCheck::Duplicate(_))));
}

/// Indexes are made anew then, and one of them there may not have been yet.
#[test]
fn a_full_disk_does_not_keep_a_log_from_being_cut() {
    let mut world = World::new(LogConfig {
        // One block: no room is kept ahead, which the cut would give back.
        segment_bytes: 4096,
        ..LogConfig::default()
    });
    append_many(&mut world.log, 3);
    world.disk.set_capacity(Some(world.disk.used_bytes()));
    let last = world.log.last_index();
    world.log.truncate_from(last).unwrap();
    world.disk.set_capacity(None);
    append_many(&mut world.log, 2);
    world.log.sync().unwrap();
    let mut world = world.reopen_after(Crash::PowerLoss);
    assert_eq!(offsets(&mut world.log), [0, 1, 2, 3]);
}
