//! How often what happens to a group of replicas; another in each life, so that there are slow disks,
//! slow networks and quiet times.

use crate::random::Random;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something is to be appended.
    Produce,
    /// A message arrives, or is lost.
    Deliver,
    /// A write begins or ends.
    Write,
    /// An fsync of a log begins or ends.
    Sync,
    /// A journal is synced.
    SyncJournal,
    /// Time passes.
    Tick,
    /// Something goes wrong, or a leader is disturbed.
    Fault,
    /// Other members are wanted.
    ChangeMembers,
    /// A process starts.
    Start,
    /// Nobody wants anything for a while.
    Lull,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Pace {
    weights: [(Step, u64); 10],
}

impl Pace {
    /// A pace at which so many kinds of faults come; with more fsyncs and starts where members change,
    /// which takes a commit or two each time.
    pub fn draw(random: &mut Random, faults: u64, changes: bool) -> Self {
        let changes = u64::from(changes);
        let weights = [
            (Step::Produce, 20 + random.below(150)),
            (Step::Deliver, 200 + random.below(500)),
            (Step::Write, 30 + random.below(300)),
            (Step::Sync, 4 + random.below(60) + changes * 60),
            (Step::SyncJournal, 30 + random.below(100) + changes * 60),
            (Step::Tick, 45 + random.below(100)),
            (Step::Fault, faults * (1 + random.below(4))),
            (Step::ChangeMembers, changes * (10 + random.below(60))),
            (Step::Start, 10 + changes * 20),
            (Step::Lull, random.below(3)),
        ];
        Self { weights }
    }

    /// What happens next.
    pub fn next(&self, random: &mut Random) -> Step {
        let weights = self.weights.map(|(_, weight)| weight);
        self.weights[random.weighted(&weights)].0
    }
}
