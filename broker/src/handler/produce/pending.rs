//! A produce request whose batches are on their way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use klamm_model::{Offset, PartitionIndex, Timestamp};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceResponse, TopicProduceResponse,
};
use klamm_protocol::messages::{BrokerId, ProduceRequest, StrBytes, TopicName, text_of, uuid_of};

use super::TOPIC_IDS_FROM;
use crate::dispatch::Call;
use crate::handler::cluster::{BrokerAddress, LeaderHints};
use crate::handler::succession;
use crate::partition::acks::AckTarget;
use crate::peer::Leader;
use crate::purgatory::{Delayed, Ticket};
use crate::tasks;

/// The first version that tells which records were wrong (KIP-467).
const RECORD_ERRORS_FROM: i16 = 8;
/// The first version that tells who leads instead (KIP-951).
const LEADER_HINTS_FROM: i16 = 10;

/// What one partition is answered with.
#[derive(Debug)]
pub(super) struct PartitionReply {
    pub(super) error: ErrorCode,
    pub(super) base_offset: Option<Offset>,
    pub(super) log_append_time: Timestamp,
    pub(super) log_start_offset: Option<Offset>,
    pub(super) message: Option<String>,
    /// Position and text for each record that is at fault.
    pub(super) record_errors: Vec<(i32, String)>,
}

impl PartitionReply {
    pub(super) fn error(error: ErrorCode) -> Self {
        Self {
            error,
            base_offset: None,
            log_append_time: Timestamp::NONE,
            log_start_offset: None,
            message: None,
            record_errors: Vec::new(),
        }
    }
}

struct Part {
    index: i32,
    reply: Option<PartitionReply>,
    done: bool,
}

struct TopicParts {
    name: StrBytes,
    id: klamm_model::TopicId,
    parts: usize,
}

/// See the [module](self). Parts are numbered through all topics, in the order of the request.
pub(super) struct PendingProduce {
    version: i16,
    /// `acks=0`: the producer wants no answer. What it has sent counts as in flight until it is
    /// written all the same.
    is_silent: bool,
    topics: Vec<TopicParts>,
    parts: RefCell<Vec<Part>>,
    waiting: Cell<usize>,
    call: RefCell<Option<Call>>,
    ticket: Cell<Option<Ticket>>,
}

impl PendingProduce {
    pub(super) fn new(call: &Call, request: &ProduceRequest) -> Rc<Self> {
        let topics = request.topics.iter().map(|topic| TopicParts {
            name: topic.name.clone(),
            id: topic.topic_id,
            parts: topic.partitions.len(),
        });
        let indexes = request.topics.iter().flat_map(|topic| &topic.partitions);
        let parts: Vec<Part> = indexes
            .map(|partition| Part {
                index: partition.index,
                reply: None,
                done: false,
            })
            .collect();
        Rc::new(Self {
            version: call.version(),
            is_silent: request.acks == 0,
            topics: topics.collect(),
            waiting: Cell::new(parts.len()),
            parts: RefCell::new(parts),
            call: RefCell::new(None),
            ticket: Cell::new(None),
        })
    }

    /// The part's batch is on its way.
    pub(super) fn staged(&self, part: usize, reply: PartitionReply) {
        self.parts.borrow_mut()[part].reply = Some(reply);
    }

    /// The part's batch was not taken.
    pub(super) fn refused(&self, part: usize, reply: PartitionReply) {
        self.finish(part, |slot| *slot = Some(reply));
    }

    /// Whether any part has failed so far.
    fn has_error(&self) -> bool {
        let parts = self.parts.borrow();
        parts.iter().any(|part| {
            part.reply
                .as_ref()
                .is_some_and(|reply| !reply.error.is_none())
        })
    }

    /// Answers once all parts are done, or the client's patience is over.
    pub(super) fn await_acknowledgement(self: Rc<Self>, call: Call, timeout_ms: i32) {
        let (shard, arrived) = (call.shard.clone(), call.arrived());
        self.call.replace(Some(call));
        if self.waiting.get() == 0 {
            return self.answer();
        }
        if self.is_silent {
            // Nobody's patience ends.
            return;
        }
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let deadline = arrived + timeout;
        self.ticket
            .set(Some(shard.purgatory.insert(deadline, self.clone())));
    }

    fn finish(&self, part: usize, change: impl FnOnce(&mut Option<PartitionReply>)) {
        let mut parts = self.parts.borrow_mut();
        // None is left once the client has been answered, because it waited for too long.
        if let Some(part) = parts.get_mut(part).filter(|part| !part.done) {
            part.done = true;
            change(&mut part.reply);
            self.waiting.set(self.waiting.get() - 1);
        }
    }

    fn answer(self: Rc<Self>) {
        let Some(call) = self.call.take() else { return };
        if let Some(ticket) = self.ticket.take() {
            call.shard.purgatory.remove(ticket);
        }
        if self.is_silent {
            return self.finish_without_reply(call);
        }
        if !self.is_succession_open(&call) {
            let response = self.response(&call);
            return call.reply(response);
        }
        tasks::spawn(async move {
            succession::ended(|| self.is_succession_open(&call)).await;
            let response = self.response(&call);
            call.reply(response);
        });
    }

    /// Whether the producer asks in vain for a partition of which it can be told in a moment who leads
    /// it.
    fn is_succession_open(&self, call: &Call) -> bool {
        if !succession::is_open(&call.shard) {
            return false;
        }
        let parts = self.parts.borrow();
        let mut parts = parts.iter();
        self.topics.iter().any(|topic| {
            let mut of_topic = parts.by_ref().take(topic.parts);
            let id = topic.id(call);
            let is_open = of_topic.any(|part| {
                let reply = part.reply.as_ref();
                let is_in_vain =
                    reply.is_some_and(|reply| reply.error == ErrorCode::NotLeaderOrFollower);
                let index = PartitionIndex(part.index);
                is_in_vain && id.is_some_and(|id| succession::is_open_for(&call.shard, id, index))
            });
            of_topic.for_each(drop);
            is_open
        })
    }

    /// A producer that wants no answer learns of an error by losing its connection, so that it
    /// looks for the leader anew.
    fn finish_without_reply(&self, call: Call) {
        if self.has_error() {
            call.close();
        } else {
            call.reply_nothing();
        }
    }

    fn response(&self, call: &Call) -> ProduceResponse {
        let mut parts = self.parts.take().into_iter();
        let mut hints = LeaderHints::default();
        let topics = self.topics.iter().map(|topic| {
            let partitions: Vec<_> = parts
                .by_ref()
                .take(topic.parts)
                .map(|part| self.partition_response(call, topic, part, &mut hints))
                .collect();
            let response = TopicProduceResponse::default().with_partition_responses(partitions);
            if self.version >= TOPIC_IDS_FROM {
                response.with_topic_id(uuid_of(topic.id))
            } else {
                response.with_name(TopicName(topic.name.clone()))
            }
        });
        let response = ProduceResponse::default().with_responses(topics.collect());
        response.with_node_endpoints(hints.into_brokers().map(endpoint).collect())
    }

    fn partition_response(
        &self,
        call: &Call,
        topic: &TopicParts,
        part: Part,
        hints: &mut LeaderHints,
    ) -> PartitionProduceResponse {
        let reply = part
            .reply
            .unwrap_or_else(|| PartitionReply::error(ErrorCode::RequestTimedOut));
        let offset = |offset: Option<Offset>| offset.map_or(-1, Offset::get);
        let failed = !reply.error.is_none();
        let mut response = PartitionProduceResponse::default()
            .with_index(part.index)
            .with_error_code(reply.error.code())
            .with_base_offset(if failed {
                -1
            } else {
                offset(reply.base_offset)
            })
            .with_log_append_time_ms(reply.log_append_time.millis())
            .with_log_start_offset(offset(reply.log_start_offset));
        if self.version >= RECORD_ERRORS_FROM {
            response.error_message = reply.message.map(StrBytes::from_string);
            response.record_errors = reply
                .record_errors
                .into_iter()
                .map(|(position, text)| {
                    BatchIndexAndErrorMessage::default()
                        .with_batch_index(position)
                        .with_batch_index_error_message(Some(StrBytes::from_string(text)))
                })
                .collect();
        }
        if self.version >= LEADER_HINTS_FROM
            && reply.error == ErrorCode::NotLeaderOrFollower
            && let Some(leader) = topic.leader_of(call, part.index, hints)
        {
            response.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(leader.broker.0))
                .with_leader_epoch(leader.epoch.0);
        }
        response
    }
}

impl TopicParts {
    fn id(&self, call: &Call) -> Option<klamm_model::TopicId> {
        match self.id.is_zero() {
            true => Some(call.shard.image().topic(&self.name)?.id),
            false => Some(self.id),
        }
    }

    fn leader_of(&self, call: &Call, index: i32, hints: &mut LeaderHints) -> Option<Leader> {
        let id = self.id(call)?;
        hints.add(&call.shard, call.listener(), id, PartitionIndex(index))
    }
}

fn endpoint(broker: BrokerAddress) -> NodeEndpoint {
    NodeEndpoint::default()
        .with_node_id(BrokerId(broker.id.0))
        .with_host(text_of(&broker.host))
        .with_port(i32::from(broker.port))
        .with_rack(broker.rack.as_deref().map(text_of))
}

impl AckTarget for PendingProduce {
    fn acknowledged(self: Rc<Self>, part: usize, result: Result<(), ErrorCode>) {
        self.finish(part, |reply| {
            if let Err(error) = result {
                *reply = Some(PartitionReply::error(error));
            }
        });
        if self.waiting.get() == 0 {
            self.answer();
        }
    }
}

impl Delayed for PendingProduce {
    fn expire(self: Rc<Self>) {
        self.ticket.set(None);
        let waiting: Vec<usize> = {
            let parts = self.parts.borrow();
            (0..parts.len()).filter(|part| !parts[*part].done).collect()
        };
        for part in waiting {
            let timed_out = PartitionReply::error(ErrorCode::RequestTimedOut);
            self.finish(part, |reply| *reply = Some(timed_out));
        }
        self.answer();
    }
}
