//! An idempotent producer with one batch in flight: what is not acknowledged is sent again, with
//! the same sequence, until it is.

use std::time::{Duration, Instant};

use kafka_protocol::messages::InitProducerIdRequest;
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{ProducerEpoch, ProducerId, RecordBatch};

use crate::clients::own::route::Route;
use crate::clients::own::{Log, PATIENCE, Task};
use crate::history::event::{Entry, Event, Partition, Value};
use crate::history::payload::payload;
use crate::requests::now;

/// Between two batches.
const PACE: Duration = Duration::from_millis(10);
const VALUE_BYTES: usize = 100;
/// Error codes after which a client tries again: no leader here, not enough replicas, timeouts,
/// a coordinator or a disk that is not ready.
const RETRIABLE: &[i16] = &[3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 41, 56];
const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;

/// Produces until it is told to stop.
pub(super) fn run(task: &Task, number: u32) -> Vec<Entry> {
    let mut producer = Producer::new(task, number);
    let client = format!("own-producer-{number}");
    producer.log.add(Event::Started {
        client: client.clone(),
    });
    while !task.is_over() {
        // One, two or three records in a batch.
        producer.send(1 + producer.next % 3);
        std::thread::sleep(PACE);
    }
    producer.log.add(Event::Stopped { client });
    producer.log.entries
}

/// Sends one record; its offset, and what was done for it.
pub(crate) fn send_one(task: &Task, number: u32) -> (Option<i64>, Vec<Entry>) {
    let mut producer = Producer::new(task, number);
    let offset = producer.send(1);
    (offset, producer.log.entries)
}

struct Producer<'a> {
    number: u32,
    partition: &'a Partition,
    route: Route<'a>,
    log: Log,
    /// The number of the next record.
    next: u64,
    identity: Option<Identity>,
}

/// What the brokers know it by; a new one begins with sequence 0.
#[derive(Clone, Copy)]
struct Identity {
    id: i64,
    sequence: i32,
}

/// How a batch ended.
enum End {
    Acknowledged(Option<i64>),
    /// Nobody can say whether it was written.
    Unknown(String),
}

impl<'a> Producer<'a> {
    fn new(task: &'a Task, number: u32) -> Self {
        Self {
            number,
            partition: &task.partition,
            route: Route::new(task),
            log: Log::new(),
            next: 0,
            identity: None,
        }
    }

    /// Sends so many records in one batch; the offset of the first, if it is known.
    fn send(&mut self, count: u64) -> Option<i64> {
        let numbers = self.next..self.next + count;
        self.next += count;
        let values: Vec<_> = numbers
            .map(|number| Value {
                producer: self.number,
                number,
            })
            .collect();
        for value in &values {
            let partition = self.partition.clone();
            let value = *value;
            self.log.add(Event::Send { value, partition });
        }
        let end = self.deliver(&values);
        if let End::Unknown(problem) = &end {
            self.log.add(Event::Error {
                client: format!("own-producer-{}", self.number),
                text: problem.clone(),
            });
            // What comes next must not depend on what may be missing.
            self.identity = None;
        }
        let mut first = None;
        for (at, value) in (0..).zip(values) {
            self.log.add(match end {
                End::Acknowledged(offset) => {
                    first = offset;
                    let offset = offset.map(|offset| offset + at);
                    Event::Acknowledged { value, offset }
                }
                End::Unknown(_) => Event::Unknown { value },
            });
        }
        first
    }

    fn deliver(&mut self, values: &[Value]) -> End {
        let begun = Instant::now();
        let mut last = "nobody was reached".to_owned();
        while begun.elapsed() < PATIENCE {
            let Some(identity) = self.identify() else {
                continue;
            };
            let batch = self.batch(values, identity);
            let Some((leader, _)) = self.route.leader() else {
                continue;
            };
            let Partition { topic, index } = self.partition;
            match leader.try_produce(topic, *index, &batch) {
                Ok(Ok(offset)) => return self.acknowledged(values.len(), Some(offset)),
                Ok(Err(DUPLICATE_SEQUENCE_NUMBER)) => return self.acknowledged(values.len(), None),
                Ok(Err(code)) if RETRIABLE.contains(&code) => last = format!("error code {code}"),
                Ok(Err(code)) => return End::Unknown(format!("error code {code}")),
                Err(error) => last = error.to_string(),
            }
            self.route.lost();
        }
        End::Unknown(format!("not within {PATIENCE:?}: {last}"))
    }

    fn acknowledged(&mut self, count: usize, offset: Option<i64>) -> End {
        let identity = self.identity.as_mut().expect("it was sent with one");
        identity.sequence += i32::try_from(count).expect("small batches");
        End::Acknowledged(offset)
    }

    fn identify(&mut self) -> Option<Identity> {
        if self.identity.is_none() {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(60_000);
            let answer = self.route.anyone()?.try_call(1, &request).ok()?;
            let id = answer.producer_id.0;
            let fresh = Identity { id, sequence: 0 };
            self.identity = (answer.error_code == 0).then_some(fresh);
        }
        self.identity
    }

    fn batch(&self, values: &[Value], identity: Identity) -> RecordBatch {
        let Identity { id, sequence } = identity;
        let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(0), sequence);
        for value in values {
            let bytes = payload(self.partition, *value, VALUE_BYTES);
            builder.append(now(), None, Some(&bytes), &[]);
        }
        builder.build()
    }
}
