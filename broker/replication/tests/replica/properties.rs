//! A lone voter over generated histories of proposals, writes, fsyncs and crashes.

use klamm_model::raft::{DataEntry, HardState, MetaEntry};
use klamm_model::{Instant, LogIndex, Offset, Term};
use klamm_replication::{
    Effect, EntryId, Event, JournalTicket, Members, Position, Replica, ReplicaId, ReplicaSettings,
    Restored, VisibleWhen,
};
use proptest::prelude::*;

use crate::batch;

#[derive(Clone, Debug)]
enum Step {
    Propose(Vec<usize>),
    Write,
    Sync,
    SyncJournal,
    /// The process dies; with `power` so does what was not fsynced.
    Crash {
        power: bool,
    },
    Strict(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(1..5_usize, 1..5).prop_map(Step::Propose),
        5 => Just(Step::Write),
        3 => Just(Step::Sync),
        3 => Just(Step::SyncJournal),
        1 => any::<bool>().prop_map(|power| Step::Crash { power }),
        1 => any::<bool>().prop_map(Step::Strict),
    ]
}

/// What is on the disk of the one replica, and what would survive.
struct World {
    replica: Replica,
    strict: bool,
    staged: Vec<DataEntry>,
    log: Vec<DataEntry>,
    log_synced: usize,
    journal: Vec<(JournalTicket, Option<HardState>, Vec<MetaEntry>)>,
    hard_state: HardState,
    metas: Vec<MetaEntry>,
    visible: Position,
    commit: Position,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            replica: replica(
                &Restored {
                    members: alone(),
                    ..Restored::empty()
                },
                false,
            ),
            strict: false,
            staged: Vec::new(),
            log: Vec::new(),
            log_synced: 0,
            journal: Vec::new(),
            hard_state: HardState::default(),
            metas: Vec::new(),
            visible: Position::START,
            commit: Position::START,
        };
        world.handle(Event::Start);
        world
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Propose(sizes) => {
                let batches = sizes.iter().map(|&records| batch(records)).collect();
                self.handle(Event::Propose(batches));
            }
            Step::Write => self.write(),
            Step::Sync => {
                self.log_synced = self.log.len();
                if let Some(last) = self.log.last() {
                    let through = id(last);
                    self.handle(Event::Synced { through });
                }
            }
            Step::SyncJournal => self.sync_journal(),
            Step::Crash { power } => self.crash(*power),
            Step::Strict(strict) => {
                self.strict = *strict;
                self.handle(Event::VisibleWhen(rule(*strict)));
            }
        }
        self.check_watermarks();
    }

    fn write(&mut self) {
        self.log.append(&mut self.staged);
        if let Some(last) = self.log.last() {
            let through = id(last);
            self.handle(Event::Written { through });
        }
    }

    fn sync_journal(&mut self) {
        for (ticket, hard_state, metas) in std::mem::take(&mut self.journal) {
            self.hard_state = hard_state.unwrap_or(self.hard_state);
            self.metas.extend(metas);
            self.handle(Event::JournalSynced(ticket));
        }
    }

    fn crash(&mut self, power: bool) {
        self.staged.clear();
        self.journal.clear();
        if power {
            self.log.truncate(self.log_synced);
        }
        self.log_synced = self.log.len();
        let restored = self.restored();
        self.replica = replica(&restored, self.strict);
        let (visible, commit) = (self.replica.visible(), self.replica.commit());
        assert!(commit.index >= self.commit.index, "committed entries stay");
        if !power {
            assert!(visible.index >= self.visible.index, "visible entries stay");
        }
        (self.visible, self.commit) = (visible, commit);
        self.handle(Event::Start);
    }

    fn restored(&self) -> Restored {
        let from_log = self.log.last().map(|entry| Position {
            index: entry.index,
            offset: entry.batch.next_offset(),
        });
        let from_journal = self.metas.last().map(|meta| Position {
            index: meta.index,
            offset: meta.at_offset,
        });
        let ends = [from_log, from_journal].into_iter().flatten();
        let last = ends.max_by_key(|end| end.index);
        let row = |meta: &MetaEntry| (meta.term, meta.index);
        Restored {
            hard_state: self.hard_state,
            first_index: LogIndex(1),
            previous_term: Term::ZERO,
            terms: self.metas.iter().map(row).collect(),
            last: last.unwrap_or(Position::START),
            members: alone(),
            memberships: Vec::new(),
            archives: Vec::new(),
        }
    }

    fn handle(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.replica.handle(Instant::START, event, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Journal {
                ticket,
                hard_state,
                metas,
            } => self.journal.push((ticket, hard_state, metas)),
            Effect::Append(entries) => self.stage(entries),
            Effect::BecameLeader { term, start_offset } => {
                let noop = self.metas.last().expect("the no-op is durable");
                assert_eq!((noop.term, noop.at_offset), (term, start_offset));
            }
            Effect::Visible(position) => {
                assert!(position.index > self.visible.index);
                self.visible = position;
            }
            Effect::Commit(position) => {
                assert!(position.index > self.commit.index);
                self.commit = position;
            }
            Effect::ProposalDropped => assert!(!self.replica.is_leading()),
            Effect::Send(_)
            | Effect::TakeCopy { .. }
            | Effect::LostLeadership { .. }
            | Effect::Truncate { .. }
            | Effect::Members { .. }
            | Effect::Archive(_)
            | Effect::Recovered
            | Effect::Flush => unreachable!("a lone voter"),
        }
    }

    /// Indexes and offsets follow each other, and no batch comes before its term's no-op.
    fn stage(&mut self, entries: Vec<DataEntry>) {
        for entry in entries {
            let noop = self.metas.last().expect("a durable no-op");
            assert_eq!(noop.term, entry.term);
            assert_eq!(
                entry.batch.header().leader_epoch(),
                entry.term.leader_epoch()
            );
            let before = self.staged.last().or(self.log.last());
            let end = before.map_or(Offset::ZERO, |entry| entry.batch.next_offset());
            let last = before.map_or(LogIndex::ZERO, |entry| entry.index);
            assert_eq!(entry.batch.base_offset(), end);
            assert_eq!(entry.index, last.max(noop.index).next());
            self.staged.push(entry);
        }
    }

    fn check_watermarks(&self) {
        let noop = self.metas.last().map_or(LogIndex::ZERO, |meta| meta.index);
        let last_of = |log: &[DataEntry]| log.last().map_or(LogIndex::ZERO, |entry| entry.index);
        let durable = last_of(&self.log[..self.log_synced]).max(noop);
        let written = last_of(&self.log).max(noop);
        assert!(self.commit.index <= durable, "commit is durable");
        assert!(self.commit.index <= self.visible.index);
        assert!(self.visible.index <= written, "visible is written");
        let (entries, _) = self.replica.uncommitted();
        let expected = self.replica.last().index.0 - self.commit.index.0;
        assert_eq!(entries as u64, expected, "committed entries are dropped");
    }
}

fn id(entry: &DataEntry) -> EntryId {
    EntryId {
        index: entry.index,
        term: entry.term,
    }
}

fn rule(strict: bool) -> VisibleWhen {
    if strict {
        VisibleWhen::Synced
    } else {
        VisibleWhen::Written
    }
}

fn alone() -> Members {
    Members::of_voters(ReplicaId::new(1))
}

fn replica(restored: &Restored, strict: bool) -> Replica {
    let settings = ReplicaSettings {
        id: ReplicaId::new(1).unwrap(),
        seed: 0,
        life: 0,
        recovering: false,
        preferred: false,
        visible_when: rule(strict),
    };
    Replica::new(settings, restored).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn watermarks_follow_the_disk_through_any_history(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        // Left alone, everything becomes durable and committed.
        for step in [Step::SyncJournal, Step::Write, Step::Sync] {
            world.run(&step);
        }
        prop_assert_eq!(world.commit, world.replica.last());
    }
}
