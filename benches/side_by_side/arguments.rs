//! The command line of `cargo bench-kafka`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::contestant::{Contestant, root};
use crate::plan::{Part, Plan, Rate};

const USAGE: &str = "\
usage: cargo bench-kafka [OPTION…]
  --only klamm|kafka   one broker alone
  --measure A,B,…      one broker: start, latency, throughput, highest-rate, scale, growth,
                       large-log (20 GiB of disk), compaction (all of these);
                       three brokers: replicated, failover, idle, moving (15 GiB of disk)
  --pairs N            how often both are measured, in turn (5)
  --seconds N          measured time at each rate (15)
  --warm-up N          load before that, in seconds (20)
  --rates A@L,B@L,…    messages per second, and linger.ms if not 0
                       (latency: 1000,73800,73800@0.5,73800@1,73800@5;
                       replicated: 500,2000,10000,20000,73800, and the same @5)
  --size N             bytes per message (200)
  --kills N            failover: how often a leader is killed (20)
  --strict             replicated: the same again with flush.messages=1
  --throttle MIB       moving: at most so many MiB/s leave a broker, or reach one (no limit)
  --klamm FILE         the binary (target/release/klamm)
To keep other work of the machine out of the figures: chrt -r 1 target/release/bench-kafka";

/// Reads the arguments; the error is the text to print.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan {
        contestants: vec![Contestant::Klamm, Contestant::Kafka],
        parts: Part::OF_ONE.to_vec(),
        pairs: 5,
        measured: Duration::from_secs(15),
        warm_up: Duration::from_secs(20),
        rates: None,
        kills: 20,
        strict: false,
        throttle_mib: None,
        size_bytes: 200,
        klamm: root().join("target/release/klamm"),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or(format!("{argument} needs a value\n{USAGE}"))
        };
        match argument.as_str() {
            "--only" => plan.contestants = vec![contestant(&value()?)?],
            "--pairs" => plan.pairs = number(&value()?)?,
            "--seconds" => plan.measured = Duration::from_secs(number(&value()?)?),
            "--warm-up" => plan.warm_up = Duration::from_secs(number(&value()?)?),
            "--rates" => plan.rates = Some(rates(&value()?)?),
            "--kills" => plan.kills = number::<u32>(&value()?)?.max(1),
            "--strict" => plan.strict = true,
            "--throttle" => plan.throttle_mib = Some(number::<u64>(&value()?)?.max(1)),
            "--measure" => plan.parts = value()?.split(',').map(part).collect::<Result<_, _>>()?,
            "--size" => plan.size_bytes = number::<usize>(&value()?)?.max(16),
            "--klamm" => plan.klamm = PathBuf::from(value()?),
            "--help" | "-h" => return Err(USAGE.to_owned()),
            unknown => return Err(format!("unknown option {unknown}\n{USAGE}")),
        }
    }
    Ok(plan)
}

fn rates(text: &str) -> Result<Vec<Rate>, String> {
    text.split(',').map(rate).collect()
}

fn rate(text: &str) -> Result<Rate, String> {
    let (per_second, linger_ms) = text.split_once('@').unwrap_or((text, "0"));
    Ok(Rate {
        per_second: number::<u32>(per_second)?.max(1).into(),
        linger_ms: number(linger_ms)?,
    })
}

fn part(name: &str) -> Result<Part, String> {
    let known = Part::all().find(|part| part.name() == name);
    known.ok_or_else(|| format!("nothing is called {name}\n{USAGE}"))
}

fn contestant(name: &str) -> Result<Contestant, String> {
    match name {
        "klamm" => Ok(Contestant::Klamm),
        "kafka" => Ok(Contestant::Kafka),
        unknown => Err(format!("no such broker: {unknown}\n{USAGE}")),
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("not a number: {text}\n{USAGE}"))
}
