//! The highest rate of which something is true, if it is true of all lower ones: twice as much
//! each time, then halfway between what went and what did not.

/// Where the first step begins, and the last ends.
const LOWEST: u64 = 250;
const HIGHEST: u64 = 512_000;
/// A result that is this close is close enough: the machine itself is not steadier.
const CLOSE: f64 = 1.12;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Search {
    went: Option<u64>,
    did_not: Option<u64>,
}

impl Search {
    /// The rate to try now, until the search is over.
    pub(super) fn next(&self) -> Option<u64> {
        match (self.went, self.did_not) {
            (None, None) => Some(LOWEST),
            (None, Some(_)) => None,
            (Some(went), None) => Some(went * 2).filter(|next| *next <= HIGHEST),
            (Some(went), Some(not)) => {
                let is_close = not as f64 / went as f64 <= CLOSE;
                (!is_close).then_some(went.midpoint(not))
            }
        }
    }

    pub(super) fn learn(&mut self, rate: u64, went: bool) {
        match went {
            true => self.went = Some(rate),
            false => self.did_not = Some(rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(limit: u64) -> (Option<u64>, usize) {
        let mut search = Search::default();
        let mut tries = 0;
        while let Some(rate) = search.next() {
            search.learn(rate, rate <= limit);
            tries += 1;
        }
        (search.went, tries)
    }

    #[test]
    fn the_limit_is_found_closely_and_soon() {
        for limit in [250, 300, 1_999, 2_000, 73_800] {
            let (found, tries) = search(limit);
            let found = found.expect("the lowest goes");
            assert!(found <= limit && limit as f64 <= found as f64 * CLOSE);
            assert!(tries < 16, "{tries}");
        }
    }

    #[test]
    fn there_may_be_no_limit_and_nothing_that_goes() {
        assert_eq!(search(u64::MAX).0, Some(HIGHEST));
        assert_eq!(search(0), (None, 1));
    }
}
