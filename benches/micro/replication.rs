//! What consensus costs: batches proposed to a leader until all three replicas of the group have
//! written them and the leader shows them, on disks that take no time, without a network.

use criterion::{BatchSize, Criterion, Throughput};
use klamm_model::raft::LogEntry;
use klamm_model::record_batch::Compression;
use klamm_model::{Instant, RecordBatch};
use klamm_replication::{
    Effect, EntryId, Envelope, Event, Members, PeerMessage, Replica, ReplicaId, ReplicaSettings,
    Restored, VisibleWhen,
};

use crate::samples::batch;

/// Entries of a turn; a leader takes everything that has become ready.
const TURNS: [usize; 3] = [1, 8, 64];

pub(crate) fn propose(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replicate");
    for batches in TURNS {
        let mut three = Three::elected();
        let batch = batch(0, 1, Compression::None);
        group.throughput(Throughput::Elements(batches as u64));
        group.bench_function(format!("{batches} batches"), |bencher| {
            bencher.iter_batched(
                || vec![batch.clone(); batches],
                |batches| three.replicate(batches),
                BatchSize::SmallInput,
            );
        });
    }
}

/// A group whose replicas have nothing but each other; the first leads.
struct Three {
    replicas: Vec<Replica>,
    /// The entries of each that another may be given.
    recent: Vec<Vec<LogEntry>>,
    now: Instant,
    events: Vec<(usize, Event)>,
    effects: Vec<Effect>,
}

impl Three {
    /// Entries after which everything is fsynced, as a flusher does from time to time.
    const SYNC_EVERY: usize = 1_024;

    fn elected() -> Self {
        let id = |id| ReplicaId::new(id).expect("not 0");
        let voters: Vec<_> = (1..=3).map(id).collect();
        let replica = |own: &ReplicaId| {
            let settings = ReplicaSettings {
                id: *own,
                seed: own.get(),
                life: 1,
                recovering: false,
                preferred: false,
                visible_when: VisibleWhen::Written,
            };
            let past = Restored {
                members: Members::of_voters(voters.clone()),
                ..Restored::empty()
            };
            Replica::new(settings, &past).expect("no past")
        };
        let mut three = Self {
            replicas: voters.iter().map(replica).collect(),
            recent: vec![Vec::new(); 3],
            now: Instant::START,
            events: (0..3).map(|node| (node, Event::Start)).collect(),
            effects: Vec::new(),
        };
        three.settle();
        while !three.replicas[0].is_leading() {
            // Only the first gets old enough to stand for election.
            three.now = three.replicas[0].next_deadline().expect("it waits");
            three.events.push((0, Event::Tick));
            three.settle();
        }
        three
    }

    fn replicate(&mut self, batches: Vec<RecordBatch>) {
        self.events.push((0, Event::Propose(batches)));
        self.settle();
        let leader = &self.replicas[0];
        assert_eq!(leader.visible(), leader.last(), "all of it is shown");
        if self.recent[0].len() >= Self::SYNC_EVERY {
            self.sync();
        }
    }

    fn sync(&mut self) {
        for node in 0..3 {
            self.recent[node].clear();
            let replica = &self.replicas[node];
            let through = replica.last_entry();
            self.events.push((node, Event::Synced { through }));
        }
        self.settle();
    }

    /// Handles events until there are none.
    fn settle(&mut self) {
        while !self.events.is_empty() {
            for (node, event) in std::mem::take(&mut self.events) {
                let mut effects = std::mem::take(&mut self.effects);
                self.replicas[node].handle(self.now, event, &mut effects);
                for effect in effects.drain(..) {
                    self.perform(node, effect);
                }
                self.effects = effects;
            }
        }
    }

    fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Journal { ticket, metas, .. } => {
                self.recent[node].extend(metas.into_iter().map(LogEntry::Meta));
                self.events.push((node, Event::JournalSynced(ticket)));
            }
            Effect::Append(entries) => {
                let last = entries.last().expect("not empty");
                let through = EntryId {
                    index: last.index,
                    term: last.term,
                };
                self.events.push((node, Event::Written { through }));
                self.recent[node].extend(entries.into_iter().map(LogEntry::Records));
            }
            Effect::Send(envelope) => {
                let to = envelope.to.get() as usize - 1;
                let entries = self.entries(node, &envelope);
                self.events.push((to, Event::Received(envelope, entries)));
            }
            _ => {}
        }
    }

    fn entries(&self, node: usize, envelope: &Envelope) -> Vec<LogEntry> {
        let PeerMessage::Append {
            previous, count, ..
        } = envelope.message
        else {
            return Vec::new();
        };
        let recent = &self.recent[node];
        let Some(oldest) = recent.first() else {
            return Vec::new();
        };
        let first = (previous.index.0 + 1 - oldest.index().0) as usize;
        recent[first..first + count as usize].to_vec()
    }
}
