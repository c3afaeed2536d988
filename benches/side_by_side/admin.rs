//! Topics with more partitions, or other settings, than brokers give them by themselves.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use crate::contestant::Brokers;

const PATIENCE: Duration = Duration::from_secs(60);

type Settings<'a> = &'a [(&'a str, &'a str)];

/// Each partition has a replica on every broker.
pub(crate) fn create_topic(
    brokers: &dyn Brokers,
    name: &str,
    partitions: i32,
    settings: Settings<'_>,
) -> Result<(), String> {
    let replicas = i32::try_from(brokers.pids().len()).expect("a handful of brokers");
    create_topic_with(brokers, name, partitions, replicas, settings)
}

/// Each partition has so many replicas.
pub(crate) fn create_topic_with(
    brokers: &dyn Brokers,
    name: &str,
    partitions: i32,
    replicas: i32,
    settings: Settings<'_>,
) -> Result<(), String> {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let admin = admin(brokers)?;
    let created = block_on(admin.create_topics([&topic], &options()));
    all_done(name, created)
}

/// Gives a topic these settings of its own, and no others.
pub(crate) fn set_topic(
    brokers: &dyn Brokers,
    name: &str,
    settings: Settings<'_>,
) -> Result<(), String> {
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
    for (key, value) in settings {
        change = change.set(key, value);
    }
    let admin = admin(brokers)?;
    let changed = block_on(admin.alter_configs([&change], &options()));
    all_done(name, changed)
}

/// An error if the request failed, or anything that it asked for.
fn all_done<T, W>(
    topic: &str,
    answer: KafkaResult<Vec<Result<T, (W, RDKafkaErrorCode)>>>,
) -> Result<(), String> {
    for result in answer.map_err(|error| error.to_string())? {
        result.map_err(|(_, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

/// A thousand partitions on each of three brokers take their time.
fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

fn admin(brokers: &dyn Brokers) -> Result<AdminClient<DefaultClientContext>, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers.addresses());
    config.create().map_err(|error| error.to_string())
}

/// Waits for librdkafka, whose own thread does the work.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
