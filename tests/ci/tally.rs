//! Counting tests: what the closing lines of test runners say, added up.

use std::fmt;
use std::ops::AddAssign;

/// How many tests or checks passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One check that passed.
    pub(crate) const ONE_PASSED: Tally = Tally {
        passed: 1,
        failed: 0,
    };
    /// One check that failed.
    pub(crate) const ONE_FAILED: Tally = Tally {
        passed: 0,
        failed: 1,
    };

    /// Nothing was counted.
    pub(crate) fn is_empty(self) -> bool {
        self == Tally::default()
    }

    /// Reads the closing line of a test runner, or nothing from any other line.
    ///
    /// Two forms are known: libtest's `test result: ok. 3 passed; 0 failed; 0 ignored; …` and the
    /// plain `3 passed, 0 failed` (`, 1 skipped` may follow) alone on its line.
    pub(crate) fn from_line(line: &str) -> Option<Tally> {
        let line = line.trim();
        if let Some(result) = line.strip_prefix("test result: ") {
            let (_verdict, counts) = result.split_once(". ")?;
            let mut counts = counts.split("; ");
            return Some(Tally {
                passed: count(counts.next()?, "passed")?,
                failed: count(counts.next()?, "failed")?,
            });
        }
        let mut counts = line.split(", ");
        let tally = Tally {
            passed: count(counts.next()?, "passed")?,
            failed: count(counts.next()?, "failed")?,
        };
        match counts.next() {
            None => Some(tally),
            Some(skipped) => count(skipped, "skipped").map(|_| tally),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// `3 passed` → 3, when the word is the expected one.
fn count(text: &str, word: &str) -> Option<u64> {
    text.strip_suffix(word)?.strip_suffix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(u64, u64)>) {
        let expected = expected.map(|(passed, failed)| Tally { passed, failed });
        assert_eq!(Tally::from_line(line), expected, "{line}");
    }

    #[test]
    fn closing_lines_are_read_and_other_lines_are_not() {
        check(
            "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            Some((7, 0)),
        );
        check(
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured",
            Some((1, 2)),
        );
        check("12 passed, 3 failed", Some((12, 3)));
        check("12 passed, 3 failed, 1 skipped", Some((12, 3)));
        check("java: 12 passed, 3 failed", None);
        check("12 passed, 3 failed, so far", None);
        check("test produce ... ok", None);
        check("", None);
    }
}
