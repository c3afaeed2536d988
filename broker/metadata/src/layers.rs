//! The layers of a broker's configuration, strongest first: what was set for this broker, what
//! was set for all brokers, what its file said, and the defaults of the table.

use crate::setting::{Setting, Synonym, Table, Value};
use crate::topic_config::Configs;

/// Where a value comes from; the numbers are those of `DescribeConfigs`
/// (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic = 1,
    /// Set for this broker while it ran.
    DynamicBroker = 2,
    /// Set for all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// Given at start: file, environment or command line.
    StaticBroker = 4,
    /// Nobody said anything.
    Default = 5,
    /// Set for the group.
    Group = 8,
}

/// The configuration of one broker, in layers.
#[derive(Clone, Copy, Debug)]
pub struct BrokerLayers<'a> {
    /// Set for this broker while it ran.
    pub dynamic: &'a Configs,
    /// Set for all brokers while they ran.
    pub dynamic_default: &'a Configs,
    /// Given at start.
    pub fixed: &'a Configs,
    /// The defaults.
    pub table: &'a Table,
}

/// One value that a setting has, or would have if the stronger ones were gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The setting that holds it.
    pub name: String,
    /// The value; `None` where it is a secret.
    pub value: Option<String>,
    /// Where it was given.
    pub source: ConfigSource,
}

impl<'a> BrokerLayers<'a> {
    /// Every value given for any of `synonyms`, strongest first: layer by layer, and within a
    /// layer in the order of the synonyms. With each, the row it belongs to.
    pub fn values(
        &self,
        synonyms: &'a [Synonym],
    ) -> impl Iterator<Item = (Synonym, &'a str, ConfigSource)> {
        let layers = [
            (self.dynamic, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefaultBroker),
            (self.fixed, ConfigSource::StaticBroker),
        ];
        let given = layers.into_iter().flat_map(move |(layer, source)| {
            let values = synonyms.iter().map(move |s| (s, layer.get(s.name)));
            values.filter_map(move |(s, value)| Some((*s, value?.as_str(), source)))
        });
        let table = self.table;
        let defaults = synonyms.iter().filter_map(move |s| {
            let row = table.get(s.name)?;
            Some((*s, row.default?, ConfigSource::Default))
        });
        given.chain(defaults)
    }

    /// The value a topic setting has where the topic says nothing; `None` is "not set".
    pub fn topic_default(&self, row: &Setting) -> Option<Value> {
        let from_broker = |(synonym, text, _): (Synonym, &str, _)| {
            // A value of another version of Klamm may not parse: the next weaker one holds.
            row.parse(&synonym.convert(text)).ok()
        };
        self.values(row.synonyms)
            .find_map(from_broker)
            .or_else(|| row.default_value())
    }
}
