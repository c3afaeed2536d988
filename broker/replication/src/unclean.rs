//! Unclean elections: when so many voters are lost for good that no majority can be had, one replica is
//! told to go on alone with the log that it has.
//!
//! What the others have beyond that log is given up. Each such election has a number, and the
//! configuration that it begins with carries it, as all later ones do: so a log says itself which
//! elections it has been through. A replica that was away finds out by that whether its log may go on, or
//! has to be given up because it may hold other entries at the same places, even committed ones.

use klamm_model::raft::{HardState, MetaEntry, MetaKind};
use klamm_model::{LogIndex, Offset, Term};

use crate::{EntryId, Members, Position, ReplicaId, Restored};

/// The last unclean election of a group, as it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UncleanElection {
    /// The first of a group has number 1.
    pub number: u64,
    /// The replica that goes on alone.
    pub survivor: ReplicaId,
    /// The last entry that the survivor had when it was chosen.
    pub last: EntryId,
    /// The offset behind it.
    pub end_offset: Offset,
    /// The term of the survivor's next entry at least: above all that are known to have been used.
    pub term: Term,
}

/// What becomes of a replica's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFate {
    /// It is, or can become, the beginning of the survivor's.
    GoesOn,
    /// It is the survivor's: the group goes on with it, by [`Restored::go_on_alone`].
    GoesOnAlone,
    /// It may hold what the survivor never had, and would be taken for committed: the replica has to
    /// begin anew, without a log.
    IsGivenUp,
}

impl UncleanElection {
    /// What becomes of the log that replica `own` has found on its disk.
    ///
    /// A log that has not been through this election but through all before it can go on if it does not
    /// reach further than the survivor's did: all that is committed in it is in the survivor's, too, since
    /// a log of which the last entry is of a later term, or which is longer in the same, holds whatever
    /// had been committed by then (Raft, 5.4.1).
    pub fn fate_of(&self, own: ReplicaId, log: &Restored) -> LogFate {
        let been_through = log.unclean_elections();
        let rank = |entry: EntryId| (entry.term, entry.index);
        let is_empty = log.last.index == LogIndex::ZERO;
        if been_through >= self.number {
            LogFate::GoesOn
        } else if own == self.survivor {
            LogFate::GoesOnAlone
        } else if is_empty
            || been_through + 1 == self.number && rank(log.last_entry()) <= rank(self.last)
        {
            LogFate::GoesOn
        } else {
            LogFate::IsGivenUp
        }
    }
}

/// What the journal has to remember, in this order, before a replica goes on alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    /// A term of its own, in which nobody else has led or will.
    pub hard_state: HardState,
    /// The no-op that begins it, and the configuration.
    pub metas: [MetaEntry; 2],
}

impl Restored {
    /// The last unclean election that the log has been through; 0 if it has been through none.
    pub fn unclean_elections(&self) -> u64 {
        let entries = self.memberships.iter().map(|(_, members)| members);
        let all = entries.chain([&self.members]);
        all.map(|members| members.unclean_elections)
            .max()
            .unwrap_or(0)
    }

    /// The last entry, by name.
    pub fn last_entry(&self) -> EntryId {
        let last = self.terms.last().map(|(term, _)| *term);
        EntryId {
            index: self.last.index,
            term: last.unwrap_or(self.previous_term),
        }
    }

    /// Lets replica `own` go on alone, as `election` says: as if it had been elected in a term that nobody
    /// else can have led, and the configuration were committed. Whoever has built no replica since may do so
    /// again, if not all of this has become durable.
    pub fn go_on_alone(&mut self, own: ReplicaId, election: &UncleanElection) -> Forced {
        let term = Term::new(self.hard_state.term.get() + 1).max(election.term);
        self.hard_state = HardState {
            term,
            vote: own.get(),
            ..self.hard_state
        };
        let members = Members::of_voters([own]).after_unclean_elections(election.number);
        let noop = self.end_with(term, MetaKind::Noop);
        self.terms.push((term, noop.index));
        let configuration = self.end_with(term, MetaKind::Membership(members.encode()));
        self.memberships.push((configuration.index, members));
        Forced {
            hard_state: self.hard_state,
            metas: [noop, configuration],
        }
    }

    fn end_with(&mut self, term: Term, kind: MetaKind) -> MetaEntry {
        let entry = MetaEntry {
            index: self.last.index.next(),
            term,
            at_offset: self.last.offset,
            kind,
        };
        self.last = Position {
            index: entry.index,
            offset: entry.at_offset,
        };
        entry
    }
}

#[cfg(test)]
mod tests {
    use klamm_model::Offset;

    use super::*;

    fn id(id: u64) -> ReplicaId {
        ReplicaId::new(id).expect("not 0")
    }

    fn entry(term: u64, index: u64) -> EntryId {
        EntryId {
            index: LogIndex(index),
            term: Term::new(term),
        }
    }

    /// The second of a group: replica 2 goes on with a log that ends with entry 9 of term 4.
    fn second() -> UncleanElection {
        UncleanElection {
            number: 2,
            survivor: id(2),
            last: entry(4, 9),
            end_offset: Offset::new(7),
            term: Term::new(1_004),
        }
    }

    /// A log that has been through so many elections, and ends so.
    fn log(unclean_elections: u64, (term, index): (u64, u64)) -> Restored {
        let mut log = Restored {
            members: Members::of_voters([id(1), id(2), id(3)]),
            last: Position {
                index: LogIndex(index),
                offset: Offset::new(index as i64),
            },
            ..Restored::empty()
        };
        if index > 0 {
            log.terms.push((Term::new(term), LogIndex(1)));
        }
        if unclean_elections > 0 {
            let members = Members::of_voters([id(9)]);
            let members = members.after_unclean_elections(unclean_elections);
            log.memberships.push((LogIndex(1), members));
        }
        log.hard_state.term = Term::new(term);
        log
    }

    #[test]
    fn a_log_goes_on_if_all_that_is_committed_in_it_is_in_the_survivors() {
        let check = |own, log: Restored, fate| {
            assert_eq!(second().fate_of(id(own), &log), fate, "{log:?}");
        };
        check(2, log(1, (4, 9)), LogFate::GoesOnAlone);
        check(2, log(0, (0, 0)), LogFate::GoesOnAlone);
        check(2, log(2, (1_005, 12)), LogFate::GoesOn);
        check(4, log(2, (1_005, 12)), LogFate::GoesOn);
        check(4, log(1, (4, 9)), LogFate::GoesOn);
        check(4, log(1, (3, 20)), LogFate::GoesOn);
        check(4, log(1, (4, 10)), LogFate::IsGivenUp);
        check(4, log(1, (5, 1)), LogFate::IsGivenUp);
        // What was committed in it may have been given up by the first election.
        check(4, log(0, (3, 2)), LogFate::IsGivenUp);
        check(4, log(0, (0, 0)), LogFate::GoesOn);
    }

    #[test]
    fn a_log_that_goes_on_alone_has_a_term_of_its_own_and_knows_the_election() {
        let mut past = log(1, (4, 9));
        let forced = past.go_on_alone(id(2), &second());
        assert_eq!(past.hard_state, forced.hard_state);
        assert_eq!(forced.hard_state.term, Term::new(1_004));
        assert_eq!(forced.hard_state.vote, 2);
        let [noop, configuration] = &forced.metas;
        assert_eq!((noop.index, &noop.kind), (LogIndex(10), &MetaKind::Noop));
        let members = Members::of_voters([id(2)]).after_unclean_elections(2);
        assert_eq!(configuration.index, LogIndex(11));
        assert_eq!(configuration.kind, MetaKind::Membership(members.encode()));
        assert_eq!(past.last_entry(), entry(1_004, 11));
        assert_eq!(past.unclean_elections(), 2);
        assert!(past.check().is_ok());
        assert_eq!(second().fate_of(id(2), &past), LogFate::GoesOn);
    }

    #[test]
    fn terms_do_not_go_back_if_it_is_told_again_or_knows_a_later_one() {
        let mut past = log(1, (2_000, 9));
        let first = past.clone().go_on_alone(id(2), &second());
        assert_eq!(first.hard_state.term, Term::new(2_001));
        // Only its beginning became durable.
        past.hard_state = first.hard_state;
        let again = past.go_on_alone(id(2), &second());
        assert_eq!(again.hard_state.term, Term::new(2_002));
        assert!(past.check().is_ok());
    }
}
