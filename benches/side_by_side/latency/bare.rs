//! Bare requests over TCP: one connection produces to one partition, another reads it. No library
//! stands between the clock and the socket, so what is measured is the broker and the kernel.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{RecordBatch, Timestamp};

use super::{Load, Schedule, Seen};
use crate::contestant::Brokers;

const PRODUCE: (i16, i16) = (0, 3);
const FETCH: (i16, i16) = (1, 4);
const LIST_OFFSETS: (i16, i16) = (2, 1);
const METADATA: (i16, i16) = (3, 4);

/// How long topic creation may take.
const PREPARATION: Duration = Duration::from_secs(30);
const FETCH_BYTES_MAX: i32 = 1 << 20;
const FETCH_WAIT_MS: i32 = 500;
/// Where the records begin in the answer to a fetch of one partition, after the topic's name.
const RECORDS_AT: usize = 4 + 4 + 4 + 2 + 4 + 4 + 2 + 8 + 8;

/// Two connections.
pub(super) struct Clients {
    topic: String,
    producer: Connection,
    consumer: Connection,
    begin_at: i64,
}

impl Clients {
    pub(super) fn new(brokers: &dyn Brokers, load: &Load) -> Result<Self, String> {
        let connect = || {
            Connection::open(&brokers.addresses())
                .map_err(|error| format!("{}: {error}", load.topic))
        };
        let (mut producer, consumer) = (connect()?, connect()?);
        let begin_at = prepare(&mut producer, &load.topic)
            .map_err(|error| format!("{}: {error}", load.topic))?;
        Ok(Self {
            topic: load.topic.clone(),
            producer,
            consumer,
            begin_at,
        })
    }
}

impl super::Clients for Clients {
    fn run(self, schedule: Schedule, size_bytes: usize) -> Result<Seen, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.topic);
        let answers = self.producer.stream.try_clone().map_err(failed)?;
        let counting = count_refusals(Connection { stream: answers }, schedule.total);
        let consuming = consume(self.consumer, self.topic.clone(), self.begin_at, schedule);
        let mut producer = self.producer;
        let sent_late =
            produce(&mut producer, &self.topic, schedule, size_bytes).map_err(failed)?;
        let arrived = consuming
            .join()
            .expect("the consumer only counts")
            .map_err(failed)?;
        Ok(Seen {
            sent_late,
            arrived,
            refused: counting.join().expect("it only counts").map_err(failed)?,
        })
    }
}

fn produce(
    producer: &mut Connection,
    topic: &str,
    schedule: Schedule,
    size_bytes: usize,
) -> std::io::Result<Vec<Option<Duration>>> {
    let mut late = schedule.places();
    let mut payload = vec![b'k'; size_bytes];
    for sequence in 0..schedule.total {
        schedule.wait_for(sequence);
        schedule.stamp(&mut payload, sequence);
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp(0), None, Some(&payload), &[]);
        producer.send(PRODUCE, &produce_body(topic, &builder.build()))?;
        late[sequence as usize] =
            Some(Instant::now().saturating_duration_since(schedule.due(sequence)));
    }
    Ok(late)
}

/// Reads the answers to all that is produced.
fn count_refusals(mut answers: Connection, total: u64) -> JoinHandle<std::io::Result<u64>> {
    std::thread::spawn(move || {
        let mut refused = 0;
        for _ in 0..total {
            let answer = answers.receive()?;
            refused += u64::from(produced_error(&answer) != 0);
        }
        Ok(refused)
    })
}

fn consume(
    mut consumer: Connection,
    topic: String,
    begin_at: i64,
    schedule: Schedule,
) -> JoinHandle<std::io::Result<Vec<Option<Duration>>>> {
    std::thread::spawn(move || {
        let mut arrived = schedule.places();
        let (mut missing, mut offset) = (schedule.total, begin_at);
        while missing > 0 && Instant::now() < schedule.deadline {
            consumer.send(FETCH, &fetch_body(&topic, offset))?;
            let answer = consumer.receive()?;
            // Behind the aborted transactions, of which there are none, and the length.
            let mut records = answer.slice((RECORDS_AT + topic.len() + 8).min(answer.len())..);
            while let Ok(batch) = RecordBatch::parse(&mut records) {
                offset = batch.next_offset().get();
                for record in batch.records(FETCH_BYTES_MAX as usize).map_err(wrong)? {
                    let record = record.map_err(wrong)?;
                    let value = record.value.unwrap_or_default();
                    missing -= u64::from(schedule.arrived(&value, &mut arrived));
                }
            }
        }
        Ok(arrived)
    })
}

fn wrong(error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(error.to_string())
}

/// Has the topic created, and says where its partition ends.
fn prepare(connection: &mut Connection, topic: &str) -> std::io::Result<i64> {
    let deadline = Instant::now() + PREPARATION;
    while Instant::now() < deadline {
        connection.send(METADATA, &[&array(&[text(topic)])[..], &[1]].concat())?;
        connection.receive()?;
        connection.send(LIST_OFFSETS, &list_offsets_body(topic))?;
        let answer = connection.receive()?;
        // Correlation id, one topic, its name, one partition, its number.
        let at = 4 + 4 + 2 + topic.len() + 4 + 4;
        if let (Some([0, 0]), Some(offset)) = (answer.get(at..at + 2), answer.get(at + 10..at + 18))
        {
            let offset = offset.try_into().expect("eight bytes were asked for");
            return Ok(i64::from_be_bytes(offset));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(wrong("the topic has no leader"))
}

fn produced_error(answer: &[u8]) -> i16 {
    // Correlation id, one topic, its name, one partition, its number, the error.
    let name = answer.get(8..10).map_or(0, |length| {
        usize::from(length[0]) << 8 | usize::from(length[1])
    });
    let error = answer
        .get(10 + name + 8..)
        .and_then(|rest| rest.first_chunk());
    error.map_or(-1, |error| i16::from_be_bytes(*error))
}

fn produce_body(topic: &str, batch: &RecordBatch) -> Vec<u8> {
    let mut body = Vec::new();
    // No transaction, acks=all, 30 s.
    body.extend_from_slice(&(-1_i16).to_be_bytes());
    body.extend_from_slice(&(-1_i16).to_be_bytes());
    body.extend_from_slice(&30_000_i32.to_be_bytes());
    let mut partition = 0_i32.to_be_bytes().to_vec();
    partition.extend_from_slice(&(batch.size_bytes() as i32).to_be_bytes());
    batch
        .as_slices()
        .into_iter()
        .for_each(|part| partition.extend_from_slice(part));
    body.extend(array(&[[text(topic), array(&[partition])].concat()]));
    body
}

fn fetch_body(topic: &str, offset: i64) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [-1, FETCH_WAIT_MS, 1, FETCH_BYTES_MAX] {
        body.extend_from_slice(&number.to_be_bytes());
    }
    body.push(0);
    let mut partition = 0_i32.to_be_bytes().to_vec();
    partition.extend_from_slice(&offset.to_be_bytes());
    partition.extend_from_slice(&FETCH_BYTES_MAX.to_be_bytes());
    body.extend(array(&[[text(topic), array(&[partition])].concat()]));
    body
}

fn list_offsets_body(topic: &str) -> Vec<u8> {
    const LATEST: i64 = -1;
    let mut partition = 0_i32.to_be_bytes().to_vec();
    partition.extend_from_slice(&LATEST.to_be_bytes());
    let topics = array(&[[text(topic), array(&[partition])].concat()]);
    [(-1_i32).to_be_bytes().to_vec(), topics].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = i16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    let count = i32::try_from(items.len()).expect("a few");
    [&count.to_be_bytes()[..], &items.concat()].concat()
}

/// One TCP connection that speaks in frames.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    fn send(&mut self, (key, version): (i16, i16), body: &[u8]) -> std::io::Result<()> {
        let client_id = text("bare");
        let length = i32::try_from(8 + client_id.len() + body.len()).expect("a small request");
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&0_i32.to_be_bytes());
        frame.extend_from_slice(&client_id);
        frame.extend_from_slice(body);
        self.stream.write_all(&frame)
    }

    fn receive(&mut self) -> std::io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }
}
