//! Runs with faults that are drawn from a seed.

use std::time::{Duration, Instant};

use crate::bed::{Bed, Disks};
use crate::clients::real::Programs;
use crate::faults::{Blow, DISK_KINDS, Fault, KINDS, Kind};
use crate::run::{Clients, PARTITIONS, TOPIC, run};
use crate::support::Draw;

const BLOWS_NAME: &str = "KLAMM_FAULTS";
/// How long clients are left alone between two blows.
const CALM: Duration = Duration::from_secs(1);
/// Blows of an ordinary run.
const BLOWS: u64 = 4;

/// Nobody remembers then what consumers were told of the high watermark.
#[test]
fn brokers_that_are_all_killed_at_once_lose_nothing() {
    let Some(mut bed) = Bed::start(Disks::Shared, &[]) else {
        return;
    };
    run(&mut bed, Clients::Own, |bed| {
        for _ in 0..2 {
            std::thread::sleep(CALM);
            Fault::KillAll.strike(bed);
            bed.heal();
            bed.all_led(TOPIC, PARTITIONS);
        }
    });
}

/// `KLAMM_FAULTS` says how many blows there are, `KLAMM_SEED` from what they are drawn. Without the
/// former the first three are those that have to be in every run.
#[test]
fn a_storm_of_faults_loses_nothing() {
    let Some(bed) = Bed::start(Disks::Shared, &[]) else {
        return;
    };
    let first: &[Kind] = match number(BLOWS_NAME) {
        None => &[Fault::Kill, Fault::Pause, Fault::Isolate],
        Some(_) => &[],
    };
    storm(bed, Clients::Own, first, KINDS);
}

/// Two of five may be gone at any time.
#[test]
fn a_storm_over_five_brokers_loses_nothing() {
    let Some(bed) = Bed::of(5, Disks::Shared, &[]) else {
        return;
    };
    storm(bed, Clients::Own, &[Fault::Kill, Fault::Isolate], KINDS);
}

/// The long form only: Java, librdkafka and franz-go are restarted under in the short one.
#[test]
fn a_storm_of_faults_loses_nothing_of_real_clients() {
    if number(BLOWS_NAME).is_none() {
        println!("skipped: {BLOWS_NAME} asks for the long form");
        return;
    }
    let Some(bed) = Bed::start(Disks::Shared, &[]) else {
        return;
    };
    storm(bed, Clients::AndReal(&Programs::install()), &[], KINDS);
}

/// Brokers are strict there: several may lose their power at once, and then only what was synced
/// by a majority is left.
#[test]
fn a_storm_of_disk_faults_loses_nothing() {
    let strict = [("log.flush.interval.messages", "1")];
    let Some(bed) = Bed::start(Disks::Own, &strict) else {
        return;
    };
    storm(bed, Clients::Own, &[|_| Fault::CutAllPower], DISK_KINDS);
}

/// Blows of those kinds first, then of any.
fn storm(mut bed: Bed, clients: Clients<'_>, first: &[Kind], kinds: &[Kind]) {
    let seed = number("KLAMM_SEED").unwrap_or_else(fresh_seed);
    let blows = number(BLOWS_NAME).unwrap_or(BLOWS);
    println!("KLAMM_SEED={seed} {BLOWS_NAME}={blows}");
    let mut draw = Draw(seed);
    let mut first = first.iter();
    run(&mut bed, clients, |bed| {
        for number in 1..=blows {
            std::thread::sleep(CALM);
            let blow = match first.next() {
                Some(kind) => Blow::of(*kind, bed.size(), &mut draw),
                None => Blow::draw(kinds, bed.size(), &mut draw),
            };
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
