//! How long to wait before it is looked again for partitions that could not be opened: ever longer, while
//! some cannot be.

use std::time::Duration;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    wait: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);

    /// How long until the next look.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// It was looked, and all that was missing, if anything, is open now, or not.
    pub fn looked(&mut self, all_are_open: bool) {
        self.wait = match all_are_open {
            true => Self::FIRST,
            false => Self::LONGEST.min(self.wait * 2),
        };
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { wait: Self::FIRST }
    }
}

#[test]
fn what_cannot_be_opened_is_tried_ever_more_rarely() {
    let mut patience = Patience::default();
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(patience.wait().as_secs());
        patience.looked(false);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    patience.looked(true);
    assert_eq!(patience.wait().as_secs(), 1);
}
