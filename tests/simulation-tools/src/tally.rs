//! What went wrong in a life, or in many: how often each kind of fault has come, and how much time passed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    lives: u64,
    lived: Duration,
    faults: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// One more of this kind, which is named in the plural.
    pub fn count(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// A life has ended after so much virtual time.
    pub fn ended(&mut self, after: Duration) {
        self.lives += 1;
        self.lived += after;
    }

    /// All of these together.
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.lives += tally.lives;
            sum.lived += tally.lived;
            for (kind, count) in &tally.faults {
                *sum.faults.entry(kind).or_default() += count;
            }
        }
        sum
    }

    /// Lives that have ended.
    pub fn lives(&self) -> u64 {
        self.lives
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.lived.as_secs_f64() / 3_600.0;
        let all: u64 = self.faults.values().sum();
        write!(
            f,
            "{} seeds, {hours:.1} virtual hours, {all} faults",
            self.lives
        )?;
        let mut before = ": ";
        for (kind, count) in &self.faults {
            write!(f, "{before}{count} {kind}")?;
            before = ", ";
        }
        Ok(())
    }
}

#[test]
fn what_went_wrong_in_many_lives_is_one_sum() {
    let life = |kinds: &[&'static str]| {
        let mut tally = Tally::default();
        kinds.iter().for_each(|kind| tally.count(kind));
        tally.ended(Duration::from_secs(1_800));
        tally
    };
    let sum = Tally::sum(&[life(&["kills"]), life(&["cuts", "kills"]), life(&[])]);
    let expected = "3 seeds, 1.5 virtual hours, 3 faults: 1 cuts, 2 kills";
    assert_eq!(sum.to_string(), expected);
}
