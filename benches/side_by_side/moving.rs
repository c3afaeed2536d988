//! 5 GiB move while others go on: how fast the log of a partition goes to two more brokers, and what a
//! load on other partitions notices of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::admin;
use crate::cluster::{BROKERS, Cluster};
use crate::contestant::{Brokers as _, Contestant, PARTITIONS, Setting};
use crate::filling;
use crate::latency::{self, Client, Load, Outcome};
use crate::watcher::{Partition, Watcher};

const TOPIC: &str = "moved";
const BESIDE: &str = "beside";
const RECORD_BYTES: usize = 1024;
const RECORDS: u64 = 5 << 20;
const GIB: f64 = (1 << 30) as f64;
const MIB: f64 = (1 << 20) as f64;

/// Messages per second to the other topic: what three brokers of either keep up with here.
const RATE: u64 = 500;
const WARM_UP: Duration = Duration::from_secs(10);
const MEASURED: Duration = Duration::from_secs(10);
/// A move that takes longer does not end.
const MOVE_LIMIT: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(100);

/// What was measured in the life of a cluster.
pub(crate) fn run(
    contestant: Contestant,
    setting: &Setting,
    throttle_mib: Option<u64>,
) -> Result<Vec<(String, f64)>, String> {
    let cluster = Cluster::start(contestant, setting)?;
    admin::create_topic(&cluster, BESIDE, PARTITIONS, &[])?;
    admin::create_topic_with(&cluster, TOPIC, 1, 1, &[])?;
    filling::fill(&cluster, TOPIC, RECORDS, RECORD_BYTES, None)?;
    load_beside(&cluster, WARM_UP)?;
    let alone = load_beside(&cluster, MEASURED)?;
    let watcher = cluster.watcher()?;
    assign_to_all(&cluster, setting, &watcher, throttle_mib)?;
    let (took, beside) = watch(&cluster, &watcher)?;
    let bytes = (RECORDS * RECORD_BYTES as u64) as f64;
    let copied = bytes * (BROKERS - 1) as f64;
    let what = |when: &str| format!("{RATE}/s, RF 3, {when}");
    let mut figures = alone.percentiles(&what("alone"), &[50.0, 99.0]);
    let limit = throttle_mib.map_or(String::new(), |limit| format!(" at {limit} MiB/s at most"));
    let move_of = format!("{:.0} GiB to two more brokers{limit}", bytes / GIB);
    let moving = what(&format!("beside a move of {move_of}"));
    for outcome in &beside {
        figures.extend(outcome.percentiles(&moving, &[50.0, 99.0]));
    }
    figures.push((
        format!("{move_of}: MiB/s"),
        copied / MIB / took.as_secs_f64(),
    ));
    Ok(figures)
}

fn load_beside(cluster: &Cluster<'_>, duration: Duration) -> Result<Outcome, String> {
    let load = Load::single(Client::Librdkafka, RATE, BESIDE);
    latency::run(cluster, &load, duration)
}

/// Every broker is to have the partition, the one that leads it first.
fn assign_to_all(
    cluster: &Cluster<'_>,
    setting: &Setting,
    watcher: &Watcher,
    throttle_mib: Option<u64>,
) -> Result<(), String> {
    let leader = watcher.partitions(TOPIC).first().map(|one| one.leader);
    let leader = leader.ok_or(format!("{TOPIC} has no leader"))?;
    let others = watcher.brokers().into_keys().filter(|id| *id != leader);
    let replicas: Vec<_> = std::iter::once(leader).chain(others).collect();
    let plan = setting.folder().join("move.json");
    let text = format!(
        r#"{{"version":1,"partitions":[{{"topic":"{TOPIC}","partition":0,"replicas":{replicas:?}}}]}}"#
    );
    std::fs::write(&plan, text).map_err(|error| error.to_string())?;
    let mut command = setting.tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand");
    command
        .args(["--bootstrap-server", &cluster.addresses(), "--execute"])
        .arg("--reassignment-json-file")
        .arg(plan);
    if let Some(limit) = throttle_mib {
        command.args(["--throttle", &(limit << 20).to_string()]);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}

/// How long the move takes, and what the load beside it sees as long as it lasts. The tool itself has
/// taken a moment before, in which the move has begun: it is counted from here, so it is a little
/// quicker than it says.
fn watch(cluster: &Cluster<'_>, watcher: &Watcher) -> Result<(Duration, Vec<Outcome>), String> {
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| {
            let waited = wait_until_in_sync(watcher);
            is_over.store(true, Ordering::Relaxed);
            waited.map(|()| begun.elapsed())
        });
        let mut outcomes = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let outcome = load_beside(cluster, MEASURED)?;
            // One that has seen the end as well would flatter.
            if outcomes.is_empty() || !is_over.load(Ordering::Relaxed) {
                outcomes.push(outcome);
            }
        }
        let took = moving.join().expect("it only asks")?;
        // The worst tells what the load had to bear.
        outcomes.sort_by(|a, b| b.percentile_ms(99.0).total_cmp(&a.percentile_ms(99.0)));
        outcomes.truncate(1);
        Ok((took, outcomes))
    })
}

fn wait_until_in_sync(watcher: &Watcher) -> Result<(), String> {
    let in_sync = |partition: &Partition| partition.leader >= 0 && partition.in_sync == BROKERS;
    let started = Instant::now();
    loop {
        // Some who answer do not know yet.
        if watcher.partitions(TOPIC).iter().any(in_sync) {
            return Ok(());
        }
        if started.elapsed() > MOVE_LIMIT {
            return Err(format!("the move is not over after {MOVE_LIMIT:?}"));
        }
        std::thread::sleep(POLL);
    }
}
