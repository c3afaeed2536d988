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
    /// layer in the order of the synonyms.
    pub fn values(&self, synonyms: &[Synonym]) -> Vec<(Synonym, &'a str, ConfigSource)> {
        let layers = [
            (self.dynamic, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefaultBroker),
            (self.fixed, ConfigSource::StaticBroker),
        ];
        let mut values = Vec::new();
        for (layer, source) in layers {
            let given = synonyms
                .iter()
                .filter_map(|s| Some((*s, layer.get(s.name)?.as_str())));
            values.extend(given.map(|(synonym, value)| (synonym, value, source)));
        }
        let default = |s: &Synonym| Some((*s, self.table.get(s.name)?.default?));
        let defaults = synonyms.iter().filter_map(default);
        values.extend(defaults.map(|(synonym, value)| (synonym, value, ConfigSource::Default)));
        values
    }

    /// The value a topic or group setting has where the resource says nothing; `None` is "not
    /// set".
    pub fn topic_default(&self, row: &Setting) -> Option<Value> {
        let given = self.first_that_parses(row, row.synonyms);
        given
            .map(|(value, _)| value)
            .or_else(|| row.default_value())
    }

    /// The value of a broker setting; `None` is "not set".
    pub fn broker_value(&self, row: &'static Setting) -> Option<Value> {
        self.broker_value_and_source(row).map(|(value, _)| value)
    }

    /// The value of a broker setting and where it was given.
    pub fn broker_value_and_source(&self, row: &'static Setting) -> Option<(Value, ConfigSource)> {
        self.first_that_parses(row, &row.broker_synonyms())
    }

    /// A value of another version of Klamm may not parse: then the next weaker one holds.
    fn first_that_parses(
        &self,
        row: &Setting,
        synonyms: &[Synonym],
    ) -> Option<(Value, ConfigSource)> {
        let values = self.values(synonyms).into_iter();
        values
            .filter_map(|(synonym, text, source)| {
                Some((row.parse(&synonym.convert(text)).ok()?, source))
            })
            .next()
    }
}
