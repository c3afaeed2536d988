//! One session: the partitions a client fetches, and what it was last told of each.

use std::collections::{BTreeMap, btree_map};
use std::rc::Rc;

use kafka_protocol::protocol::StrBytes;
use klamm_model::{Instant, TopicId};

use crate::messages::{
    FetchPartition, FetchTopic, FetchablePartition, FetchableTopic, ForgottenTopic,
};

/// A topic by its id or, in sessions without ids, by its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TopicKey {
    id: TopicId,
    name: StrBytes,
}

/// All partitions of a topic in one session share one [`TopicKey`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PartitionKey {
    topic: Rc<TopicKey>,
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
    known: Known,
}

/// What a client was told of a partition last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// -1 before anything was told, or after an error, so that the next answer tells.
    high_watermark: i64,
    log_start_offset: i64,
}

impl Known {
    const NOTHING: Self = Self {
        high_watermark: -1,
        log_start_offset: -1,
    };

    /// Whether an answer says something else than what is known.
    pub(super) fn differs_from(&self, told: &FetchablePartition) -> bool {
        told.record_bytes() > 0
            || told.high_watermark != self.high_watermark
            || told.log_start_offset != self.log_start_offset
            || told.preferred_read_replica != -1
            || told.diverging_epoch.is_some()
            || told.error_code != 0
    }
}

impl PartitionKey {
    fn of(topic: &Rc<TopicKey>, partition: i32) -> Self {
        Self {
            topic: Rc::clone(topic),
            partition,
        }
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

    /// The key of a topic, which is shared with its partitions that are here already.
    fn topic(&self, name: &StrBytes, id: TopicId) -> Rc<TopicKey> {
        let (id, name) = match self.uses_topic_ids {
            true => (id, ""),
            false => (TopicId::ZERO, name.as_str()),
        };
        // A part of the request would keep all of it in memory for as long as the session.
        let name = StrBytes::from_string(name.to_owned());
        let asked = Rc::new(TopicKey { id, name });
        let first = PartitionKey::of(&asked, i32::MIN);
        match self.index.range(first..).next() {
            Some((known, _)) if known.topic == asked => Rc::clone(&known.topic),
            _ => asked,
        }
    }

    /// Takes in what a request wants anew, wants otherwise, or wants no longer.
    pub(super) fn update(&mut self, topics: &[FetchTopic], forgotten: &[ForgottenTopic]) {
        for topic in topics {
            let named = self.topic(&topic.name, topic.topic_id);
            for wanted in &topic.partitions {
                let key = PartitionKey::of(&named, wanted.partition);
                self.want(key, *wanted);
            }
        }
        for topic in forgotten {
            let named = self.topic(&topic.name, topic.topic_id);
            for partition in &topic.partitions {
                let key = PartitionKey::of(&named, *partition);
                if let Some(turn) = self.index.remove(&key) {
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
            known: Known::NOTHING,
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

    /// All partitions in the order of their turns, neighbours of one topic together; and what the
    /// client knows of each.
    pub(super) fn topics(&self) -> (Vec<FetchTopic>, Vec<Known>) {
        let known = self.turns.values().map(|cached| cached.known).collect();
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut last: Option<&Rc<TopicKey>> = None;
        for cached in self.turns.values() {
            let key = &cached.key.topic;
            match topics.last_mut() {
                Some(topic) if last.is_some_and(|last| Rc::ptr_eq(last, key)) => {
                    topic.partitions.push(cached.wanted);
                }
                _ => topics.push(FetchTopic {
                    name: key.name.clone(),
                    topic_id: key.id,
                    partitions: vec![cached.wanted],
                }),
            }
            last = Some(key);
        }
        (topics, known)
    }

    /// Notes what the client is told, and leaves in the answer what is news: to a session that has
    /// just begun, all of it. Partitions that are served records go behind the others.
    pub(super) fn keep_news(&mut self, answer: &mut Vec<FetchableTopic>) {
        let topics = self.topics_of(answer);
        let mut walk = Walk::over(&mut self.turns);
        for (topic, named) in answer.iter_mut().zip(topics) {
            topic.partitions.retain(|told| walk.note(&named, told));
        }
        let served = walk.served;
        answer.retain(|topic| !topic.partitions.is_empty());
        for turn in served {
            let cached = self.turns.remove(&turn).expect("it was there just now");
            self.put_last(cached);
        }
    }

    fn topics_of(&self, answer: &[FetchableTopic]) -> Vec<Rc<TopicKey>> {
        let topics = answer.iter();
        topics
            .map(|topic| self.topic(&topic.name, topic.topic_id))
            .collect()
    }
}

/// A walk over a session beside an answer, which is in the session's order and may leave out what
/// is no news: with a thousand partitions, to look up each would cost more than to read it.
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
    fn note(&mut self, named: &Rc<TopicKey>, told: &FetchablePartition) -> bool {
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
    fn is(&self, topic: &Rc<TopicKey>, partition: i32) -> bool {
        self.key.partition == partition && Rc::ptr_eq(&self.key.topic, topic)
    }

    fn note(&mut self, told: &FetchablePartition) -> bool {
        let is_news = self.known.differs_from(told);
        self.known = Known {
            // After an error the next good answer is news even if nothing has moved.
            high_watermark: match told.error_code {
                0 => told.high_watermark,
                _ => -1,
            },
            log_start_offset: told.log_start_offset,
        };
        is_news
    }
}
