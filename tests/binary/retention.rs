//! Segments come and go as the settings say, and their files with them.

use std::path::Path;

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest, TopicName};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{RecordBatch, Timestamp};

use crate::broker::Broker;
use crate::client::Client;
use crate::requests::{OFFSET_OUT_OF_RANGE, batch, now, text};
use crate::support::{TempDir, eventually, files};

const SOON: [(&str, &str); 3] = [
    ("log.retention.check.interval.ms", "50"),
    ("log.initial.task.delay.ms", "0"),
    ("log.segment.delete.delay.ms", "0"),
];

fn at(timestamp: Timestamp, value: &[u8]) -> RecordBatch {
    let mut batch = BatchBuilder::new();
    batch.append(timestamp, None, Some(value), &[]);
    batch.build()
}

/// Fills some segments of 1 MiB.
fn fill(client: &mut Client, topic: &str, batches: usize) {
    let value = vec![b'x'; 400_000];
    for _ in 0..batches {
        client
            .produce(topic, &batch(&[&value]))
            .expect("it is appended");
    }
}

fn segments(directory: &Path) -> usize {
    files(directory, ".log").len()
}

#[test]
fn what_is_too_much_goes_from_the_disk() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &SOON);
    let mut client = broker.client();
    client.create_topic(
        "t",
        &[("segment.bytes", "1048576"), ("retention.bytes", "2000000")],
    );
    fill(&mut client, "t", 12);
    let directory = dir.data().join("t-0");
    eventually("old segments go", || {
        (segments(&directory) <= 3).then_some(())
    });
    let fetched = client.fetch("t", 0, 0);
    assert_eq!(fetched.error, OFFSET_OUT_OF_RANGE);
    let left = client.read_all("t", 0);
    assert_eq!(left.last().map(|last| last.offset), Some(11));
    assert!((5..=7).contains(&left.len()), "{}", left.len());
    assert_eq!(files(&directory, ".index").len(), segments(&directory));
    broker.assert_no_errors();
    broker.stop();
    let broker = Broker::start(&dir, &SOON);
    assert_eq!(broker.client().read_all("t", 0), left);
}

#[test]
fn what_is_too_old_goes_when_the_setting_changes() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &SOON);
    let mut client = broker.client();
    client.create_topic("t", &[("segment.ms", "60000")]);
    let start = Timestamp(now().millis() - 3_600_000);
    for minutes in 0..10 {
        let time = Timestamp(start.millis() + minutes * 120_000);
        client
            .produce("t", &at(time, b"old"))
            .expect("it is appended");
    }
    let directory = dir.data().join("t-0");
    assert_eq!(
        segments(&directory),
        10,
        "each is more than segment.ms after the last"
    );
    assert_eq!(client.values("t", 0).len(), 10);
    assert_eq!(client.alter(2, "t", "retention.ms", Some("1800000")), 0);
    eventually("all are older than half an hour", || {
        (segments(&directory) == 1 && client.log_start("t", 0) == 10).then_some(())
    });
    assert_eq!(client.produce("t", &batch(&[b"new"])), Ok(10));
    assert_eq!(client.values("t", 0), ["new"]);
    broker.assert_no_errors();
}

#[test]
fn deleted_records_stay_deleted_and_their_files_go_later() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[("log.segment.delete.delay.ms", "3600000")]);
    let mut client = broker.client();
    // What is not fsynced goes with retention only, as with Kafka everything does.
    let settings = [("segment.bytes", "1048576"), ("flush.messages", "1")];
    client.create_topic("t", &settings);
    fill(&mut client, "t", 6);
    let partition = DeleteRecordsPartition::default().with_offset(5);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(10_000);
    let answer = client.call(1, &request);
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.low_watermark), (0, 5));
    let directory = dir.data().join("t-0");
    assert_eq!(segments(&directory), 3, "the files stay for an hour");
    broker.kill();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    assert_eq!(segments(&directory), 1, "or until the next start");
    assert_eq!(client.fetch("t", 0, 4).error, OFFSET_OUT_OF_RANGE);
    assert_eq!(client.read_all("t", 0).len(), 1);
}

#[test]
fn a_deleted_topic_leaves_nothing_and_its_name_is_free() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &SOON);
    let mut client = broker.client();
    for round in 0..5 {
        client.create_topic("t", &[]);
        assert_eq!(client.values("t", 0).len(), 0, "round {round}");
        client
            .produce("t", &batch(&[b"a"]))
            .expect("it is appended");
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![TopicName(text("t"))])
            .with_timeout_ms(10_000);
        assert_eq!(client.call(4, &request).responses[0].error_code, 0);
    }
    eventually("the files go", || {
        files(&dir.data(), "-delete").is_empty().then_some(())
    });
    assert!(!dir.data().join("t-0").exists());
    // Syncs of the deleted partitions would be due by now.
    client.create_topic("u", &[("flush.messages", "1")]);
    for _ in 0..20 {
        client
            .produce("u", &batch(&[b"a"]))
            .expect("it is appended");
    }
    broker.assert_no_errors();
    broker.stop();
}
