//! The coordinator on top of a partition of `__consumer_offsets`: a stand-in for the product's
//! `coordinator::group_partition`, which is a part of its asynchronous shell, around the same
//! `GroupCoordinator` and the same `Loader`.
//!
//! Where the partition is followed, its log is read as far as it is shown; where it is led, to its end, and
//! then the coordinator serves. What it would know if it had read the whole log at that moment is compared.

use std::collections::{BTreeMap, VecDeque};

use klamm_coordinator::{
    AppendError, AppendId, Config, Effect, Event, GroupCoordinator, GroupError, Loader, LogRecord,
    Now, Reply, Request, Token,
};
use klamm_model::record_batch::BatchBuilder;
use klamm_model::{LeaderEpoch, Offset, RecordBatch};
use klamm_storage::{Log, ReadError};

use super::hosted::{batches, records};
use super::messages::Asker;

/// See the module.
pub(super) struct Groups {
    state: State,
    askers: BTreeMap<Token, Asker>,
    next_token: u64,
    events: VecDeque<Event>,
}

enum State {
    /// The log is read so far.
    Following { loader: Loader, next: Offset },
    Serving {
        coordinator: Box<GroupCoordinator>,
        epoch: LeaderEpoch,
    },
}

/// What is to be done for it.
pub(super) enum GroupEffect {
    Reply(Asker, Reply),
    Append {
        append_id: AppendId,
        batch: RecordBatch,
        epoch: LeaderEpoch,
    },
}

impl Groups {
    pub(super) fn new() -> Self {
        Self {
            state: State::start(),
            askers: BTreeMap::new(),
            next_token: 0,
            events: VecDeque::new(),
        }
    }

    /// The coordinator, if it serves.
    pub(super) fn serving(&self) -> Option<&GroupCoordinator> {
        match &self.state {
            State::Serving { coordinator, .. } => Some(coordinator),
            State::Following { .. } => None,
        }
    }

    /// Reads on, up to the high watermark.
    pub(super) fn follow(
        &mut self,
        log: &mut Log,
        high_watermark: Offset,
    ) -> Result<(), ReadError> {
        match &mut self.state {
            State::Following { loader, next } => replay(loader, log, next, high_watermark),
            State::Serving { .. } => Ok(()),
        }
    }

    /// The partition is led here: reads what is left, and serves.
    pub(super) fn serve(
        &mut self,
        log: &mut Log,
        epoch: LeaderEpoch,
        seed: u64,
        now: Now,
    ) -> Result<Vec<GroupEffect>, ReadError> {
        let end = log.log_end_offset();
        let State::Following {
            mut loader,
            mut next,
        } = std::mem::replace(&mut self.state, State::start())
        else {
            panic!("who serves has lost its leadership before it is given it again");
        };
        replay(&mut loader, log, &mut next, end)?;
        let (mut whole, mut from) = (Loader::new(), log.log_start_offset());
        replay(&mut whole, log, &mut from, end)?;
        assert_eq!(
            format!("{loader:?}"),
            format!("{whole:?}"),
            "what was followed is what the log says"
        );
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut effects = Vec::new();
        let coordinator = Box::new(loader.finish(config(), bytes, now, &mut effects));
        self.state = State::Serving { coordinator, epoch };
        let mut performed = self.perform(now, effects);
        performed.extend(self.handle_all(now));
        Ok(performed)
    }

    /// The partition is not led here any more: what was in memory may never have been appended.
    pub(super) fn lost(&mut self, now: Now) -> Vec<GroupEffect> {
        self.events.push_back(Event::Resigned);
        self.handle_all(now)
    }

    pub(super) fn request(&mut self, now: Now, asker: Asker, request: Request) -> Vec<GroupEffect> {
        if self.serving().is_none() {
            let refused = request.refused(GroupError::NotCoordinator);
            return vec![GroupEffect::Reply(asker, refused)];
        }
        let token = Token(self.next_token);
        self.next_token += 1;
        self.askers.insert(token, asker);
        self.events.push_back(Event::Request { token, request });
        self.handle_all(now)
    }

    pub(super) fn appended(
        &mut self,
        now: Now,
        append_id: AppendId,
        result: Result<(), AppendError>,
    ) -> Vec<GroupEffect> {
        self.events.push_back(Event::Appended { append_id, result });
        self.handle_all(now)
    }

    pub(super) fn tick(&mut self, now: Now) -> Vec<GroupEffect> {
        let due = self.serving().and_then(GroupCoordinator::next_deadline);
        if due.is_some_and(|due| due <= now.instant) {
            self.events.push_back(Event::DeadlineReached);
        }
        self.handle_all(now)
    }

    fn handle_all(&mut self, now: Now) -> Vec<GroupEffect> {
        let mut performed = Vec::new();
        while let Some(event) = self.events.pop_front() {
            let resigned = matches!(event, Event::Resigned);
            let mut effects = Vec::new();
            if let State::Serving { coordinator, .. } = &mut self.state {
                coordinator.handle(now, event, &mut effects);
            }
            performed.extend(self.perform(now, effects));
            if resigned {
                self.state = State::start();
            }
        }
        performed
    }

    fn perform(&mut self, now: Now, effects: Vec<Effect>) -> Vec<GroupEffect> {
        let State::Serving { epoch, .. } = &self.state else {
            return Vec::new();
        };
        let epoch = *epoch;
        let mut performed = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => {
                    let asker = self.askers.remove(&token).expect("answered once");
                    performed.push(GroupEffect::Reply(asker, reply));
                }
                Effect::Append { append_id, records } => {
                    let mut batch = BatchBuilder::new();
                    for LogRecord { key, value } in &records {
                        batch.append(now.wall, Some(key), value.as_deref(), &[]);
                    }
                    performed.push(GroupEffect::Append {
                        append_id,
                        batch: batch.build(),
                        epoch,
                    });
                }
            }
        }
        performed
    }
}

impl State {
    fn start() -> Self {
        Self::Following {
            loader: Loader::new(),
            next: Offset::ZERO,
        }
    }
}

fn replay(
    loader: &mut Loader,
    log: &mut Log,
    next: &mut Offset,
    end: Offset,
) -> Result<(), ReadError> {
    for batch in batches(log, *next, end)? {
        for record in records(&batch) {
            let replayed = loader.replay(record.key.as_deref(), record.value.as_deref());
            replayed.expect("a record of the coordinator's");
        }
        *next = batch.next_offset();
    }
    Ok(())
}

fn config() -> Config {
    Config {
        session_timeout_min_ms: 500,
        initial_rebalance_delay: std::time::Duration::from_millis(200),
        ..Config::default()
    }
}
