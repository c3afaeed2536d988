//! Apache Kafka with a listener for SCRAM over TLS, and one for client certificates.

use std::path::Path;

use super::certificates::Certificates;
use crate::broker::{KAFKA_SETTINGS, await_answers, formatted_kafka, free_port};
use crate::places::Places;
use crate::process::{Output, Process};

/// Who may log in.
pub(super) const USER: &str = "alice";
pub(super) const PASSWORD: &str = "open sesame";

/// A running broker; killed when dropped.
pub(super) struct SecuredKafka {
    scram_port: u16,
    tls_port: u16,
    _process: Process,
}

impl SecuredKafka {
    pub(super) fn start(
        places: &Places,
        dir: &Path,
        certificates: &Certificates,
    ) -> Result<Self, String> {
        let [plain_port, scram_port, tls_port, controller] =
            [free_port()?, free_port()?, free_port()?, free_port()?];
        let mut properties = format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain_port},SASL_SSL://127.0.0.1:{scram_port},\
             SSL://127.0.0.1:{tls_port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain_port},\
             SASL_SSL://localhost:{scram_port},SSL://localhost:{tls_port}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,\
             CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n\
             sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.ssl.ssl.client.auth=required\n\
             ssl.keystore.type=PEM\n\
             ssl.keystore.location={}\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={}\n\
             log.dirs={}\n",
            certificates.server_store().display(),
            certificates.authority().display(),
            dir.join("data").display(),
        );
        for (key, value) in KAFKA_SETTINGS {
            properties.push_str(&format!("{key}={value}\n"));
        }
        let config = dir.join("server.properties");
        std::fs::write(&config, properties).map_err(|error| error.to_string())?;
        let log = dir.join("broker.log");
        let with_log = |message: String| format!("{message}\n{}", crate::client::tail(&log));
        // Before there is a broker, only this can make the first user.
        let user = format!("SCRAM-SHA-512=[name={USER},password=\"{PASSWORD}\"]");
        let mut start =
            formatted_kafka(places, &config, &["--add-scram", &user], &log).map_err(with_log)?;
        let mut process = Process::start(&mut start, &log, Output::Log)
            .map_err(|error| format!("the broker does not start error={error}"))?;
        await_answers(plain_port, &mut process).map_err(with_log)?;
        Ok(Self {
            scram_port,
            tls_port,
            _process: process,
        })
    }

    /// Where a user logs in. By name: it is what the certificate says.
    pub(super) fn scram_address(&self) -> String {
        format!("localhost:{}", self.scram_port)
    }

    /// Where a client shows a certificate of its own.
    pub(super) fn tls_address(&self) -> String {
        format!("localhost:{}", self.tls_port)
    }
}
