//! Who the broker is, where it listens, where its data lies, how topics come into being.

use klamm_metadata::setting::{Kind, Setting, Synonym, Valid, setting};

use super::{boolean, int, string, unset};

/// A number given under either name is the broker's.
const NODE_ID: &[Synonym] = &[Synonym::same("node.id"), Synonym::same("broker.id")];

const PLAINTEXT_ONLY: &str = "connections are neither encrypted nor authenticated yet: use PLAINTEXT listeners on a network you trust";
const NO_AUTHORIZER: &str = "there is no authorizer yet, and to start without one would open what should be closed: leave it empty, on a network you trust";
const NO_POLICY: &str = "there are no Java classes here, and to start without the policy would allow what it forbids: leave it unset";

pub(super) const ROWS: &[Setting] = &[
    unset("node.id", Kind::Int)
        .valid(Valid::AtLeast(0))
        .synonyms(NODE_ID)
        .says("The broker's number in the cluster. If it is not given, a new data directory gets 1 and an old one keeps its number."),
    int("broker.id", "-1")
        .valid(Valid::AtLeast(-1))
        .synonyms(&[Synonym::same("broker.id")])
        .says("The old name of `node.id`; -1 is not given."),
    unset("broker.rack", Kind::String)
        .valid(Valid::NonEmpty)
        .says("Where the broker stands, such as an availability zone: consumers that know theirs read nearby."),
    unset("log.dirs", Kind::List)
        .says("The directories that hold the data, separated by commas."),
    setting("log.dir", Kind::String, Some("klamm-data"))
        .valid(Valid::NonEmpty)
        .says("The directory that holds the data, if `log.dirs` is not given. (Kafka's default lies in `/tmp`.)"),
    setting("listeners", Kind::List, Some("PLAINTEXT://127.0.0.1:9092"))
        .says("Where the broker listens: `NAME://host:port`, separated by commas; an empty host or 0.0.0.0 is every address, port 0 any free one. (Kafka's default is every address.) A listener named in `controller.listener.names` is not opened."),
    unset("advertised.listeners", Kind::List)
        .says("What clients are told to connect to, in the form of `listeners` and under the same names; as `listeners` if not given. It must be an address that clients can reach."),
    setting(
        "listener.security.protocol.map",
        Kind::String,
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
    )
    .says("Which security protocol a listener name stands for, as `NAME:PROTOCOL` pairs. Only `PLAINTEXT` can be listened on yet."),
    setting("controller.listener.names", Kind::List, Some(""))
        .says("Listeners that Kafka's controllers would use: they are not opened, since a broker here needs none."),
    string("security.inter.broker.protocol", "PLAINTEXT")
        .default_only(PLAINTEXT_ONLY)
        .says("How brokers would speak to one another."),
    string("authorizer.class.name", "")
        .default_only(NO_AUTHORIZER)
        .says("Which class decides who may do what."),
    unset("create.topic.policy.class.name", Kind::Class)
        .default_only(NO_POLICY)
        .says("Which class may refuse new topics."),
    unset("alter.config.policy.class.name", Kind::Class)
        .default_only(NO_POLICY)
        .says("Which class may refuse changes of settings."),
    setting("config.providers", Kind::List, Some(""))
        .default_only("values are taken as they stand; use KLAMM_ variables for what the file should not hold")
        .says("Which classes look up `${...}` in values."),
    boolean("remote.log.storage.system.enable", "false")
        .default_only("there is no remote storage yet: leave it false")
        .says("Whether closed segments can be kept in remote storage."),
    boolean("auto.create.topics.enable", "true")
        .says("Whether a topic comes into being when a client that allows it first names it."),
    boolean("delete.topic.enable", "true")
        .says("Whether topics can be deleted."),
    int("num.partitions", "1")
        .valid(Valid::AtLeast(1))
        .says("How many partitions a topic gets when nobody says."),
    int("default.replication.factor", "1")
        .valid(Valid::Between(1, 32_767))
        .says("How many replicas a partition gets when nobody says."),
    boolean("klamm.replication.factor.clamp", "false")
        .says("Whether a topic that asks for more replicas than there are brokers gets as many as there are, instead of an error: for development against programs that insist on three."),
    int("klamm.partitions.max", "-1")
        .valid(Valid::AtLeast(-1))
        .at_once()
        .says("How many partitions there may be in all; more are refused with `POLICY_VIOLATION`, and a topic is not created on first use. Those that are there stay, and `__consumer_offsets` is created all the same. -1 is as many as half of the open files (five for each) and `vm.max_map_count` (two for each) bear, but at least 100 and at most 20,000. (Kafka has no limit.)"),
    int("max.request.partition.size.limit", "2000")
        .valid(Valid::AtLeast(1))
        .says("How many partitions one answer to DescribeTopicPartitions holds at most."),
    string("klamm.admin.listener", "127.0.0.1:9644")
        .says("Where `/metrics`, `/health/live`, `/health/ready` and `/log/level` are served over HTTP, as `host:port`; an empty host is every address, port 0 any free one, and nothing at all switches it off. Nobody is asked who they are there. If the port is in use the broker does not start, but for the default, which it then does without, with a warning."),
    string("klamm.log.level", "info")
        .valid(Valid::NonEmpty)
        .says("What the process writes about itself: `error`, `warn`, `info`, `debug` or `trace`, or levels by module such as `info,klamm_storage=debug`."),
    string("klamm.log.format", "text")
        .valid(Valid::OneOf(&["text", "json"]))
        .says("Whether those lines are for people or one JSON object each."),
];
