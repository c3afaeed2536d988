//! Several replicas with nothing but messages and journals between them.

use std::time::Duration;

use klamm_model::Instant;
use klamm_replication::{
    Effect, Envelope, Event, JournalTicket, Members, PeerMessage, Replica, ReplicaId,
    ReplicaSettings, Restored, VisibleWhen,
};

struct Group {
    replicas: Vec<Replica>,
    now: Instant,
    in_flight: Vec<Envelope>,
    /// Per replica: what its journal has not fsynced yet.
    unsynced: Vec<Option<JournalTicket>>,
}

impl Group {
    fn new(size: u64) -> Self {
        let voters: Vec<_> = (1..=size).map(|id| ReplicaId::new(id).unwrap()).collect();
        let replica = |&id: &ReplicaId| {
            let settings = ReplicaSettings {
                id,
                seed: id.get(),
                life: 0,
                recovering: false,
                preferred: false,
                visible_when: VisibleWhen::Written,
            };
            let past = Restored {
                members: Members::of_voters(voters.clone()),
                ..Restored::empty()
            };
            Replica::new(settings, &past).unwrap()
        };
        let mut group = Self {
            replicas: voters.iter().map(replica).collect(),
            now: Instant::START,
            in_flight: Vec::new(),
            unsynced: voters.iter().map(|_| None).collect(),
        };
        for nth in 0..group.replicas.len() {
            group.handle(nth, Event::Start);
        }
        group
    }

    fn handle(&mut self, nth: usize, event: Event) {
        let mut effects = Vec::new();
        self.replicas[nth].handle(self.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send(envelope) => self.in_flight.push(envelope),
                Effect::Journal { ticket, .. } => self.unsynced[nth] = Some(ticket),
                _ => {}
            }
        }
    }

    fn sync_journal(&mut self, nth: usize) {
        if let Some(ticket) = self.unsynced[nth].take() {
            self.handle(nth, Event::JournalSynced(ticket));
        }
    }

    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(50);
        for nth in 0..self.replicas.len() {
            self.handle(nth, Event::Tick);
        }
    }

    fn deliver(&mut self) {
        for envelope in std::mem::take(&mut self.in_flight) {
            let to = envelope.to.get() as usize - 1;
            let carried =
                matches!(envelope.message, PeerMessage::Append { count, .. } if count > 0);
            // The no-op, which this test has no need of.
            if !carried {
                self.handle(to, Event::Received(envelope, Vec::new()));
            }
        }
    }

    fn terms(&self) -> Vec<u64> {
        let term = |replica: &Replica| replica.term().get();
        self.replicas.iter().map(term).collect()
    }

    fn leading(&self) -> usize {
        let leading = self.replicas.iter().filter(|replica| replica.is_leading());
        leading.count()
    }
}

#[test]
fn a_majority_elects_one_leader() {
    let mut group = Group::new(3);
    for _ in 0..60 {
        group.tick();
        for _ in 0..6 {
            group.deliver();
            (0..3).for_each(|nth| group.sync_journal(nth));
        }
        assert!(group.leading() <= 1);
        if group.leading() == 1 {
            return;
        }
    }
    panic!("no leader in 3 s: {:?}", group.terms());
}

#[test]
fn nothing_that_carries_a_new_term_leaves_before_the_journals_fsync() {
    let mut group = Group::new(3);
    for _ in 0..200 {
        group.tick();
        (0..6).for_each(|_| group.deliver());
    }
    // Pre-votes change no term and went through; the one real candidate never got its vote out.
    assert!(group.terms().iter().all(|&term| term <= 1));
    assert_eq!(group.leading(), 0);
    let risen = group.terms().iter().filter(|&&term| term == 1).count();
    assert!(risen >= 1, "somebody stood for election");
}
