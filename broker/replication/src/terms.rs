//! Which term an index belongs to: one row per term, because each term's entries are one stretch
//! that begins with its no-op.

use klamm_model::{LogIndex, Term};

/// (term, its first index), both rising. The first row stands for the entry before the log's
/// first, whose term is remembered when the entry itself is gone.
#[derive(Debug)]
pub(crate) struct Terms {
    rows: Vec<(Term, LogIndex)>,
}

impl Terms {
    /// `previous` is the term of the entry before `first_index`.
    pub(crate) fn new(previous: Term, first_index: LogIndex) -> Self {
        let before_first = LogIndex(first_index.0.checked_sub(1).expect("indexes start at 1"));
        Self {
            rows: vec![(previous, before_first)],
        }
    }

    /// The first index of the log; the row before it is kept for matching.
    pub(crate) fn first_index(&self) -> LogIndex {
        self.rows[0].1.next()
    }

    /// The highest term.
    pub(crate) fn last_term(&self) -> Term {
        self.rows[self.rows.len() - 1].0
    }

    /// Notes that the entry at `index` is of `term`; indexes and terms never go back.
    pub(crate) fn note(&mut self, index: LogIndex, term: Term) {
        let &(last_term, start) = self.rows.last().expect("the first row stays");
        assert!(term >= last_term && index > start, "terms do not go back");
        if term > last_term {
            self.rows.push((term, index));
        }
    }

    /// Forgets the terms that begin behind `last`, where the log ends now.
    pub(crate) fn cut(&mut self, last: LogIndex) {
        assert!(last >= self.rows[0].1, "what is before the log stays");
        self.rows.retain(|&(_, start)| start <= last);
    }

    /// The log begins with `first` now, which it has, or which comes next.
    pub(crate) fn begin_with(&mut self, first: LogIndex) {
        let before_first = LogIndex(first.0 - 1);
        let Some(previous) = self.at(before_first) else {
            return;
        };
        self.rows.retain(|&(_, start)| start > before_first);
        self.rows.insert(0, (previous, before_first));
    }

    /// The term at `index`; `None` before the log.
    pub(crate) fn at(&self, index: LogIndex) -> Option<Term> {
        let after = self.rows.partition_point(|&(_, start)| start <= index);
        after.checked_sub(1).map(|row| self.rows[row].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_term_of_an_index_is_that_of_the_stretch_it_lies_in() {
        let mut terms = Terms::new(Term::new(2), LogIndex(10));
        for (index, term) in [(10, 2), (11, 4), (12, 4), (20, 7)] {
            terms.note(LogIndex(index), Term::new(term));
        }
        let check = |index, term: Option<u64>| {
            assert_eq!(terms.at(LogIndex(index)).map(Term::get), term, "at {index}");
        };
        check(8, None);
        check(9, Some(2));
        check(10, Some(2));
        check(11, Some(4));
        check(19, Some(4));
        check(20, Some(7));
        check(99, Some(7));
        assert_eq!(terms.first_index(), LogIndex(10));
        terms.cut(LogIndex(19));
        assert_eq!(terms.last_term(), Term::new(4));
        terms.cut(LogIndex(9));
        assert_eq!(terms.last_term(), Term::new(2));
    }

    #[test]
    fn what_the_log_loses_at_its_beginning_is_forgotten_but_for_the_term_before() {
        let mut terms = Terms::new(Term::ZERO, LogIndex(1));
        for (index, term) in [(1, 1), (5, 2), (9, 4)] {
            terms.note(LogIndex(index), Term::new(term));
        }
        for (first, before, rows) in [(4, 1, 3), (6, 2, 2), (9, 2, 2), (10, 4, 1), (3, 4, 1)] {
            terms.begin_with(LogIndex(first));
            let first = first.max(terms.first_index().0);
            assert_eq!(terms.at(LogIndex(first - 1)), Some(Term::new(before)));
            assert_eq!(terms.rows.len(), rows, "from {first} on");
            assert_eq!(terms.at(LogIndex(first - 2)), None);
        }
        assert_eq!(terms.first_index(), LogIndex(10));
        assert_eq!(terms.last_term(), Term::new(4));
    }
}
