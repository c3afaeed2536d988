//! Produce: batches are checked, staged, and acknowledged when they have got far enough.
//!
//! `acks` decides only when the reply leaves: never (0), when the leader has written (1), or when
//! the batches are below the high watermark and `min.insync.replicas` replicas have written them (all).
//! The path is the same.

mod admit;
mod pending;

use std::rc::Rc;

use klamm_model::TopicId;
use klamm_model::record_batch::BatchHeader;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::{ProducePartition, ProduceRequest, ProduceTopic};

use self::admit::Admission;
use self::pending::{PartitionReply, PendingProduce};
use crate::dispatch::Call;
use crate::handler::lookup;
use crate::partition::AckWhen;

/// The first version in which requests and answers name topics by id only (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;

/// When a producer wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acks {
    /// It wants none.
    Zero,
    One,
    All,
}

impl Acks {
    fn of_wire(acks: i16) -> Option<Self> {
        match acks {
            0 => Some(Self::Zero),
            1 => Some(Self::One),
            -1 => Some(Self::All),
            _ => None,
        }
    }

    fn when(self) -> AckWhen {
        match self {
            Self::Zero | Self::One => AckWhen::Written,
            Self::All => AckWhen::Held,
        }
    }
}

/// Stages every batch of the request, in order.
pub(crate) fn handle(call: Call, request: ProduceRequest) {
    let Some(acks) = Acks::of_wire(request.acks) else {
        return refuse(call, &request, ErrorCode::InvalidRequiredAcks);
    };
    if request.transactional_id.is_some() || holds_transaction(&request) {
        // Transactions are not served: InitProducerId has told the producer so before.
        return refuse(
            call,
            &request,
            ErrorCode::TransactionalIdAuthorizationFailed,
        );
    }
    if acks == Acks::Zero {
        call.exempt_time();
    }
    let admission = Admission::new(&call, acks);
    let pending = PendingProduce::new(&call, &request);
    let parts = request.topics.into_iter().flat_map(parts_of);
    for (part, (topic, partition)) in parts.enumerate() {
        let found = if call.version() >= TOPIC_IDS_FROM {
            lookup::by_id(&call.shard, topic.id, partition.index)
        } else {
            lookup::by_name(&call.shard, &topic.name, partition.index)
        };
        let outcome = match found {
            Ok(found) => admission.admit(&found, partition.records, pending.clone(), part),
            Err(error) => Err(PartitionReply::error(error)),
        };
        match outcome {
            Ok(reply) => pending.staged(part, reply),
            Err(reply) => pending.refused(part, reply),
        }
    }
    pending.await_acknowledgement(call, request.timeout_ms);
}

/// Whether a batch claims to be part of a transaction, which nobody could ever end: readers of
/// committed records would wait for that for good.
fn holds_transaction(request: &ProduceRequest) -> bool {
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    let mut records = partitions.filter_map(|partition| partition.records.as_deref());
    records.any(|records| BatchHeader::peek(records).is_ok_and(|batch| batch.is_transactional()))
}

struct NamedTopic {
    name: klamm_protocol::messages::StrBytes,
    id: TopicId,
}

fn parts_of(topic: ProduceTopic) -> impl Iterator<Item = (Rc<NamedTopic>, ProducePartition)> {
    let named = Rc::new(NamedTopic {
        name: topic.name,
        id: topic.topic_id,
    });
    topic
        .partitions
        .into_iter()
        .map(move |partition| (named.clone(), partition))
}

/// Answers every partition with the same error.
fn refuse(call: Call, request: &ProduceRequest, error: ErrorCode) {
    let pending = PendingProduce::new(&call, request);
    let parts: usize = request
        .topics
        .iter()
        .map(|topic| topic.partitions.len())
        .sum();
    for part in 0..parts {
        pending.refused(part, PartitionReply::error(error));
    }
    pending.await_acknowledgement(call, request.timeout_ms);
}
