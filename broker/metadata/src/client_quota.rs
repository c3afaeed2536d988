//! Client quotas: how much clients may ask of a broker in a second (KIP-13, KIP-55, KIP-124).
//!
//! A quota is set for an *entity*: a user, a client-id, or a client-id of a user, each by its name
//! or for all that have none of their own (the default). What holds for a client is found by
//! [`ClientQuotas::resolve`], in the order of Kafka's `ClientQuotaManager`.
//!
//! Not here: what clients have used, and what becomes of those that used too much.

mod describe;
mod refusal;

#[cfg(test)]
mod tests;

use rpds::RedBlackTreeMapSync;

pub use describe::{FilterComponent, describe};
pub use refusal::QuotaRefusal;

/// What can be limited (Kafka's `QuotaConfig`). The numbers are those of the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaKey {
    /// `producer_byte_rate`: bytes of Produce requests a second.
    ProducerByteRate = 1,
    /// `consumer_byte_rate`: bytes of Fetch answers a second.
    ConsumerByteRate = 2,
    /// `request_percentage`: time of a broker's thread, in percent of one thread.
    RequestPercentage = 3,
}

/// How much of it: finite, and more than 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct QuotaLimit(f64);

// Never NaN, so equality is reflexive.
impl Eq for QuotaLimit {}

/// For whom a quota is set: a user, a client-id, or both; never neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaEntity {
    /// Of which user.
    pub user: Option<EntityName>,
    /// Of which client-id.
    pub client_id: Option<EntityName>,
}

/// A name, or all that have no entity of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityName {
    /// `<default>`; null on the wire.
    Default,
    /// One; never empty.
    Named(String),
}

/// What is set for one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QuotaLimits([Option<QuotaLimit>; QuotaKey::ALL.len()]);

/// All quotas of the cluster. A clone is a counter.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClientQuotas {
    entities: RedBlackTreeMapSync<QuotaEntity, QuotaLimits>,
}

/// Who uses up a limit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedBy {
    /// The connections of one user with one client-id.
    UserAndClientId,
    /// All connections of the user.
    User,
    /// All connections with the client-id, whoever they are.
    ClientId,
}

impl QuotaKey {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [
        Self::ProducerByteRate,
        Self::ConsumerByteRate,
        Self::RequestPercentage,
    ];

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProducerByteRate => "producer_byte_rate",
            Self::ConsumerByteRate => "consumer_byte_rate",
            Self::RequestPercentage => "request_percentage",
        }
    }

    /// The key of that name, if it is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Its position in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// Whether only whole numbers of it can be set.
    pub(crate) const fn is_integral(self) -> bool {
        match self {
            Self::ProducerByteRate | Self::ConsumerByteRate => true,
            Self::RequestPercentage => false,
        }
    }
}

impl QuotaLimit {
    /// `None` unless the number is finite and more than 0.
    pub fn new(number: f64) -> Option<Self> {
        (number.is_finite() && number > 0.0).then_some(Self(number))
    }

    /// In the unit of its key, per second.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl QuotaEntity {
    /// How many of user and client-id it names.
    pub(crate) fn parts(&self) -> usize {
        usize::from(self.user.is_some()) + usize::from(self.client_id.is_some())
    }
}

impl EntityName {
    /// The name as it is on the wire.
    pub fn on_wire(&self) -> Option<&str> {
        match self {
            Self::Default => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl QuotaLimits {
    /// One of them.
    pub fn get(&self, key: QuotaKey) -> Option<QuotaLimit> {
        self.0[key.index()]
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (QuotaKey, QuotaLimit)> {
        let all = QuotaKey::ALL.into_iter().zip(self.0);
        all.filter_map(|(key, limit)| Some((key, limit?)))
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl ClientQuotas {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// All entities with a quota, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &QuotaLimits)> {
        self.entities.iter()
    }

    /// What is set for exactly this entity.
    pub fn limits(&self, entity: &QuotaEntity) -> QuotaLimits {
        self.entities.get(entity).copied().unwrap_or_default()
    }

    /// Sets a limit, or takes it back.
    pub(crate) fn set(&mut self, entity: &QuotaEntity, key: QuotaKey, limit: Option<QuotaLimit>) {
        let mut limits = self.limits(entity);
        limits.0[key.index()] = limit;
        if limits.is_empty() {
            self.entities.remove_mut(entity);
        } else {
            self.entities.insert_mut(entity.clone(), limits);
        }
    }

    /// What holds for a client: the most specific entity that has a limit of this kind, as in
    /// `ClientQuotaManager.DefaultQuotaCallback`.
    ///
    /// A client without a client-id (empty) comes under the defaults. Kafka lets it pass without
    /// any limit of client-ids, which would make a default limit a matter of good will.
    pub fn resolve(
        &self,
        key: QuotaKey,
        user: &str,
        client_id: &str,
    ) -> Option<(SharedBy, QuotaLimit)> {
        let user = Some(EntityName::Named(user.to_owned()));
        let client_id = Some(EntityName::Named(client_id.to_owned()));
        let default = Some(EntityName::Default);
        let order = [
            (&user, &client_id, SharedBy::UserAndClientId),
            (&user, &default, SharedBy::UserAndClientId),
            (&user, &None, SharedBy::User),
            (&default, &client_id, SharedBy::UserAndClientId),
            (&default, &default, SharedBy::UserAndClientId),
            (&default, &None, SharedBy::User),
            (&None, &client_id, SharedBy::ClientId),
            (&None, &default, SharedBy::ClientId),
        ];
        order.into_iter().find_map(|(user, client_id, shared_by)| {
            let entity = QuotaEntity {
                user: user.clone(),
                client_id: client_id.clone(),
            };
            let limit = self.entities.get(&entity)?.get(key)?;
            Some((shared_by, limit))
        })
    }
}

impl std::fmt::Display for QuotaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
