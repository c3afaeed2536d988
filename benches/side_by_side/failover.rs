//! A broker that leads partitions is killed with `kill -9` under load, again and again: how long
//! its partitions are away for a producer, and whether what was acknowledged is there, once.
//!
//! Each time the broker is started again when all partitions have taken messages for some seconds
//! without it, and the next is killed when every replica is in sync.

mod audit;
mod outage;
mod sender;

use std::time::{Duration, Instant};

use self::outage::longest_silence;
use self::sender::Sender;
use crate::admin;
use crate::cluster::{BROKERS, Cluster};
use crate::contestant::{Contestant, PARTITIONS, Setting};
use crate::statistics::Latencies;
use crate::watcher::{Partition, Watcher};

const TOPIC: &str = "failover";
/// Messages per second, of all partitions together.
const RATE: u64 = 1_000;
/// A JVM is not itself before.
const WARM_UP: Duration = Duration::from_secs(20);
/// How long a broker stays away once its partitions go on without it.
const AWAY: Duration = Duration::from_secs(3);
/// How long all is well before the next is killed. librdkafka waits longer for a broker with each connection
/// that it was refused, and forgets that only when it has not tried for `reconnect.backoff.max.ms` (10 s):
/// with less time between them, a kill is measured with what the ones before have left behind.
const WELL: Duration = Duration::from_secs(12);
/// A cluster that takes longer to go on does not.
const GO_ON_LIMIT: Duration = Duration::from_secs(90);
/// A broker that takes longer to come back does not.
const IN_SYNC_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// A broker that was killed.
struct Kill {
    /// After the first message was due.
    at: Duration,
    /// Partitions that it led.
    led: Vec<i32>,
    /// From its start until every replica was in sync.
    back_after: Duration,
}

/// What was measured in the life of a cluster.
pub(crate) fn run(
    contestant: Contestant,
    setting: &Setting,
    kills: u32,
) -> Result<Vec<(String, f64)>, String> {
    let mut cluster = Cluster::start(contestant, setting)?;
    admin::create_topic(&cluster, TOPIC, PARTITIONS, &[])?;
    wait_until_in_sync(&cluster.watcher()?)?;
    let sender = Sender::start(&cluster, TOPIC, RATE)?;
    std::thread::sleep(WARM_UP);
    let mut killed = Vec::new();
    for number in 0..kills {
        let partition = i32::try_from(number).expect("a few") % PARTITIONS;
        killed.push(kill_leader(&mut cluster, &sender, partition)?);
    }
    let end = sender.now();
    let sent = sender.stop();
    let findings = audit::audit(&cluster, TOPIC, &sent)?;

    // Each kill is looked at until the next.
    let ends = killed.iter().skip(1).map(|kill| kill.at).chain([end]);
    let (mut of_led, mut of_others) = (Vec::new(), Vec::new());
    for (kill, until) in killed.iter().zip(ends) {
        for partition in 0..PARTITIONS {
            let away = longest_silence(&sent.acknowledged, partition, kill.at, until);
            match kill.led.contains(&partition) {
                true => of_led.push(away),
                false => of_others.push(away),
            }
        }
    }
    let mut figures = percentiles("partitions that it led", of_led);
    figures.extend(percentiles("partitions that it followed", of_others));
    let back = killed.iter().map(|kill| Some(kill.back_after));
    let count = |what: &str, count: u64| (format!("kill -9: {what}"), count as f64);
    figures.extend([
        (
            "kill -9: from the start of the killed broker until it is in sync, p50, ms".to_owned(),
            Latencies::new(back).percentile_ms(50.0),
        ),
        count("brokers killed", kills.into()),
        count("messages sent", sent.messages),
        count("messages acknowledged", sent.acknowledged.len() as u64),
        count("messages refused", sent.refused),
        count("messages acknowledged and lost", findings.lost),
        count("messages duplicated", findings.duplicated),
        count("messages out of order", findings.out_of_order),
    ]);
    Ok(figures)
}

/// Kills the leader of a partition, lets the others go on without it, and starts it again.
fn kill_leader(cluster: &mut Cluster<'_>, sender: &Sender, partition: i32) -> Result<Kill, String> {
    let watcher = cluster.watcher()?;
    let partitions = watcher.partitions(TOPIC);
    let leader = partitions.iter().find(|one| one.id == partition);
    let leader = leader.map_or(-1, |one| one.leader);
    let port = watcher.brokers().get(&leader).copied();
    let node = port
        .and_then(|port| cluster.node_at(port))
        .ok_or(format!("{TOPIC}-{partition} has no leader"))?;
    let led = partitions.iter().filter(|one| one.leader == leader);
    let led: Vec<_> = led.map(|one| one.id).collect();

    let at = sender.now();
    cluster.kill(node)?;
    let killed = Instant::now();
    while !sender.all_acknowledge_since(at) && killed.elapsed() < GO_ON_LIMIT {
        cluster.check()?;
        std::thread::sleep(POLL);
    }
    let gone_on = killed.elapsed();
    std::thread::sleep(AWAY);

    // The broker itself could tell what was true before it was killed.
    let others = cluster.watcher()?;
    let started = Instant::now();
    cluster.run(node)?;
    wait_until_it_answers(cluster, node)?;
    wait_until_in_sync(&others)?;
    let back_after = started.elapsed();
    println!(
        "  killed the leader of {led:?}: all take messages after {:.0} ms, in sync {:.0} ms after its start",
        gone_on.as_secs_f64() * 1e3,
        back_after.as_secs_f64() * 1e3
    );
    std::thread::sleep(WELL);
    Ok(Kill {
        at,
        led,
        back_after,
    })
}

fn wait_until_it_answers(cluster: &mut Cluster<'_>, node: usize) -> Result<(), String> {
    let itself = Watcher::new(&format!("127.0.0.1:{}", cluster.port_of(node)))?;
    let started = Instant::now();
    while itself.brokers().is_empty() {
        cluster.check()?;
        if started.elapsed() > IN_SYNC_LIMIT {
            return Err(format!("a broker does not answer after {IN_SYNC_LIMIT:?}"));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn wait_until_in_sync(watcher: &Watcher) -> Result<(), String> {
    let count = PARTITIONS as usize;
    let in_sync = |partition: &Partition| partition.leader >= 0 && partition.in_sync == BROKERS;
    let waited = watcher.wait_for_all(TOPIC, count, IN_SYNC_LIMIT, "are in sync", in_sync);
    waited.map(|_| ())
}

fn percentiles(of: &str, away: Vec<Option<Duration>>) -> Vec<(String, f64)> {
    let away = Latencies::new(away.into_iter());
    let figure = |(percent, name)| {
        let name = format!("kill -9, {RATE}/s: {of} do not acknowledge for, {name}, ms");
        (name, away.percentile_ms(percent))
    };
    [(50.0, "p50"), (99.0, "p99"), (100.0, "max")]
        .map(figure)
        .to_vec()
}
