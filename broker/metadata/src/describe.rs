//! What `DescribeConfigs` and `CreateTopics` say about settings: every key with its value, where
//! it comes from, and what it would be otherwise.
//!
//! The order and the gaps are Kafka's (`ConfigHelper`), read-modify-write tools depend on them: a
//! setting in hours shows under its own name only, not as a synonym of the one in milliseconds
//! unless that is given too.

use klamm_model::{BrokerId, TopicName};

use crate::group_config::GROUP_SETTINGS;
use crate::image::{MetadataImage, ResourceKind};
use crate::layers::{BrokerLayers, ConfigSource, ConfigSynonym};
use crate::refusal::Refusal;
use crate::setting::{Setting, Table};
use crate::topic_config::{Configs, TOPIC_SETTINGS};

/// One setting of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its row.
    pub row: &'static Setting,
    /// Its name: the row's, but for rows that stand for many names.
    pub name: String,
    /// Its value; `None` for null and for secrets.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether `AlterConfigs` would refuse it.
    pub read_only: bool,
    /// This value and those it hides, strongest first.
    pub synonyms: Vec<ConfigSynonym>,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Setting {}

/// Describes a resource as one broker sees it.
#[derive(Clone, Copy, Debug)]
pub struct Describer<'a> {
    /// The cluster.
    pub image: &'a MetadataImage,
    /// The broker that answers.
    pub broker: BrokerId,
    /// Its configuration.
    pub layers: BrokerLayers<'a>,
}

impl Describer<'_> {
    /// The settings of the resource of that kind (Kafka's number) and name: those among `keys`,
    /// or all if there are none.
    ///
    /// # Errors
    /// If there is no such resource.
    pub fn describe(
        &self,
        kind: i8,
        name: &str,
        keys: &[String],
    ) -> Result<Vec<ConfigEntry>, Refusal> {
        const BROKER_LOGGER: i8 = 8;
        const CLIENT_METRICS: i8 = 16;
        let mut entries = match ResourceKind::from_wire(kind) {
            Some(ResourceKind::Topic) => self.topic(name)?,
            Some(ResourceKind::Broker) => self.broker(name)?,
            Some(ResourceKind::Group) if name.is_empty() => {
                return Err(Refusal::DefaultGroupResource);
            }
            Some(ResourceKind::Group) => self.group(name),
            // There are none, which is no error.
            None if matches!(kind, BROKER_LOGGER | CLIENT_METRICS) => Vec::new(),
            None => return Err(Refusal::UnknownResourceType(kind)),
        };
        entries.retain(|entry| keys.is_empty() || keys.contains(&entry.name));
        Ok(entries)
    }

    fn topic(&self, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
        TopicName::new(name)?;
        self.image.topic(name).ok_or(Refusal::UnknownTopic)?;
        Ok(topic_entries(
            self.image.configs(ResourceKind::Topic, name),
            &self.layers,
        ))
    }

    fn group(&self, name: &str) -> Vec<ConfigEntry> {
        let overrides = self.image.configs(ResourceKind::Group, name);
        entries_of(
            &GROUP_SETTINGS,
            overrides,
            ConfigSource::Group,
            &self.layers,
        )
    }

    fn broker(&self, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
        if name.is_empty() {
            return Ok(self.all_brokers());
        }
        if name != self.broker.0.to_string() {
            let (expected, received) = (self.broker.0, name.to_owned());
            return Err(Refusal::OtherBroker { expected, received });
        }
        let rows = self
            .layers
            .table
            .rows()
            .filter(|row| !row.name.ends_with('*'));
        Ok(rows.filter_map(|row| self.broker_entry(row)).collect())
    }

    fn broker_entry(&self, row: &'static Setting) -> Option<ConfigEntry> {
        let own = self
            .layers
            .values(&[crate::setting::Synonym::same(row.name)]);
        let value = own.first();
        if row.internal && value.is_none_or(|(.., source)| *source == ConfigSource::Default) {
            return None;
        }
        let synonyms = synonyms_of(row, &self.layers.values(&row.broker_synonyms()), row.name);
        Some(ConfigEntry {
            row,
            name: row.name.to_owned(),
            value: value.and_then(|(_, text, _)| shown(row, text)),
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source),
            read_only: !row.is_dynamic(),
            synonyms,
        })
    }

    /// What was set for all brokers, and nothing else.
    fn all_brokers(&self) -> Vec<ConfigEntry> {
        let source = ConfigSource::DynamicDefaultBroker;
        let entries = self
            .layers
            .dynamic_default
            .iter()
            .filter_map(|(name, text)| {
                let row = self.layers.table.get(name)?;
                let value = shown(row, text);
                let synonym = ConfigSynonym {
                    name: name.clone(),
                    value: value.clone(),
                    source,
                };
                let (name, read_only, synonyms) = (name.clone(), !row.is_dynamic(), vec![synonym]);
                Some(ConfigEntry {
                    row,
                    name,
                    value,
                    source,
                    read_only,
                    synonyms,
                })
            });
        entries.collect()
    }
}

/// The settings of a topic with these overrides.
pub fn topic_entries(overrides: &Configs, layers: &BrokerLayers<'_>) -> Vec<ConfigEntry> {
    entries_of(&TOPIC_SETTINGS, overrides, ConfigSource::Topic, layers)
}

fn entries_of(
    table: &Table,
    overrides: &Configs,
    source: ConfigSource,
    layers: &BrokerLayers<'_>,
) -> Vec<ConfigEntry> {
    let entry = |row: &'static Setting| {
        let given = overrides.get(row.name);
        if row.internal && given.is_none() {
            return None;
        }
        let own = given.map(|text| ConfigSynonym {
            name: row.name.to_owned(),
            value: shown(row, text),
            source,
        });
        let mut synonyms: Vec<_> = own.into_iter().collect();
        if let Some(main) = row.synonyms.first() {
            synonyms.extend(synonyms_of(row, &layers.values(row.synonyms), main.name));
        }
        let default = || layers.topic_default(row).map(|value| value.to_string());
        let value = given.and_then(|text| shown(row, text)).or_else(default);
        Some(ConfigEntry {
            row,
            name: row.name.to_owned(),
            value,
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source),
            read_only: false,
            synonyms,
        })
    };
    table.rows().filter_map(entry).collect()
}

type Given<'a> = (crate::setting::Synonym, &'a str, ConfigSource);

/// Those from the first on that has the name `main`: what comes before it is another setting.
fn synonyms_of(row: &Setting, values: &[Given<'_>], main: &str) -> Vec<ConfigSynonym> {
    let from_main = values
        .iter()
        .skip_while(|(synonym, ..)| synonym.name != main);
    let synonyms = from_main.map(|(synonym, text, source)| ConfigSynonym {
        name: synonym.name.to_owned(),
        value: if row.sensitive {
            None
        } else {
            Some(text.trim().to_owned())
        },
        source: *source,
    });
    synonyms.collect()
}

/// In the one way Kafka writes a value; secrets not at all.
fn shown(row: &Setting, text: &str) -> Option<String> {
    if row.sensitive {
        return None;
    }
    Some(
        row.parse(text)
            .map_or_else(|_| text.to_owned(), |value| value.to_string()),
    )
}
