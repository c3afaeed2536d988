//! The broker's settings: the table, where they are given, and their typed values.
//!
//! [`Sources`] says where settings come from; [`BrokerConfig::load`] reads, checks and resolves
//! them once, at start. What is set later, through `AlterConfigs`, lies in the metadata image;
//! [`BrokerConfig::under`] resolves again with it.
//!
//! Not here: the settings of topics and groups (crate `klamm-metadata`). No other part of the
//! process reads settings, files of settings, or the environment.

use std::sync::Arc;

use klamm_metadata::setting::Standing;
use klamm_metadata::{BrokerLayers, ConfigSource, Configs, MetadataImage, ResourceKind};
use klamm_model::BrokerId;

mod error;
mod listeners;
mod memory;
mod page;
mod properties;
mod resolve;
mod source;
mod table;
mod typed;

#[cfg(test)]
mod tests;

pub use error::{Impossible, SettingsError};
pub use page::settings_page;
pub use properties::PropertiesError;
pub(crate) use resolve::checked_log_level;
pub use source::{Sources, process_environment};
pub use table::BROKER_SETTINGS;
pub use typed::{
    AdminListener, BrokerConfig, CleanerConfig, ClusterConfig, DiagnosticsConfig, FetchConfig,
    GroupConfig, IdentityConfig, Listener, LogConfig, LogFormat, NetworkConfig, OffsetsConfig,
    ProduceValidation, ProducerConfig, ThrottleConfig, TopicCreationConfig, WriterMode,
};

/// The settings as they were given at start, as text; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    given: Arc<Configs>,
}

static NOTHING: Configs = Configs::new();

impl BrokerConfig {
    /// Reads, checks and resolves the settings.
    ///
    /// # Errors
    /// Anything wrong with any of them, with advice: the process should not start.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let given = sources.gather()?;
        for (key, value) in &given {
            BROKER_SETTINGS.check("broker", key, value)?;
        }
        let settings = Settings {
            given: Arc::new(given),
        };
        Ok(resolve::resolve(&settings, settings.at_start())?)
    }

    /// The settings of a broker started without any.
    pub fn of_defaults() -> Self {
        Self::load(&Sources::default()).expect("a test loads the defaults")
    }

    /// The configuration with the broker's number filled in, once it is known.
    #[must_use]
    pub fn with_node_id(mut self, id: BrokerId) -> Self {
        let given = Arc::make_mut(&mut self.settings.given);
        for key in ["node.id", "broker.id"] {
            given.insert(key.to_owned(), id.0.to_string());
        }
        self.identity.node_id = Some(id);
        self
    }

    /// The configuration with what was set while the cluster ran. Only settings that take effect
    /// at once can differ; those are each checked alone, so what `AlterConfigs` accepts resolves.
    #[must_use]
    pub fn under(&self, image: &MetadataImage) -> Self {
        let layers = self.layers(image);
        resolve::resolve(&self.settings, layers).unwrap_or_else(|_| self.clone())
    }

    /// The layers of this broker's configuration: for `DescribeConfigs` and the controller.
    pub fn layers<'a>(&'a self, image: &'a MetadataImage) -> BrokerLayers<'a> {
        let name = self
            .identity
            .node_id
            .map(|id| id.0.to_string())
            .unwrap_or_default();
        let dynamic_default = image.configs(ResourceKind::Broker, "");
        let dynamic = match name.as_str() {
            "" => &NOTHING,
            name => image.configs(ResourceKind::Broker, name),
        };
        BrokerLayers {
            dynamic,
            dynamic_default,
            ..self.settings.at_start()
        }
    }

    /// What a person should know about the settings: those that have no effect, and why.
    pub fn warnings(&self) -> Vec<String> {
        let ignored = self.settings.given.keys().filter_map(|key| {
            let row = BROKER_SETTINGS.get(key)?;
            match row.standing {
                Standing::Ignored(reason) => Some(format!("{key} has no effect: {reason}")),
                Standing::Served | Standing::DefaultOnly(_) => None,
            }
        });
        let mut warnings: Vec<_> = ignored.collect();
        let (batch, request) = (
            self.topic_defaults.max_message_bytes as usize,
            self.network.request_max_bytes,
        );
        if batch > request {
            warnings.push(format!(
                "no batch as large as message.max.bytes fits into a request message.max.bytes={batch} socket.request.max.bytes={request}"
            ));
        }
        warnings
    }

    /// Every setting with its value (secrets hidden) and where it comes from: for the log.
    pub fn effective(&self) -> Vec<(&'static str, String, ConfigSource)> {
        let layers = self.settings.at_start();
        let rows = BROKER_SETTINGS
            .rows()
            .filter(|row| !row.name.ends_with('*'));
        let effective = rows.filter_map(|row| {
            let (value, source) = layers.broker_value_and_source(row)?;
            let value = if row.sensitive {
                "[hidden]".to_owned()
            } else {
                value.to_string()
            };
            Some((row.name, value, source))
        });
        effective.collect()
    }
}

impl Settings {
    /// Name and value, as given.
    pub fn given(&self) -> &Configs {
        &self.given
    }

    fn at_start(&self) -> BrokerLayers<'_> {
        BrokerLayers {
            dynamic: &NOTHING,
            dynamic_default: &NOTHING,
            fixed: &self.given,
            table: &BROKER_SETTINGS,
        }
    }
}
