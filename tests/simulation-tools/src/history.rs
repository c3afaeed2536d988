//! What clients did to a cluster and what they were told: the operation log of a run, and the
//! checker that says whether a log which loses nothing could have answered so.
//!
//! It knows no broker, no clock and no process: a history may come from real clients, one line of
//! JSON per event ([`lines`]), or from a simulation that fills a [`History`] itself. Start with
//! [`event`], the vocabulary; [`checker`] has the rules, [`figures`] what a run was like for its clients.
//!
//! Without transactions, and for topics that nothing is deleted from and nothing compacts.

pub mod checker;
pub mod event;
pub mod figures;
pub mod lines;
pub mod payload;

use event::Entry;

/// All events of a run, in the order of their times.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Several clients' logs, each in its own order, as one.
    pub fn of(logs: impl IntoIterator<Item = Vec<Entry>>) -> Self {
        let mut entries: Vec<Entry> = logs.into_iter().flatten().collect();
        // A stable sort: what one client did within a microsecond stays in its order.
        entries.sort_by_key(|entry| entry.at_us);
        Self { entries }
    }

    /// All of them, in that order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
