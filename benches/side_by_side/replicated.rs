//! Three brokers, three replicas, `acks=all`: end-to-end latency and CPU time at given rates, and
//! the highest rate that leaves a part of the machine idle.
//!
//! Nothing is tried at rates above one at which messages do not arrive any more: what is left of
//! them would be measured with the next.

mod search;

use std::time::Duration;

use self::search::Search;
use crate::admin;
use crate::cluster::Cluster;
use crate::contestant::{Contestant, PARTITIONS, Setting};
use crate::latency::{self, Client, Load, Outcome};
use crate::plan::Rate;

/// What has to stay idle of all cores, as a share, for a rate to count as one that could be kept.
const IDLE: f64 = 0.3;
/// How long a rate of the search is kept before it is looked at.
const SEARCH_WARM_UP: Duration = Duration::from_secs(3);
const SEARCH_MEASURED: Duration = Duration::from_secs(8);
/// One bad moment of the machine does not decide.
const SEARCH_TRIES: usize = 2;

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) rates: &'a [Rate],
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) size_bytes: usize,
    /// Whether the same is measured once more where acknowledged means synced.
    pub(crate) strict: bool,
}

/// A topic, and what its figures are called.
struct Topic {
    name: &'static str,
    title: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

const USUAL: Topic = Topic {
    name: "replicated",
    title: "RF 3",
    settings: &[],
};
const STRICT: Topic = Topic {
    name: "replicated-strict",
    title: "RF 3, flush.messages=1",
    settings: &[("flush.messages", "1")],
};

/// What was measured in the life of a cluster.
pub(crate) fn run(
    contestant: Contestant,
    setting: &Setting,
    wanted: &Wanted<'_>,
) -> Result<Vec<(String, f64)>, String> {
    let topics: &[Topic] = match wanted.strict {
        true => &[USUAL, STRICT],
        false => &[USUAL],
    };
    let mut figures = Vec::new();
    for topic in topics {
        // A cluster of its own: what one load leaves behind is not measured with the next.
        let cluster = Cluster::start(contestant, setting)?;
        admin::create_topic(&cluster, topic.name, PARTITIONS, topic.settings)?;
        let lingers = lingers(wanted.rates);
        for &linger_ms in &lingers {
            figures.extend(at_rates(&cluster, topic, wanted, linger_ms)?);
        }
        for &linger_ms in &lingers {
            figures.extend(highest(&cluster, topic, wanted, linger_ms)?);
        }
    }
    Ok(figures)
}

/// Each `linger.ms` that is asked for, in the order in which they first come.
fn lingers(rates: &[Rate]) -> Vec<f64> {
    let mut lingers = Vec::new();
    for rate in rates {
        if !lingers.contains(&rate.linger_ms) {
            lingers.push(rate.linger_ms);
        }
    }
    lingers
}

fn at_rates(
    cluster: &Cluster<'_>,
    topic: &Topic,
    wanted: &Wanted<'_>,
    linger_ms: f64,
) -> Result<Vec<(String, f64)>, String> {
    let mut figures = Vec::new();
    let rates = wanted.rates.iter();
    let mut rates: Vec<_> = rates.filter(|rate| rate.linger_ms == linger_ms).collect();
    rates.sort_by_key(|rate| rate.per_second);
    for rate in rates {
        let load = load(topic, rate.per_second, linger_ms, wanted.size_bytes);
        latency::run(cluster, &load, wanted.warm_up)?;
        let outcome = latency::run(cluster, &load, wanted.measured)?;
        let what = format!("{}, {}", topic.title, rate.name());
        println!("  {what}: {}", outcome.remarks());
        figures.extend(titled(&what, outcome.figures()));
        figures.push((
            format!("{what}: left idle by brokers and clients, %"),
            outcome.idle_share() * 100.0,
        ));
        if !outcome.is_complete() {
            println!("  {what}: falls behind, nothing is tried above it");
            break;
        }
    }
    Ok(figures)
}

fn highest(
    cluster: &Cluster<'_>,
    topic: &Topic,
    wanted: &Wanted<'_>,
    linger_ms: f64,
) -> Result<Vec<(String, f64)>, String> {
    let mut search = Search::default();
    let mut best = None;
    while let Some(rate) = search.next() {
        let load = load(topic, rate, linger_ms, wanted.size_bytes);
        let outcome = most_idle(cluster, &load)?;
        let goes = leaves_enough(&outcome);
        println!(
            "  {}, {rate}/s, linger.ms={linger_ms}: {:.0} % idle, {:.2} % within 1 ms{}",
            topic.title,
            outcome.idle_share() * 100.0,
            outcome.share_within(Duration::from_millis(1)) * 100.0,
            if goes { "" } else { ": too much" },
        );
        search.learn(rate, goes);
        if goes {
            best = Some((rate, outcome));
        }
    }
    let what = format!(
        "{}, linger.ms={linger_ms}, highest rate that leaves {} % idle",
        topic.title,
        IDLE * 100.0
    );
    let rate = best.as_ref().map_or(0, |(rate, _)| *rate);
    let mut figures = vec![(format!("{what}: messages/s"), rate as f64)];
    if let Some((_, outcome)) = best {
        figures.extend(titled(&what, outcome.figures()));
    }
    Ok(figures)
}

/// Of a few tries, the first that leaves enough, or else the last.
fn most_idle(cluster: &Cluster<'_>, load: &Load) -> Result<Outcome, String> {
    latency::run(cluster, load, SEARCH_WARM_UP)?;
    let mut outcome = latency::run(cluster, load, SEARCH_MEASURED)?;
    for _ in 1..SEARCH_TRIES {
        if leaves_enough(&outcome) {
            break;
        }
        outcome = latency::run(cluster, load, SEARCH_MEASURED)?;
    }
    Ok(outcome)
}

fn leaves_enough(outcome: &Outcome) -> bool {
    outcome.is_complete() && outcome.idle_share() >= IDLE
}

fn load(topic: &Topic, rate: u64, linger_ms: f64, size_bytes: usize) -> Load {
    Load {
        client: Client::Librdkafka,
        rate,
        linger_ms,
        size_bytes,
        topic: topic.name.to_owned(),
    }
}

fn titled(what: &str, figures: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let titled = |(name, value)| (format!("{what}: {name}"), value);
    figures.into_iter().map(titled).collect()
}
