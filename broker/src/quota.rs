//! Client quotas: what clients have used up, and how long they have to wait for more (KIP-13,
//! KIP-124, KIP-219). Pure: it is told what time it is, and says what follows.
//!
//! The metadata says which limits there are and for whom (`klamm_metadata::client_quota`). Here a
//! client is resolved to its limits, once for each connection ([`client`]); what it uses is
//! recorded in sensors ([`sensors`]), which all who share a limit have in common, as rates over a
//! sliding window ([`rate`]). Who has used more than its limit is answered at once, told for how
//! long it is throttled, and not read from for that time (`net::connection`).
//!
//! Without any quota a request passes by on one branch: nothing is resolved, recorded or timed.

pub(crate) mod client;
mod rate;
mod sensors;

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use klamm_metadata::{ClientQuotas, QuotaKey};
use klamm_model::Instant;

use self::client::{CachedClient, Quota, QuotaClient};
pub(crate) use self::rate::Window;
use self::sensors::Sensors;

/// What every client is called as long as nobody is asked who they are
/// (`KafkaPrincipal.ANONYMOUS`).
pub(crate) const ANONYMOUS: &str = "ANONYMOUS";

/// A second of the thread's time, in the unit of `request_percentage`.
const PERCENT: f64 = 100.0;

/// See the [module](self). Kafka's `QuotaFactory.QuotaManagers`.
#[derive(Debug)]
pub(crate) struct QuotaManager {
    window: Window,
    are_set: Cell<bool>,
    /// How often the quotas have changed: what was resolved before is resolved anew.
    generation: Cell<u64>,
    sensors: RefCell<Sensors>,
    /// The request that has the thread.
    running: RefCell<Option<Running>>,
    serials: Cell<u64>,
}

/// A request, from when the thread took it until it has handed it on.
#[derive(Debug)]
struct Running {
    serial: u64,
    client: Rc<QuotaClient>,
    /// Since when its time is not recorded.
    since: Instant,
}

/// A request under quotas, until it is answered.
#[derive(Debug)]
pub(crate) struct Metered {
    client: Rc<QuotaClient>,
    serial: u64,
}

/// How long a client is throttled, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttle {
    pub(crate) key: QuotaKey,
    /// Whole milliseconds, at least one.
    pub(crate) time: Duration,
}

/// What becomes of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchVerdict {
    pub(crate) throttle: Option<Throttle>,
    /// The client gets no records now, and is not charged for them.
    pub(crate) is_withheld: bool,
}

impl QuotaManager {
    /// With the quotas that there are.
    pub(crate) fn new(window: Window, quotas: &ClientQuotas) -> Self {
        Self {
            window,
            are_set: Cell::new(!quotas.is_empty()),
            generation: Cell::new(0),
            sensors: RefCell::new(Sensors::new(window)),
            running: RefCell::default(),
            serials: Cell::new(0),
        }
    }

    /// The quotas are others. What clients have used so far stays recorded, unless none is left.
    pub(crate) fn changed(&self, quotas: &ClientQuotas) {
        self.generation.set(self.generation.get() + 1);
        self.are_set.set(!quotas.is_empty());
        if quotas.is_empty() {
            self.sensors.replace(Sensors::new(self.window));
        }
    }

    /// Whether there is any quota. If not, no request is metered.
    pub(crate) fn are_set(&self) -> bool {
        self.are_set.get()
    }

    /// How many sensors there are.
    pub(crate) fn sensor_count(&self) -> usize {
        self.sensors.borrow().len()
    }

    // ---- Requests, and the time they take ----

    /// The thread has taken a request of this client at `begun`.
    pub(crate) fn begin(&self, client: Rc<QuotaClient>, begun: Instant) -> Metered {
        let serial = self.serials.get();
        self.serials.set(serial + 1);
        self.running.replace(Some(Running {
            serial,
            client: client.clone(),
            since: begun,
        }));
        Metered { client, serial }
    }

    /// The thread goes on to something else: what is not recorded of its time is recorded.
    pub(crate) fn end(&self, now: Instant) {
        if let Some(running) = self.running.take() {
            let spent = now.since(running.since);
            self.note_time(&running.client, spent, now);
        }
    }

    /// The request does not count for `request_percentage`.
    pub(crate) fn exempt(&self, metered: &Metered) {
        let mut running = self.running.borrow_mut();
        if is_running(&running, metered) {
            running.take();
        }
    }

    /// Records time that was spent on an answer after its throttle was decided.
    pub(crate) fn sent(&self, metered: &Metered, decided: Instant, now: Instant) {
        // As long as the request has the thread, its end records it.
        if !is_running(&self.running.borrow(), metered) {
            self.note_time(&metered.client, now.since(decided), now);
        }
    }

    /// The request is about to be answered: records the time it has had so far, as
    /// `ClientRequestQuotaManager`. At most one sample of the window long.
    pub(crate) fn answering(&self, metered: &Metered, now: Instant) -> Option<Throttle> {
        let mut running = self.running.borrow_mut();
        let spent = match &mut *running {
            Some(running) if running.serial == metered.serial => {
                let spent = now.since(running.since);
                running.since = now;
                spent
            }
            // What it took until it was handed on was recorded then.
            _ => Duration::ZERO,
        };
        let percent = spent.as_secs_f64() * PERCENT;
        let key = QuotaKey::RequestPercentage;
        let throttle = self.use_up(&metered.client, key, percent, now)?;
        Some(Throttle {
            time: throttle.time.min(self.window.length),
            ..throttle
        })
    }

    fn note_time(&self, client: &QuotaClient, spent: Duration, now: Instant) {
        if let Some(quota) = client.quota(QuotaKey::RequestPercentage) {
            let percent = spent.as_secs_f64() * PERCENT;
            quota.sensor.record(self.window, percent, now);
        }
    }

    // ---- Bytes ----

    /// The client has produced so many bytes.
    pub(crate) fn produced(
        &self,
        metered: &Metered,
        bytes: usize,
        now: Instant,
    ) -> Option<Throttle> {
        let key = QuotaKey::ProducerByteRate;
        self.use_up(&metered.client, key, bytes as f64, now)
    }

    /// The client is about to get so many bytes; `answering` is what came of its time. Who is
    /// throttled gets none, and comes again, as with Kafka.
    ///
    /// One answer may be more than the limit ever allows, since the first batch is returned
    /// however large it is. That is given to a client that has had nothing in the whole window;
    /// it waits afterwards. (Kafka's would ask for it for ever.)
    pub(crate) fn fetching(
        &self,
        metered: &Metered,
        bytes: usize,
        answering: Option<Throttle>,
        now: Instant,
    ) -> FetchVerdict {
        let key = QuotaKey::ConsumerByteRate;
        let quota = metered.client.quota(key);
        let had_nothing = quota.is_some_and(|quota| quota.sensor.is_empty(self.window, now));
        let fetching = self.use_up(&metered.client, key, bytes as f64, now);
        let throttle = longer(fetching, answering);
        let is_too_large = fetching.is_some() && had_nothing;
        let is_withheld = throttle.is_some() && !is_too_large;
        if let (true, Some(quota)) = (is_withheld, quota) {
            quota.sensor.record(self.window, -(bytes as f64), now);
        }
        FetchVerdict {
            throttle,
            is_withheld,
        }
    }

    /// How many bytes a fetch may return without being throttled for itself alone
    /// (`maxValueInQuotaWindow`); `None` is without limit.
    pub(crate) fn fetch_bytes_max(&self, metered: &Metered) -> Option<usize> {
        let quota = metered.client.quota(QuotaKey::ConsumerByteRate)?;
        let bytes = quota.limit * self.window.elapsed_at_least().as_secs_f64();
        // Casts stop at the largest number.
        Some(bytes as usize)
    }

    fn use_up(
        &self,
        client: &QuotaClient,
        key: QuotaKey,
        amount: f64,
        now: Instant,
    ) -> Option<Throttle> {
        let Quota { limit, sensor } = client.quota(key)?;
        sensor.record(self.window, amount, now);
        let time = sensor.throttle_time(self.window, *limit, now);
        (!time.is_zero()).then_some(Throttle { key, time })
    }

    // ---- Clients ----

    /// What holds for a client, from its connection's cache if nothing has changed.
    pub(crate) fn client(
        &self,
        cached: &CachedClient,
        quotas: &ClientQuotas,
        (user, client_id): (&str, &str),
        now: Instant,
    ) -> Rc<QuotaClient> {
        let generation = self.generation.get();
        if let Some(client) = cached.get(generation, user, client_id) {
            return client;
        }
        let mut sensors = self.sensors.borrow_mut();
        let client =
            QuotaClient::resolve(generation, quotas, (user, client_id), |key, shared_by| {
                sensors.find(key, shared_by, (user, client_id), now)
            });
        let client = Rc::new(client);
        cached.put(&client);
        client
    }
}

fn is_running(running: &Option<Running>, metered: &Metered) -> bool {
    let serial = running.as_ref().map(|running| running.serial);
    serial == Some(metered.serial)
}

/// Of two throttles the longer; of equal ones the second.
pub(crate) fn longer(one: Option<Throttle>, other: Option<Throttle>) -> Option<Throttle> {
    match (one, other) {
        (Some(one), Some(other)) if one.time > other.time => Some(one),
        (one, other) => other.or(one),
    }
}
