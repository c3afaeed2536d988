//! One session: the partitions a client fetches, and what it was last told of each.

use std::collections::{BTreeMap, btree_map};

use kafka_protocol::protocol::StrBytes;
use klamm_model::{Instant, TopicId};

use crate::messages::{
    FetchPartition, FetchTopic, FetchablePartition, FetchableTopic, ForgottenTopic,
};

/// A partition by its topic's id or, in sessions without ids, by its topic's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionKey {
    topic_id: TopicId,
    name: StrBytes,
    partition: i32,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Session {
    /// Partitions by when it is their turn; served ones go to the end.
    turns: BTreeMap<u64, CachedPartition>,
    /// The turn of each partition.
    index: BTreeMap<PartitionKey, u64>,
    next_turn: u64,
    epoch: i32,
    uses_topic_ids: bool,
    from_follower: bool,
    created: Instant,
    last_used: Instant,
}

#[derive(Debug)]
struct CachedPartition {
    key: PartitionKey,
    wanted: FetchPartition,
    /// As last told; -1 before anything was, or after an error, so that the next answer tells.
    high_watermark: i64,
    log_start_offset: i64,
}

impl PartitionKey {
    /// Of partition 0; see [`with_partition`](Self::with_partition).
    pub(super) fn of(uses_topic_ids: bool, name: &StrBytes, topic_id: TopicId) -> Self {
        let (topic_id, name) = if uses_topic_ids {
            (topic_id, StrBytes::new())
        } else {
            (TopicId::ZERO, name.clone())
        };
        Self {
            topic_id,
            name,
            partition: 0,
        }
    }

    pub(super) fn with_partition(&self, partition: i32) -> Self {
        Self {
            partition,
            ..self.clone()
        }
    }

    fn is_same_topic(&self, other: &FetchTopic) -> bool {
        self.topic_id == other.topic_id && self.name == other.name
    }
}

impl Session {
    /// A session that stands where its first request leaves it.
    pub(super) fn new(now: Instant, uses_topic_ids: bool, from_follower: bool) -> Self {
        Self {
            turns: BTreeMap::new(),
            index: BTreeMap::new(),
            next_turn: 0,
            epoch: 1,
            uses_topic_ids,
            from_follower,
            created: now,
            last_used: now,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(super) fn uses_topic_ids(&self) -> bool {
        self.uses_topic_ids
    }

    pub(super) fn is_from_follower(&self) -> bool {
        self.from_follower
    }

    pub(super) fn created(&self) -> Instant {
        self.created
    }

    pub(super) fn last_used(&self) -> Instant {
        self.last_used
    }

    /// Takes in what a request wants anew, wants otherwise, or wants no longer.
    pub(super) fn update(&mut self, topics: &[FetchTopic], forgotten: &[ForgottenTopic]) {
        for topic in topics {
            let named = PartitionKey::of(self.uses_topic_ids, &topic.name, topic.topic_id);
            for wanted in &topic.partitions {
                self.want(named.with_partition(wanted.partition), *wanted);
            }
        }
        for topic in forgotten {
            let named = PartitionKey::of(self.uses_topic_ids, &topic.name, topic.topic_id);
            for partition in &topic.partitions {
                if let Some(turn) = self.index.remove(&named.with_partition(*partition)) {
                    self.turns.remove(&turn);
                }
            }
        }
    }

    fn want(&mut self, key: PartitionKey, wanted: FetchPartition) {
        if let Some(turn) = self.index.get(&key) {
            let cached = self
                .turns
                .get_mut(turn)
                .expect("every indexed turn is there");
            cached.wanted = wanted;
            return;
        }
        self.put_last(CachedPartition {
            key,
            wanted,
            high_watermark: -1,
            log_start_offset: -1,
        });
    }

    fn put_last(&mut self, cached: CachedPartition) {
        self.index.insert(cached.key.clone(), self.next_turn);
        self.turns.insert(self.next_turn, cached);
        self.next_turn += 1;
    }

    /// Moves on to the next epoch, which wraps past 0.
    pub(super) fn advance(&mut self, now: Instant) -> i32 {
        self.last_used = now;
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        self.epoch
    }

    /// All partitions in the order of their turns, neighbours of one topic together.
    pub(super) fn topics(&self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for cached in self.turns.values() {
            match topics.last_mut() {
                Some(topic) if cached.key.is_same_topic(topic) => {
                    topic.partitions.push(cached.wanted);
                }
                _ => topics.push(FetchTopic {
                    name: cached.key.name.clone(),
                    topic_id: cached.key.topic_id,
                    partitions: vec![cached.wanted],
                }),
            }
        }
        topics
    }

    /// Notes what the client is told. Partitions that are served records go behind the others.
    pub(super) fn remember(&mut self, answer: &[FetchableTopic]) {
        let mut walk = Walk::over(&mut self.turns);
        for topic in answer {
            let named = PartitionKey::of(self.uses_topic_ids, &topic.name, topic.topic_id);
            for told in &topic.partitions {
                walk.note(&named, told);
            }
        }
        let served = walk.served;
        self.put_all_last(served);
    }

    /// As [`remember`](Self::remember), and leaves in the answer what is news.
    pub(super) fn keep_news(&mut self, answer: &mut Vec<FetchableTopic>) {
        let mut walk = Walk::over(&mut self.turns);
        for topic in answer.iter_mut() {
            let named = PartitionKey::of(self.uses_topic_ids, &topic.name, topic.topic_id);
            topic.partitions.retain(|told| walk.note(&named, told));
        }
        let served = walk.served;
        answer.retain(|topic| !topic.partitions.is_empty());
        self.put_all_last(served);
    }

    fn put_all_last(&mut self, turns: Vec<u64>) {
        for turn in turns {
            let cached = self.turns.remove(&turn).expect("it was there just now");
            self.put_last(cached);
        }
    }
}

/// A walk over a session beside an answer, which is in the session's order: with a thousand
/// partitions, to look up each would cost more than to read it.
struct Walk<'a> {
    ahead: btree_map::IterMut<'a, u64, CachedPartition>,
    /// Turns of the partitions that are served records.
    served: Vec<u64>,
}

impl<'a> Walk<'a> {
    fn over(turns: &'a mut BTreeMap<u64, CachedPartition>) -> Self {
        Self {
            ahead: turns.iter_mut(),
            served: Vec::new(),
        }
    }

    /// Goes on to a partition and notes what is told of it; whether it is news.
    fn note(&mut self, named: &PartitionKey, told: &FetchablePartition) -> bool {
        let found = self.ahead.find(|(_, one)| one.is(named, told.index));
        let Some((turn, cached)) = found else {
            return true; // the session does not hold it: nothing to compare with
        };
        if told.record_bytes() > 0 {
            self.served.push(*turn);
        }
        cached.note(told)
    }
}

impl CachedPartition {
    /// Whether it is a partition of the topic of `named`.
    fn is(&self, named: &PartitionKey, partition: i32) -> bool {
        self.key.partition == partition
            && self.key.topic_id == named.topic_id
            && self.key.name == named.name
    }

    fn note(&mut self, told: &FetchablePartition) -> bool {
        let is_news = told.record_bytes() > 0
            || told.high_watermark != self.high_watermark
            || told.log_start_offset != self.log_start_offset
            || told.preferred_read_replica != -1
            || told.diverging_epoch.is_some()
            || told.error_code != 0;
        self.log_start_offset = told.log_start_offset;
        // After an error the next good answer is news even if nothing has moved.
        self.high_watermark = if told.error_code == 0 {
            told.high_watermark
        } else {
            -1
        };
        is_news
    }
}
