//! The groups: which client programs there are, what they need and how they are started.

use std::path::Path;
use std::time::Instant;

use crate::args::Args;
use crate::broker::Broker;
use crate::install::Part;
use crate::places::Places;
use crate::process::Invocation;
use crate::report::Report;
use crate::{client, dump, secured};

/// One client program and the fresh broker it talks to.
pub(crate) struct Group {
    name: &'static str,
    about: &'static str,
    parts: &'static [Part],
    program: fn(&Places, &str) -> Invocation,
}

const NEW: Part = Part::Java("java", "java-new");
const OLD: Part = Part::Java("java", "java-old");
const TOOLS: Part = Part::Java("kafka-tools", "tools");

const GROUPS: &[Group] = &[
    group(
        "java-new",
        "the newest Java client",
        &[Part::Maven, NEW],
        java_client,
    ),
    group(
        "java-old",
        "an old Java client",
        &[Part::Maven, OLD],
        java_client,
    ),
    group(
        "kafka-tools",
        "Kafka's own tools",
        &[Part::Maven, TOOLS],
        java_tools,
    ),
    group(
        "connect",
        "Kafka Connect, file source and sink",
        &[Part::Maven, Part::Java("connect", "connect")],
        java_program,
    ),
    group(
        "streams",
        "a Kafka Streams word count",
        &[Part::Maven, Part::Java("streams", "streams")],
        java_program,
    ),
    group(
        "confluent-kafka",
        "librdkafka from Python",
        &[Part::Python],
        python,
    ),
    group("kafka-python", "kafka-python", &[Part::Python], python),
    group("aiokafka", "aiokafka", &[Part::Python], python),
    group("kafkajs", "kafkajs", &[Part::Node], kafkajs),
    group("franz-go", "franz-go", &[Part::Go], go),
    group("sarama", "sarama", &[Part::Go], go),
    group("kafka-go", "segmentio's kafka-go", &[Part::Go], go),
    group("kcat", "kcat", &[Part::Python, Part::Kcat], python),
];

const fn group(
    name: &'static str,
    about: &'static str,
    parts: &'static [Part],
    program: fn(&Places, &str) -> Invocation,
) -> Group {
    Group {
        name,
        about,
        parts,
        program,
    }
}

pub(crate) fn selected(args: &Args) -> Vec<&'static Group> {
    GROUPS
        .iter()
        .filter(|group| args.check_filter(group.name).is_some())
        .collect()
}

pub(crate) fn list(args: &Args) {
    for group in selected(args) {
        println!("{:<16} {}", group.name, group.about);
    }
    if args.check_filter(secured::NAME).is_some() {
        println!("{:<16} {}", secured::NAME, secured::ABOUT);
    }
}

/// What has to be installed for these groups; DumpLogSegments is needed by all.
pub(crate) fn parts(groups: &[&Group], args: &Args) -> Vec<Part> {
    let mut parts = vec![Part::Maven, TOOLS];
    if args.filters.is_empty() || !groups.is_empty() {
        parts.extend(groups.iter().flat_map(|group| group.parts.iter().copied()));
    }
    if args.check_filter(secured::NAME).is_some() {
        parts.extend(secured::PARTS);
    }
    parts
}

/// A fresh broker, the client's checks, an orderly stop, and Kafka's view of the files.
pub(crate) fn run_group(group: &Group, args: &Args, places: &Places, report: &mut Report) {
    let dir = places.run.join(group.name);
    let failures = report.failures();
    let started = Instant::now();
    let broker = std::fs::create_dir_all(&dir)
        .map_err(|error| error.to_string())
        .and_then(|()| Broker::start(args, places, &dir));
    let log = dir.join("broker.log");
    let with_log = |message: String| format!("{message}\n{}", client::tail(&log));
    match broker {
        Ok(mut broker) => {
            report.case(
                &format!("{}/broker-starts", group.name),
                started.elapsed(),
                Ok(()),
            );
            client_checks(group, args, places, &dir, &mut broker, report);
            let stopping = Instant::now();
            let stopped = broker.stop().map_err(with_log);
            report.case(
                &format!("{}/broker-stops", group.name),
                stopping.elapsed(),
                stopped,
            );
            dump::run(group.name, &mut broker, places, &dir, report);
        }
        Err(message) => {
            let name = format!("{}/broker-starts", group.name);
            report.case(&name, started.elapsed(), Err(with_log(message)));
        }
    }
    places.leave(&dir, report.failures() > failures || args.keep);
}

fn client_checks(
    group: &Group,
    args: &Args,
    places: &Places,
    dir: &Path,
    broker: &mut Broker,
    report: &mut Report,
) {
    let scratch = dir.join("scratch");
    let _ = std::fs::create_dir_all(&scratch);
    let program = (group.program)(places, group.name)
        .env("KLAMM_BOOTSTRAP", broker.bootstrap())
        .env("KLAMM_BROKERS", broker.addresses())
        .env("KLAMM_TARGET", args.target.name())
        .env("KLAMM_SCRATCH", scratch.to_string_lossy())
        .env(
            "KLAMM_CHECKS",
            args.check_filter(group.name).unwrap_or_default(),
        )
        .dir(&scratch);
    client::run(group.name, program, broker, &dir.join("client.log"), report);
}

fn java_client(places: &Places, group: &str) -> Invocation {
    java(places, group, group, "ClientChecks")
}

fn java_tools(places: &Places, group: &str) -> Invocation {
    java(places, group, "tools", "ToolChecks")
}

fn java_program(places: &Places, group: &str) -> Invocation {
    java(
        places,
        group,
        group,
        if group == "connect" {
            "ConnectChecks"
        } else {
            "StreamsChecks"
        },
    )
}

fn java(places: &Places, classes: &str, jars: &str, main: &str) -> Invocation {
    let classes = places.cache.join("classes").join(classes);
    let class_path = format!("{}:{}", classes.display(), places.jars(jars));
    Invocation::java(&class_path, 512, main)
}

fn python(places: &Places, group: &str) -> Invocation {
    let file = places
        .clients
        .join("python")
        .join(format!("{}_checks.py", group.replace('-', "_")));
    Invocation::new(places.cache.join("python/bin/python").to_string_lossy())
        .arg(file)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
}

fn kafkajs(places: &Places, _: &str) -> Invocation {
    Invocation::new("node")
        .arg(places.clients.join("kafkajs/checks.js"))
        .env(
            "NODE_PATH",
            places.cache.join("node/node_modules").to_string_lossy(),
        )
        .env("KAFKAJS_NO_PARTITIONER_WARNING", "1")
}

fn go(places: &Places, group: &str) -> Invocation {
    Invocation::new(places.cache.join("go").join(group).to_string_lossy())
}
