//! What a proposal allocates: raft-rs by itself, and what this crate adds to that.

use std::alloc::System;

use klamm_model::record_batch::BatchBuilder;
use klamm_model::{Instant, RecordBatch, Timestamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use super::*;
use crate::{
    Effect, Event, JournalTicket, Members, Replica, ReplicaSettings, Restored, VisibleWhen,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns that are counted together, so that what grows from time to time is in the figure.
const WINDOW: usize = 64;
/// Windows; the leanest counts, since other tests allocate at the same time.
const WINDOWS: usize = 300;

/// Allocations of a turn, in hundredths. Inputs are made before a window, and `after` comes behind
/// it: neither counts.
fn hundredths<S, T>(
    state: &mut S,
    input: impl Fn() -> T,
    turn: impl Fn(&mut S, T),
    after: impl Fn(&mut S),
) -> usize {
    let windows = (0..WINDOWS).map(|_| {
        let inputs: Vec<T> = (0..WINDOW).map(|_| input()).collect();
        let region = Region::new(ALLOCATOR);
        for input in inputs {
            turn(state, input);
        }
        let change = region.change();
        after(state);
        change.allocations + change.reallocations
    });
    windows.min().expect("there are windows") * 100 / WINDOW
}

fn id() -> ReplicaId {
    ReplicaId::new(1).expect("not 0")
}

/// raft-rs with our store, elected, and asked for the least that a proposal takes.
fn raft_alone(entries: usize) -> usize {
    let restored = Restored::empty();
    let mut consensus = Consensus::new(Setup {
        id: id(),
        members: Members::of_voters([id()]),
        seed: 1,
        hard_state: restored.hard_state,
        terms: restored.check().expect("no past"),
        last_index: restored.last.index,
    });
    consensus.campaign();
    while let Some(ready) = consensus.next_ready() {
        consensus.persisted(ready.number);
    }
    let propose = |consensus: &mut Consensus, ()| {
        let node = &mut consensus.node;
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![Entry::default(); entries].into());
        node.step(message).expect("it leads");
        while node.has_ready() {
            let ready = node.ready();
            for entry in ready.entries() {
                let (index, term) = header(entry);
                node.mut_store().append(index, term);
            }
            node.advance_append_async(ready);
            node.advance_apply();
        }
    };
    let persist = |consensus: &mut Consensus| {
        consensus.propose(1).expect("it leads");
        let ready = consensus.next_ready().expect("there is an entry");
        consensus.persisted(ready.number);
    };
    hundredths(&mut consensus, || (), propose, persist)
}

fn batch() -> RecordBatch {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(1), None, Some(b"value"), &[]);
    builder.build()
}

/// A replica that leads; each turn proposes and is told that it is written, and from time to time
/// that it is synced.
fn replica(entries: usize) -> usize {
    let settings = ReplicaSettings {
        id: id(),
        seed: 1,
        life: 1,
        recovering: false,
        preferred: false,
        visible_when: VisibleWhen::Written,
    };
    let past = Restored {
        members: Members::of_voters([id()]),
        ..Restored::empty()
    };
    let replica = Replica::new(settings, &past).expect("no past");
    let mut state = (replica, Vec::new());
    let handle = |(replica, effects): &mut (Replica, Vec<Effect>), event| {
        replica.handle(Instant::START, event, effects);
        effects.clear();
    };
    handle(&mut state, Event::Start);
    handle(&mut state, Event::JournalSynced(JournalTicket(1)));
    assert!(state.0.is_leading());
    let batch = batch();
    hundredths(
        &mut state,
        || vec![batch.clone(); entries],
        |state, batches| {
            handle(state, Event::Propose(batches));
            let through = state.0.last_entry();
            handle(state, Event::Written { through });
        },
        |state| {
            let through = state.0.last_entry();
            handle(state, Event::Synced { through });
        },
    )
}

#[test]
fn a_proposal_allocates_one_list_more_than_raft_alone() {
    for entries in [1, 16] {
        let (raft, ours) = (raft_alone(entries), replica(entries));
        // If raft-rs comes to need more, the bounds of whole turns in `tests` rise with it.
        assert!(raft <= 250, "raft-rs alone: {raft} hundredths");
        // The list of entries that is to be appended; the rest grows now and then.
        let more = ours.saturating_sub(raft);
        assert!(more <= 125, "{ours} hundredths, of which raft-rs {raft}");
    }
}
