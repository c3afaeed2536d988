//! What the threads of one run share: its clock, its schedule, and what has happened so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::bench::latencies::Latencies;
use crate::bench::schedule::Schedule;
use crate::bench::stamp::Stamp;
use crate::bench::totals::Totals;
use crate::bench::witness::Witness;
use crate::clock;
use crate::error::words;

/// Kinds of errors that are told apart; there are fewer codes than that.
const ERRORS_MAX: usize = 500;

/// One run, or the part of this process in one.
pub(in crate::bench) struct Run {
    /// Tells its messages from those of other runs.
    pub(super) id: u64,
    pub(in crate::bench) schedule: Schedule,
    drain: Duration,
    origin: OnceLock<Instant>,
    /// Producers that still send, or wait for acknowledgements.
    sending: AtomicU64,
    /// Consumers need not wait for anything more.
    ended: AtomicBool,
    counters: Counters,
    acknowledged: Mutex<Measured>,
    errors: Mutex<BTreeMap<String, u64>>,
    witness: Option<Arc<dyn Witness>>,
}

/// Messages so far, those of the warm-up too.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) consumed: AtomicU64,
    /// The longest way from due to consumed since somebody looked, in microseconds.
    pub(super) worst_us: AtomicU64,
}

/// Messages that arrived somewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) from_due: Latencies,
    pub(super) from_sent: Latencies,
    /// When the last came, counted from the start.
    pub(super) last: Duration,
}

impl Measured {
    /// Takes note of a message that has come `elapsed` after the start; how long its way was from
    /// when it was due.
    pub(super) fn record(
        &mut self,
        schedule: Schedule,
        stamp: Stamp,
        elapsed: Duration,
    ) -> Duration {
        let way = elapsed.saturating_sub(schedule.due(stamp.sequence));
        if schedule.is_measured(stamp.sequence) {
            self.from_due.record(way);
            self.from_sent.record(way.saturating_sub(stamp.late()));
            self.last = self.last.max(elapsed);
        }
        way
    }
}

impl Run {
    pub(super) fn new(
        id: u64,
        schedule: Schedule,
        drain: Duration,
        producers: u64,
        witness: Option<Arc<dyn Witness>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            schedule,
            drain,
            origin: OnceLock::new(),
            sending: AtomicU64::new(producers),
            ended: AtomicBool::new(false),
            counters: Counters::default(),
            acknowledged: Mutex::default(),
            errors: Mutex::default(),
            witness,
        })
    }

    /// The first message is due at `origin`.
    pub(super) fn begin(&self, origin: Instant) {
        self.origin.get_or_init(|| origin);
    }

    /// Time since the first message was due.
    pub(in crate::bench) fn elapsed(&self) -> Duration {
        clock::now().saturating_duration_since(self.origin())
    }

    /// How long it is until a message is due; zero if it is.
    pub(super) fn until_due(&self, sequence: u64) -> Duration {
        let due = self.origin() + self.schedule.due(sequence);
        due.saturating_duration_since(clock::now())
    }

    fn origin(&self) -> Instant {
        *self.origin.get_or_init(clock::now)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn drain(&self) -> Duration {
        self.drain
    }

    /// Whether a message can still be sent: there is an end to waiting for a full queue.
    pub(super) fn may_send(&self) -> bool {
        self.elapsed() < self.schedule.due(self.schedule.total()) + self.drain
    }

    /// A producer has sent all, and waited for its acknowledgements.
    pub(super) fn producer_ended(&self) {
        self.sending.fetch_sub(1, Ordering::AcqRel);
    }

    /// What has happened until now.
    pub(in crate::bench) fn totals(&self) -> Totals {
        let Counters {
            sent,
            acknowledged,
            failed,
            consumed,
            worst_us,
        } = &self.counters;
        Totals {
            // First: once nobody sends, nothing more is acknowledged.
            sending: self.sending.load(Ordering::Acquire),
            at: self.elapsed(),
            sent: sent.load(Ordering::Relaxed),
            acknowledged: acknowledged.load(Ordering::Acquire),
            failed: failed.load(Ordering::Relaxed),
            consumed: consumed.load(Ordering::Acquire),
            worst_us: worst_us.swap(0, Ordering::Relaxed),
        }
    }

    /// It is over: who receives need not go on.
    pub(in crate::bench) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn acknowledged(&self) -> MutexGuard<'_, Measured> {
        self.acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn witness(&self) -> Option<&dyn Witness> {
        self.witness.as_deref()
    }

    pub(super) fn count_error(&self, error: &KafkaError) {
        let why = words(error);
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < ERRORS_MAX || errors.contains_key(&why) {
            *errors.entry(why).or_default() += 1;
        }
    }

    pub(super) fn errors(&self) -> BTreeMap<String, u64> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.clone()
    }

    /// How long it was measured, if the last of something came `last` after the start: at least as
    /// long as messages were due.
    pub(super) fn measured_until(&self, last: Duration) -> Duration {
        let warm_up = Duration::from_secs(self.schedule.warm_up);
        let planned = Duration::from_secs(self.schedule.seconds);
        let since = |at: Duration| at.saturating_sub(warm_up);
        let due = since(self.elapsed()).min(planned);
        since(last).max(due).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        rate: 10,
        warm_up: 1,
        seconds: 2,
    };

    #[test]
    fn latency_counts_from_when_a_message_was_due() {
        let mut measured = Measured::default();
        let stamp = |sequence| Stamp {
            run: 0,
            sequence,
            late_us: 30_000,
        };
        let ms = Duration::from_millis;
        // Due after 1.5 s, sent 30 ms late, come after another 20 ms.
        assert_eq!(measured.record(SCHEDULE, stamp(15), ms(1_550)), ms(50));
        assert_eq!(measured.from_due.percentile_ms(100.0).round(), 50.0);
        assert_eq!(measured.from_sent.percentile_ms(100.0).round(), 20.0);
        assert_eq!(measured.last, ms(1_550));
        measured.record(SCHEDULE, stamp(9), ms(60_000));
        assert_eq!(measured.from_due.count(), 1, "the warm-up does not count");
    }
}
