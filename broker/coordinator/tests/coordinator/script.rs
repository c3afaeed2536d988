//! Runs `testdata/*.txt` and compares with the output recorded there.
//!
//! A file is a list of blocks, each a few commands, `---`, and the output up to an empty line.
//! Member ids are shown as their prefix and a number. `UPDATE_SCRIPTS=1` records anew.
#![expect(
    clippy::disallowed_methods,
    reason = "scripts are files, and recording is asked for"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use klamm_coordinator::request::{
    CommitPartition, CommitTopic, FetchTopic, Heartbeat, Join, Leave, LeavingMember, OffsetCommit,
    OffsetDelete, OffsetFetch, Protocol, Sync,
};
use klamm_coordinator::{AppendError, Config, Request, Token};
use klamm_model::{TopicId, TopicPartition};

use crate::show;
use crate::world::World;

#[test]
fn scripts_give_their_recorded_output() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let update = std::env::var("UPDATE_SCRIPTS").is_ok();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let recorded = std::fs::read_to_string(&path).unwrap();
        let actual = run(&recorded);
        if update {
            std::fs::write(&path, actual).unwrap();
        } else {
            assert_eq!(recorded, actual, "{}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "there are scripts");
}

/// The script with its output as it is now.
fn run(script: &str) -> String {
    let mut session = Session::new();
    let blocks = script.trim_end().split("\n\n").map(|block| {
        let commands = block.split("\n---").next().unwrap_or(block);
        let mut output = Vec::new();
        for command in commands.lines().filter(|line| !line.starts_with('#')) {
            output.extend(session.run(command));
        }
        if output.is_empty() && !commands.lines().any(|line| !line.starts_with('#')) {
            commands.to_owned()
        } else {
            let output = output.join("\n");
            format!(
                "{commands}\n---\n{}",
                if output.is_empty() {
                    "(nothing)"
                } else {
                    &output
                }
            )
        }
    });
    blocks.collect::<Vec<_>>().join("\n\n") + "\n"
}

struct Session {
    world: World,
    log_shown: usize,
    /// What tokens were asked for, and how to name member ids.
    asked: BTreeMap<Token, String>,
    names: BTreeMap<String, String>,
    counts: BTreeMap<String, usize>,
}

impl Session {
    fn new() -> Self {
        Self {
            world: World::new(Config::default()),
            log_shown: 0,
            asked: BTreeMap::new(),
            names: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    fn run(&mut self, line: &str) -> Vec<String> {
        let command = Command::parse(line);
        let mut output = Vec::new();
        match command.name {
            "config" => self.configure(&command),
            "advance" => self.world.advance(command.first_duration()),
            "hold" => self.world.holding = true,
            "release" => {
                self.world.holding = false;
                while self.world.settle_next(Ok(())) {}
            }
            "commit-next" => assert!(self.world.settle_next(Ok(())), "nothing to commit"),
            "fail-next" => {
                assert!(
                    self.world.settle_next(Err(command.error())),
                    "nothing to fail"
                );
            }
            "restart" => self.world.restart(),
            "resign" => self.world.resign(),
            "fetch" => {
                output.push(show::fetched(
                    &self.world.coordinator.fetch_offsets(&command.fetch()),
                ));
            }
            "describe" => {
                let group = self.world.coordinator.describe_group(command.text("g"));
                output.push(show::described(group.as_ref()));
            }
            "list" => {
                let (states, types) = (command.list("states"), command.list("types"));
                output.push(show::listed(
                    &self.world.coordinator.list_groups(&states, &types),
                ));
            }
            "partitions-deleted" => {
                let partitions = command.words.iter();
                let partitions = partitions.map(|word| TopicPartition::parse(word).unwrap());
                self.world.delete_partitions(partitions.collect());
            }
            _ => self.ask(line, &command),
        }
        for reply in std::mem::take(&mut self.world.replies) {
            let asked = self.asked.remove(&reply.0).unwrap_or_default();
            output.push(format!("{asked}{}", show::reply(&reply.1)));
        }
        for record in &self.world.log[self.log_shown..] {
            output.push(show::record(record));
        }
        self.log_shown = self.world.log.len();
        // An empty line would end the block.
        let lines = output
            .iter()
            .map(|line| if line.is_empty() { "(none)" } else { line });
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.iter().map(|line| self.with_names(line)).collect()
    }

    fn ask(&mut self, line: &str, command: &Command<'_>) {
        let request = self.request(command);
        let token = self.world.request(request);
        // Who waits says later what it waited for.
        let label = if self.world.is_outstanding(token) {
            format!("[{line}] ")
        } else {
            String::new()
        };
        self.asked.insert(token, label);
    }

    fn request(&self, command: &Command<'_>) -> Request {
        let group_id = command.text("g").to_owned();
        let member_id = self.real_id(command.get("m").unwrap_or(""));
        let instance_id = command.get("i").map(str::to_owned);
        let generation = command.number("gen").unwrap_or(-1);
        match command.name {
            "join" => Request::Join(command.join(group_id, member_id, instance_id)),
            "sync" => Request::Sync(Sync {
                group_id,
                generation,
                member_id,
                instance_id,
                protocol_type: command.get("type").map(str::to_owned),
                protocol_name: command.get("protocol").map(str::to_owned),
                assignments: command
                    .pairs("assign")
                    .map(|(id, text)| (self.real_id(id), Bytes::copy_from_slice(text.as_bytes())))
                    .collect(),
            }),
            "heartbeat" => Request::Heartbeat(Heartbeat {
                group_id,
                generation,
                member_id,
                instance_id,
            }),
            "leave" => {
                let members = command.list("m").into_iter().map(|id| LeavingMember {
                    member_id: self.real_id(&id),
                    instance_id: instance_id.clone(),
                });
                let instances = command
                    .list("instances")
                    .into_iter()
                    .map(|id| LeavingMember {
                        member_id: String::new(),
                        instance_id: Some(id),
                    });
                Request::Leave(Leave {
                    group_id,
                    members: members.chain(instances).collect(),
                })
            }
            "commit" => Request::OffsetCommit(OffsetCommit {
                group_id,
                generation,
                member_id,
                instance_id,
                retention_time_ms: command.get("retention").map(|text| millis(text).into()),
                knows_group_id_not_found: command.number("v").unwrap_or(9) >= 9,
                topics: command.commit_topics(),
            }),
            "offset-delete" => {
                let topics = command.partitions("offsets");
                Request::OffsetDelete(OffsetDelete { group_id, topics })
            }
            "delete-group" => Request::DeleteGroup { group_id },
            unknown => panic!("unknown command {unknown}"),
        }
    }

    fn configure(&mut self, command: &Command<'_>) {
        let config = &mut self.world.config;
        if let Some(delay) = command.get("initial-delay") {
            config.initial_rebalance_delay = duration(delay);
        }
        if let Some(size) = command.number("max-size") {
            config.group_max_size = usize::try_from(size).unwrap();
        }
        if let Some(retention) = command.get("retention") {
            config.offsets_retention = duration(retention);
        }
        self.world.coordinator.set_config(self.world.config.clone());
    }

    /// Replaces member ids by short names, in the order in which they come up.
    fn with_names(&mut self, line: &str) -> String {
        const UUID_LENGTH: usize = 36;
        let mut named = line.to_owned();
        let is_boundary = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        for word in line
            .split(is_boundary)
            .filter(|word| word.len() > UUID_LENGTH)
        {
            let prefix = &word[..word.len() - UUID_LENGTH - 1];
            if !self.names.contains_key(word) {
                let count = self.counts.entry(prefix.to_owned()).or_default();
                *count += 1;
                self.names
                    .insert(word.to_owned(), format!("{prefix}#{count}"));
            }
            named = named.replace(word, &self.names[word]);
        }
        named
    }

    fn real_id(&self, name: &str) -> String {
        let found = self.names.iter().find(|(_, shown)| *shown == name);
        found.map_or(name, |(id, _)| id.as_str()).to_owned()
    }
}

/// A name, `key=value` pairs, and words.
struct Command<'a> {
    name: &'a str,
    values: BTreeMap<&'a str, &'a str>,
    words: Vec<&'a str>,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Self {
        let mut parts = line.split_whitespace();
        let name = parts.next().unwrap_or("");
        let (pairs, words): (Vec<_>, Vec<_>) = parts.partition(|part| part.contains('='));
        let values = pairs
            .into_iter()
            .filter_map(|pair| pair.split_once('='))
            .collect();
        Self {
            name,
            values,
            words,
        }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).copied()
    }

    fn text(&self, key: &str) -> &'a str {
        self.get(key)
            .unwrap_or_else(|| panic!("{} needs {key}", self.name))
    }

    fn number(&self, key: &str) -> Option<i32> {
        self.get(key).map(|text| text.parse().unwrap())
    }

    fn list(&self, key: &str) -> Vec<String> {
        self.items(key).map(str::to_owned).collect()
    }

    fn items(&self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.get(key)
            .unwrap_or("")
            .split(',')
            .filter(|item| !item.is_empty())
    }

    /// `a:x,b:y`; what has no colon has an empty second half.
    fn pairs(&self, key: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.items(key)
            .map(|item| item.split_once(':').unwrap_or((item, "")))
    }

    fn first_duration(&self) -> Duration {
        duration(self.words[0])
    }

    fn error(&self) -> AppendError {
        match self.words.first().copied().unwrap_or("NotLeader") {
            "NotLeader" => AppendError::NotLeader,
            "Storage" => AppendError::Storage,
            "NotAvailable" => AppendError::NotAvailable,
            "TooLarge" => AppendError::TooLarge,
            unknown => panic!("unknown error {unknown}"),
        }
    }

    fn join(&self, group_id: String, member_id: String, instance_id: Option<String>) -> Join {
        let version = self.number("v").unwrap_or(9);
        let protocol_type = self.get("type").unwrap_or("consumer");
        let metadata = |topics: &str| match protocol_type {
            "consumer" => subscription(topics),
            _ => Bytes::copy_from_slice(topics.as_bytes()),
        };
        Join {
            group_id,
            member_id,
            instance_id,
            client_id: self.get("client").unwrap_or("c").to_owned(),
            client_host: "/10.0.0.1".to_owned(),
            session_timeout_ms: millis(self.get("session").unwrap_or("10s")),
            rebalance_timeout_ms: self.get("rebalance").map_or(60_000, millis),
            protocol_type: protocol_type.to_owned(),
            protocols: match self.get("protocols") {
                None => vec![Protocol {
                    name: "range".to_owned(),
                    metadata: metadata(""),
                }],
                Some(_) => self
                    .pairs("protocols")
                    .map(|(name, topics)| Protocol {
                        name: name.to_owned(),
                        metadata: metadata(topics),
                    })
                    .collect(),
            },
            requires_member_id: version >= 4,
            supports_skip_assignment: version >= 9,
        }
    }

    /// `t-0:5:metadata,…`, one topic entry per partition.
    fn commit_topics(&self) -> Vec<CommitTopic> {
        let topics = self.pairs("offsets").map(|(name, rest)| {
            let (offset, metadata) = rest.split_once(':').unwrap_or((rest, ""));
            let (topic, partition) = name.rsplit_once('-').unwrap();
            CommitTopic {
                name: topic.to_owned(),
                topic_id: TopicId::ZERO,
                partitions: vec![CommitPartition {
                    partition: partition.parse().unwrap(),
                    offset: offset.parse().unwrap(),
                    leader_epoch: 3,
                    metadata: Some(if metadata == "LONG" {
                        "x".repeat(4097)
                    } else {
                        metadata.to_owned()
                    }),
                }],
            }
        });
        topics.collect()
    }

    fn partitions(&self, key: &str) -> Vec<(String, Vec<i32>)> {
        let partitions = self.items(key).map(|item| {
            let (topic, partition) = item.rsplit_once('-').unwrap();
            (topic.to_owned(), vec![partition.parse().unwrap()])
        });
        partitions.collect()
    }

    fn fetch(&self) -> OffsetFetch {
        let topics = self
            .partitions("offsets")
            .into_iter()
            .map(|(name, partitions)| FetchTopic {
                name,
                topic_id: TopicId::ZERO,
                partitions,
            });
        OffsetFetch {
            group_id: self.text("g").to_owned(),
            topics: self.get("offsets").map(|_| topics.collect()),
        }
    }
}

/// A consumer's subscription to topics named by single letters.
fn subscription(topics: &str) -> Bytes {
    let mut bytes = vec![0, 3];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics.bytes() {
        bytes.extend([0, 1, topic]);
    }
    bytes.into()
}

/// `5s`, `3ms`, `7d`; milliseconds without a unit.
fn duration(text: &str) -> Duration {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().unwrap();
    Duration::from_millis(match &text[digits..] {
        "" | "ms" => number,
        "s" => number * 1_000,
        "m" => number * 60_000,
        "h" => number * 3_600_000,
        "d" => number * 86_400_000,
        unit => panic!("unknown unit {unit:?}"),
    })
}

fn millis(text: &str) -> i32 {
    duration(text).as_millis().try_into().unwrap()
}
