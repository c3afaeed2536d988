//! AlterConfigs and IncrementalAlterConfigs.

use std::collections::BTreeSet;

use klamm_model::{BrokerId, TopicName};

use super::{Controller, Decision};
use crate::group_config::GROUP_SETTINGS;
use crate::image::{ConfigResource, ResourceKind};
use crate::layers::BrokerLayers;
use crate::record::MetadataRecord;
use crate::refusal::Refusal;
use crate::setting::{Kind, Setting, Value};
use crate::topic_config::{Configs, TOPIC_SETTINGS};

/// What a request wants changed in one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterResource<C> {
    /// Kafka's number of its kind.
    pub kind: i8,
    /// Its name.
    pub name: String,
    /// The changes.
    pub changes: Vec<C>,
}

/// One change of IncrementalAlterConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The setting.
    pub key: String,
    /// What to do: Kafka's number.
    pub operation: i8,
    /// With which value; null only to delete.
    pub value: Option<String>,
}

/// What can be done to a setting (`AlterConfigOp.OpType`; the numbers are Kafka's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterOperation {
    /// Gives it a value.
    Set = 0,
    /// Takes its value back.
    Delete = 1,
    /// Adds to a list what is not in it.
    Append = 2,
    /// Takes out of a list what is in it.
    Subtract = 3,
}

/// Per resource of the request: its kind, its name, and what came of it.
pub type AlterReply = Vec<(i8, String, Result<(), Refusal>)>;

const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;

impl Controller<'_> {
    /// IncrementalAlterConfigs: each resource is changed as a whole or not at all.
    pub fn incremental_alter_configs(
        &self,
        resources: &[AlterResource<ConfigChange>],
        validate_only: bool,
    ) -> Decision<AlterReply> {
        self.alter(resources, validate_only, |resource, changes| {
            self.changed(resource, changes)
        })
    }

    /// AlterConfigs: what is not named goes back to its default.
    pub fn alter_configs(
        &self,
        resources: &[AlterResource<(String, Option<String>)>],
        validate_only: bool,
    ) -> Decision<AlterReply> {
        self.alter(resources, validate_only, |_, pairs| replaced(pairs))
    }

    fn alter<C>(
        &self,
        resources: &[AlterResource<C>],
        validate_only: bool,
        configs: impl Fn(&ConfigResource, &[C]) -> Result<Configs, Refusal>,
    ) -> Decision<AlterReply> {
        let mut times = std::collections::BTreeMap::new();
        for resource in resources {
            *times.entry((resource.kind, &resource.name)).or_insert(0) += 1;
        }
        let mut records = Vec::new();
        let mut reply = AlterReply::new();
        for AlterResource {
            kind,
            name,
            changes,
        } in resources
        {
            let outcome = match times.remove(&(*kind, name)) {
                None => continue,
                Some(2..) => Err(Refusal::DuplicateResource),
                Some(_) => self.resource(*kind, name).and_then(|resource| {
                    let wanted = configs(&resource, changes)?;
                    self.check(&resource, &wanted)?;
                    self.check_exists(&resource)?;
                    records.extend(self.difference(&resource, &wanted));
                    Ok(())
                }),
            };
            reply.push((*kind, name.clone(), outcome));
        }
        if validate_only {
            records.clear();
        }
        Decision { records, reply }
    }

    /// The resource, if its kind is one that can be changed and its name could be one.
    fn resource(&self, kind: i8, name: &str) -> Result<ConfigResource, Refusal> {
        let kind = ResourceKind::from_wire(kind).ok_or(match kind {
            BROKER_LOGGER => Refusal::BrokerLogger,
            CLIENT_METRICS => Refusal::ClientMetrics,
            unknown => Refusal::UnknownResourceType(unknown),
        })?;
        match kind {
            ResourceKind::Topic if name.is_empty() => return Err(Refusal::DefaultTopicResource),
            ResourceKind::Topic => drop(TopicName::new(name)?),
            ResourceKind::Group if name.is_empty() => return Err(Refusal::DefaultGroupResource),
            ResourceKind::Group => {}
            ResourceKind::Broker if name.is_empty() => {}
            ResourceKind::Broker => drop(broker_id(name)?),
        }
        Ok(ConfigResource::new(kind, name))
    }

    fn check_exists(&self, resource: &ConfigResource) -> Result<(), Refusal> {
        let name = resource.name.as_str();
        match resource.kind {
            ResourceKind::Topic if self.image.topic(name).is_none() => {
                Err(Refusal::NoTopicToConfigure(name.to_owned()))
            }
            ResourceKind::Broker if !name.is_empty() => {
                let id = broker_id(name)?;
                let known = self.image.broker(id);
                known.map(drop).ok_or(Refusal::NoSuchBroker(id.0))
            }
            // A group may be configured before its first member comes.
            ResourceKind::Topic | ResourceKind::Broker | ResourceKind::Group => Ok(()),
        }
    }

    /// What the resource would have after the changes.
    fn changed(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<Configs, Refusal> {
        let mut configs = self.image.configs(resource.kind, &resource.name).clone();
        let mut keys = BTreeSet::new();
        if changes
            .iter()
            .any(|change| !keys.insert(change.key.as_str()))
        {
            return Err(Refusal::DuplicateKeys);
        }
        let operations: Result<Vec<_>, _> = changes
            .iter()
            .map(|change| AlterOperation::from_wire(change.operation))
            .collect();
        let operations = operations?;
        let is_null = |(change, operation): &(&ConfigChange, &AlterOperation)| {
            change.value.is_none() && **operation != AlterOperation::Delete
        };
        let nulls = changes.iter().zip(&operations).filter(is_null);
        let nulls: Vec<_> = nulls.map(|(change, _)| change.key.clone()).collect();
        if !nulls.is_empty() {
            return Err(Refusal::NullValue(nulls));
        }
        for (change, operation) in changes.iter().zip(operations) {
            let value = self.value_after(resource.kind, &configs, change, operation)?;
            match value {
                Some(value) => drop(configs.insert(change.key.clone(), value)),
                None => drop(configs.remove(&change.key)),
            }
        }
        Ok(configs)
    }

    fn value_after(
        &self,
        kind: ResourceKind,
        configs: &Configs,
        change: &ConfigChange,
        operation: AlterOperation,
    ) -> Result<Option<String>, Refusal> {
        let value = change.value.as_deref().unwrap_or_default();
        let name = match operation {
            AlterOperation::Set => return Ok(Some(value.to_owned())),
            AlterOperation::Delete => return Ok(None),
            AlterOperation::Append => "APPEND",
            AlterOperation::Subtract => "SUBTRACT",
        };
        let row = self
            .row(kind, &change.key)
            .filter(|row| row.kind == Kind::List);
        let row = row.ok_or_else(|| {
            let key = change.key.clone();
            Refusal::NotAList {
                operation: name,
                key,
            }
        })?;
        let mut list = match configs.get(&change.key) {
            Some(text) => parts(text),
            None => self.default_list(kind, row),
        };
        for part in parts(value) {
            let position = list.iter().position(|present| *present == part);
            match (operation, position) {
                (AlterOperation::Append, None) => list.push(part),
                (AlterOperation::Subtract, Some(position)) => drop(list.remove(position)),
                _ => {}
            }
        }
        Ok(Some(list.join(",")))
    }

    fn row(&self, kind: ResourceKind, key: &str) -> Option<&'static Setting> {
        match kind {
            ResourceKind::Topic => TOPIC_SETTINGS.get(key),
            ResourceKind::Group => GROUP_SETTINGS.get(key),
            ResourceKind::Broker => self.layers.table.get(key),
        }
    }

    fn default_list(&self, kind: ResourceKind, row: &'static Setting) -> Vec<String> {
        // What is set for this broker holds for no other.
        static NOTHING: Configs = Configs::new();
        let of_any_broker = BrokerLayers {
            dynamic: &NOTHING,
            ..self.layers
        };
        let value = match kind {
            ResourceKind::Broker => of_any_broker.broker_value(row),
            ResourceKind::Topic | ResourceKind::Group => self.layers.topic_default(row),
        };
        match value {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        }
    }

    fn check(&self, resource: &ConfigResource, configs: &Configs) -> Result<(), Refusal> {
        match resource.kind {
            ResourceKind::Topic => self.topic_defaults.check(configs)?,
            ResourceKind::Group => {
                for (key, value) in configs {
                    GROUP_SETTINGS.check("group", key, value)?;
                }
            }
            ResourceKind::Broker => self.check_broker(configs)?,
        }
        Ok(())
    }

    fn check_broker(&self, configs: &Configs) -> Result<(), Refusal> {
        let table = self.layers.table;
        let is_fixed = |key: &&String| table.get(key).is_some_and(|row| !row.is_dynamic());
        let fixed: Vec<_> = configs.keys().filter(is_fixed).cloned().collect();
        if !fixed.is_empty() {
            return Err(Refusal::NotDynamic(fixed));
        }
        for (key, value) in configs {
            table
                .check("broker", key, value)
                .map_err(Refusal::InvalidBrokerConfig)?;
        }
        Ok(())
    }

    fn difference(&self, resource: &ConfigResource, wanted: &Configs) -> Vec<MetadataRecord> {
        let current = self.image.configs(resource.kind, &resource.name);
        let record = |key: &str, value: Option<&str>| MetadataRecord::Config {
            resource: resource.clone(),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let changed = wanted
            .iter()
            .filter(|(key, value)| current.get(*key) != Some(value));
        let gone = current.keys().filter(|key| !wanted.contains_key(*key));
        let changed = changed.map(|(key, value)| record(key, Some(value)));
        changed.chain(gone.map(|key| record(key, None))).collect()
    }
}

impl AlterOperation {
    /// # Errors
    /// [`Refusal::UnknownOperation`].
    pub fn from_wire(code: i8) -> Result<Self, Refusal> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            unknown => Err(Refusal::UnknownOperation(unknown)),
        }
    }
}

fn replaced(pairs: &[(String, Option<String>)]) -> Result<Configs, Refusal> {
    let nulls = pairs.iter().filter(|(_, value)| value.is_none());
    let nulls: Vec<_> = nulls.map(|(key, _)| key.clone()).collect();
    if !nulls.is_empty() {
        return Err(Refusal::NullValue(nulls));
    }
    let given = pairs
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
    let configs: Configs = given.collect();
    if configs.len() < pairs.len() {
        return Err(Refusal::DuplicateKeys);
    }
    Ok(configs)
}

fn broker_id(name: &str) -> Result<BrokerId, Refusal> {
    match name.parse::<i32>() {
        Err(_) => Err(Refusal::BrokerName),
        Ok(id) if id < 0 => Err(Refusal::NegativeBrokerId),
        Ok(id) => Ok(BrokerId(id)),
    }
}

fn parts(list: &str) -> Vec<String> {
    let parts = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}
