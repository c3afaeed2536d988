//! `klamm config`: settings of topics and brokers, as the cluster tells and takes them.

mod incremental;

use std::fmt;

use clap::{Args, Subcommand, ValueEnum};
use rdkafka::admin::{ConfigEntry, ConfigSource, ResourceSpecifier};
use serde_json::{Value, json};

use self::incremental::Change;
use crate::cluster::Cluster;
use crate::connection::{Connection, pair};
use crate::error::CliError;
use crate::output::{Column, Printer};

/// `klamm config`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Config {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "Examples:\n  \
    klamm config get topic orders\n  \
    klamm config get broker 1 --all\n  \
    klamm config get topic orders retention.ms --output json\n  \
    klamm config set topic orders retention.ms=3600000 max.message.bytes=2097152\n  \
    klamm config unset topic orders retention.ms\n\n\
    Only the settings that are named change (IncrementalAlterConfigs); the others stay.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows settings: those that are no defaults, or those that are named.
    Get {
        #[command(flatten)]
        whose: Whose,
        /// Only these
        keys: Vec<String>,
        /// Defaults too
        #[arg(long)]
        all: bool,
    },
    /// Changes settings.
    Set {
        #[command(flatten)]
        whose: Whose,
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
        settings: Vec<(String, String)>,
    },
    /// Takes settings back, so that the default holds again.
    Unset {
        #[command(flatten)]
        whose: Whose,
        #[arg(required = true)]
        keys: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Whose {
    /// Of a topic, or of a broker
    kind: Kind,
    /// Name of the topic, or id of the broker
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Topic,
    Broker,
}

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Topic(String),
    Broker(i32),
}

impl Whose {
    fn resource(self) -> Result<Resource, CliError> {
        match self.kind {
            Kind::Topic => Ok(Resource::Topic(self.name)),
            Kind::Broker => match self.name.parse() {
                Ok(id) => Ok(Resource::Broker(id)),
                Err(_) => Err(CliError::Usage(format!(
                    "a broker is named by its number, and {} is none",
                    self.name
                ))),
            },
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
        }
    }
}

const COLUMNS: &[Column] = &[
    ("SETTING", "name"),
    ("VALUE", "value"),
    ("FROM", "source"),
    ("READ-ONLY", "read_only"),
];

impl Config {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut printer = Printer::new(self.connection.output);
        match self.action {
            Action::Get { whose, keys, all } => {
                let resource = whose.resource()?;
                let cluster = Cluster::connect(&self.connection)?;
                get(&cluster, &resource, &keys, all, &mut printer)
            }
            Action::Set { whose, settings } => {
                let changes: Vec<_> = settings
                    .into_iter()
                    .map(|(key, value)| Change::Set { key, value })
                    .collect();
                change(&self.connection, &whose.resource()?, &changes, &mut printer)
            }
            Action::Unset { whose, keys } => {
                let changes: Vec<_> = keys.into_iter().map(|key| Change::Unset { key }).collect();
                change(&self.connection, &whose.resource()?, &changes, &mut printer)
            }
        }
    }
}

/// All settings of a topic or a broker, by name.
pub(crate) fn entries(cluster: &Cluster, of: &Resource) -> Result<Vec<ConfigEntry>, CliError> {
    let specifier = match of {
        Resource::Topic(name) => ResourceSpecifier::Topic(name),
        Resource::Broker(id) => ResourceSpecifier::Broker(*id),
    };
    let what = || format!("settings of {of}");
    // A broker answers for its own settings only.
    let mut options = cluster.admin_options();
    if let Resource::Broker(id) = of {
        if !cluster
            .metadata
            .brokers()
            .iter()
            .any(|broker| broker.id() == *id)
        {
            return Err(CliError::Refused {
                what: what(),
                why: "there is no such broker in the cluster".to_owned(),
            });
        }
        options = options.broker_id(*id);
    }
    let admin = cluster.admin()?;
    let answers = pollster::block_on(admin.describe_configs([&specifier], &options))
        .map_err(|error| cluster.failed(what(), &error))?;
    let mut entries = Vec::new();
    for answer in answers {
        let resource = answer.map_err(|code| CliError::of_code(what(), code))?;
        entries.extend(resource.entries);
    }
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

/// Whether nobody has set it.
pub(crate) fn is_default(entry: &ConfigEntry) -> bool {
    entry.is_default || matches!(entry.source, ConfigSource::Default)
}

/// A setting, for programs and tables.
pub(crate) fn row(entry: &ConfigEntry) -> Value {
    json!({
        "name": entry.name,
        "value": entry.value,
        "source": source(&entry.source),
        "default": is_default(entry),
        "read_only": entry.is_read_only,
        "sensitive": entry.is_sensitive,
    })
}

fn source(source: &ConfigSource) -> &'static str {
    match source {
        ConfigSource::Unknown => "unknown",
        ConfigSource::DynamicTopic => "topic",
        ConfigSource::DynamicBroker => "broker",
        ConfigSource::DynamicDefaultBroker => "all brokers",
        ConfigSource::StaticBroker => "broker's start",
        ConfigSource::Default => "default",
    }
}

fn get(
    cluster: &Cluster,
    resource: &Resource,
    keys: &[String],
    all: bool,
    printer: &mut Printer,
) -> Result<(), CliError> {
    let entries = entries(cluster, resource)?;
    if let Some(unknown) = keys
        .iter()
        .find(|key| !entries.iter().any(|entry| entry.name == **key))
    {
        return Err(CliError::Refused {
            what: format!("settings of {resource}"),
            why: format!("{unknown} is not among them; `--all` shows which are"),
        });
    }
    let shown = entries.iter().filter(|entry| match keys {
        [] => all || !is_default(entry),
        keys => keys.contains(&entry.name),
    });
    let rows: Vec<_> = shown.map(row).collect();
    printer.rows(
        COLUMNS,
        &rows,
        "all settings are defaults; --all shows them",
    )
}

fn change(
    connection: &Connection,
    resource: &Resource,
    changes: &[Change],
    printer: &mut Printer,
) -> Result<(), CliError> {
    let cluster = Cluster::connect(connection)?;
    incremental::alter(&cluster, resource, changes)?;
    for change in changes {
        let (key, value, sentence) = match change {
            Change::Set { key, value } => (key, Some(value), format!("{resource}: {key}={value}")),
            Change::Unset { key } => (key, None, format!("{resource}: {key} is the default again")),
        };
        let object = json!({"resource": resource.to_string(), "name": key, "value": value});
        printer.say(&object, &sentence)?;
    }
    Ok(())
}
