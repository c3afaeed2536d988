//! Groups of replicas, each with a disk that loses what was not fsynced, on a network that delays,
//! reorders and loses messages; all of it from a seed. After every step the oracle compares what
//! the replicas show, commit and hold.
//!
//! That the oracle would notice is a test too: with each [`Sabotage`] some history must fail.

mod disk;
mod faults;
mod node;
mod oracle;
mod rest;
mod unclean;
mod world;

use klamm_simulation::seeds::any_fails;
use klamm_simulation::{Seeds, Tally, Trace};

use faults::{Counts, Faults, Sabotage};
use world::World;

/// Steps of one history before everything heals.
const STEPS: usize = 6_000;
/// If members change, which takes a commit or two each time.
const STEPS_WITH_CHANGES: usize = 12_000;
/// Histories of each kind.
const SEEDS: Seeds = Seeds {
    one: "KLAMM_GROUP_SEED",
    many: "KLAMM_GROUP_SEEDS",
    ordinary: 200,
};
/// In one of so many a sabotage must show.
const SEEDS_TO_NOTICE: u64 = 500;

/// Runs one history: how many entries were shown, what happened, and what went wrong.
fn history(seed: u64, faults: Faults, trace: &Trace) -> (u64, Counts, Tally) {
    let mut world = World::new(seed, faults, trace);
    world.live(match faults.changes {
        true => STEPS_WITH_CHANGES,
        false => STEPS,
    });
    (world.shown(), world.counts, world.tally)
}

/// Groups of fixed members, and groups that replicas join and leave.
fn histories(name: &str, faults: Faults) {
    let fixed = histories_of(name, faults);
    let changes = true;
    let changing = histories_of(&format!("{name}, changing"), Faults { changes, ..faults });
    if let (Some(fixed), Some((seeds, changing))) = (fixed, changing) {
        assert!(fixed.1.truncations > 0, "no conflicts");
        assert!(changing.configurations > seeds, "few changes");
    }
}

/// How many there were, and what happened in them; `None` if one was asked for alone.
fn histories_of(name: &str, faults: Faults) -> Option<(u64, Counts)> {
    let lived = SEEDS.live(|seed, trace| history(seed, faults, trace));
    let (mut visible, mut counts) = (0, Counts::default());
    for (shown, happened, _) in &lived {
        visible += shown;
        counts.add(happened);
    }
    let tally = Tally::sum(lived.iter().map(|(_, _, tally)| tally));
    let seeds = tally.lives();
    #[expect(clippy::print_stdout, reason = "how much happened is asked for")]
    {
        println!("groups, {name}: {tally}; {visible} entries shown, {counts:?}");
    }
    if SEEDS.is_one() {
        return None;
    }
    assert!(visible > seeds * 15, "little was shown");
    assert!(counts.elections > seeds, "few elections");
    assert!(counts.sleeps > 5 * seeds, "little sleep");
    assert!(counts.archives > 5 * seeds, "little is archived");
    Some((seeds, counts))
}

/// With this sabotage the oracle must find fault with some history.
fn is_noticed(sabotage: Sabotage, faults: Faults) {
    let faults = Faults {
        sabotage: Some(sabotage),
        ..faults
    };
    let noticed = any_fails(SEEDS_TO_NOTICE, |seed, trace| history(seed, faults, trace));
    assert!(noticed, "{sabotage:?} went unnoticed");
}

const POWER: Faults = Faults {
    kills: true,
    power: true,
    ..Faults::NONE
};

#[test]
fn what_was_acknowledged_survives_any_number_of_crashed_processes() {
    let faults = Faults {
        kills: true,
        ..Faults::NONE
    };
    histories("kills", faults);
}

#[test]
fn what_was_acknowledged_survives_the_power_loss_of_a_minority() {
    histories("power", POWER);
}

#[test]
fn with_an_fsync_before_each_acknowledgement_nothing_is_lost_when_all_lose_power() {
    let faults = Faults {
        strict: true,
        ..POWER
    };
    histories("strict", faults);
}

#[test]
fn a_group_that_lost_power_as_a_whole_elects_the_one_that_has_most() {
    let faults = Faults {
        power: true,
        together: true,
        ..Faults::NONE
    };
    histories("together", faults);
}

const UNCLEAN: Faults = Faults {
    unclean: true,
    ..POWER
};

#[test]
fn what_was_acknowledged_since_an_unclean_election_survives_those_that_come_back() {
    for (name, changes) in [("unclean", false), ("unclean, changing", true)] {
        let faults = Faults { changes, ..UNCLEAN };
        if let Some((seeds, counts)) = histories_of(name, faults) {
            assert!(counts.given_up > seeds, "few logs are given up");
        }
    }
}

#[test]
fn a_replica_that_keeps_a_log_that_was_given_up_is_noticed() {
    is_noticed(Sabotage::GivenUpLogsGoOn, UNCLEAN);
}

#[test]
fn a_replica_that_votes_without_what_it_acknowledged_is_noticed() {
    is_noticed(Sabotage::NoVoteBar, POWER);
}

#[test]
fn a_replica_that_forgets_who_belongs_to_its_group_is_noticed() {
    let faults = Faults {
        changes: true,
        ..POWER
    };
    is_noticed(Sabotage::MembersAreForgotten, faults);
}

#[test]
fn an_fsync_that_is_a_lie_is_noticed() {
    let faults = Faults {
        strict: true,
        ..POWER
    };
    is_noticed(Sabotage::SyncIsALie, faults);
}

#[test]
fn a_journal_fsync_that_is_a_lie_is_noticed() {
    is_noticed(Sabotage::JournalSyncIsALie, POWER);
}

#[test]
fn an_acknowledgement_before_the_write_is_noticed() {
    let faults = Faults {
        power: false,
        ..POWER
    };
    is_noticed(Sabotage::WriteIsALie, faults);
}

#[test]
fn a_sleeping_group_whose_leader_has_gone_unnoticed_is_noticed() {
    is_noticed(Sabotage::LostLinksGoUnnoticed, Faults::NONE);
}
