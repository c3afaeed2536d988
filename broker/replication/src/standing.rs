//! Elections that do not wait for a time-out: because the leader's broker is known to be gone, or
//! because this replica is the one that should lead a group which begins.

use crate::ReplicaId;
use crate::election;

/// When this replica stands for election out of turn.
#[derive(Debug)]
pub(crate) struct Standing {
    seed: u64,
    /// How often a wait was drawn.
    draws: u64,
    due: Option<Due>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    ticks: u64,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    /// Nobody leads any more, and this replica tries so many times.
    LeaderGone { tries: u32 },
    /// Nobody has led yet.
    NewGroup,
}

impl Standing {
    /// Followers learn of a leader's end some milliseconds apart, and one that has not yet refuses its
    /// vote. A few tries are enough for that; if there is no majority, time-outs are soon enough.
    const TRIES: u32 = 5;
    /// Ticks by which one voter lets the one before it go first: time for an election.
    const TICKS_APART: u64 = 2;
    /// Ticks more by which newcomers let those go first that are none: it costs clients less to wait for
    /// a second try of these than to wait until they try the newcomers again.
    const TICKS_BEHIND: u64 = 6;
    /// Ticks that one which has given its vote to another waits for that: thousands of elections at once
    /// share their fsyncs, and two that stand in turn would each end the election of the other.
    const PATIENCE_TICKS: u64 = 10;
    /// Ticks between the tries of a replica whose group begins.
    const NEW_GROUP_TICKS: u64 = 2;

    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            draws: 0,
            due: None,
        }
    }

    /// The leader is gone: this replica stands in its turn.
    pub(crate) fn leader_is_gone(&mut self, turn: Turn) {
        let behind = u64::from(turn.is_behind) * Self::TICKS_BEHIND;
        self.due = Some(Due {
            ticks: 1 + Self::TICKS_APART * turn.rank as u64 + behind,
            why: Why::LeaderGone { tries: Self::TRIES },
        });
    }

    /// The group begins, and this replica should lead it; the others may not be there yet.
    pub(crate) fn group_begins(&mut self) {
        self.due = Some(Due {
            ticks: Self::NEW_GROUP_TICKS,
            why: Why::NewGroup,
        });
    }

    /// Another one stands, and this replica is for it.
    pub(crate) fn other_stands(&mut self) {
        if let Some(due) = &mut self.due
            && let Why::LeaderGone { .. } = due.why
        {
            due.ticks = due.ticks.max(Self::PATIENCE_TICKS);
        }
    }

    /// Time-outs decide again.
    pub(crate) fn end(&mut self) {
        self.due = None;
    }

    /// The same, if it is because the group begins: it has begun.
    pub(crate) fn group_has_begun(&mut self) {
        self.due.take_if(|due| matches!(due.why, Why::NewGroup));
    }

    /// A tick has passed; whether to stand now.
    pub(crate) fn tick(&mut self) -> bool {
        let Some(due) = &mut self.due else {
            return false;
        };
        due.ticks -= 1;
        if due.ticks > 0 {
            return false;
        }
        let why = due.why;
        self.due = match why {
            Why::NewGroup => Some(Due {
                ticks: Self::NEW_GROUP_TICKS,
                why,
            }),
            Why::LeaderGone { tries: 1 } => None,
            Why::LeaderGone { tries } => {
                self.draws += 1;
                Some(Due {
                    ticks: election::retry_ticks(self.seed, self.draws),
                    why: Why::LeaderGone { tries: tries - 1 },
                })
            }
        };
        true
    }
}

/// When a voter stands whose leader is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// How many stand before it.
    rank: usize,
    /// It is a newcomer, and not all others are.
    is_behind: bool,
}

impl Turn {
    /// Nobody stands before it.
    pub(crate) const FIRST: Self = Self {
        rank: 0,
        is_behind: false,
    };

    /// Of `own` among the voters that are left when `gone` is gone: newcomers stand behind all others, in
    /// their order.
    pub(crate) fn of(
        own: ReplicaId,
        gone: ReplicaId,
        voters: impl Iterator<Item = ReplicaId>,
        newcomers: &[ReplicaId],
    ) -> Self {
        let place = |voter: ReplicaId| {
            let newness = newcomers.iter().position(|newcomer| *newcomer == voter);
            (newness, voter)
        };
        let (own, mut turn) = (place(own), Self::FIRST);
        for earlier in voters.filter(|voter| *voter != gone).map(place) {
            turn.rank += usize::from(earlier < own);
            turn.is_behind |= earlier.0.is_none() && own.0.is_some();
        }
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many ticks, those at which it stands.
    fn stands(standing: &mut Standing, ticks: u64) -> Vec<u64> {
        (1..=ticks).filter(|_| standing.tick()).collect()
    }

    #[test]
    fn the_first_stands_at_once_and_the_others_let_each_other_go_first() {
        let id = |id| ReplicaId::new(id).expect("not 0");
        for (own, expected) in [(1, 1), (3, 3), (4, 5)] {
            let voters = [1, 2, 3, 4].map(id).into_iter();
            let mut standing = Standing::new(7);
            standing.leader_is_gone(Turn::of(id(own), id(2), voters, &[]));
            let stands = stands(&mut standing, 100);
            assert_eq!(stands[0], expected);
            assert_eq!(stands.len(), Standing::TRIES as usize);
            assert!(stands.windows(2).all(|pair| pair[1] - pair[0] <= 5));
        }
    }

    #[test]
    fn newcomers_stand_behind_all_others_in_their_order() {
        let id = |id| ReplicaId::new(id).expect("not 0");
        let first_stand = |own, voters: &[u64], newcomers: &[u64]| {
            let newcomers: Vec<_> = newcomers.iter().copied().map(id).collect();
            let voters = voters.iter().copied().map(id);
            let mut standing = Standing::new(7);
            standing.leader_is_gone(Turn::of(id(own), id(2), voters, &newcomers));
            stands(&mut standing, 100)[0]
        };
        let of_five = |own| first_stand(own, &[1, 2, 3, 4, 5], &[4, 1]);
        assert_eq!([3, 5, 4, 1].map(of_five), [1, 3, 11, 13]);
        let all_new = |own| first_stand(own, &[1, 2, 3], &[3, 2, 1]);
        assert_eq!([3, 1].map(all_new), [1, 3], "nobody else can lead");
    }

    #[test]
    fn who_is_for_another_lets_it_finish() {
        let mut standing = Standing::new(7);
        standing.leader_is_gone(Turn {
            rank: 1,
            is_behind: false,
        });
        assert_eq!(stands(&mut standing, 2), [0; 0]);
        standing.other_stands();
        assert_eq!(stands(&mut standing, 10), [10]);
    }

    #[test]
    fn a_group_that_begins_is_tried_until_it_has() {
        let mut standing = Standing::new(7);
        standing.group_begins();
        assert_eq!(stands(&mut standing, 6), [2, 4, 6]);
        standing.group_has_begun();
        assert_eq!(stands(&mut standing, 6), [0; 0]);
    }
}
