//! Whether a replica sleeps: a group that nobody uses costs nothing.
//!
//! A sleeping leader says nothing and a sleeping follower waits for nothing. What heartbeats would have
//! told, the connection between their brokers tells for all groups at once: when that ends, or falls
//! silent, both wake.

use std::time::Duration;

use crate::ReplicaId;
use crate::election::ELECTION_TICKS;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sleep {
    seed: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// For so many ticks of a leader nothing has happened that others have to be told of.
    Awake {
        quiet_ticks: usize,
    },
    /// A leader offers sleep with each heartbeat; these have fallen asleep.
    Offering {
        asleep: Vec<ReplicaId>,
    },
    Asleep,
}

impl Sleep {
    /// Two election time-outs: a group that is used a little stays awake.
    const QUIET_TICKS: usize = 2 * ELECTION_TICKS;
    /// A leader wakes for a moment after so long, and up to twice as long by its seed: whatever went
    /// wrong without anybody noticing lasts no longer.
    const LEADER_NAP: Duration = Duration::from_secs(60);
    /// A follower looks for its leader if it has not been put to sleep anew within this time.
    const FOLLOWER_NAP: Duration = Duration::from_secs(180);

    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            phase: Phase::Awake { quiet_ticks: 0 },
        }
    }

    pub(crate) fn is_asleep(&self) -> bool {
        matches!(self.phase, Phase::Asleep)
    }

    /// Whether heartbeats offer sleep.
    pub(crate) fn is_offering(&self) -> bool {
        matches!(self.phase, Phase::Offering { .. })
    }

    /// Something has happened. Whether that ends a sleep.
    pub(crate) fn disturb(&mut self) -> bool {
        let slept = self.is_asleep();
        self.phase = Phase::Awake { quiet_ticks: 0 };
        slept
    }

    /// A leader looks around, and offers sleep again if nothing has happened.
    pub(crate) fn look_around(&mut self) {
        self.phase = Phase::Awake {
            quiet_ticks: Self::QUIET_TICKS,
        };
    }

    /// A tick of a leader whose followers have all that it has has passed in silence.
    pub(crate) fn quiet_tick(&mut self) {
        if let Phase::Awake { quiet_ticks } = &mut self.phase {
            *quiet_ticks += 1;
            if *quiet_ticks > Self::QUIET_TICKS {
                let asleep = Vec::new();
                self.phase = Phase::Offering { asleep };
            }
        }
    }

    /// A follower has taken the offer.
    pub(crate) fn taken_by(&mut self, follower: ReplicaId) {
        if let Phase::Offering { asleep } = &mut self.phase
            && !asleep.contains(&follower)
        {
            asleep.push(follower);
        }
    }

    /// Whether that follower has.
    pub(crate) fn is_taken_by(&self, follower: ReplicaId) -> bool {
        match &self.phase {
            Phase::Offering { asleep } => asleep.contains(&follower),
            Phase::Awake { .. } | Phase::Asleep => false,
        }
    }

    pub(crate) fn fall_asleep(&mut self) {
        self.phase = Phase::Asleep;
    }

    /// How long a sleep lasts at most.
    pub(crate) fn nap(&self, leads: bool) -> Duration {
        match leads {
            true => Self::LEADER_NAP + Duration::from_secs(self.seed % Self::LEADER_NAP.as_secs()),
            false => Self::FOLLOWER_NAP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_offered_after_a_silence_and_again_at_once_when_a_leader_has_looked_around() {
        let mut sleep = Sleep::new(7);
        let mut ticks_until_offer = || {
            let silence = (1..).take_while(|_| {
                sleep.quiet_tick();
                !sleep.is_offering()
            });
            let ticks = silence.count();
            assert!(!sleep.disturb(), "it has not slept");
            ticks
        };
        assert_eq!(ticks_until_offer(), 40);
        assert_eq!(ticks_until_offer(), 40);
        sleep.fall_asleep();
        sleep.look_around();
        sleep.quiet_tick();
        assert!(sleep.is_offering());
    }

    #[test]
    fn a_follower_outsleeps_its_leader() {
        for seed in 0..200 {
            let sleep = Sleep::new(seed);
            assert!(sleep.nap(true) + Duration::from_secs(10) < sleep.nap(false));
        }
    }
}
