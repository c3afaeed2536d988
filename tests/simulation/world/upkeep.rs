//! The flusher, retention, rolls, checkpoints, settings, and the clock.

use std::fmt::Write as _;

use super::{PARTITIONS, World, config};

impl World {
    pub(super) fn begin_flush(&mut self) {
        let number = self.random.below(PARTITIONS as u64) as usize;
        let mut outcomes = vec![Vec::new(); PARTITIONS];
        let partition = self.partition(number);
        if partition.flush.is_none() {
            let ticket = partition.driver.begin_sync(&mut outcomes[number]);
            let end = partition.driver.log_end_offset().get();
            partition.flush = ticket.map(|ticket| (ticket, end));
        }
        self.take_in(outcomes);
    }

    pub(super) fn end_flush(&mut self) {
        let now = self.now;
        let put_off = self.out_of_files;
        let number = self.random.below(PARTITIONS as u64) as usize;
        let partition = self.partition(number);
        let Some((ticket, end)) = partition.flush.take() else {
            return;
        };
        let done = ticket.run();
        let mut outcomes = vec![Vec::new(); PARTITIONS];
        let own = &mut outcomes[number];
        partition.driver.sync_finished(now, done, own);
        if partition.driver.offline().is_none() && !put_off {
            self.oracles[number].flushed(end);
        }
        self.note(|line| write!(line, "flushed {number} to {end}"));
        self.take_in(outcomes);
    }

    pub(super) fn retention(&mut self) {
        let wall = self.wall;
        let number = self.random.below(PARTITIONS as u64) as usize;
        let bound = self.partition(number).driver.committed_offset();
        self.oracles[number].may_start_at(bound.get());
        let partition = self.partition(number);
        let deleted = partition
            .driver
            .log_mut()
            .apply_retention(wall, bound, true);
        if let Ok(ticket) = deleted {
            partition.deletions.extend(ticket);
            self.note_log_start(number);
        }
    }

    pub(super) fn delete_records(&mut self) {
        let number = self.random.below(PARTITIONS as u64) as usize;
        let partition = self.partition(number);
        let (start, end) = (
            partition.driver.log_start_offset(),
            partition.driver.committed_offset(),
        );
        let before = start.plus(self.random.below(end.since(start).max(0) as u64 + 1) as i64);
        self.oracles[number].may_start_at(before.get());
        let partition = self.partition(number);
        if let Ok(ticket) = partition.driver.log_mut().delete_records(before, end) {
            partition.deletions.extend(ticket);
            self.note_log_start(number);
        }
    }

    pub(super) fn note_log_start(&mut self, number: usize) {
        let start = self.partition(number).driver.log_start_offset().get();
        self.note(|line| write!(line, "{number} starts at {start}"));
        self.oracles[number].log_starts_at(start);
    }

    pub(super) fn roll(&mut self) {
        let wall = self.wall;
        let number = self.random.below(PARTITIONS as u64) as usize;
        // A roll that fails leaves the log as it was or takes it offline; both are checked later.
        let _ = self.partition(number).driver.log_mut().roll(wall);
    }

    pub(super) fn checkpoint(&mut self) {
        let broker = self.broker.as_ref().expect("a broker runs");
        // A checkpoint that was not written only makes the next start slower.
        let _ = broker.dir.write_checkpoints(&broker.checkpoints());
    }

    pub(super) fn run_deletions(&mut self) {
        let number = self.random.below(PARTITIONS as u64) as usize;
        for ticket in std::mem::take(&mut self.partition(number).deletions) {
            // What was not deleted now is deleted at the next start.
            let _ = ticket.run();
        }
    }

    /// The wall clock is set by hand: an hour back or forth.
    pub(super) fn jump_clock(&mut self) {
        self.tally.count("jumps of wall clocks");
        let hours = if self.random.one_in(2) { 1 } else { -1 };
        self.wall = self.wall.plus_millis(hours * 3_600_000);
    }

    pub(super) fn change_config(&mut self) {
        let now = self.now;
        let number = self.random.below(PARTITIONS as u64) as usize;
        let config = config(&mut self.random);
        self.configs[number] = config.clone();
        let mut outcomes = vec![Vec::new(); PARTITIONS];
        let driver = &mut self.partition(number).driver;
        let end = driver.log_end_offset().get();
        driver.set_config(now, config, &mut outcomes[number]);
        self.config_holds_after[number] = end;
        self.take_in(outcomes);
    }
}
