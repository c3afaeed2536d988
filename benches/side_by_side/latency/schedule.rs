//! When messages are due, and the stamp by which the consumer knows.

use std::time::{Duration, Instant};

/// A message that arrives later than this after the last was due counts as never arrived.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// A generator that slept for each of 73,800 messages per second would keep one of two cores busy
/// with falling asleep. What is due meanwhile is late by this at most, and that counts.
const WAKE_UP_EVERY: Duration = Duration::from_micros(100);

/// When messages are due, whoever sends them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) origin: Instant,
    pub(crate) interval: Duration,
    /// How many there are.
    pub(crate) total: u64,
    /// When senders and receivers give up.
    pub(crate) deadline: Instant,
}

impl Schedule {
    /// Of `rate` messages per second, beginning soon.
    pub(crate) fn of(rate: u64, duration: Duration) -> Self {
        let origin = Instant::now() + Duration::from_millis(500);
        Self {
            origin,
            interval: Duration::from_secs(1) / u32::try_from(rate).expect("a lawful rate"),
            total: rate * duration.as_secs(),
            deadline: origin + duration + STRAGGLERS,
        }
    }

    /// How long after the origin a message is due.
    pub(crate) fn due_after(&self, sequence: u64) -> Duration {
        self.interval * u32::try_from(sequence).expect("a run of minutes")
    }

    /// When a message is due.
    pub(crate) fn due(&self, sequence: u64) -> Instant {
        self.origin + self.due_after(sequence)
    }

    /// Waits until a message is due; whether it had to wait.
    pub(crate) fn wait_for(&self, sequence: u64) -> bool {
        let left = self.due(sequence).saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.max(WAKE_UP_EVERY));
        true
    }

    /// One place for each message.
    pub(crate) fn places(&self) -> Vec<Option<Duration>> {
        vec![None; usize::try_from(self.total).expect("it fits into memory")]
    }

    /// What a message carries at its front, to be told apart.
    pub(crate) fn stamp(&self, payload: &mut [u8], sequence: u64) {
        payload[..8].copy_from_slice(&sequence.to_be_bytes());
        let nanos = self.due_after(sequence).as_nanos();
        let nanos = u64::try_from(nanos).expect("a run of minutes");
        payload[8..16].copy_from_slice(&nanos.to_be_bytes());
    }

    /// Takes note of a message that has arrived; whether it is a new one of ours.
    pub(crate) fn arrived(&self, payload: &[u8], arrived: &mut [Option<Duration>]) -> bool {
        let after = Instant::now().saturating_duration_since(self.origin);
        let Some((sequence, due)) = stamps(payload) else {
            return false;
        };
        let place = usize::try_from(sequence)
            .ok()
            .and_then(|index| arrived.get_mut(index));
        match place {
            Some(place @ None) => {
                *place = Some(after.saturating_sub(due));
                true
            }
            _ => false,
        }
    }
}

/// Sequence number and due time of a message of ours.
fn stamps(payload: &[u8]) -> Option<(u64, Duration)> {
    let sequence = payload.first_chunk()?;
    let nanos = payload.get(8..)?.first_chunk()?;
    Some((
        u64::from_be_bytes(*sequence),
        Duration::from_nanos(u64::from_be_bytes(*nanos)),
    ))
}
