//! What is done to brokers, and how it is drawn from a seed.

use std::time::Duration;

use crate::bed::{BROKERS, Bed};
use crate::support::Draw;

/// Something that happens to a broker, or to all, until the bed is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL.
    Kill(usize),
    /// SIGKILL of all at once.
    KillAll,
    /// SIGSTOP.
    Pause(usize),
    /// It and one other broker do not reach each other.
    Part(usize),
    /// It reaches no other broker and none reaches it; clients reach all.
    Isolate(usize),
    /// No other broker hears it; it hears all.
    Mute(usize),
    /// It hears no other broker; all hear it.
    Deafen(usize),
    /// Nobody reaches it and it reaches nobody, and nobody says so.
    Unplug(usize),
    /// The host is gone: unplugged, and killed.
    Vanish(usize),
    /// SIGTERM.
    Stop(usize),
}

/// Each makes a fault of a broker.
const KINDS: &[fn(usize) -> Fault] = &[
    Fault::Kill,
    |_| Fault::KillAll,
    Fault::Pause,
    Fault::Part,
    Fault::Isolate,
    Fault::Mute,
    Fault::Deafen,
    Fault::Unplug,
    Fault::Vanish,
    Fault::Stop,
];

impl Fault {
    /// Does it. Brokers that are down or paused are left alone.
    pub(crate) fn strike(self, bed: &mut Bed) {
        match self {
            Self::Kill(at) => kill(bed, at),
            Self::KillAll => (0..BROKERS).for_each(|at| kill(bed, at)),
            Self::Pause(at) if bed.is_active(at) => bed.pause(at),
            Self::Part(at) => bed.network.part(at, (at + 1) % BROKERS),
            Self::Isolate(at) => others(at).for_each(|other| bed.network.part(at, other)),
            Self::Mute(at) => others(at).for_each(|other| bed.network.block(at, other)),
            Self::Deafen(at) => others(at).for_each(|other| bed.network.block(other, at)),
            Self::Unplug(at) => bed.network.unplug(at),
            Self::Vanish(at) => {
                bed.network.unplug(at);
                kill(bed, at);
            }
            Self::Stop(at) if bed.is_active(at) => bed.stop(at),
            Self::Pause(_) | Self::Stop(_) => {}
        }
    }
}

fn kill(bed: &mut Bed, at: usize) {
    if bed.runs(at) {
        bed.kill(at);
    }
}

fn others(at: usize) -> impl Iterator<Item = usize> {
    (0..BROKERS).filter(move |other| *other != at)
}

/// Faults that come together, and how long they last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) faults: Vec<Fault>,
    pub(crate) lasts: Duration,
}

impl Blow {
    /// Draws one. Every kind is as likely as the others; one blow in five is double, and then
    /// mostly nobody has a majority any more.
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        let count = if draw.below(5) == 0 { 2 } else { 1 };
        let faults = (0..count).map(|_| {
            let victim = below(draw, BROKERS);
            KINDS[below(draw, KINDS.len())](victim)
        });
        let faults = faults.collect();
        // Longer and shorter than an election takes, and than clients wait for an answer.
        let lasts = Duration::from_millis(200 + draw.below(3_800));
        Self { faults, lasts }
    }
}

fn below(draw: &mut Draw, bound: usize) -> usize {
    let bound = u64::try_from(bound).expect("small");
    usize::try_from(draw.below(bound)).expect("below a usize")
}

#[test]
fn a_seed_draws_the_same_blows_twice_and_all_kinds_in_time() {
    let drawn = || {
        let mut draw = Draw(7);
        let blows = (0..200).map(|_| Blow::draw(&mut draw));
        blows.collect::<Vec<_>>()
    };
    assert_eq!(drawn(), drawn());
    let all: Vec<_> = drawn().into_iter().flat_map(|blow| blow.faults).collect();
    for kind in KINDS {
        assert!(all.contains(&kind(0)), "{:?} is never drawn", kind(0));
    }
}
