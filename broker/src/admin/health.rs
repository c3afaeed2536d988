//! Whether the broker lives, and whether it is ready.
//!
//! *Ready* is for those who send clients: all partitions are open, those of others that lead
//! them have been caught up with once, and the broker is not stopping.
//! *Live* is for those who would kill and restart it: the data plane's thread still moves. An idle
//! data plane moves as well, since a task of it shows itself twice a second. While the broker
//! starts or stops, its thread may be held up by the disk for as long as that takes, and to kill it
//! would only make that longer: it counts as live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use klamm_model::Instant;

use crate::clock::Clock;

/// How often the data plane shows itself.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// A data plane that was not seen for so long stands still.
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(5);

/// How far the broker has got with its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    /// Clients are served, but replicas here lack what their leaders have.
    CatchingUp,
    Running,
    Stopping,
}

impl Phase {
    const ALL: [Self; 4] = [
        Self::Starting,
        Self::CatchingUp,
        Self::Running,
        Self::Stopping,
    ];

    /// Whether clients are served.
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::CatchingUp | Self::Running)
    }
}

/// Set by the data plane, read by the admin port.
#[derive(Debug)]
pub(crate) struct Health {
    phase: AtomicU8,
    /// Milliseconds since the start.
    heartbeat: AtomicU64,
}

/// Why the answer is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unhealthy {
    #[error("the broker is starting: its partitions are not open yet")]
    Starting,
    #[error(
        "the broker serves, but its replicas have not caught up with their leaders since it started"
    )]
    CatchingUp,
    #[error("the broker is stopping")]
    Stopping,
    #[error(
        "the data plane's thread has not moved for {} s: it waits for a disk, or computes without end",
        age.as_secs()
    )]
    StandsStill { age: Duration },
}

impl Health {
    /// Of a broker that starts now.
    pub(crate) fn new(now: Instant) -> Self {
        let health = Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            heartbeat: AtomicU64::new(0),
        };
        health.beat(now);
        health
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// All replicas have caught up once.
    pub(crate) fn caught_up(&self) {
        if self.phase() == Phase::CatchingUp {
            self.enter(Phase::Running);
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    fn beat(&self, now: Instant) {
        let millis = u64::try_from(now.since_start().as_millis()).unwrap_or(u64::MAX);
        self.heartbeat.store(millis, Ordering::Relaxed);
    }

    /// How long ago the data plane was seen.
    pub(crate) fn heartbeat_age(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.heartbeat.load(Ordering::Relaxed));
        now.since(Instant::after_start(last))
    }

    /// Whether the process does anything at all.
    pub(crate) fn live(&self, now: Instant) -> Result<(), Unhealthy> {
        let age = self.heartbeat_age(now);
        match self.phase() {
            phase if phase.serves() && age > HEARTBEAT_AGE_MAX => {
                Err(Unhealthy::StandsStill { age })
            }
            _ => Ok(()),
        }
    }

    /// Whether clients should be sent here, and the next broker may be restarted.
    pub(crate) fn ready(&self, now: Instant) -> Result<(), Unhealthy> {
        match self.phase() {
            Phase::Starting => Err(Unhealthy::Starting),
            Phase::Stopping => Err(Unhealthy::Stopping),
            Phase::CatchingUp => Err(Unhealthy::CatchingUp),
            Phase::Running => self.live(now),
        }
    }
}

/// The heart: a task of the data plane.
pub(crate) async fn beat(health: Arc<Health>, clock: Clock) {
    loop {
        health.beat(clock.now());
        tokio::time::sleep(HEARTBEAT_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_data_plane_that_stands_still_is_named_only_while_it_should_serve() {
        let health = Health::new(at(0));
        assert_eq!(health.live(at(600)), Ok(()), "recovery may take its time");
        assert_eq!(health.ready(at(1)), Err(Unhealthy::Starting));
        health.caught_up();
        assert_eq!(health.ready(at(1)), Err(Unhealthy::Starting));
        health.enter(Phase::CatchingUp);
        assert_eq!(health.ready(at(1)), Err(Unhealthy::CatchingUp));
        health.caught_up();
        health.beat(at(600));
        assert_eq!(health.live(at(605)), Ok(()));
        assert_eq!(health.ready(at(605)), Ok(()));
        let age = Duration::from_secs(6);
        assert_eq!(health.live(at(606)), Err(Unhealthy::StandsStill { age }));
        assert_eq!(health.ready(at(606)), Err(Unhealthy::StandsStill { age }));
        health.beat(at(606));
        assert_eq!(health.ready(at(607)), Ok(()));
        health.enter(Phase::Stopping);
        health.caught_up();
        assert_eq!(health.ready(at(607)), Err(Unhealthy::Stopping));
        assert_eq!(health.live(at(700)), Ok(()), "so may closing");
    }
}
