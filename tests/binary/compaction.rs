//! Of each key the newest record stays, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use klamm_model::RecordBatch;
use klamm_model::record_batch::{BatchBuilder, Compression};

use crate::broker::Broker;
use crate::client::Client;
use crate::requests::{now, text};
use crate::support::{Draw, TempDir, eventually, files};

/// Compaction all the time.
const EAGER: [(&str, &str); 2] = [
    ("log.cleaner.backoff.ms", "1"),
    ("log.cleaner.min.cleanable.ratio", "0"),
];

const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("segment.bytes", "1048576")];

/// The newest value of each key; a tombstone is empty.
type Table = BTreeMap<Vec<u8>, Vec<u8>>;

fn keyed(records: &[(&str, Option<&[u8]>)]) -> RecordBatch {
    let codec = Compression::Lz4;
    let mut builder = BatchBuilder::new().compression(codec, codec.default_level());
    for (key, value) in records {
        builder.append(now(), Some(key.as_bytes()), *value, &[]);
    }
    builder.build()
}

/// A value that does not compress.
fn value(draw: &mut Draw) -> Vec<u8> {
    (0..1_000).flat_map(|_| draw.next().to_be_bytes()).collect()
}

/// One round over all keys in an order that changes; what is acknowledged goes into the table.
fn write_round(client: &mut Client, table: &mut Table, draw: &mut Draw, keys: u64) {
    for _ in 0..keys {
        let key = format!("key-{}", draw.below(keys));
        let value = value(draw);
        let batch = keyed(&[(&key, Some(&value)), ("always", Some(&value[..8]))]);
        client.produce("t", &batch).expect("it is appended");
        table.insert(b"always".to_vec(), value[..8].to_vec());
        table.insert(key.into_bytes(), value);
    }
}

fn table_of(client: &mut Client) -> Table {
    let records = client.read_all("t", 0).into_iter();
    let keyed = records.map(|read| (read.key.expect("all have keys"), read.value));
    keyed.collect()
}

fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let lengths = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    lengths.map(|metadata| metadata.len()).sum()
}

#[test]
fn the_newest_of_each_key_is_left_and_the_rest_leaves_the_disk() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &EAGER);
    let mut client = broker.client();
    client.create_topic("t", &COMPACTED);
    let (mut table, mut draw) = (Table::new(), Draw(1));
    for _ in 0..60 {
        write_round(&mut client, &mut table, &mut draw, 10);
    }
    let directory = dir.data().join("t-0");
    eventually(
        "4.8 MB become what 10 keys are, and the last segment",
        || (size_of(&directory) < 2 << 20).then_some(()),
    );
    assert_eq!(table_of(&mut client), table);
    broker.assert_no_errors();
    broker.kill();
    let off = [("log.cleaner.enable", "false")];
    let broker = Broker::start(&dir, &off);
    let left = broker.client().read_all("t", 0);
    assert_eq!(table_of(&mut broker.client()), table);
    broker.stop();
    let broker = Broker::start(&dir, &off);
    assert_eq!(broker.client().read_all("t", 0), left);
    broker.assert_no_errors();
}

#[test]
fn a_key_that_is_deleted_is_gone_after_its_time() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &EAGER);
    let mut client = broker.client();
    let settings = [COMPACTED[0], COMPACTED[1], ("delete.retention.ms", "0")];
    client.create_topic("t", &settings);
    let filling = vec![b'x'; 300_000];
    let batch = keyed(&[("deleted", Some(b"v")), ("kept", Some(b"v"))]);
    client.produce("t", &batch).expect("it is appended");
    client
        .produce("t", &keyed(&[("deleted", None)]))
        .expect("it is appended");
    eventually("the tombstone goes, too", || {
        // Only closed segments are compacted.
        let batch = BatchBuilder::new();
        let mut batch = batch.compression(Compression::None, 0);
        batch.append(now(), Some(b"filling"), Some(&filling), &[]);
        client.produce("t", &batch.build()).expect("it is appended");
        let table = table_of(&mut client);
        assert_eq!(table.get(&b"kept"[..]), Some(&b"v".to_vec()));
        assert_ne!(table.get(&b"deleted"[..]), Some(&b"v".to_vec()));
        (table.len() == 2).then_some(())
    });
    broker.assert_no_errors();
}

#[test]
fn kills_in_the_middle_of_compactions_cost_no_key() {
    let dir = TempDir::new();
    let (mut table, mut draw) = (Table::new(), Draw(2));
    let mut broker = Broker::start(&dir, &EAGER);
    broker.client().create_topic("t", &COMPACTED);
    for _ in 0..12 {
        let mut client = broker.client();
        let rounds = 3 + draw.below(12);
        for _ in 0..rounds {
            write_round(&mut client, &mut table, &mut draw, 20);
        }
        broker.kill();
        broker = Broker::start(&dir, &EAGER);
        assert_eq!(table_of(&mut broker.client()), table);
        broker.assert_no_errors();
    }
    let directory = dir.data().join("t-0");
    eventually("all but the newest goes", || {
        (size_of(&directory) < 3 << 20).then_some(())
    });
    assert_eq!(table_of(&mut broker.client()), table);
    for unfinished in [".cleaned", ".swap"] {
        eventually("nothing unfinished is left", || {
            files(&directory, unfinished).is_empty().then_some(())
        });
    }
}

#[test]
fn committed_offsets_do_not_fill_the_disk() {
    let dir = TempDir::new();
    let mut settings = EAGER.to_vec();
    settings.push(("offsets.topic.num.partitions", "1"));
    settings.push(("offsets.topic.segment.bytes", "1048576"));
    let broker = Broker::start(&dir, &settings);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    let find = FindCoordinatorRequest::default().with_key(text("g"));
    client.call(1, &find);
    for offset in 0..2_000 {
        commit(&mut client, "g", offset);
    }
    let directory = dir.data().join("__consumer_offsets-0");
    eventually("8 MB of commits become one", || {
        let sizes = files(&directory, ".log");
        let size = |name: &String| std::fs::metadata(directory.join(name)).map_or(0, |it| it.len());
        (sizes.iter().map(size).sum::<u64>() < 2 << 20).then_some(())
    });
    broker.assert_no_errors();
    broker.kill();
    let broker = Broker::start(&dir, &settings);
    assert_eq!(committed(&mut broker.client(), "g"), 1_999);
    broker.stop();
    let broker = Broker::start(&dir, &settings);
    assert_eq!(committed(&mut broker.client(), "g"), 1_999);
}

fn commit(client: &mut Client, group: &str, offset: i64) {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(&"m".repeat(4_000))));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    eventually("the coordinator is there", || {
        let answer = client.call(2, &request);
        (answer.topics[0].partitions[0].error_code == 0).then_some(())
    });
}

fn committed(client: &mut Client, group: &str) -> i64 {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![topic]));
    eventually("the coordinator is there", || {
        let answer = client.call(1, &request);
        let partition = &answer.topics[0].partitions[0];
        (partition.error_code == 0).then_some(partition.committed_offset)
    })
}
