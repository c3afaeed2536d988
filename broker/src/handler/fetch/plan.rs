//! A fetch request, resolved: which partitions, from where, how much, how long.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use klamm_model::{BrokerId, PartitionIndex};
use klamm_protocol::ErrorCode;
use klamm_protocol::fetch_session::FetchContext;
use klamm_protocol::messages::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchablePartition, FetchableTopic,
    LeaderIdAndEpoch, NodeEndpoint, text_of,
};
use klamm_storage::Populated;

use super::nearby;
use super::read::Look;
use crate::dispatch::Call;
use crate::handler::cluster::{BrokerAddress, LeaderHints};
use crate::handler::{lookup, succession};
use crate::partition::Partition;
use crate::peer::Group;
use crate::shard::Shard;

/// The first version in which requests name topics by id only (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;
/// The first version whose answers say who leads instead (KIP-951).
const LEADER_HINTS_FROM: i16 = 16;
/// The first version in which a consumer says where it stands, and may read from followers (KIP-392).
const RACK_FROM: i16 = 11;
const READ_COMMITTED: i8 = 1;
/// Told to a client that asks the wrong broker, or believes in an old leader.
const MISLED: [ErrorCode; 2] = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch];

/// See the [module](self).
pub(super) struct Plan {
    pub(super) partitions: Vec<PlannedPartition>,
    pub(super) bytes_min: usize,
    pub(super) bytes_max: usize,
    pub(super) wait: Duration,
    pub(super) read_committed: bool,
    pub(super) version: i16,
    /// Whether it may be read from followers (KIP-392).
    pub(super) may_follow: bool,
    shard: Rc<Shard>,
    listener: usize,
    context: FetchContext,
}

/// One partition of a plan.
pub(super) struct PlannedPartition {
    /// Which of the request's topics it is of.
    nth_topic: usize,
    pub(super) index: i32,
    pub(super) partition: Result<Rc<Partition>, ErrorCode>,
    pub(super) fetch_offset: i64,
    pub(super) current_leader_epoch: i32,
    pub(super) last_fetched_epoch: i32,
    pub(super) bytes_max: usize,
    /// The broker that the consumer had better ask, since it stands in the same rack.
    pub(super) nearby: Option<BrokerId>,
    /// The disk does not give the records that this request asks for.
    pub(super) unreadable: Cell<bool>,
}

impl Plan {
    /// Resolves the partitions that a request, or its session, asks for.
    pub(super) fn new(call: &Call, request: &FetchRequest, context: FetchContext) -> Self {
        let shard = &call.shard;
        let quota_max = call.fetch_bytes_max().unwrap_or(usize::MAX);
        let bytes_max = count(request.max_bytes)
            .min(shard.config().fetch.max_bytes)
            .min(quota_max);
        let topics = context.topics().iter();
        let mut partitions = Vec::with_capacity(topics.map(|topic| topic.partitions.len()).sum());
        for topic in context.topics().iter().enumerate() {
            add_topic(&mut partitions, call, request, topic);
        }
        Self {
            partitions,
            bytes_min: count(request.min_bytes).min(bytes_max),
            bytes_max,
            wait: Duration::from_millis(count(request.max_wait_ms) as u64)
                .min(shard.config().fetch.max_wait),
            read_committed: request.isolation_level == READ_COMMITTED,
            version: call.version(),
            may_follow: call.version() >= RACK_FROM,
            shard: shard.clone(),
            listener: call.listener(),
            context,
        }
    }

    /// The partitions that are there.
    pub(super) fn hosted(&self) -> impl Iterator<Item = &Rc<Partition>> {
        self.partitions
            .iter()
            .filter_map(|planned| planned.partition.as_ref().ok())
    }

    /// How many partitions an answer may hold; of an increment, those that usually have news.
    pub(super) fn answer_capacity(&self) -> usize {
        const INCREMENT: usize = 16;
        match self.context.is_incremental() {
            true => self.partitions.len().min(INCREMENT),
            false => self.partitions.len(),
        }
    }

    /// Whether the client has to be told this of a partition of the plan.
    pub(super) fn is_news(&self, nth: usize, told: &FetchablePartition) -> bool {
        self.context.is_news(nth, told)
    }

    /// What the client is told of a topic that is not there.
    pub(super) fn unknown_topic(&self) -> ErrorCode {
        if self.version >= TOPIC_IDS_FROM {
            ErrorCode::UnknownTopicId
        } else {
            ErrorCode::UnknownTopicOrPartition
        }
    }

    /// Whether a client that is refused a partition of this broker can be told in a moment who leads it.
    pub(super) fn awaits_successor(&self, planned: &PlannedPartition, error: ErrorCode) -> bool {
        let is_misled = MISLED.contains(&error);
        let partition = planned.partition.as_ref().ok();
        is_misled && partition.is_some_and(|partition| self.is_succession_open(partition))
    }

    /// Whether it is not known yet who leads some partition of this broker next.
    pub(super) fn has_open_succession(&self) -> bool {
        succession::is_open(&self.shard)
            && self
                .hosted()
                .any(|partition| self.is_succession_open(partition))
    }

    fn is_succession_open(&self, partition: &Partition) -> bool {
        let Group {
            topic_id,
            partition,
        } = partition.group();
        succession::is_open_for(&self.shard, topic_id, partition)
    }

    /// Whether the client would rather have this than wait.
    pub(super) fn is_satisfied(&self, look: &Look) -> bool {
        look.bytes >= self.bytes_min || look.urgent || self.partitions.is_empty()
    }
}

impl Plan {
    /// Answers with what was found, or with nothing if the client is throttled.
    pub(super) fn answer(&self, mut call: Call, look: Look) {
        let response = if call.withholds(look.bytes) {
            let sessions = call.shard.sessions.borrow();
            sessions.throttled(&self.context)
        } else {
            self.response(&call.shard, look)
        };
        call.reply(response);
    }

    /// The answer that returns what was found.
    fn response(&self, shard: &Shard, look: Look) -> FetchResponse {
        let mut response = FetchResponse::default();
        let mut hints = LeaderHints::default();
        let mut last_topic = None;
        let mut left = look.partitions.len();
        for (nth, found) in look.partitions {
            let planned = &self.partitions[nth];
            if let (Ok(partition), 1..) = (&planned.partition, found.bytes) {
                let bytes = found.bytes as u64;
                partition.traffic().fetched.add(found.records, bytes);
                shard.counters().fetched.add(found.records, bytes);
            }
            let mut found = found.partition;
            self.hint_at_leader(shard, planned, &mut found, &mut hints);
            let topics = &mut response.topics;
            match topics.last_mut() {
                Some(last) if last_topic == Some(planned.nth_topic) => last.partitions.push(found),
                _ => {
                    let topic = &self.context.topics()[planned.nth_topic];
                    let mut partitions = Vec::with_capacity(left.min(topic.partitions.len()));
                    partitions.push(found);
                    topics.push(FetchableTopic {
                        name: topic.name.clone(),
                        topic_id: topic.topic_id,
                        partitions,
                    });
                }
            }
            last_topic = Some(planned.nth_topic);
            left -= 1;
        }
        response
            .node_endpoints
            .extend(hints.into_brokers().map(endpoint));
        shard
            .sessions
            .borrow_mut()
            .finish(shard.clock.now(), &self.context, &mut response);
        response
    }

    /// KIP-951: a client that asks the wrong broker, or with an old epoch, is told who leads.
    fn hint_at_leader(
        &self,
        shard: &Shard,
        planned: &PlannedPartition,
        found: &mut FetchablePartition,
        hints: &mut LeaderHints,
    ) {
        let misled = MISLED.map(ErrorCode::code);
        if self.version < LEADER_HINTS_FROM || !misled.contains(&found.error_code) {
            return;
        }
        let topic = &self.context.topics()[planned.nth_topic];
        let index = PartitionIndex(planned.index);
        if let Some(leader) = hints.add(shard, self.listener, topic.topic_id, index) {
            found.current_leader = Some(LeaderIdAndEpoch {
                leader_id: leader.broker.0,
                leader_epoch: leader.epoch.0,
            });
        }
    }
}

fn endpoint(broker: BrokerAddress) -> NodeEndpoint {
    NodeEndpoint {
        node_id: broker.id.0,
        host: text_of(&broker.host),
        port: i32::from(broker.port),
        rack: broker.rack.as_deref().map(text_of),
    }
}

/// The topic is looked up once: a consumer may ask for a thousand of its partitions.
fn add_topic(
    planned: &mut Vec<PlannedPartition>,
    call: &Call,
    request: &FetchRequest,
    (nth, topic): (usize, &FetchTopic),
) {
    let shard = &call.shard;
    let by_id = call.version() >= TOPIC_IDS_FROM;
    let by_rack = !request.rack_id.is_empty() && shard.config().fetch.rack_aware;
    let topics = shard.topics.borrow();
    let found = match by_id {
        true => topics.by_id(topic.topic_id),
        false => topics.by_name(&topic.name),
    };
    for partition in &topic.partitions {
        let index = partition.partition;
        let hosted = match found {
            // No other broker holds a replica of ours.
            _ if request.replica_id >= 0 => Err(ErrorCode::NotLeaderOrFollower),
            Some(found) => lookup::of_topic(shard, found, index),
            None if by_id => lookup::by_id(shard, topic.topic_id, index),
            None => lookup::by_name(shard, &topic.name, index),
        };
        let nearby = match &hosted {
            Ok(hosted) if by_rack => nearby::replica(shard, hosted, &request.rack_id),
            _ => None,
        };
        planned.push(PlannedPartition::new(nth, partition, hosted, nearby));
    }
}

impl PlannedPartition {
    fn new(
        nth_topic: usize,
        partition: &FetchPartition,
        hosted: Result<Rc<Partition>, ErrorCode>,
        nearby: Option<BrokerId>,
    ) -> Self {
        Self {
            nth_topic,
            index: partition.partition,
            partition: hosted,
            nearby,
            fetch_offset: partition.fetch_offset,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
            bytes_max: count(partition.partition_max_bytes),
            unreadable: Cell::new(false),
        }
    }

    /// What a look had found missing in memory is there now, or cannot be had.
    pub(super) fn populated(&self, populated: Populated) {
        let Ok(partition) = &self.partition else {
            return;
        };
        let told = partition.driver_mut().log_mut().populated(populated);
        if let Err(error) = told {
            tracing::error!(partition = %partition.id(), %error,
                "a consumer asked for records that the disk does not give");
            self.unreadable.set(true);
        }
    }
}

/// A number of bytes or milliseconds that a client may have given as negative.
fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}
