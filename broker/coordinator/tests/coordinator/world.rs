//! A coordinator with a log that commits, fails or waits as told, and a clock that jumps.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use klamm_coordinator::{
    AppendError, AppendId, Config, Effect, Event, GroupCoordinator, Loader, LogRecord, Now, Reply,
    Request, Token,
};
use klamm_model::{Instant, Timestamp, TopicPartition};

/// Wall time at the start of the world, in ms.
const EPOCH_MS: i64 = 1_700_000_000_000;

pub(crate) struct World {
    pub(crate) coordinator: GroupCoordinator,
    pub(crate) config: Config,
    /// What is committed.
    pub(crate) log: Vec<LogRecord>,
    /// What was answered since the last look.
    pub(crate) replies: Vec<(Token, Reply)>,
    /// Whether appends wait to be told.
    pub(crate) holding: bool,
    under_way: VecDeque<(AppendId, Vec<LogRecord>)>,
    outstanding: BTreeSet<Token>,
    elapsed: Duration,
    next_token: u64,
    lives: u8,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let now = Now {
            instant: Instant::START,
            wall: Timestamp(EPOCH_MS),
        };
        let coordinator = Loader::new().finish(config.clone(), [0; 32], now, &mut Vec::new());
        Self {
            coordinator,
            config,
            log: Vec::new(),
            replies: Vec::new(),
            holding: false,
            under_way: VecDeque::new(),
            outstanding: BTreeSet::new(),
            elapsed: Duration::ZERO,
            next_token: 1,
            lives: 0,
        }
    }

    pub(crate) fn request(&mut self, request: Request) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.outstanding.insert(token);
        self.handle(Event::Request { token, request });
        token
    }

    pub(crate) fn delete_partitions(&mut self, partitions: Vec<TopicPartition>) {
        self.handle(Event::PartitionsDeleted(partitions));
    }

    /// Lets time pass, deadline by deadline.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.elapsed + duration;
        while let Some(at) = self.coordinator.next_deadline() {
            if at.since_start() > end {
                break;
            }
            self.elapsed = self.elapsed.max(at.since_start());
            self.handle(Event::DeadlineReached);
        }
        self.elapsed = end;
    }

    /// Ends the earliest append under way. Returns whether there was one.
    pub(crate) fn settle_next(&mut self, result: Result<(), AppendError>) -> bool {
        let Some((append_id, records)) = self.under_way.pop_front() else {
            return false;
        };
        if result.is_ok() {
            self.log.extend(records);
        }
        self.perform(Event::Appended { append_id, result });
        self.settle_unless_holding();
        true
    }

    pub(crate) fn appends_under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(crate) fn is_outstanding(&self, token: Token) -> bool {
        self.outstanding.contains(&token)
    }

    /// The partition is led elsewhere: nobody may be left waiting.
    pub(crate) fn resign(&mut self) {
        self.handle(Event::Resigned);
        self.under_way.clear();
        assert_eq!(self.outstanding, BTreeSet::new(), "everyone is answered");
    }

    /// The process ends with all its connections, and another one loads the log.
    pub(crate) fn restart(&mut self) {
        self.outstanding.clear();
        self.under_way.clear();
        self.lives += 1;
        let now = self.now();
        let mut effects = Vec::new();
        self.coordinator = self.load(now, &mut effects);
        self.take(effects);
    }

    /// What a coordinator would know that loaded the log now.
    pub(crate) fn reloaded(&self) -> GroupCoordinator {
        self.load(self.now(), &mut Vec::new())
    }

    fn load(&self, now: Now, effects: &mut Vec<Effect>) -> GroupCoordinator {
        let mut loader = Loader::new();
        for record in &self.log {
            loader
                .replay(Some(&record.key), record.value.as_deref())
                .expect("we wrote it");
        }
        loader.finish(self.config.clone(), [self.lives; 32], now, effects)
    }

    fn now(&self) -> Now {
        let millis = i64::try_from(self.elapsed.as_millis()).expect("tests are short");
        Now {
            instant: Instant::after_start(self.elapsed),
            wall: Timestamp(EPOCH_MS).plus_millis(millis),
        }
    }

    fn handle(&mut self, event: Event) {
        self.perform(event);
        self.settle_unless_holding();
    }

    fn settle_unless_holding(&mut self) {
        while !self.holding {
            let Some((append_id, records)) = self.under_way.pop_front() else {
                break;
            };
            self.log.extend(records);
            self.perform(Event::Appended {
                append_id,
                result: Ok(()),
            });
        }
    }

    fn perform(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.coordinator.handle(self.now(), event, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => {
                    assert!(
                        self.outstanding.remove(&token),
                        "{token:?} is answered once"
                    );
                    self.replies.push((token, reply));
                }
                Effect::Append { append_id, records } => {
                    self.under_way.push_back((append_id, records));
                }
            }
        }
    }
}
