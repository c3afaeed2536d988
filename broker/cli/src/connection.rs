//! Which cluster, and how to talk to it: the options that every command of the client has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::error::CliError;
use crate::files;
use crate::output::Output;

/// Where a broker listens if nobody says otherwise.
const BOOTSTRAP: &str = "127.0.0.1:9092";

/// Options of every command that talks to a cluster.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The cluster")]
pub(crate) struct Connection {
    /// Where to ask first: HOST:PORT, several with commas between them [default: 127.0.0.1:9092]
    #[arg(
        short,
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "KLAMM_BOOTSTRAP"
    )]
    bootstrap: Option<String>,
    /// A file of client properties, librdkafka's names, one `key=value` per line (TLS, SASL)
    #[arg(long, global = true, value_name = "FILE")]
    client_config: Option<PathBuf>,
    /// One client property, librdkafka's name; wins over the file, may be given several times
    #[arg(short = 'X', global = true, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// How long an answer of the cluster may take, such as 10s or 2m
    #[arg(long, global = true, value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// For people (table), or for programs: one JSON object per line (json)
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

impl Connection {
    /// The properties of a client, in the order of their strength: ours, the file's, `-X`.
    ///
    /// # Errors
    /// The file cannot be read, or is not made of `key=value`.
    pub(crate) fn properties(&self) -> Result<ClientConfig, CliError> {
        let mut config = ClientConfig::new();
        config.set("client.id", "klamm");
        config.set("bootstrap.servers", BOOTSTRAP);
        // Not printed, but told if the cluster does not answer.
        config.set_log_level(RDKafkaLogLevel::Error);
        for (key, value) in self.file()? {
            config.set(key, value);
        }
        if let Some(bootstrap) = &self.bootstrap {
            config.set("bootstrap.servers", bootstrap);
        }
        for (key, value) in &self.property {
            config.set(key, value);
        }
        look_for_certificates(&mut config);
        Ok(config)
    }

    /// A connection with these properties and no others, which another process has worked out.
    pub(crate) fn of(property: Vec<(String, String)>, timeout: Duration) -> Self {
        Self {
            bootstrap: None,
            client_config: None,
            property,
            timeout,
            output: Output::Json,
        }
    }

    fn file(&self) -> Result<Vec<(String, String)>, CliError> {
        match &self.client_config {
            Some(path) => parse(path, &files::read_text(path)?),
            None => Ok(Vec::new()),
        }
    }
}

/// OpenSSL is linked statically and does not know where this system keeps its certificates:
/// librdkafka looks where the usual systems have them, unless the user says where they are.
fn look_for_certificates(config: &mut ClientConfig) {
    let protocol = config.get("security.protocol").unwrap_or_default();
    let uses_tls = protocol.to_lowercase().ends_with("ssl");
    let given = ["ssl.ca.location", "ssl.ca.pem"];
    if uses_tls && given.iter().all(|key| config.get(key).is_none()) {
        config.set("ssl.ca.location", "probe");
    }
}

/// Lines of `key=value`; `#` begins a comment.
fn parse(path: &Path, text: &str) -> Result<Vec<(String, String)>, CliError> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            pair(line).map_err(|problem| {
                CliError::Usage(format!("{}:{number}: {problem}", path.display()))
            })
        })
        .collect()
}

/// `KEY=VALUE`, cut at the first `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give it as KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// A time such as `10s`, `500ms` or `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; such as 10s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_property_per_line() {
        let text = "# a comment\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b\n";
        let parsed = parse(Path::new("f"), text).expect("valid");
        let expected = [("security.protocol", "SASL_SSL"), ("sasl.password", "a=b")];
        assert_eq!(
            parsed,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let refused = parse(Path::new("f"), "a=b\nc").expect_err("no value");
        assert_eq!(refused.to_string(), "f:2: give it as KEY=VALUE");
    }

    #[test]
    fn certificates_are_looked_for_unless_their_place_is_said() {
        let check = |given: &[(&str, &str)], expected: Option<&str>| {
            let mut config = ClientConfig::new();
            for (key, value) in given {
                config.set(*key, *value);
            }
            look_for_certificates(&mut config);
            assert_eq!(config.get("ssl.ca.location"), expected, "{given:?}");
        };
        check(&[], None);
        check(&[("security.protocol", "SASL_PLAINTEXT")], None);
        check(&[("security.protocol", "SASL_SSL")], Some("probe"));
        let own = [("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")];
        check(&own, Some("ca.pem"));
    }
}
