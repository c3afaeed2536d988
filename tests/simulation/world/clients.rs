//! Producers send, turns are taken, acknowledgements go out, consumers read.

use std::fmt::Write as _;

use klamm_broker::partition::driver::{AppendOrigin, Outcome, StageError, Staged};
use klamm_model::Offset;

use super::{PARTITIONS, Pending, Planted, World};
use crate::broker::{Partition, Write};
use crate::checker;
use crate::workload::Sent;

impl World {
    /// Several producers send, some of them twice; then comes the turn.
    pub(super) fn produce(&mut self) {
        for _ in 0..=self.random.below(6) {
            let nth = self.random.place(&self.producers);
            if self.random.one_in(8)
                && let Some(sent) = self.producers[nth].again(&mut self.random)
            {
                self.send(nth, sent, false);
                continue;
            }
            let producer = &mut self.producers[nth];
            let next = producer.next(&mut self.random, &mut self.numbers, self.wall);
            if let Some(sent) = next {
                self.send(nth, sent, true);
            }
        }
        self.turn();
    }

    pub(super) fn send(&mut self, nth: usize, sent: Sent, is_next: bool) {
        let number = self.producers[nth].partition;
        let broker = self.broker.as_mut().expect("a broker runs");
        let driver = &mut broker.partitions[number].driver;
        let staged = driver.stage(sent.batch, AppendOrigin::Client);
        self.note(|line| write!(line, "send {nth} to {number}: {staged:?}"));
        let (base_offset, last_offset) = match staged {
            Ok(Staged::Appended {
                base_offset,
                last_offset,
                ..
            }) => {
                assert!(is_next, "a repeat was taken for a new batch");
                self.oracles[number].tried(base_offset.get(), &sent.records);
                (base_offset, last_offset)
            }
            Ok(Staged::Duplicate {
                base_offset,
                last_offset,
                ..
            }) => {
                self.oracles[number].repeated(base_offset.get(), &sent.records);
                (base_offset, last_offset)
            }
            Err(StageError::Producer(_)) => return self.producers[nth].reset(&mut self.numbers),
            Err(_) => return,
        };
        if !is_next {
            return;
        }
        self.producers[nth].taken(base_offset.get());
        self.pending.push(Pending {
            producer: nth,
            partition: number,
            end: last_offset.get() + 1,
            records: sent.records,
        });
        if self.planted == Some(Planted::AckBeforeWrite) {
            self.acknowledge();
        }
    }

    pub(super) fn turn(&mut self) {
        let (now, wall) = (self.now, self.wall);
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); PARTITIONS];
        let broker = self.broker.as_mut().expect("a broker runs");
        for (partition, own) in broker.partitions.iter_mut().zip(&mut outcomes) {
            partition.driver.turn(now, wall, own);
            while let Some(ticket) = partition.driver.begin_write(now, wall, own) {
                if self.random.one_in(3) {
                    partition.write = Some(Write::Begun(ticket));
                    break;
                }
                partition.driver.write_finished(now, ticket.run(), own);
            }
            if partition
                .driver
                .next_deadline()
                .is_some_and(|due| now >= due)
            {
                partition.driver.tick(now, own);
            }
        }
        broker.sync_journal(now, &mut outcomes);
        self.take_in(outcomes);
    }

    /// A write that is made elsewhere gets on: it reaches the disk, or the driver is told.
    pub(super) fn progress_write(&mut self) {
        let number = self.random.below(PARTITIONS as u64) as usize;
        let now = self.now;
        let partition = self.partition(number);
        match partition.write.take() {
            None => {}
            Some(Write::Begun(ticket)) => {
                partition.write = Some(Write::Done(ticket.run()));
                self.note(|line| write!(line, "written to {number}"));
            }
            Some(Write::Done(done)) => {
                let mut outcomes = vec![Vec::new(); PARTITIONS];
                let own = &mut outcomes[number];
                partition.driver.write_finished(now, done, own);
                self.take_in(outcomes);
                // What has come meanwhile goes with the next write.
                self.turn();
            }
        }
    }

    /// Every write that is under way comes to its end.
    pub(super) fn finish_writes(&mut self) {
        let is_writing = |p: &Partition| p.write.is_some();
        while self
            .broker
            .as_ref()
            .is_some_and(|broker| broker.partitions.iter().any(is_writing))
        {
            self.progress_write();
        }
    }

    pub(super) fn consume(&mut self) {
        self.have_files(true);
        let number = self.random.below(PARTITIONS as u64) as usize;
        let broker = self.broker.as_mut().expect("a broker runs");
        let driver = &mut broker.partitions[number].driver;
        if driver.log().offline().is_some() {
            return;
        }
        let (start, end) = (driver.log_start_offset(), driver.high_watermark());
        let from = start.plus(self.random.below(end.since(start).max(0) as u64) as i64);
        checker::records(driver, from, &self.oracles[number]);
    }

    pub(super) fn take_in(&mut self, outcomes: Vec<Vec<Outcome>>) {
        for (number, own) in outcomes.into_iter().enumerate() {
            for outcome in own {
                self.note(|line| write!(line, "{number}: {outcome:?}"));
                match outcome {
                    Outcome::Offline { .. } => self.forget_partition(number),
                    Outcome::StagedDropped { from_offset } => {
                        self.oracles[number].dropped(from_offset.get());
                        self.forget_partition(number);
                    }
                    _ => {}
                }
            }
        }
        self.acknowledge();
    }

    /// Everybody who waits for the partition is told that it failed, and tries again.
    pub(super) fn forget_partition(&mut self, number: usize) {
        self.pending.retain(|pending| pending.partition != number);
        for producer in self.producers.iter_mut().filter(|p| p.partition == number) {
            producer.disconnected();
        }
    }

    pub(super) fn acknowledge(&mut self) {
        let broker = self.broker.as_ref().expect("a broker runs");
        let safe = |pending: &mut Pending| {
            let driver = &broker.partitions[pending.partition].driver;
            let end = Offset::new(pending.end);
            match self.planted {
                Some(Planted::AckBeforeWrite) => true,
                Some(Planted::AckBeforeFlush) => end <= driver.log_end_offset(),
                _ => end <= driver.high_watermark(),
            }
        };
        let acknowledged: Vec<Pending> = self.pending.extract_if(.., safe).collect();
        for pending in acknowledged {
            let strict = self.configs[pending.partition].flush_messages == 1
                && pending.end > self.config_holds_after[pending.partition];
            self.oracles[pending.partition].acknowledged(pending.end, strict);
            self.producers[pending.producer].acknowledged(&pending.records);
        }
    }
}
