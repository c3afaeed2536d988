//! How far a log has come without a gap, where its entries go two ways: batches to the segments,
//! entries without records to the journal.

use std::collections::VecDeque;

use klamm_model::LogIndex;

/// Which way an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Batch,
    Meta,
}

/// The last entry up to which all have arrived. Its memory does not grow with the number of
/// entries, only with how often their kind changes.
#[derive(Debug)]
pub(crate) struct Reach {
    reached: LogIndex,
    /// What follows, by kind; each run begins where the one before it ends.
    runs: VecDeque<Run>,
    /// Up to here every batch has arrived.
    batches: LogIndex,
    /// Up to here every entry without records has.
    metas: LogIndex,
}

#[derive(Debug)]
struct Run {
    kind: Kind,
    last: LogIndex,
}

impl Reach {
    /// Of a log that is there up to `last`.
    pub(crate) fn new(last: LogIndex) -> Self {
        Self {
            reached: last,
            runs: VecDeque::new(),
            batches: last,
            metas: last,
        }
    }

    /// The last entry before the first that has not arrived.
    pub(crate) fn reached(&self) -> LogIndex {
        self.reached
    }

    /// The next entry, on its way.
    pub(crate) fn expect(&mut self, kind: Kind, index: LogIndex) {
        match self.runs.back_mut() {
            Some(run) if run.kind == kind => run.last = index,
            _ => self.runs.push_back(Run { kind, last: index }),
        }
    }

    /// All entries of a kind have arrived up to `through`.
    pub(crate) fn arrived(&mut self, kind: Kind, through: LogIndex) {
        let mark = match kind {
            Kind::Batch => &mut self.batches,
            Kind::Meta => &mut self.metas,
        };
        *mark = through.max(*mark);
        while let Some(run) = self.runs.front() {
            let mark = match run.kind {
                Kind::Batch => self.batches,
                Kind::Meta => self.metas,
            };
            self.reached = self.reached.max(mark.min(run.last));
            if mark < run.last {
                break;
            }
            self.runs.pop_front();
        }
    }

    /// The log ends at `last` now; what was expected behind it will not come.
    pub(crate) fn cut(&mut self, last: LogIndex) {
        while let Some(run) = self.runs.pop_back() {
            let before = self.runs.back().map_or(self.reached, |run| run.last);
            if before < last {
                let last = last.min(run.last);
                self.runs.push_back(Run { last, ..run });
                break;
            }
        }
        for mark in [&mut self.reached, &mut self.batches, &mut self.metas] {
            *mark = last.min(*mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// #4 batch, #5 meta, #6 and #7 batches.
    fn expecting() -> Reach {
        let mut reach = Reach::new(LogIndex(3));
        for (index, kind) in [
            (4, Kind::Batch),
            (5, Kind::Meta),
            (6, Kind::Batch),
            (7, Kind::Batch),
        ] {
            reach.expect(kind, LogIndex(index));
        }
        reach
    }

    #[test]
    fn a_gap_holds_back_what_is_behind_it() {
        let mut reach = expecting();
        reach.arrived(Kind::Batch, LogIndex(6));
        assert_eq!(reach.reached(), LogIndex(4));
        reach.arrived(Kind::Meta, LogIndex(5));
        assert_eq!(reach.reached(), LogIndex(6));
        reach.arrived(Kind::Batch, LogIndex(7));
        assert_eq!(reach.reached(), LogIndex(7));
    }

    #[test]
    fn what_takes_the_place_of_something_cut_is_expected_anew() {
        let mut reach = expecting();
        reach.arrived(Kind::Batch, LogIndex(7));
        reach.cut(LogIndex(5));
        reach.arrived(Kind::Meta, LogIndex(5));
        assert_eq!(reach.reached(), LogIndex(5));
        reach.expect(Kind::Batch, LogIndex(6));
        assert_eq!(reach.reached(), LogIndex(5));
        reach.arrived(Kind::Batch, LogIndex(6));
        reach.cut(LogIndex(2));
        assert_eq!(reach.reached(), LogIndex(2));
    }
}
