//! The highest rate at which 99.9 % of all messages arrive within a millisecond of being due.

use std::time::Duration;

use crate::contestant::{Broker, Contestant, Setting};
use crate::latency::{self, Client, Load};
use crate::start;

/// Messages per second, tried from below.
const RATES: [u64; 12] = [
    250, 500, 1_000, 2_000, 4_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000, 73_800,
];
const SHARE: f64 = 0.999;
const WITHIN: Duration = Duration::from_millis(1);
/// How often a rate is tried: one bad moment of the machine does not decide.
const TRIES: usize = 3;
const WARM_UP: Duration = Duration::from_secs(10);
const MEASURED: Duration = Duration::from_secs(8);

/// Name and value of each figure; 0 is a broker that does not reach it at the lowest rate.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    [Client::Bare, Client::Librdkafka]
        .into_iter()
        .map(|client| {
            let name = format!(
                "highest rate with 99.9 % within 1 ms, {}: messages/s",
                client.name()
            );
            Ok((name, highest(&broker, client)? as f64))
        })
        .collect()
}

fn highest(broker: &Broker, client: Client) -> Result<u64, String> {
    latency::run(broker, &load(client, 1_000), WARM_UP)?;
    let mut highest = 0;
    for rate in RATES {
        if !reaches(broker, &load(client, rate))? {
            break;
        }
        highest = rate;
    }
    Ok(highest)
}

fn reaches(broker: &Broker, load: &Load) -> Result<bool, String> {
    for _ in 0..TRIES {
        let outcome = latency::run(broker, load, MEASURED)?;
        let share = outcome.share_within(WITHIN);
        println!(
            "  {}/s, {}: {:.3} % within 1 ms",
            load.rate,
            load.client.name(),
            share * 100.0
        );
        if share >= SHARE {
            return Ok(true);
        }
    }
    Ok(false)
}

fn load(client: Client, rate: u64) -> Load {
    Load {
        client,
        rate,
        linger_ms: 0.0,
        size_bytes: 200,
        topic: format!("rate-{}", client.name().replace(' ', "-")),
    }
}
