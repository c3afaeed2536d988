//! Where each leader epoch starts: Kafka's `LeaderEpochFileCache` and its file
//! `leader-epoch-checkpoint`.
//!
//! A projection of the journal's no-op entries (term T at offset O is the row (T, O)); the file is
//! for Kafka's tools and for people, the journal is the truth.

use std::fmt::Write as _;

use klamm_model::{LeaderEpoch, Offset};

/// A row: the epoch and the first offset written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// Which leadership.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start_offset: Offset,
}

/// Rows with epochs and start offsets both rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// The rows, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// The epoch that an offset was (or would be) written in.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        let row = after.checked_sub(1)?;
        Some(self.entries[row].epoch)
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch up to `epoch` and where it ends. `None`
    /// where Kafka answers "undefined".
    pub fn end_offset_of(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if epoch.0 < 0 {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let higher = self.entries.get(above)?;
        let answered = match above.checked_sub(1) {
            Some(floor) => self.entries[floor].epoch,
            None => epoch,
        };
        Some((answered, higher.start_offset))
    }

    /// Adds a row; rows it contradicts (same or later epoch, same or later start) go. Returns
    /// whether anything changed.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        let entry = EpochEntry {
            epoch,
            start_offset,
        };
        if self.entries.last() == Some(&entry) {
            return false;
        }
        let keep = self
            .entries
            .partition_point(|row| row.epoch < epoch && row.start_offset < start_offset);
        self.entries.truncate(keep);
        self.entries.push(entry);
        true
    }

    /// Drops rows that end at or before `start_offset`, and lets the first that is left start
    /// there.
    pub(crate) fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let after = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        let Some(first) = after.checked_sub(1) else {
            return false;
        };
        let changed = first > 0 || self.entries[first].start_offset != start_offset;
        self.entries.drain(..first);
        self.entries[0].start_offset = start_offset;
        changed
    }

    /// The file: version, count, rows.
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            let _ = writeln!(text, "{} {}", entry.epoch.0, entry.start_offset);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(rows: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in rows {
            epochs.assign(LeaderEpoch(*epoch), Offset::new(*start));
        }
        epochs
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = epochs(&[(1, 0), (3, 10), (5, 25)]);
        let check = |epoch: i32, expected: Option<(i32, i64)>| {
            let found = epochs.end_offset_of(LeaderEpoch(epoch), Offset::new(40));
            let found = found.map(|(epoch, offset)| (epoch.0, offset.get()));
            assert_eq!(found, expected, "epoch {epoch}");
        };
        check(-1, None);
        check(0, Some((0, 0)));
        check(1, Some((1, 10)));
        check(2, Some((1, 10)));
        check(3, Some((3, 25)));
        check(4, Some((3, 25)));
        check(5, Some((5, 40)));
        check(6, None);
    }

    #[test]
    fn an_epoch_without_records_gives_way_to_the_next() {
        let epochs = epochs(&[(1, 0), (2, 10), (3, 10)]);
        assert_eq!(epochs.encode(), "0\n2\n1 0\n3 10\n");
        assert_eq!(epochs.epoch_at(Offset::new(9)), Some(LeaderEpoch(1)));
        assert_eq!(epochs.epoch_at(Offset::new(10)), Some(LeaderEpoch(3)));
    }

    #[test]
    fn the_start_can_be_cut() {
        let mut rows = epochs(&[(1, 0), (3, 10), (5, 25)]);
        assert!(rows.truncate_from_start(Offset::new(12)));
        assert_eq!(rows.encode(), "0\n2\n3 12\n5 25\n");
        assert!(!rows.truncate_from_start(Offset::new(12)));
    }
}
