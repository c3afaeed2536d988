//! Runs with faults that are drawn from a seed.

use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::clients::real::Programs;
use crate::faults::{Blow, Fault};
use crate::run::{Clients, PARTITIONS, TOPIC, run};
use crate::support::Draw;

/// How long clients are left alone between two blows.
const CALM: Duration = Duration::from_secs(1);
/// Blows of an ordinary run.
const BLOWS: u64 = 6;

#[test]
fn a_leader_that_is_killed_loses_nothing() {
    let Some(mut bed) = Bed::start(&[]) else {
        return;
    };
    run(&mut bed, Clients::Own, |bed| {
        for _ in 0..2 {
            std::thread::sleep(CALM);
            let leader = bed.leader(TOPIC, 0);
            Fault::Kill(leader).strike(bed);
            std::thread::sleep(CALM);
            bed.heal();
        }
    });
}

/// Nobody remembers then what consumers were told of the high watermark.
#[test]
fn brokers_that_are_all_killed_at_once_lose_nothing() {
    let Some(mut bed) = Bed::start(&[]) else {
        return;
    };
    run(&mut bed, Clients::Own, |bed| {
        for _ in 0..3 {
            std::thread::sleep(CALM);
            Fault::KillAll.strike(bed);
            bed.heal();
            bed.all_led(TOPIC, PARTITIONS);
        }
    });
}

/// `KLAMM_FAULTS` says how many blows there are, `KLAMM_SEED` from what they are drawn.
#[test]
fn a_storm_of_faults_loses_nothing() {
    storm(Clients::Own);
}

#[test]
fn a_storm_of_faults_loses_nothing_of_real_clients() {
    storm(Clients::AndReal(&Programs::install()));
}

fn storm(clients: Clients<'_>) {
    let seed = number("KLAMM_SEED").unwrap_or_else(fresh_seed);
    let blows = number("KLAMM_FAULTS").unwrap_or(BLOWS);
    println!("KLAMM_SEED={seed} KLAMM_FAULTS={blows}");
    let Some(mut bed) = Bed::start(&[]) else {
        return;
    };
    let mut draw = Draw(seed);
    run(&mut bed, clients, |bed| {
        for number in 1..=blows {
            std::thread::sleep(CALM);
            let blow = Blow::draw(&mut draw);
            println!("blow {number}: {blow:?}");
            strike(bed, &blow);
        }
    });
}

/// Strikes, waits, heals, and waits until every partition is led again.
fn strike(bed: &mut Bed, blow: &Blow) {
    for fault in &blow.faults {
        fault.strike(bed);
    }
    std::thread::sleep(blow.lasts);
    bed.heal();
    let healed = Instant::now();
    bed.all_led(TOPIC, PARTITIONS);
    println!("  led {:?} after it was healed", healed.elapsed());
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Another one at each run.
fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_secs()
}
