//! What must be true of a group, whatever happens to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_model::raft::{LogEntry, MetaEntry, MetaKind};
use klamm_model::{LogIndex, Offset, Term};

/// What has been seen of the group as a whole.
#[derive(Default)]
pub(super) struct Oracle {
    leaders: BTreeMap<u64, usize>,
    committed: Vec<Known>,
    visible: Vec<Known>,
}

/// An entry, and the term in which it was first known to stay: leaders of later terms must have it.
#[derive(Clone)]
struct Known {
    fact: Fact,
    term: Term,
}

/// What an entry is, in every log that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    term: Term,
    offset: Offset,
    bytes: Option<Bytes>,
}

impl From<&LogEntry> for Fact {
    fn from(entry: &LogEntry) -> Self {
        Self {
            term: entry.term(),
            offset: entry.base_offset(),
            bytes: match entry {
                LogEntry::Records(entry) => Some(entry.batch.to_bytes()),
                LogEntry::Meta(MetaEntry { kind, .. }) => match kind {
                    MetaKind::Membership(bytes) => Some(bytes.clone()),
                    MetaKind::Archive(state) => Some(state.encode()),
                    MetaKind::Noop => None,
                },
            },
        }
    }
}

impl Oracle {
    /// How many entries were shown.
    pub(super) fn visible(&self) -> u64 {
        self.visible.len() as u64
    }

    pub(super) fn leads(&mut self, node: usize, term: Term, log: &[LogEntry]) {
        let leader = *self.leaders.entry(term.get()).or_insert(node);
        assert_eq!(leader, node, "two leaders in term {}", term.get());
        holds_all(term, log, &self.committed, "a committed entry");
        holds_all(term, log, &self.visible, "an acknowledged entry");
    }

    /// A replica that has these entries knows them to be committed.
    pub(super) fn commits(&mut self, term: Term, entries: &[LogEntry]) {
        learn(&mut self.committed, term, entries, "committed");
    }

    /// A replica shows these entries.
    pub(super) fn shows(&mut self, term: Term, entries: &[LogEntry]) {
        learn(&mut self.visible, term, entries, "visible");
    }

    /// What is left if a replica goes on alone with this log: what it has of it.
    pub(super) fn as_far_as(&self, log: &[LogEntry]) -> Self {
        let left = |known: &[Known]| {
            let agrees = |(known, entry): &(&Known, &LogEntry)| known.fact == Fact::from(*entry);
            let left = known.iter().zip(log).take_while(agrees);
            left.map(|(known, _)| known.clone()).collect()
        };
        Self {
            leaders: BTreeMap::new(),
            committed: left(&self.committed),
            visible: left(&self.visible),
        }
    }

    /// What was acknowledged and not fsynced by a majority may be gone.
    pub(super) fn lost_power_as_a_whole(&mut self) {
        self.visible.truncate(self.committed.len());
    }
}

fn learn(known: &mut Vec<Known>, term: Term, entries: &[LogEntry], what: &str) {
    for entry in entries {
        let at = entry.index().0 as usize - 1;
        let fact = Fact::from(entry);
        match known.get(at) {
            Some(known) => assert_eq!(known.fact, fact, "{what} twice, at {at}"),
            None => known.push(Known { fact, term }),
        }
    }
}

fn holds_all(term: Term, log: &[LogEntry], known: &[Known], what: &str) {
    let all = known.iter().enumerate();
    for (at, known) in all.filter(|(_, known)| known.term < term) {
        let held = log.get(at).map(Fact::from);
        assert_eq!(
            held.as_ref(),
            Some(&known.fact),
            "{what} is not with the leader, at {at}"
        );
    }
}

/// One replica may say of an entry that it stays when it has heard of a later term, and another of the next
/// entry when it has not.
#[test]
fn entries_that_become_known_in_falling_terms_keep_their_places() {
    let entry = |index: u64| {
        LogEntry::Meta(MetaEntry {
            index: LogIndex(index),
            term: Term::new(5),
            at_offset: Offset::new(index as i64),
            kind: MetaKind::Noop,
        })
    };
    let log: Vec<_> = (1..=3).map(entry).collect();
    let mut oracle = Oracle::default();
    for (term, at) in [(5, 0), (6, 1), (5, 2)] {
        oracle.commits(Term::new(term), &log[at..=at]);
    }
    oracle.leads(0, Term::new(6), &log);
}
