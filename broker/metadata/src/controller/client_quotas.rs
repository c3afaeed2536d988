//! AlterClientQuotas (KIP-546).

use std::collections::BTreeMap;

use super::{Controller, Decision};
use crate::client_quota::{EntityName, QuotaEntity, QuotaKey, QuotaLimit, QuotaRefusal};
use crate::record::MetadataRecord;

/// What a request wants changed for one entity, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaAlteration {
    /// Type and name of its parts; no name is the default.
    pub entity: EntityParts,
    /// The changes.
    pub ops: Vec<QuotaOp>,
}

/// An entity by the type and name of its parts: of a type that is given twice the last holds.
pub type EntityParts = BTreeMap<String, Option<String>>;

/// A change of one limit.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaOp {
    /// Kafka's name of it.
    pub key: String,
    /// `None` takes it back.
    pub value: Option<f64>,
}

/// What came of it, for each entity of the request once.
pub type AlterQuotasReply = Vec<(EntityParts, Result<(), QuotaRefusal>)>;

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";
/// A key of Kafka that is not enforced here (KIP-599).
const CONTROLLER_MUTATION_RATE: &str = "controller_mutation_rate";
/// The largest LONG, as far as a double tells.
const LONG_MAX: f64 = i64::MAX as f64;
/// What rounding may leave of a whole number.
const FRACTION_MAX: f64 = 1e-6;

impl Controller<'_> {
    /// AlterClientQuotas: each entity is changed as a whole or not at all. Of an entity that comes
    /// twice the first change is made, and an error is told, as Kafka does.
    pub fn alter_client_quotas(
        &self,
        alterations: &[QuotaAlteration],
        validate_only: bool,
    ) -> Decision<AlterQuotasReply> {
        let mut records = Vec::new();
        let mut reply = AlterQuotasReply::new();
        let mut positions: BTreeMap<&EntityParts, usize> = BTreeMap::new();
        for QuotaAlteration { entity, ops } in alterations {
            let mut keys: Vec<&str> = ops.iter().map(|op| op.key.as_str()).collect();
            keys.sort_unstable();
            let repeats_key = keys.windows(2).any(|pair| pair[0] == pair[1]);
            let known = positions.get(entity).copied();
            let outcome = if repeats_key || known.is_some() {
                Err(QuotaRefusal::DuplicateEntity(shown(entity)))
            } else {
                self.altered(entity, ops).map(|new| records.extend(new))
            };
            match known {
                Some(position) => reply[position].1 = outcome,
                None => {
                    positions.insert(entity, reply.len());
                    reply.push((entity.clone(), outcome));
                }
            }
        }
        if validate_only {
            records.clear();
        }
        Decision { records, reply }
    }

    fn altered(
        &self,
        parts: &EntityParts,
        ops: &[QuotaOp],
    ) -> Result<Vec<MetadataRecord>, QuotaRefusal> {
        let entity = entity(parts)?;
        let current = self.image.client_quotas().limits(&entity);
        let mut records = Vec::new();
        for QuotaOp { key, value } in ops {
            let limit = match value {
                Some(value) => Some(limit(key, *value)?),
                None => None,
            };
            // To take back what cannot be set is nothing to do.
            let Some(key) = QuotaKey::from_name(key) else {
                continue;
            };
            if current.get(key) != limit {
                records.push(MetadataRecord::ClientQuota {
                    entity: entity.clone(),
                    key,
                    limit,
                });
            }
        }
        Ok(records)
    }
}

fn entity(parts: &EntityParts) -> Result<QuotaEntity, QuotaRefusal> {
    let mut entity = QuotaEntity {
        user: None,
        client_id: None,
    };
    for (entity_type, name) in parts {
        let (entity_type, place) = match entity_type.as_str() {
            USER => (USER, Some(&mut entity.user)),
            CLIENT_ID => (CLIENT_ID, Some(&mut entity.client_id)),
            IP => (IP, None),
            other => return Err(QuotaRefusal::UnhandledEntityType(other.to_owned())),
        };
        let name = match name {
            Some(name) if name.is_empty() => return Err(QuotaRefusal::EmptyName(entity_type)),
            Some(name) => EntityName::Named(name.clone()),
            None => EntityName::Default,
        };
        if let Some(place) = place {
            *place = Some(name);
        }
    }
    match (parts.contains_key(IP), entity.parts()) {
        (true, 0) => Err(QuotaRefusal::IpQuota),
        (true, _) => Err(QuotaRefusal::IpAndOthers),
        (false, 0) => Err(QuotaRefusal::EmptyEntity),
        (false, _) => Ok(entity),
    }
}

/// A value that its key can have, as `ClientQuotaControlManager.validateQuotaKeyValue` has it.
fn limit(name: &str, value: f64) -> Result<QuotaLimit, QuotaRefusal> {
    let Some(key) = QuotaKey::from_name(name) else {
        return Err(match name {
            CONTROLLER_MUTATION_RATE => QuotaRefusal::NotEnforced(name.to_owned()),
            unknown => QuotaRefusal::InvalidKey(unknown.to_owned()),
        });
    };
    let too_large = |kind| QuotaRefusal::TooLarge {
        key: name.to_owned(),
        kind,
    };
    // Kafka takes what is no number for any number.
    if value.is_nan() || value <= 0.0 {
        return Err(QuotaRefusal::NotPositive(name.to_owned()));
    }
    if key.is_integral() && value > LONG_MAX {
        return Err(too_large("LONG"));
    }
    if key.is_integral() && value % 1.0 > FRACTION_MAX {
        return Err(QuotaRefusal::Fractional(name.to_owned()));
    }
    QuotaLimit::new(value).ok_or(too_large("DOUBLE"))
}

/// As Java shows a `ClientQuotaEntity`.
fn shown(parts: &EntityParts) -> String {
    let parts: Vec<_> = parts
        .iter()
        .map(|(entity_type, name)| format!("{entity_type}={}", name.as_deref().unwrap_or("null")))
        .collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}
