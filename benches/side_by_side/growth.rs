//! What grows with what: the broker's CPU time per message with one partition and with a thousand,
//! with one consumer group and with fifty.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::admin;
use crate::contestant::{Broker, Contestant, Setting};
use crate::latency::Schedule;
use crate::machine;
use crate::start;

const PARTITIONS: [i32; 2] = [1, 1_000];
/// Each a request of its own, whatever the number of partitions.
const PARTITIONS_LOAD: Load = Load {
    rate: 2_000,
    linger_ms: 0,
};
const GROUPS: [usize; 2] = [1, 50];
const GROUPS_LOAD: Load = Load {
    rate: 1_000,
    linger_ms: 5,
};
const SIZE_BYTES: usize = 200;
const WARM_UP: Duration = Duration::from_secs(8);
const MEASURED: Duration = Duration::from_secs(10);
/// For connections, and for all that is on its way.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
struct Load {
    /// Messages per second, of all partitions together.
    rate: u64,
    linger_ms: u32,
}

/// What was measured in a life of its own.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    let mut figures = Vec::new();
    for partitions in PARTITIONS {
        let topic = format!("partitions-{partitions}");
        admin::create_topic(&broker, &topic, partitions, &[])?;
        let reader = Reader::start(&broker, setting, &topic)?;
        let cpu = cpu_per_message(&broker, &topic, partitions, PARTITIONS_LOAD)?;
        drop(reader);
        figures.push((
            format!("2,000/s over {partitions} partition(s), a Java consumer: broker CPU per message, µs"),
            cpu,
        ));
    }
    for groups in GROUPS {
        let topic = format!("groups-{groups}");
        admin::create_topic(&broker, &topic, 1, &[])?;
        let groups_running = Groups::start(&broker, &topic, groups)?;
        let cpu = cpu_per_message(&broker, &topic, 1, GROUPS_LOAD)?;
        groups_running.stop()?;
        figures.push((
            format!("1,000/s to {groups} consumer group(s): broker CPU per message and group, µs"),
            cpu / groups as f64,
        ));
    }
    Ok(figures)
}

/// Produces at a rate, one partition after the other; what that costs the broker, in µs.
fn cpu_per_message(
    broker: &Broker,
    topic: &str,
    partitions: i32,
    load: Load,
) -> Result<f64, String> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("acks", "all")
        .set("linger.ms", load.linger_ms.to_string())
        .create()
        .map_err(|error| error.to_string())?;
    produce(&producer, topic, partitions, load, WARM_UP)?;
    let before = machine::cpu_time(broker.pid())?;
    produce(&producer, topic, partitions, load, MEASURED)?;
    let cpu = machine::cpu_time(broker.pid())? - before;
    Ok(cpu.as_secs_f64() * 1e6 / (load.rate * MEASURED.as_secs()) as f64)
}

fn produce(
    producer: &BaseProducer,
    topic: &str,
    partitions: i32,
    load: Load,
    duration: Duration,
) -> Result<(), String> {
    let schedule = Schedule::of(load.rate, duration);
    let payload = [b'k'; SIZE_BYTES];
    for sequence in 0..schedule.total {
        schedule.wait_for(sequence);
        let partition = sequence % u64::from(partitions.unsigned_abs());
        let record = BaseRecord::<(), [u8]>::to(topic)
            .partition(i32::try_from(partition).expect("less than the number of partitions"))
            .payload(&payload);
        producer
            .send(record)
            .map_err(|(error, _)| format!("{topic}: {error}"))?;
        producer.poll(Duration::ZERO);
    }
    producer
        .flush(PATIENCE)
        .map_err(|error| format!("{topic}: {error}"))
}

/// Kafka's own consumer, which has fetch sessions; killed when dropped.
struct Reader(Child);

impl Reader {
    fn start(broker: &Broker, setting: &Setting, topic: &str) -> Result<Self, String> {
        let mut command: Command = setting.tool("org.apache.kafka.tools.ConsumerPerformance");
        command
            .args(["--topic", topic, "--timeout", "60000", "--hide-header"])
            .args(["--messages", "1000000000"])
            .args(["--bootstrap-server", broker.address()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn();
        Ok(Self(child.map_err(|error| {
            format!("java cannot be started: {error}")
        })?))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Consumers, each the only member of its group, which commit every five seconds.
struct Groups {
    stop: Arc<AtomicBool>,
    consumed: Vec<Arc<AtomicU64>>,
    threads: Vec<JoinHandle<()>>,
}

impl Groups {
    fn start(broker: &Broker, topic: &str, count: usize) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut threads, mut consumed) = (Vec::new(), Vec::new());
        for number in 0..count {
            let consumer = consumer(broker, topic, number)?;
            let (stop, count) = (Arc::clone(&stop), Arc::new(AtomicU64::new(0)));
            consumed.push(Arc::clone(&count));
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let message = consumer.poll(Duration::from_millis(100));
                    count.fetch_add(u64::from(matches!(message, Some(Ok(_)))), Ordering::Relaxed);
                }
            }));
        }
        Ok(Self {
            stop,
            consumed,
            threads,
        })
    }

    /// The error is that of a group which has not got anything.
    fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it only counts");
        }
        let least = self
            .consumed
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .min();
        let due = GROUPS_LOAD.rate * MEASURED.as_secs();
        match least {
            Some(least) if least >= due => Ok(()),
            _ => Err(format!(
                "a group consumed {least:?} of at least {due} messages"
            )),
        }
    }
}

fn consumer(broker: &Broker, topic: &str, number: usize) -> Result<BaseConsumer, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("group.id", format!("{topic}-{number}"))
        .set("auto.offset.reset", "earliest")
        .create()
        .map_err(|error| error.to_string())?;
    consumer
        .subscribe(&[topic])
        .map_err(|error| error.to_string())?;
    Ok(consumer)
}
