//! `klamm`'s command line against a cluster that wants TLS and logins: Apache Kafka with one
//! listener for SCRAM over TLS, and one for client certificates.
//!
//! Klamm's own listeners have neither yet, but its command line talks to any cluster.

mod certificates;
mod kafka;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use self::certificates::Certificates;
use self::kafka::{PASSWORD, SecuredKafka, USER};
use crate::args::Args;
use crate::install::Part;
use crate::places::Places;
use crate::report::Report;

/// As filters name it.
pub(crate) const NAME: &str = "command-line";
pub(crate) const ABOUT: &str = "klamm's command line against Apache Kafka with TLS and SCRAM";
pub(crate) const PARTS: [Part; 2] = [Part::Maven, Part::Openssl];

/// Exit codes of the command line (`docs/cli.md`).
const DONE: i32 = 0;
const NO_ANSWER: i32 = 3;

const MESSAGE: &str = "over TLS";

/// One check: what it is called, and what it finds.
type Check = (&'static str, fn(&Session<'_>) -> Result<(), String>);

const CHECKS: [Check; 8] = [
    ("scram/topics", topics),
    ("scram/records", records),
    ("scram/groups-and-configs", groups_and_configs),
    ("scram/bench", bench),
    ("scram/wrong-password", wrong_password),
    ("tls/client-certificate", client_certificate),
    ("tls/unknown-authority", unknown_authority),
    ("tls/without-tls", without_tls),
];

pub(crate) fn run(args: &Args, places: &Places, report: &mut Report) {
    let Some(filter) = args.check_filter(NAME) else {
        return;
    };
    let dir = places.run.join(NAME);
    let failures = report.failures();
    let started = Instant::now();
    let prepared = std::fs::create_dir_all(&dir)
        .map_err(|error| error.to_string())
        .and_then(|()| Certificates::make(&dir))
        .and_then(|certificates| {
            let kafka = SecuredKafka::start(places, &dir, &certificates)?;
            Ok((certificates, kafka))
        });
    match prepared {
        Ok((certificates, kafka)) => {
            let session = Session {
                klamm: &places.binary,
                certificates,
                kafka,
            };
            for (name, check) in CHECKS.iter().filter(|(name, _)| name.contains(&filter)) {
                let begun = Instant::now();
                let outcome = check(&session);
                report.case(&format!("{NAME}/{name}"), begun.elapsed(), outcome);
            }
        }
        Err(message) => {
            let name = format!("{NAME}/kafka-starts");
            report.case(&name, started.elapsed(), Err(message));
        }
    }
    places.leave(&dir, report.failures() > failures || args.keep);
}

/// What the checks share.
struct Session<'a> {
    klamm: &'a Path,
    certificates: Certificates,
    kafka: SecuredKafka,
}

impl Session<'_> {
    /// Client properties of a user who logs in.
    fn scram(&self, password: &str, authority: &Path) -> Vec<String> {
        vec![
            "security.protocol=SASL_SSL".to_owned(),
            "sasl.mechanisms=SCRAM-SHA-512".to_owned(),
            format!("sasl.username={USER}"),
            format!("sasl.password={password}"),
            format!("ssl.ca.location={}", authority.display()),
        ]
    }

    /// Runs `klamm` as the user who may.
    fn klamm(&self, command: &str, input: &str) -> Result<String, String> {
        let properties = self.scram(PASSWORD, &self.certificates.authority());
        let output = self.run(&self.kafka.scram_address(), &properties, command, input)?;
        expect(&output, DONE)
    }

    fn run(
        &self,
        address: &str,
        properties: &[String],
        command: &str,
        input: &str,
    ) -> Result<Output, String> {
        use std::io::Write as _;

        let mut klamm = Command::new(self.klamm);
        klamm.args(command.split(' ')).args(["-b", address]);
        for property in properties {
            klamm.args(["-X", property]);
        }
        let mut child = klamm
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("klamm does not start error={error}"))?;
        let stdin = child.stdin.take();
        let written = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        if let Some(Err(error)) = written {
            return Err(format!("klamm does not read error={error}"));
        }
        child.wait_with_output().map_err(|error| error.to_string())
    }

    /// Runs a command that cannot reach anybody; what it says of that.
    fn complaint(&self, address: &str, properties: &[String]) -> Result<String, String> {
        let output = self.run(address, properties, "topic list --timeout 8s", "")?;
        expect(&output, NO_ANSWER)?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What was printed, if the exit code is as expected.
fn expect(output: &Output, code: i32) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(found) if found == code => Ok(text),
        found => Err(format!(
            "exit code {found:?} instead of {code}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn contains(text: &str, part: &str) -> Result<(), String> {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("there is no \"{part}\" in: {text}")),
    }
}

fn topics(session: &Session<'_>) -> Result<(), String> {
    session.klamm("topic create secured --partitions 3 --replication 1", "")?;
    let described = session.klamm("topic describe secured --output json", "")?;
    contains(&described, "\"topic\":\"secured\"")?;
    contains(&session.klamm("topic list", "")?, "secured")
}

fn records(session: &Session<'_>) -> Result<(), String> {
    session.klamm("topic create records --partitions 1 --replication 1", "")?;
    session.klamm("produce records", &format!("{MESSAGE}\n"))?;
    let consumed = session.klamm("consume records --exit-at-end", "")?;
    contains(&consumed, MESSAGE)
}

fn groups_and_configs(session: &Session<'_>) -> Result<(), String> {
    session.klamm("topic create grouped --partitions 1 --replication 1", "")?;
    session.klamm("produce grouped", &format!("{MESSAGE}\n"))?;
    let consume = "consume grouped --group readers --from beginning --count 1";
    contains(&session.klamm(consume, "")?, MESSAGE)?;
    contains(&session.klamm("group list", "")?, "readers")?;
    session.klamm("config set topic grouped retention.ms=3600000", "")?;
    let configs = session.klamm("config get topic grouped", "")?;
    contains(&configs, "3600000")
}

fn bench(session: &Session<'_>) -> Result<(), String> {
    let command = "bench --rate 500 --size 100 --partitions 2 --replication 1 --producers 1 \
                   --consumers 1 --seconds 2 --warm-up 1 --output json";
    let report = session.klamm(command, "")?;
    let report: serde_json::Value =
        serde_json::from_str(&report).map_err(|error| format!("{error}: {report}"))?;
    let messages = &report["messages"];
    match (&messages["acknowledged"], &messages["consumed"]) {
        (acknowledged, consumed) if acknowledged == 1000 && consumed == 1000 => Ok(()),
        _ => Err(format!(
            "1000 should be acknowledged and consumed: {messages}"
        )),
    }
}

fn wrong_password(session: &Session<'_>) -> Result<(), String> {
    let properties = session.scram("not it", &session.certificates.authority());
    let said = session.complaint(&session.kafka.scram_address(), &properties)?;
    contains(&said.to_lowercase(), "authentication failed")
}

fn client_certificate(session: &Session<'_>) -> Result<(), String> {
    let certificates = &session.certificates;
    let authority = format!("ssl.ca.location={}", certificates.authority().display());
    let tls = "security.protocol=SSL".to_owned();
    let (certificate, key) = certificates.client();
    let own = [
        tls.clone(),
        authority.clone(),
        format!("ssl.certificate.location={}", certificate.display()),
        format!("ssl.key.location={}", key.display()),
    ];
    let address = session.kafka.tls_address();
    let listed = session.run(&address, &own, "topic list", "")?;
    expect(&listed, DONE)?;
    // Without a certificate of one's own there is no answer.
    session.complaint(&address, &[tls, authority]).map(drop)
}

fn unknown_authority(session: &Session<'_>) -> Result<(), String> {
    let properties = session.scram(PASSWORD, &session.certificates.other_authority());
    let said = session.complaint(&session.kafka.scram_address(), &properties)?;
    contains(&said.to_lowercase(), "certificate verify failed")
}

fn without_tls(session: &Session<'_>) -> Result<(), String> {
    let said = session.complaint(&session.kafka.tls_address(), &[])?;
    contains(&said, &session.kafka.tls_address())
}
