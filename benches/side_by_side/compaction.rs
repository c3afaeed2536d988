//! Latency of one topic while the log of another is compacted.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::contestant::{Broker, Contestant, PARTITIONS, Setting};
use crate::latency::{self, Client, Load};
use crate::{admin, filling, start};

const TOPIC: &str = "compacted";
const RECORD_BYTES: usize = 1024;
/// 4 GiB.
const RECORDS: u64 = 4 << 20;
/// Of each key there are many records, so most of the log goes.
const KEYS: u64 = 100_000;
const SEGMENT_BYTES: (&str, &str) = ("segment.bytes", "134217728");
/// For a cleaner to begin, which looks around every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages per second to the other topic.
const RATE: u64 = 1_000;
const WARM_UP: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(10);
const MIB: f64 = (1 << 20) as f64;

/// What was measured in a life of its own.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    let folder = setting.data(contestant);
    admin::create_topic(&broker, TOPIC, PARTITIONS, &[SEGMENT_BYTES])?;
    filling::fill(&broker, TOPIC, RECORDS, RECORD_BYTES, Some(KEYS))?;
    latency_of_another(&broker, WARM_UP, "")?;
    let mut figures = latency_of_another(&broker, MEASURED, "alone")?;
    let settings = [
        SEGMENT_BYTES,
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    admin::set_topic(&broker, TOPIC, &settings)?;
    wait_until_compaction(&folder)?;
    let before = log_bytes(&folder);
    figures.extend(latency_of_another(
        &broker,
        MEASURED,
        "beside a compaction",
    )?);
    let compacted = before.saturating_sub(log_bytes(&folder));
    figures.push((
        "compacted away meanwhile, MiB".into(),
        compacted as f64 / MIB,
    ));
    Ok(figures)
}

fn latency_of_another(
    broker: &Broker,
    duration: Duration,
    when: &str,
) -> Result<Vec<(String, f64)>, String> {
    let load = Load::single(Client::Bare, RATE, "beside");
    let outcome = latency::run(broker, &load, duration)?;
    let what = format!("{RATE}/s, bare client, {when}");
    Ok(outcome.percentiles(&what, &[50.0, 99.0, 99.9]))
}

/// What a cleaner writes ends with `.cleaned` until it is swapped in.
fn wait_until_compaction(folder: &Path) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if files(folder).any(|(name, _)| name.ends_with(".cleaned")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(format!("no compaction began within {PATIENCE:?}"))
}

fn log_bytes(folder: &Path) -> u64 {
    files(folder)
        .filter(|(name, _)| name.ends_with(".log"))
        .map(|(_, bytes)| bytes)
        .sum()
}

/// Name and length of the files of all partitions of the topic; those that go meanwhile are left
/// out.
fn files(folder: &Path) -> impl Iterator<Item = (String, u64)> + use<> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let partitions = entries(folder).filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(TOPIC)
    });
    partitions
        .flat_map(move |partition| entries(&partition.path()))
        .filter_map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            Some((name, file.metadata().ok()?.len()))
        })
}
