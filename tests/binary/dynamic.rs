//! Settings that are changed while the broker runs.

use crate::broker::Broker;
use crate::limits::is_served;
use crate::requests::{MESSAGE_TOO_LARGE, batch, produce_request};
use crate::support::TempDir;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

#[test]
fn limits_on_connections_hold_at_once_and_after_a_restart() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    assert_eq!(
        client.alter(BROKER, "", "max.connections.per.ip", Some("1")),
        0
    );
    assert!(broker.client().is_closed_by_broker());
    drop(client);
    broker.stop();

    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.metadata("t");
    assert!(broker.client().is_closed_by_broker());
    let override_ = "127.0.0.1:2";
    assert_eq!(
        client.alter(
            BROKER,
            "1",
            "max.connections.per.ip.overrides",
            Some(override_)
        ),
        0
    );
    let second = is_served(broker.port());
    assert!(second.is_some());
    assert!(broker.client().is_closed_by_broker());
    for (resource, key) in [
        ("1", "max.connections.per.ip.overrides"),
        ("", "max.connections.per.ip"),
    ] {
        assert_eq!(client.alter(BROKER, resource, key, None), 0);
    }
    assert!(is_served(broker.port()).is_some());
    assert_eq!(client.alter(BROKER, "", "max.connections", Some("2")), 0);
}

#[test]
fn the_largest_batch_changes_for_all_topics_and_for_one() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    client.create_topic("u", &[]);
    let large = batch(&[&[b'x'; 2000]]);
    assert_eq!(client.produce("t", &large), Ok(0));
    assert_eq!(
        client.alter(BROKER, "", "message.max.bytes", Some("1000")),
        0
    );
    assert_eq!(client.produce("t", &large), Err(MESSAGE_TOO_LARGE));
    assert_eq!(
        client.alter(TOPIC, "t", "max.message.bytes", Some("3000")),
        0
    );
    assert_eq!(client.produce("t", &large), Ok(1));
    assert_eq!(client.produce("u", &large), Err(MESSAGE_TOO_LARGE));
    assert_eq!(client.alter(BROKER, "", "message.max.bytes", None), 0);
    assert_eq!(client.produce("u", &large), Ok(0));
}

#[test]
fn what_is_read_at_the_start_only_is_refused() {
    const INVALID_REQUEST: i16 = 42;
    const INVALID_CONFIG: i16 = 40;
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    for key in ["num.partitions", "listeners", "socket.request.max.bytes"] {
        let error = client.alter(BROKER, "1", key, Some("5"));
        assert!(
            [INVALID_REQUEST, INVALID_CONFIG].contains(&error),
            "{key} {error}"
        );
    }
}

#[test]
fn producers_that_wait_for_the_disk_learn_that_they_need_not() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let mut client = broker.client();
    let mut admin = broker.client();
    client.create_topic("t", &[("flush.messages", "1")]);
    for round in 0..50 {
        let strict = if round % 2 == 0 { None } else { Some("1") };
        for _ in 0..5 {
            client
                .send_produce(&produce_request("t", 0, -1, &batch(&[b"a"])))
                .expect("it is sent");
        }
        assert_eq!(admin.alter(TOPIC, "t", "flush.messages", strict), 0);
        for _ in 0..5 {
            client
                .receive_produced()
                .expect("an answer")
                .expect("it is appended");
        }
    }
    assert_eq!(client.read_all("t", 0).len(), 250);
}
