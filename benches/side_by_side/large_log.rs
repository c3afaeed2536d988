//! A log of 10 GiB: whether produce latency minds it, reading all of it, and the start after
//! `kill -9`.

use std::time::Duration;

use crate::contestant::{Broker, Contestant, PARTITIONS, Setting};
use crate::latency::{self, Client, Load};
use crate::throughput::{self, RECORD_BYTES};
use crate::{admin, start};

const TOPIC: &str = "large";
/// 0.1 GiB.
const SMALL_RECORDS: u64 = (1 << 30) / 10 / RECORD_BYTES;
/// 10 GiB.
const LARGE_RECORDS: u64 = (10 << 30) / RECORD_BYTES;
/// Messages per second.
const RATE: u64 = 1_000;
const WARM_UP: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(15);

/// What was measured in two lives.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    admin::create_topic(&broker, TOPIC, PARTITIONS, &[])?;
    throughput::produce(&broker, setting, TOPIC, SMALL_RECORDS)?;
    let mut figures = latency_with("0.1 GiB", &broker)?;
    throughput::produce(&broker, setting, TOPIC, LARGE_RECORDS - SMALL_RECORDS)?;
    figures.extend(latency_with("10 GiB", &broker)?);
    let consumed = throughput::consume(&broker, setting, TOPIC, LARGE_RECORDS)?;
    figures.extend(consumed.figures("consume, 10 GiB from the beginning"));
    let killed = broker.kill()?;
    let prepared = setting.again(contestant, &killed)?;
    let (_broker, took) = start::from_start_to_produce(contestant, prepared)?;
    figures.push((
        "start after kill -9 with 10 GiB, to the first acknowledged record, ms".into(),
        took.as_secs_f64() * 1e3,
    ));
    Ok(figures)
}

fn latency_with(what: &str, broker: &Broker) -> Result<Vec<(String, f64)>, String> {
    let load = Load::single(Client::Bare, RATE, TOPIC);
    latency::run(broker, &load, WARM_UP)?;
    let outcome = latency::run(broker, &load, MEASURED)?;
    let what = format!("{RATE}/s, bare client, {what} of log");
    Ok(outcome.percentiles(&what, &[50.0, 99.0]))
}
