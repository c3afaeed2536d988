//! The highest rates at which nearly all messages arrive within a millisecond of being due.
//!
//! A virtual machine wakes some threads late by itself, so the share that no broker could exceed
//! is measured first ([`loopback`]), and rates are given for lower shares too.

mod loopback;

use std::time::Duration;

use crate::contestant::{Broker, Contestant, Setting};
use crate::latency::{self, Client, Load};
use crate::start;

/// Messages per second, tried from below.
const RATES: [u64; 12] = [
    250, 500, 1_000, 2_000, 4_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000, 73_800,
];
/// From the one that is given up last.
const SHARES: [f64; 3] = [0.99, 0.995, 0.999];
const WITHIN: Duration = Duration::from_millis(1);
/// How often a rate is tried: one bad moment of the machine does not decide.
const TRIES: usize = 3;
const WARM_UP: Duration = Duration::from_secs(10);
const MEASURED: Duration = Duration::from_secs(8);
/// Round trips per second of the machine alone.
const LOOPBACK_RATE: u32 = 1_000;

/// Name and value of each figure; 0 is a broker that does not reach it at the lowest rate.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let alone = loopback::share_within(WITHIN, LOOPBACK_RATE, MEASURED)
        .map_err(|error| format!("no connection to ourselves error={error}"))?;
    let mut figures = vec![(
        format!("{LOOPBACK_RATE}/s, no broker, one round trip: share within 1 ms, %"),
        alone * 100.0,
    )];
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    for client in [Client::Bare, Client::Librdkafka] {
        let reached = reached(&broker, client)?;
        figures.extend(SHARES.map(|share| {
            let name = format!(
                "highest rate with {} % within 1 ms, {}: messages/s",
                share * 100.0,
                client.name()
            );
            (name, highest(&reached, share) as f64)
        }));
    }
    Ok(figures)
}

/// Each rate with the best share that was seen there, up to the first where even the lowest of
/// [`SHARES`] is missed.
fn reached(broker: &Broker, client: Client) -> Result<Vec<(u64, f64)>, String> {
    latency::run(broker, &load(client, 1_000), WARM_UP)?;
    let mut reached = Vec::new();
    for rate in RATES {
        let share = best_share(broker, &load(client, rate))?;
        reached.push((rate, share));
        if share < SHARES[0] {
            break;
        }
    }
    Ok(reached)
}

/// The last rate before the first that misses `share`.
fn highest(reached: &[(u64, f64)], share: f64) -> u64 {
    let enough = reached.iter().take_while(|(_, best)| *best >= share);
    enough.last().map_or(0, |(rate, _)| *rate)
}

fn best_share(broker: &Broker, load: &Load) -> Result<f64, String> {
    let mut best: f64 = 0.0;
    for _ in 0..TRIES {
        let share = latency::run(broker, load, MEASURED)?.share_within(WITHIN);
        println!(
            "  {}/s, {}: {:.3} % within 1 ms",
            load.rate,
            load.client.name(),
            share * 100.0
        );
        best = best.max(share);
        if best >= SHARES[SHARES.len() - 1] {
            break;
        }
    }
    Ok(best)
}

fn load(client: Client, rate: u64) -> Load {
    let topic = format!("rate-{}", client.name().replace(' ', "-"));
    Load::single(client, rate, topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_only_if_all_below_it_do() {
        let reached = [(250, 0.9995), (500, 0.996), (1_000, 0.9995), (2_000, 0.98)];
        assert_eq!(highest(&reached, 0.999), 250);
        assert_eq!(highest(&reached, 0.995), 1_000);
        assert_eq!(highest(&reached, 0.9999), 0);
    }
}
