//! How many connections there may be: in all, per client address, and new ones per second
//! (`max.connections`, `max.connections.per.ip`, `max.connection.creation.rate`; KIP-402, KIP-612).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use klamm_model::Instant;
use tokio::sync::Notify;

use crate::config::NetworkConfig;

/// Limits on connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) total_max: usize,
    pub(crate) per_ip_max: usize,
    pub(crate) per_ip_overrides: BTreeMap<IpAddr, usize>,
    pub(crate) created_per_second_max: u32,
}

impl ConnectionLimits {
    /// As the settings say.
    pub(crate) fn of(network: &NetworkConfig) -> Self {
        Self {
            total_max: network.max_connections,
            per_ip_max: network.max_connections_per_ip,
            per_ip_overrides: network.max_connections_per_ip_overrides.clone(),
            created_per_second_max: network.max_connection_creation_rate,
        }
    }
}

/// Counts connections against their limits.
#[derive(Debug)]
pub(crate) struct ConnectionQuota {
    /// What the process has file descriptors for, whatever the settings say.
    ceiling: usize,
    limits: RefCell<ConnectionLimits>,
    total: Cell<usize>,
    per_ip: RefCell<BTreeMap<IpAddr, usize>>,
    window: Cell<(Instant, u32)>,
    /// A connection has ended, or the limits are others.
    changed: Notify,
}

const RATE_WINDOW: Duration = Duration::from_secs(1);

impl ConnectionQuota {
    pub(crate) fn new(limits: ConnectionLimits, ceiling: usize) -> Self {
        Self {
            ceiling,
            limits: RefCell::new(limits),
            total: Cell::new(0),
            per_ip: RefCell::default(),
            window: Cell::new((Instant::START, 0)),
            changed: Notify::new(),
        }
    }

    /// Changes the limits, for connections that come from now on.
    pub(crate) fn set_limits(&self, limits: ConnectionLimits) {
        self.limits.replace(limits);
        self.changed.notify_waiters();
    }

    /// Waits until one more connection fits the total; the backlog of the socket holds the others.
    pub(crate) async fn vacancy(&self) {
        while self.total.get() >= self.total_max() {
            self.changed.notified().await;
        }
    }

    /// Connections there are.
    pub(crate) fn total(&self) -> usize {
        self.total.get()
    }

    /// Connections there may be.
    pub(crate) fn total_max(&self) -> usize {
        self.limits.borrow().total_max.min(self.ceiling)
    }

    /// How long to wait before the next connection may be accepted.
    pub(crate) fn pause_before_next(&self, now: Instant) -> Option<Duration> {
        let (window_start, accepted) = self.window.get();
        let age = now.since(window_start);
        if age >= RATE_WINDOW || accepted < self.limits.borrow().created_per_second_max {
            return None;
        }
        Some(RATE_WINDOW - age)
    }

    /// Counts a connection from `ip`, or refuses it: `false` means "close it at once".
    pub(crate) fn open(&self, ip: IpAddr, now: Instant) -> bool {
        let limits = self.limits.borrow();
        let mut per_ip = self.per_ip.borrow_mut();
        let count = per_ip.get(&ip).copied().unwrap_or(0);
        let max = limits
            .per_ip_overrides
            .get(&ip)
            .copied()
            .unwrap_or(limits.per_ip_max);
        if count >= max {
            return false;
        }
        per_ip.insert(ip, count + 1);
        self.total.set(self.total.get() + 1);
        let (window_start, accepted) = self.window.get();
        // The first second begins with the first connection, not with the process.
        let fresh = accepted == 0 || now.since(window_start) >= RATE_WINDOW;
        self.window.set(if fresh {
            (now, 1)
        } else {
            (window_start, accepted + 1)
        });
        true
    }

    /// Counts a connection out.
    pub(crate) fn close(&self, ip: IpAddr) {
        let mut per_ip = self.per_ip.borrow_mut();
        let count = per_ip
            .get_mut(&ip)
            .expect("a connection was counted before it is closed");
        *count -= 1;
        if *count == 0 {
            per_ip.remove(&ip);
        }
        self.total.set(self.total.get() - 1);
        // All listeners that wait: the one woken might be one nobody wants to connect to.
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(total_max: usize, per_ip_max: usize, rate: u32) -> ConnectionQuota {
        let limits = ConnectionLimits {
            total_max,
            per_ip_max,
            per_ip_overrides: BTreeMap::from([(IpAddr::from([10, 0, 0, 9]), 5)]),
            created_per_second_max: rate,
        };
        ConnectionQuota::new(limits, usize::MAX)
    }

    #[test]
    fn an_address_is_refused_beyond_its_own_limit() {
        let quota = quota(100, 2, 100);
        let (ordinary, special) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 9]));
        let open = |ip| quota.open(ip, Instant::START);
        assert!(open(ordinary) && open(ordinary) && !open(ordinary));
        assert!((0..5).all(|_| open(special)) && !open(special));
        quota.close(ordinary);
        assert!(open(ordinary));
    }

    #[test]
    fn other_limits_hold_from_the_next_connection_on() {
        let quota = quota(100, 1, 100);
        let ip = IpAddr::from([127, 0, 0, 1]);
        assert!(quota.open(ip, Instant::START) && !quota.open(ip, Instant::START));
        quota.set_limits(ConnectionLimits {
            total_max: 100,
            per_ip_max: 2,
            per_ip_overrides: BTreeMap::new(),
            created_per_second_max: 100,
        });
        assert!(quota.open(ip, Instant::START) && !quota.open(ip, Instant::START));
    }

    #[test]
    fn new_connections_are_spread_over_seconds() {
        let quota = quota(100, 100, 2);
        let ip = IpAddr::from([127, 0, 0, 1]);
        let first = Instant::START + RATE_WINDOW / 2;
        assert!(quota.open(ip, first) && quota.open(ip, first));
        assert_eq!(quota.pause_before_next(first), Some(RATE_WINDOW));
        assert_eq!(quota.pause_before_next(first + RATE_WINDOW), None);
    }
}
