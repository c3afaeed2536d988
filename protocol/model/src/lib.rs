//! The nouns of Kafka: ids, offsets, epochs, time and record batches.
//!
//! Every other crate speaks in these types, so that two integers which must not mix are two
//! types. Nothing here performs IO, reads a clock, starts a thread or draws a random number.
//!
//! Start with [`offset`] (why [`Offset`] and [`LogIndex`] never convert into each other) and
//! [`record_batch`] (the bytes that travel from the producer to the disk to the consumer).
#![forbid(unsafe_code)]

pub mod archive;
pub mod compression;
pub mod ids;
pub mod offset;
pub mod raft;
pub mod record_batch;
pub mod time;

pub use ids::{
    BrokerId, InvalidTopicName, PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicName,
    TopicPartition,
};
pub use offset::{LeaderEpoch, LogIndex, Offset, Term};
pub use record_batch::RecordBatch;
pub use time::{Instant, Timestamp};
