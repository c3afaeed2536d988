//! Thousands of replicated partitions that nobody uses: what they cost, and how soon all have
//! leaders again when a broker is killed with `kill -9`.

use std::time::{Duration, Instant};

use crate::admin;
use crate::cluster::{BROKERS, Cluster};
use crate::contestant::{Brokers as _, Contestant, Setting};
use crate::machine;
use crate::statistics::median;
use crate::watcher::{Partition, Watcher};

/// How many partitions are tried, each replicated three times: fewer if the machine cannot.
const PARTITIONS: [i32; 3] = [3_000, 1_200, 300];
/// They are made in so many topics: a request for all of them at once takes longer than clients
/// wait.
const TOPICS: i32 = 6;
const PREFIX: &str = "idle-";
/// For all replicas to be in sync.
const IN_SYNC_LIMIT: Duration = Duration::from_secs(300);
/// For all partitions to be led again.
const LED_LIMIT: Duration = Duration::from_secs(120);
/// What making them began has ended by then.
const SETTLE: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(30);

/// What was measured in the life of a cluster.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    for partitions in PARTITIONS {
        match prepare(contestant, setting, partitions) {
            Ok(cluster) => return measure(cluster, partitions),
            Err(problem) => println!("  {partitions} partitions: {problem}"),
        }
    }
    Err(format!("not even {} partitions", PARTITIONS[2]))
}

fn prepare<'a>(
    contestant: Contestant,
    setting: &'a Setting,
    partitions: i32,
) -> Result<Cluster<'a>, String> {
    let mut cluster = Cluster::start(contestant, setting)?;
    let started = Instant::now();
    for topic in 0..TOPICS {
        let name = format!("{PREFIX}{topic}");
        admin::create_topic(&cluster, &name, partitions / TOPICS, &[])?;
    }
    wait_until_in_sync(&cluster.watcher()?, partitions)?;
    cluster.check()?;
    println!(
        "  {partitions} partitions are in sync {:.1} s after the first request for them",
        started.elapsed().as_secs_f64()
    );
    Ok(cluster)
}

fn wait_until_in_sync(watcher: &Watcher, partitions: i32) -> Result<(), String> {
    let in_sync = |partition: &Partition| partition.leader >= 0 && partition.in_sync == BROKERS;
    let count = usize::try_from(partitions).expect("it is not negative");
    let waited = watcher.wait_for_all(PREFIX, count, IN_SYNC_LIMIT, "are in sync", in_sync);
    waited.map(|_| ())
}

fn measure(mut cluster: Cluster<'_>, partitions: i32) -> Result<Vec<(String, f64)>, String> {
    std::thread::sleep(SETTLE);
    let pids = cluster.pids();
    let cpu_times = || -> Result<Vec<Duration>, String> {
        pids.iter().map(|pid| machine::cpu_time(*pid)).collect()
    };
    let before = cpu_times()?;
    std::thread::sleep(MEASURED);
    let spent = cpu_times()?.into_iter().zip(before);
    let percents: Vec<f64> = spent
        .map(|(after, before)| (after - before).as_secs_f64() / MEASURED.as_secs_f64() * 100.0)
        .collect();
    let resident = pids.iter().map(|pid| machine::resident_mib(*pid));
    let resident = resident.collect::<Result<Vec<_>, _>>()?;
    let mut figures = vec![(
        "idle: replicated partitions".to_owned(),
        f64::from(partitions),
    )];
    figures.extend(mean_and_highest("CPU of a broker, % of a core", &percents));
    figures.extend(mean_and_highest(
        "resident memory of a broker, MiB",
        &resident,
    ));

    let mut led_after = Vec::new();
    for node in 0..BROKERS {
        led_after.push(kill(&mut cluster, node, partitions)?);
        // The broker itself could tell what was true before it was killed.
        let others = cluster.watcher()?;
        cluster.run(node)?;
        wait_until_in_sync(&others, partitions)?;
    }
    let what = "idle: all partitions have leaders again after kill -9 of each broker in turn";
    figures.push((format!("{what}, median, ms"), median(&led_after)));
    let longest = led_after.iter().copied().fold(0.0, f64::max);
    figures.push((format!("{what}, longest, ms"), longest));
    Ok(figures)
}

/// Kills a broker; milliseconds until a client is told that others lead all partitions.
fn kill(cluster: &mut Cluster<'_>, node: usize, partitions: i32) -> Result<f64, String> {
    let brokers = cluster.watcher()?.brokers();
    let port = cluster.port_of(node);
    let id = brokers
        .iter()
        .find(|(_, at)| **at == port)
        .map(|(id, _)| *id);
    let id = id.ok_or(format!("no client is told of the broker at port {port}"))?;
    let killed = Instant::now();
    cluster.kill(node)?;
    let led = |partition: &Partition| partition.leader >= 0 && partition.leader != id;
    let count = usize::try_from(partitions).expect("it is not negative");
    let watcher = cluster.watcher()?;
    watcher.wait_for_all(PREFIX, count, LED_LIMIT, "have leaders", led)?;
    Ok(killed.elapsed().as_secs_f64() * 1e3)
}

fn mean_and_highest(what: &str, values: &[f64]) -> [(String, f64); 2] {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let highest = values.iter().copied().fold(0.0, f64::max);
    [
        (format!("idle: {what}, mean"), mean),
        (format!("idle: {what}, highest"), highest),
    ]
}
