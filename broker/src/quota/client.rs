//! What holds for one client: its limits, with the sensors that count against them.

use std::cell::RefCell;
use std::rc::Rc;

use klamm_metadata::client_quota::SharedBy;
use klamm_metadata::{ClientQuotas, QuotaKey};

use super::sensors::{Found, NAMES_BYTES_MAX, Sensor};

/// A client, resolved.
#[derive(Debug)]
pub(crate) struct QuotaClient {
    generation: u64,
    user: Box<str>,
    client_id: Box<str>,
    quotas: [Option<Quota>; QuotaKey::ALL.len()],
    /// It holds until something changes.
    is_lasting: bool,
}

/// A limit, and what was used of it.
#[derive(Debug)]
pub(super) struct Quota {
    /// Per second, in the unit of its key.
    pub(super) limit: f64,
    pub(super) sensor: Rc<Sensor>,
}

/// The client that a connection was last resolved to.
#[derive(Debug, Default)]
pub(crate) struct CachedClient(RefCell<Option<Rc<QuotaClient>>>);

impl QuotaClient {
    /// Finds the limits of a client; `sensor` is the one of all who share such a limit.
    pub(super) fn resolve(
        generation: u64,
        quotas: &ClientQuotas,
        (user, client_id): (&str, &str),
        mut sensor: impl FnMut(QuotaKey, SharedBy) -> Found,
    ) -> Self {
        // Connections keep no names without bound.
        let mut is_lasting = user.len() + client_id.len() <= NAMES_BYTES_MAX;
        let quotas = QuotaKey::ALL.map(|key| {
            let (shared_by, limit) = quotas.resolve(key, user, client_id)?;
            let Found { sensor, is_own } = sensor(key, shared_by);
            is_lasting &= is_own;
            Some(Quota {
                limit: limit.get(),
                sensor,
            })
        });
        Self {
            generation,
            user: user.into(),
            client_id: client_id.into(),
            quotas,
            is_lasting,
        }
    }

    pub(super) fn quota(&self, key: QuotaKey) -> Option<&Quota> {
        self.quotas[key.index()].as_ref()
    }

    fn is_current(&self, generation: u64, user: &str, client_id: &str) -> bool {
        self.generation == generation
            && *self.client_id == *client_id
            && *self.user == *user
            && !self.quotas.iter().flatten().any(|q| q.sensor.is_retired())
    }
}

impl CachedClient {
    /// The client, if it is the same, and what holds for it as well.
    pub(super) fn get(
        &self,
        generation: u64,
        user: &str,
        client_id: &str,
    ) -> Option<Rc<QuotaClient>> {
        let cached = self.0.borrow();
        let client = cached.as_ref()?;
        client
            .is_current(generation, user, client_id)
            .then(|| client.clone())
    }

    pub(super) fn put(&self, client: &Rc<QuotaClient>) {
        self.0.replace(client.is_lasting.then(|| client.clone()));
    }
}
