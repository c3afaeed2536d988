//! What was used, by whom: one sensor for all who share a limit.
//!
//! Clients choose their client-ids, so their number has to be bounded here. A sensor that was not
//! used for a whole window remembers nothing, and can go without anybody noticing; that is done
//! when there is no room. Those for whom there is none even then share one sensor: a client that
//! makes up names gets no more than one limit by that, and the memory of none.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::QuotaKey;
use klamm_metadata::client_quota::SharedBy;
use klamm_model::Instant;

use super::rate::{Rate, Window};

/// Sensors at the most; one takes about 400 bytes and its names.
pub(super) const SENSORS_MAX: usize = 10_000;
/// Longer names, user and client-id together, get no sensor of their own.
pub(super) const NAMES_BYTES_MAX: usize = 1_024;
/// A sensor that was not used for so long goes in any case, as in Kafka
/// (`INACTIVE_SENSOR_EXPIRATION_TIME_SECONDS`).
const EXPIRATION: Duration = Duration::from_secs(3_600);
/// How often expired sensors are looked for, and room is made, at the most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What was used of one limit.
#[derive(Debug, Default)]
pub(crate) struct Sensor {
    rate: RefCell<Rate>,
    last_used: Cell<Instant>,
    /// It is in the table no more: who uses it looks for another.
    is_retired: Cell<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    key: QuotaKey,
    user: Box<str>,
    client_id: Box<str>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sensors {
    window: Window,
    by_name: BTreeMap<Name, Rc<Sensor>>,
    /// For those for whom there is no room, by kind.
    common: [Rc<Sensor>; QuotaKey::ALL.len()],
    swept: Instant,
}

/// A sensor, and for how long it may be kept.
pub(super) struct Found {
    pub(super) sensor: Rc<Sensor>,
    /// Until it is retired; otherwise it is looked for again each time.
    pub(super) is_own: bool,
}

impl Sensor {
    pub(super) fn record(&self, window: Window, amount: f64, now: Instant) {
        self.last_used.set(now);
        self.rate.borrow_mut().record(window, amount, now);
    }

    pub(super) fn throttle_time(&self, window: Window, limit: f64, now: Instant) -> Duration {
        self.rate.borrow_mut().throttle_time(window, limit, now)
    }

    /// Whether nothing was used in the window.
    pub(super) fn is_empty(&self, window: Window, now: Instant) -> bool {
        self.rate.borrow_mut().sum(window, now) <= 0.0
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.get()
    }
}

impl Sensors {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            by_name: BTreeMap::new(),
            common: QuotaKey::ALL.map(|_| Rc::default()),
            swept: Instant::START,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The sensor of those who share a limit of this kind.
    pub(super) fn find(
        &mut self,
        key: QuotaKey,
        shared_by: SharedBy,
        (user, client_id): (&str, &str),
        now: Instant,
    ) -> Found {
        let (user, client_id) = match shared_by {
            SharedBy::UserAndClientId => (user, client_id),
            SharedBy::User => (user, ""),
            SharedBy::ClientId => ("", client_id),
        };
        if user.len() + client_id.len() > NAMES_BYTES_MAX {
            return self.common(key);
        }
        let name = Name {
            key,
            user: user.into(),
            client_id: client_id.into(),
        };
        if let Some(sensor) = self.by_name.get(&name) {
            sensor.last_used.set(now);
            return Found::own(sensor.clone());
        }
        self.sweep(now);
        if self.by_name.len() >= SENSORS_MAX {
            return self.common(key);
        }
        let sensor = Rc::new(Sensor::default());
        sensor.last_used.set(now);
        self.by_name.insert(name, sensor.clone());
        Found::own(sensor)
    }

    fn common(&self, key: QuotaKey) -> Found {
        Found {
            sensor: self.common[key.index()].clone(),
            is_own: false,
        }
    }

    /// Retires what is not used any more, and if there is no room, what remembers nothing.
    fn sweep(&mut self, now: Instant) {
        if now.since(self.swept) < SWEEP_INTERVAL {
            return;
        }
        self.swept = now;
        let idle_max = if self.by_name.len() >= SENSORS_MAX {
            // The current sample can have begun one length before its last use.
            self.window.span() + self.window.length
        } else {
            EXPIRATION
        };
        self.by_name.retain(|_, sensor| {
            let stays = now.since(sensor.last_used.get()) < idle_max;
            sensor.is_retired.set(!stays);
            stays
        });
    }
}

impl Found {
    fn own(sensor: Rc<Sensor>) -> Self {
        Self {
            sensor,
            is_own: true,
        }
    }
}
