//! All brokers are restarted, one after the other, and clients notice nothing but a moment.

use std::time::Duration;

use crate::bed::{Bed, Disks};
use crate::clients::own::now_us;
use crate::clients::real::Programs;
use crate::history::figures::Figures;
use crate::run::{Clients, PARTITIONS, TOPIC, run};

/// How long clients are left alone between two restarts.
const CALM: Duration = Duration::from_secs(2);
/// How long clients are left alone before the first.
const START: Duration = Duration::from_secs(4);
/// Percent of the time in which others keep processes waiting for a processor, before anything is
/// started here; above it nobody's waits say anything about brokers.
const PRESSURE_MAX: f64 = 60.0;
/// No send of a client that looks for a leader at once waits longer.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// librdkafka looks again only a second later if it was told of the leader that is about to go.
const REAL_WAIT_MAX: Duration = Duration::from_millis(2_500);

#[test]
fn a_rolling_restart_is_no_error_and_no_wait_of_a_second() {
    restart_all(Clients::Own, WAIT_MAX);
}

#[test]
fn a_rolling_restart_is_no_error_to_real_clients() {
    restart_all(Clients::AndReal(&Programs::install()), REAL_WAIT_MAX);
}

fn restart_all(clients: Clients<'_>, wait_max: Duration) {
    let pressure = pressure();
    let Some(mut bed) = Bed::start(Disks::Shared, &[]) else {
        return;
    };
    let mut begun_us = 0;
    let history = run(&mut bed, clients, |bed| {
        // Programs that start need the machine for themselves.
        std::thread::sleep(START);
        begun_us = now_us();
        for at in 0..bed.size() {
            std::thread::sleep(CALM);
            println!("{} broker {at} is asked to stop", now_us());
            bed.stop(at);
            println!("{} it has stopped, and is started", now_us());
            bed.start_all();
            println!("{} it is ready", now_us());
            bed.all_led(TOPIC, PARTITIONS);
        }
        std::thread::sleep(CALM);
    });
    let figures = Figures::of(&history, begun_us);
    println!("from the first restart on: {figures}");
    assert!(figures.errors.is_empty(), "{figures}");
    if pressure > PRESSURE_MAX {
        println!("waits are not judged: others keep the machine busy, {pressure} %");
        return;
    }
    let longest = Duration::from_micros(figures.ack_max_us);
    assert!(longest <= wait_max, "{figures}");
}

/// The share of the last ten seconds in which somebody on this machine waited for a processor; 0
/// where the kernel does not say.
fn pressure() -> f64 {
    let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let words = text.lines().next().unwrap_or_default().split(' ');
    let mut shares = words.filter_map(|word| word.strip_prefix("avg10="));
    let share = shares.next().and_then(|share| share.parse().ok());
    share.unwrap_or_default()
}
