//! `kill -9` at any moment: what was acknowledged is there afterwards, in order, exactly once.

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::client::Client;
use crate::requests::{idempotent_batch, produce_request};
use crate::support::{Draw, TempDir};

const KILLS: u64 = 20;
/// Requests of one connection that wait for their answer.
const IN_FLIGHT: i32 = 4;

/// A producer that repeats what was not acknowledged, as clients do.
struct Producer {
    id: i64,
    acknowledged: i32,
    sent: i32,
}

impl Producer {
    /// Sends until it has more out than it may, then takes one answer; `Err` once the broker is
    /// gone.
    fn step(&mut self, client: &mut Client) -> std::io::Result<()> {
        while self.sent - self.acknowledged < IN_FLIGHT {
            let value = value(self.sent);
            let batch = idempotent_batch(self.id, self.sent, &[value.as_bytes()]);
            client.send_produce(&produce_request("t", 0, -1, &batch))?;
            self.sent += 1;
        }
        let offset = client.receive_produced()?;
        assert_eq!(
            offset,
            Ok(i64::from(self.acknowledged)),
            "one batch, one offset"
        );
        self.acknowledged += 1;
        Ok(())
    }
}

fn value(sequence: i32) -> String {
    // Of different sizes, so that writes end anywhere in a page.
    let filling = "-".repeat(usize::try_from(sequence * 37 % 5_000).expect("it is not negative"));
    format!("{sequence} {filling}")
}

/// Passes some time of less than a timer's step.
fn dawdle(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

#[test]
fn everything_acknowledged_survives_kills_in_order_and_once() {
    check_kills("inline", 20);
}

#[test]
fn everything_acknowledged_survives_kills_when_another_thread_writes() {
    check_kills("offload", 21);
}

fn check_kills(writer: &str, seed: u64) {
    let dir = TempDir::new();
    let settings = [
        ("klamm.log.writer", writer),
        ("log.segment.bytes", "1048576"),
        ("replica.high.watermark.checkpoint.interval.ms", "10"),
        ("log.flush.scheduler.interval.ms", "5"),
        ("log.flush.interval.ms", "10"),
    ];
    let mut draw = Draw(seed);
    let mut broker = Broker::start(&dir, &settings);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let mut producer = Producer {
        id: client.producer_id(),
        acknowledged: 0,
        sent: 0,
    };
    for _ in 0..KILLS {
        let steps = 1 + draw.below(150);
        for _ in 0..steps {
            producer.step(&mut client).expect("the broker runs");
        }
        dawdle(Duration::from_micros(draw.below(2_000)));
        broker.kill();
        broker = Broker::start(&dir, &settings);
        client = broker.client();
        // Whatever was out is sent again, under its old number.
        producer.sent = producer.acknowledged;
    }
    for _ in 0..10 {
        producer.step(&mut client).expect("the broker runs");
    }
    for _ in producer.acknowledged..producer.sent {
        client
            .receive_produced()
            .expect("the broker runs")
            .expect("it is appended");
        producer.acknowledged += 1;
    }
    let values = client.values("t", 0);
    assert!(values.len() >= usize::try_from(producer.acknowledged).expect("it is not negative"));
    for (sequence, read) in (0..).zip(values) {
        assert_eq!(read, value(sequence));
    }
    broker.assert_no_errors();
    broker.stop();
}
