//! Saturated throughput, with Kafka's own performance tools: as many records as go through, and
//! what a second of the broker's CPU time moves.

use std::process::{Command, Stdio};

use crate::contestant::{Broker, Contestant, Setting};
use crate::{machine, start};

/// Bytes of each record.
pub(crate) const RECORD_BYTES: u64 = 1024;
/// Records that are produced and consumed, 1.5 GB.
const RECORDS: u64 = 1_500_000;
/// Records before that, for both JVMs to warm up.
const WARM_UP_RECORDS: u64 = 500_000;
const TOPIC: &str = "throughput";
const MIB: f64 = (1 << 20) as f64;

/// Name and value of each figure.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    produce(&broker, setting, TOPIC, WARM_UP_RECORDS)?;
    let mut figures = Vec::new();
    let produced = produce(&broker, setting, TOPIC, RECORDS)?;
    figures.extend(produced.figures("produce, saturated"));
    let consumed = consume(&broker, setting, TOPIC, WARM_UP_RECORDS + RECORDS)?;
    figures.extend(consumed.figures("consume, saturated"));
    Ok(figures)
}

/// What went through.
pub(crate) struct Moved {
    mib_per_second: f64,
    mib_per_cpu_second: f64,
}

impl Moved {
    pub(crate) fn figures(&self, what: &str) -> [(String, f64); 2] {
        [
            (format!("{what}: MiB/s"), self.mib_per_second),
            (
                format!("{what}: MiB per second of broker CPU"),
                self.mib_per_cpu_second,
            ),
        ]
    }
}

/// Produces so many records of [`RECORD_BYTES`] as fast as they go through.
pub(crate) fn produce(
    broker: &Broker,
    setting: &Setting,
    topic: &str,
    records: u64,
) -> Result<Moved, String> {
    let mut command = setting.tool("org.apache.kafka.tools.ProducerPerformance");
    command
        .args(["--topic", topic, "--throughput", "-1"])
        .args(["--num-records", &records.to_string()])
        .args(["--record-size", &RECORD_BYTES.to_string()])
        .arg("--producer-props")
        .arg(format!("bootstrap.servers={}", broker.address()))
        .args(["acks=all", "linger.ms=5", "batch.size=65536"]);
    measure(broker, command, records, |text| {
        // "… records/sec (93.41 MB/sec), …", the last line of its kind is of the whole run.
        let line = text.lines().rfind(|line| line.contains(" MB/sec)"))?;
        let (_, rate) = line.split_once('(')?;
        rate.split_once(" MB/sec)")?.0.parse().ok()
    })
}

/// Consumes so many records of [`RECORD_BYTES`] from the beginning, as fast as they come.
pub(crate) fn consume(
    broker: &Broker,
    setting: &Setting,
    topic: &str,
    records: u64,
) -> Result<Moved, String> {
    let mut command = setting.tool("org.apache.kafka.tools.ConsumerPerformance");
    command
        .args(["--topic", topic, "--timeout", "60000", "--hide-header"])
        .args(["--messages", &records.to_string()])
        .args(["--bootstrap-server", broker.address()]);
    measure(broker, command, records, |text| {
        // start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, …
        let line = text.lines().rfind(|line| line.matches(", ").count() >= 9)?;
        line.split(", ").nth(8)?.trim().parse().ok()
    })
}

/// Runs a tool and reads the rate that it prints.
fn measure(
    broker: &Broker,
    mut command: Command,
    records: u64,
    rate: impl Fn(&str) -> Option<f64>,
) -> Result<Moved, String> {
    let before = machine::cpu_time(broker.pid())?;
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("java cannot be started: {error}"))?;
    let cpu = machine::cpu_time(broker.pid())? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = || format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("a performance tool failed: {}", said()));
    }
    let mib_per_second =
        rate(&text).ok_or_else(|| format!("a performance tool printed no rate: {}", said()))?;
    let mib = (records * RECORD_BYTES) as f64 / MIB;
    Ok(Moved {
        mib_per_second,
        mib_per_cpu_second: mib / cpu.as_secs_f64(),
    })
}
