//! The cluster of `docker/compose.yaml` is given settings that the broker takes.

use std::collections::BTreeMap;

use klamm_broker::config::{BrokerConfig, Sources};

const COMPOSE: &str = include_str!("../../docker/compose.yaml");

#[test]
fn every_broker_of_the_compose_file_takes_its_settings() {
    let (common, own) = variables();
    assert!(common.len() >= 5, "what all have in common was found");
    assert_eq!(own.len(), 3, "three brokers were found");
    for (broker, own) in own {
        let all = common.iter().chain(&own);
        let sources = Sources {
            file: None,
            environment: all.cloned().collect(),
            set: Vec::new(),
        };
        let config = BrokerConfig::load(&sources);
        let config = config.unwrap_or_else(|error| panic!("{broker}: {error}"));
        let given = config.settings.given();
        assert_eq!(given.len(), common.len() + own.len(), "{broker}");
        let seeds = given.get("klamm.seed.brokers").expect("they are given");
        let advertised = given.get("klamm.peer.advertised").expect("it is given");
        assert!(
            seeds.split(',').any(|seed| seed == advertised),
            "{broker} is not among {seeds}"
        );
    }
}

type Variables = Vec<(String, String)>;

/// The variables of all brokers, and those of each. The file is read as lines: it is ours, and no
/// crate of the house reads YAML.
fn variables() -> (Variables, BTreeMap<String, Variables>) {
    let mut common = Variables::new();
    let mut own = BTreeMap::<String, Variables>::new();
    let mut broker = None;
    for line in COMPOSE.lines() {
        let indent = line.len() - line.trim_start().len();
        let Some((name, value)) = line.trim().split_once(':') else {
            continue;
        };
        if indent == 2 && name.starts_with("broker-") && value.is_empty() {
            broker = Some(name.to_owned());
        }
        if !name.starts_with("KLAMM_") {
            continue;
        }
        let variable = (name.to_owned(), value.trim().trim_matches('"').to_owned());
        match &broker {
            None => common.push(variable),
            Some(broker) => own.entry(broker.clone()).or_default().push(variable),
        }
    }
    (common, own)
}
