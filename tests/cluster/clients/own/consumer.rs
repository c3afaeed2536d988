//! A consumer without a group: it reads a partition from its start on, from whoever leads it.

use std::io;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, TopicName};
use klamm_model::RecordBatch;

use crate::client::Client;
use crate::clients::own::route::Route;
use crate::clients::own::{Log, Task};
use crate::history::event::{Entry, Event, Partition};
use crate::history::payload;
use crate::requests::text;

const FETCH_VERSION: i16 = 11;
const WAIT_MS: i32 = 100;
const INFLATED_BYTES_MAX: usize = 64 << 20;
/// Error codes after which a client looks for the leader: none here, or another than it thought.
const LOOK_AGAIN: &[i16] = &[3, 5, 6, 9, 56, 74, 75, 78];

/// Consumes until it is told to stop.
pub(super) fn run(task: &Task) -> Vec<Entry> {
    let client = format!("own-consumer-{}", task.partition);
    let mut reader = Reader::new(task, &client);
    reader.log.add(Event::Started {
        client: client.clone(),
    });
    while !task.is_over() {
        reader.read();
    }
    reader.log.add(Event::Stopped { client });
    reader.log.entries
}

/// Reads a partition, and knows where to go on.
pub(super) struct Reader<'a> {
    name: String,
    partition: &'a Partition,
    route: Route<'a>,
    pub(super) log: Log,
    pub(super) next: i64,
    high_watermark: i64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(task: &'a Task, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partition: &task.partition,
            route: Route::new(task),
            log: Log::new(),
            next: 0,
            high_watermark: -1,
        }
    }

    /// One fetch.
    pub(super) fn read(&mut self) {
        let Some((leader, epoch)) = self.route.leader() else {
            return;
        };
        match fetch(leader, self.partition, epoch, self.next) {
            Ok(Fetched {
                error: 0,
                high_watermark,
                records,
            }) => {
                self.told(high_watermark);
                self.given(records);
            }
            Ok(Fetched { error, .. }) => {
                if !LOOK_AGAIN.contains(&error) {
                    self.error(format!("error code {error} at {}", self.next));
                }
                self.route.lost();
            }
            Err(_) => self.route.lost(),
        }
    }

    fn told(&mut self, high_watermark: i64) {
        let is_known = high_watermark >= 0;
        if is_known && high_watermark != self.high_watermark {
            self.high_watermark = high_watermark;
            self.log.add(Event::Watermark {
                consumer: self.name.clone(),
                partition: self.partition.clone(),
                high_watermark,
            });
        }
    }

    fn given(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let batch = match RecordBatch::parse(&mut bytes) {
                Ok(batch) => batch,
                Err(problem) => return self.error(format!("a batch is unsound: {problem}")),
            };
            self.given_batch(&batch);
        }
    }

    fn given_batch(&mut self, batch: &RecordBatch) {
        let records = batch.records(INFLATED_BYTES_MAX).expect("not compressed");
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(problem) => return self.error(format!("a record is unsound: {problem}")),
            };
            let offset = record.offset.get();
            // A fetch gives whole batches.
            if offset < self.next {
                continue;
            }
            let bytes = record.value.unwrap_or_default();
            self.log.add(Event::Polled {
                consumer: self.name.clone(),
                partition: self.partition.clone(),
                offset,
                value: payload::value(self.partition, &bytes),
                leader_epoch: Some(batch.header().leader_epoch().0),
            });
        }
        self.next = self.next.max(batch.next_offset().get());
    }

    fn error(&mut self, text: String) {
        let client = self.name.clone();
        self.log.add(Event::Error { client, text });
    }
}

/// What a broker has of a partition from some offset on.
pub(crate) struct Fetched {
    pub(crate) error: i16,
    high_watermark: i64,
    records: Bytes,
}

/// Asks as one who believes that the broker leads in that epoch.
pub(crate) fn fetch(
    client: &mut Client,
    partition: &Partition,
    epoch: i32,
    from: i64,
) -> io::Result<Fetched> {
    let wanted = FetchPartition::default()
        .with_partition(partition.index)
        .with_current_leader_epoch(epoch)
        .with_fetch_offset(from)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(TopicName(text(&partition.topic)))
        .with_partitions(vec![wanted]);
    let request = FetchRequest::default()
        .with_max_wait_ms(WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(1 << 24)
        .with_topics(vec![topic]);
    let answer = client.try_call(FETCH_VERSION, &request)?;
    let topic = answer.responses.into_iter().next();
    let found = topic.and_then(|topic| topic.partitions.into_iter().next());
    let found = found.ok_or_else(|| io::Error::other("no partition in the answer"))?;
    Ok(Fetched {
        error: found.error_code,
        high_watermark: found.high_watermark,
        records: found.records.unwrap_or_default(),
    })
}
