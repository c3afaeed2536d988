//! What is done to brokers, and how it is drawn from a seed.

use std::time::Duration;

use crate::bed::Bed;
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
    /// Its machine has no power any more: what was not synced is gone.
    CutPower(usize),
    /// The same of all at once.
    CutAllPower,
    /// Its disk takes no write any more: syncs fail.
    FailDisk(usize),
    /// Its disk is full.
    FillDisk(usize),
    /// Its syncs take 0.3 s longer.
    SlowDisk(usize),
}

/// Makes a fault of a broker.
pub(crate) type Kind = fn(usize) -> Fault;

/// What can happen to processes and the network between them.
pub(crate) const KINDS: &[Kind] = &[
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

/// What can happen to disks, and a kill.
pub(crate) const DISK_KINDS: &[Kind] = &[
    Fault::CutPower,
    |_| Fault::CutAllPower,
    Fault::FailDisk,
    Fault::FillDisk,
    Fault::SlowDisk,
    Fault::Kill,
];

const SLOWER_BY: Duration = Duration::from_millis(300);

impl Fault {
    /// Does it. Brokers that are down or paused are left alone.
    pub(crate) fn strike(self, bed: &mut Bed) {
        match self {
            Self::Kill(at) => kill(bed, at),
            Self::KillAll => (0..bed.size()).for_each(|at| kill(bed, at)),
            Self::Pause(at) if bed.is_active(at) => bed.pause(at),
            Self::Part(at) => bed.network.part(at, (at + 1) % bed.size()),
            Self::Isolate(at) => others(bed, at).for_each(|other| bed.network.part(at, other)),
            Self::Mute(at) => others(bed, at).for_each(|other| bed.network.block(at, other)),
            Self::Deafen(at) => others(bed, at).for_each(|other| bed.network.block(other, at)),
            Self::Unplug(at) => bed.network.unplug(at),
            Self::Vanish(at) => {
                bed.network.unplug(at);
                kill(bed, at);
            }
            Self::Stop(at) if bed.is_active(at) => bed.stop(at),
            Self::CutPower(at) => cut_power(bed, at),
            Self::CutAllPower => (0..bed.size()).for_each(|at| cut_power(bed, at)),
            Self::FailDisk(at) if bed.is_active(at) => bed.fail_disk(at),
            Self::FillDisk(at) if bed.is_active(at) => bed.fill_disk(at),
            Self::SlowDisk(at) if bed.is_active(at) => bed.slow_disk(at, SLOWER_BY),
            // It is down or paused already.
            Self::Pause(_)
            | Self::Stop(_)
            | Self::FailDisk(_)
            | Self::FillDisk(_)
            | Self::SlowDisk(_) => {}
        }
    }
}

fn kill(bed: &mut Bed, at: usize) {
    if bed.runs(at) {
        bed.kill(at);
    }
}

fn cut_power(bed: &mut Bed, at: usize) {
    if bed.runs(at) {
        bed.cut_power(at);
    }
}

fn others(bed: &Bed, at: usize) -> impl Iterator<Item = usize> + use<> {
    (0..bed.size()).filter(move |other| *other != at)
}

/// Faults that come together, and how long they last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) faults: Vec<Fault>,
    pub(crate) lasts: Duration,
}

impl Blow {
    /// One of that kind; which of so many brokers is struck, and for how long, is drawn.
    pub(crate) fn of(kind: Kind, brokers: usize, draw: &mut Draw) -> Self {
        let victim = below(draw, brokers);
        // Longer and shorter than an election takes, and than clients wait for an answer.
        let lasts = Duration::from_millis(200 + draw.below(3_800));
        Self {
            faults: vec![kind(victim)],
            lasts,
        }
    }

    /// Draws one. Every kind is as likely as the others; one blow in five is double, and then
    /// mostly nobody has a majority any more.
    pub(crate) fn draw(kinds: &[Kind], brokers: usize, draw: &mut Draw) -> Self {
        let kind = |draw: &mut Draw| kinds[below(draw, kinds.len())];
        let mut blow = Self::of(kind(draw), brokers, draw);
        if draw.below(5) == 0 {
            let second = Self::of(kind(draw), brokers, draw);
            blow.faults.extend(second.faults);
        }
        blow
    }
}

fn below(draw: &mut Draw, bound: usize) -> usize {
    let bound = u64::try_from(bound).expect("small");
    usize::try_from(draw.below(bound)).expect("below a usize")
}

#[test]
fn a_seed_draws_the_same_blows_twice_and_all_kinds_in_time() {
    for kinds in [KINDS, DISK_KINDS] {
        let drawn = || {
            let mut draw = Draw(7);
            let blows = (0..200).map(|_| Blow::draw(kinds, 3, &mut draw));
            blows.collect::<Vec<_>>()
        };
        assert_eq!(drawn(), drawn());
        let all: Vec<_> = drawn().into_iter().flat_map(|blow| blow.faults).collect();
        for kind in kinds {
            assert!(all.contains(&kind(0)), "{:?} is never drawn", kind(0));
        }
    }
}
