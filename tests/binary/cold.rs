//! Records that are not in memory are read from the disk, and a disk that does not give them is an
//! error: never a signal that ends the broker.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest, TopicName};

use crate::broker::Broker;
use crate::client::Client;
use crate::requests::{KAFKA_STORAGE_ERROR, batch, text};
use crate::support::{Draw, TempDir, files};

const BATCHES: usize = 24;
const TOPICS: [&str; 2] = ["t", "u"];

fn value(number: usize) -> Vec<u8> {
    let mut draw = Draw(number as u64);
    (0..200_000).map(|_| draw.next() as u8).collect()
}

/// A directory with topics of a few segments, closed in good order.
fn filled() -> TempDir {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    for topic in TOPICS {
        client.create_topic(topic, &[("segment.bytes", "1048576")]);
        for number in 0..BATCHES {
            let appended = client.produce(topic, &batch(&[&value(number)]));
            assert_eq!(appended, Ok(number as i64));
        }
    }
    broker.stop();
    dir
}

fn partition(dir: &TempDir, topic: &str) -> PathBuf {
    dir.data().join(format!("{topic}-0"))
}

/// Takes everything out of memory, as far as the system lets itself be told.
fn evict(directory: &Path) {
    for name in files(directory, "") {
        let file = File::open(directory.join(name)).expect("it can be opened");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice is taken");
    }
}

#[test]
fn what_left_memory_is_read_again_whole_and_in_order() {
    let dir = filled();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    for topic in TOPICS {
        evict(&partition(&dir, topic));
        let read = client.read_all(topic, 0);
        assert_eq!(read.len(), BATCHES);
        for (number, record) in read.into_iter().enumerate() {
            assert_eq!(record.offset, number as i64);
            assert!(record.value == value(number), "{topic} {number}");
        }
    }
    // Anywhere, and verified before.
    for number in (0..BATCHES).rev() {
        evict(&partition(&dir, "t"));
        let fetched = client.fetch("t", 0, number as i64);
        assert_eq!(fetched.error, 0);
        assert!(fetched.records[0].value == value(number), "{number}");
    }
    broker.assert_no_errors();
    broker.stop();
}

/// A fetch of the first record of both topics, and of nothing more.
fn both() -> FetchRequest {
    let topics = TOPICS.iter().map(|name| {
        let wanted = FetchPartition::default()
            .with_partition(0)
            .with_partition_max_bytes(1);
        FetchTopic::default()
            .with_topic(TopicName(text(name)))
            .with_partitions(vec![wanted])
    });
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_max_bytes(1 << 24)
        .with_topics(topics.collect())
}

#[test]
fn answers_keep_their_order_and_come_once_however_much_is_not_in_memory() {
    let dir = filled();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    for topic in TOPICS {
        evict(&partition(&dir, topic));
    }
    // One answer waits for the disk; those behind it must not come first.
    for _ in 0..3 {
        client.send(11, &both()).expect("open");
        client.send(1, &first_after(0)).expect("open");
    }
    for _ in 0..3 {
        let answer = client.receive::<FetchRequest>(11).expect("an answer");
        let bytes = answer.responses.iter().map(|topic| {
            let records = topic.partitions[0].records.as_ref();
            records.map_or(0, |records| records.len())
        });
        let bytes: Vec<_> = bytes.collect();
        assert!(bytes[0] > 200_000 && bytes[1] == 0, "{bytes:?}");
        let answer = client.receive::<ListOffsetsRequest>(1).expect("an answer");
        assert_eq!(answer.topics[0].partitions[0].offset, 0);
    }
    broker.assert_no_errors();
    broker.stop();
}

fn first_after(timestamp: i64) -> ListOffsetsRequest {
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![wanted]);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic])
}

fn offset_after(client: &mut Client, timestamp: i64) -> (i16, i64) {
    let answer = client.call(1, &first_after(timestamp));
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.offset)
}

/// A file that somebody else cut short is to a mapping what a failing disk is: who reads there
/// gets SIGBUS.
#[test]
fn what_the_disk_does_not_give_is_an_error_for_its_readers_only() {
    let dir = filled();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    let directory = partition(&dir, "t");
    let first = directory.join(&files(&directory, ".log")[0]);
    let file = OpenOptions::new().write(true).open(&first);
    let file = file.expect("it can be opened");
    file.set_len(4096).expect("it can be cut");
    assert_eq!(client.fetch("t", 0, 0).error, KAFKA_STORAGE_ERROR);
    assert_eq!(offset_after(&mut client, 0).0, KAFKA_STORAGE_ERROR);
    let last = BATCHES - 1;
    let fetched = client.fetch("t", 0, last as i64);
    assert_eq!(fetched.error, 0);
    assert!(fetched.records[0].value == value(last));
    assert_eq!(client.produce("t", &batch(&[b"v"])), Ok(BATCHES as i64));
    assert_eq!(client.read_all("u", 0).len(), BATCHES);
    let said = broker.stop().join("\n");
    assert!(
        said.contains("does not give") && said.contains("t-0"),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
}
