import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import kafka.admin.ConfigCommand;
import org.apache.kafka.tools.BrokerApiVersionsCommand;
import org.apache.kafka.tools.ClusterTool;
import org.apache.kafka.tools.ConsoleProducer;
import org.apache.kafka.tools.ConsumerPerformance;
import org.apache.kafka.tools.DeleteRecordsCommand;
import org.apache.kafka.tools.GetOffsetShell;
import org.apache.kafka.tools.GroupsCommand;
import org.apache.kafka.tools.LeaderElectionCommand;
import org.apache.kafka.tools.LogDirsCommand;
import org.apache.kafka.tools.MetadataQuorumCommand;
import org.apache.kafka.tools.ProducerPerformance;
import org.apache.kafka.tools.TopicCommand;
import org.apache.kafka.tools.TransactionsCommand;
import org.apache.kafka.tools.VerifiableConsumer;
import org.apache.kafka.tools.VerifiableProducer;
import org.apache.kafka.tools.consumer.ConsoleConsumer;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

/** Kafka's own command line tools, each by its main method, many in one JVM. */
public final class ToolChecks {
    private ToolChecks() {
    }

    public static void main(String[] args) {
        Report.check("api-versions", ToolChecks::apiVersions);
        Report.check("topics", ToolChecks::topics);
        Report.check("topics/errors", ToolChecks::topicErrors);
        Report.check("console", ToolChecks::console);
        Report.check("configs/topic", ToolChecks::topicConfigs);
        Report.check("configs/broker", ToolChecks::brokerConfigs);
        Report.check("configs/quotas", ToolChecks::quotas);
        Report.check("get-offsets", ToolChecks::getOffsets);
        Report.check("delete-records", ToolChecks::deleteRecords);
        Report.check("log-dirs", ToolChecks::logDirs);
        Report.check("consumer-groups", ToolChecks::consumerGroups);
        Report.check("consumer-groups/reset-offsets", ToolChecks::resetOffsets);
        Report.check("consumer-groups/delete", ToolChecks::deleteGroups);
        Report.check("groups", ToolChecks::groups);
        Report.check("cluster", ToolChecks::cluster);
        Report.check("quorum", ToolChecks::quorum);
        Report.check("leader-election", ToolChecks::leaderElection);
        Report.check("describe-producers", ToolChecks::describeProducers);
        Report.check("producer-perf-test", ToolChecks::perfTest);
        Report.check("verifiable", ToolChecks::verifiable);
        Report.done();
    }

    private static void apiVersions() throws Exception {
        tool(BrokerApiVersionsCommand::main).ok().has("Produce(0)", "Fetch(1)", "ApiVersions(18)");
    }

    private static void topics() throws Exception {
        create("tools", 3, "--config", "retention.ms=60000").has("Created topic tools.");
        tool(TopicCommand::main, "--create", "--if-not-exists", "--topic", "tools").ok();
        tool(TopicCommand::main, "--list").ok().has("tools");
        tool(TopicCommand::main, "--describe", "--topic", "tools").ok()
            .has("PartitionCount: 3", "ReplicationFactor: " + Report.REPLICAS, "retention.ms=60000",
                "Partition: 2");
        tool(TopicCommand::main, "--alter", "--topic", "tools", "--partitions", "5").ok();
        tool(TopicCommand::main, "--describe", "--topic", "tools").ok().has("PartitionCount: 5");
        tool(TopicCommand::main, "--describe", "--under-replicated-partitions").ok()
            .lacks("tools");
        tool(TopicCommand::main, "--delete", "--topic", "tools").ok();
        tool(TopicCommand::main, "--list").ok().lacks("tools");
    }

    private static void topicErrors() throws Exception {
        create("taken", 1);
        Tool again = tool(TopicCommand::main, "--create", "--topic", "taken");
        Report.same(1, again.status, "exit status");
        again.has("Topic 'taken' already exists.");
        Tool wrong = tool(TopicCommand::main, "--create", "--topic", "a b");
        Report.same(1, wrong.status, "exit status");
        wrong.has("Topic name is invalid");
        Tool absent = tool(TopicCommand::main, "--describe", "--topic", "absent");
        Report.same(1, absent.status, "exit status");
        absent.has("Topic 'absent' does not exist as expected");
    }

    private static void console() throws Exception {
        create("console", 1);
        String input = IntStream.range(0, 50).mapToObj(i -> "h:" + i + "\tkey-" + i + "\tvalue-" + i)
            .collect(Collectors.joining("\n", "", "\n"));
        Tool.runWith(ConsoleProducer::main, input, "--bootstrap-server", Report.BOOTSTRAP, "--topic",
            "console", "--compression-codec", "zstd", "--reader-property", "parse.key=true",
            "--reader-property", "parse.headers=true").ok();
        tool(ConsoleConsumer::main, "--topic", "console", "--from-beginning", "--max-messages", "50",
            "--timeout-ms", "20000", "--group", "console-group", "--formatter-property",
            "print.key=true", "--formatter-property", "print.headers=true", "--formatter-property",
            "print.offset=true").ok()
            .has("Offset:0\th:0\tkey-0\tvalue-0", "Offset:49\th:49\tkey-49\tvalue-49",
                "Processed a total of 50 messages");
        tool(ConsoleConsumer::main, "--topic", "console", "--partition", "0", "--offset", "45",
            "--max-messages", "5", "--timeout-ms", "20000").ok().has("value-45", "value-49")
            .lacks("value-44");
    }

    private static void topicConfigs() throws Exception {
        create("configured", 1);
        String[] entity = {"--entity-type", "topics", "--entity-name", "configured"};
        tool(ConfigCommand::main, with(entity, "--alter", "--add-config",
            "retention.ms=12345,cleanup.policy=[compact,delete]")).ok();
        tool(ConfigCommand::main, with(entity, "--describe")).ok()
            .has("retention.ms=12345", "cleanup.policy=compact,delete");
        tool(ConfigCommand::main, with(entity, "--alter", "--delete-config", "retention.ms")).ok();
        tool(ConfigCommand::main, with(entity, "--describe")).ok().lacks("retention.ms");
        tool(ConfigCommand::main, with(entity, "--describe", "--all")).ok()
            .has("retention.ms=604800000", "DEFAULT_CONFIG:log.cleanup.policy=delete");
    }

    private static void brokerConfigs() throws Exception {
        String broker = brokerId();
        String[] entity = {"--entity-type", "brokers", "--entity-name", broker};
        tool(ConfigCommand::main, with(entity, "--describe", "--all")).ok()
            .has("message.max.bytes=1048588", "auto.create.topics.enable=true",
                "group.initial.rebalance.delay.ms=0");
        String[] all = {"--entity-type", "brokers", "--entity-default"};
        tool(ConfigCommand::main, with(all, "--alter", "--add-config", "log.retention.ms=123456"))
            .ok();
        tool(ConfigCommand::main, with(all, "--describe")).ok().has("log.retention.ms=123456");
        tool(ConfigCommand::main, with(all, "--alter", "--delete-config", "log.retention.ms")).ok();
        tool(ConfigCommand::main, with(all, "--describe")).ok().lacks("log.retention.ms");
    }

    private static void quotas() throws Exception {
        String[] user = {"--entity-type", "users", "--entity-name", "alice"};
        String[] app = {"--entity-type", "clients", "--entity-name", "app"};
        String[] clients = {"--entity-type", "clients", "--entity-default"};
        String[] users = {"--entity-type", "users", "--entity-default"};
        quota(user, "user-principal 'alice'");
        quota(app, "client-id 'app'");
        quota(clients, "the default client-id");
        quota(users, "the default user-principal");
        quota(with(user, app), "user-principal 'alice', client-id 'app'");
        quota(with(user, clients), "user-principal 'alice', the default client-id");
        quota(with(users, clients), "the default user-principal, the default client-id");

        tool(ConfigCommand::main, "--alter", "--user", "bob", "--add-config",
            "producer_byte_rate=1024").ok();
        tool(ConfigCommand::main, "--describe", "--entity-type", "users").ok()
            .has("Quota configs for user-principal 'bob' are producer_byte_rate=1024.0")
            .lacks("SCRAM credential configs").lacks("Error");
        tool(ConfigCommand::main, "--describe", "--entity-type", "users", "--entity-name", "bob")
            .ok().has("producer_byte_rate=1024.0").lacks("SCRAM credential configs")
            .lacks("Error");
        tool(ConfigCommand::main, "--alter", "--user", "bob", "--delete-config",
            "producer_byte_rate").ok();
        tool(ConfigCommand::main, "--describe", "--entity-type", "users").ok().lacks("bob");
        tool(ConfigCommand::main, "--describe", "--entity-type", "ips").ok().lacks("Error");
        Tool wrong = tool(ConfigCommand::main, with(app, "--alter", "--add-config",
            "producer_byte_rate=-1"));
        Report.same(1, wrong.status, "exit status");
        wrong.has("Quota producer_byte_rate must be greater than 0");
    }

    /** Sets limits of an entity, finds them, and takes them back. */
    private static void quota(String[] entity, String shown) throws Exception {
        tool(ConfigCommand::main, with(entity, "--alter", "--add-config",
            "producer_byte_rate=100000,consumer_byte_rate=200000,request_percentage=12.5")).ok();
        Tool described = tool(ConfigCommand::main, with(entity, "--describe")).ok()
            .has("Quota configs for " + shown + " are ", "producer_byte_rate=100000.0",
                "consumer_byte_rate=200000.0", "request_percentage=12.5");
        Report.same(1L, count(described, "Quota configs for"), "entities in\n" + described.output);
        tool(ConfigCommand::main, with(entity, "--alter", "--delete-config",
            "consumer_byte_rate,request_percentage")).ok();
        tool(ConfigCommand::main, with(entity, "--describe")).ok()
            .has("Quota configs for " + shown + " are producer_byte_rate=100000.0")
            .lacks("consumer_byte_rate");
        tool(ConfigCommand::main, with(entity, "--alter", "--delete-config",
            "producer_byte_rate")).ok();
        tool(ConfigCommand::main, with(entity, "--describe")).ok().lacks("Quota configs for");
    }

    private static void getOffsets() throws Exception {
        fill("offsets", 30);
        tool(GetOffsetShell::main, "--topic", "offsets").ok().has("offsets:0:30");
        tool(GetOffsetShell::main, "--topic", "offsets", "--time", "earliest").ok()
            .has("offsets:0:0");
        tool(GetOffsetShell::main, "--topic", "offsets", "--time", "max-timestamp").ok()
            .has("offsets:0:");
        tool(GetOffsetShell::main, "--topic", "offsets", "--time", "1").ok().has("offsets:0:0");
        tool(GetOffsetShell::main, "--topic", "offsets", "--time", "earliest-local").ok()
            .has("offsets:0:0");
    }

    private static void deleteRecords() throws Exception {
        fill("trimmed", 30);
        Path file = scratch("trim.json", "{\"version\": 1, \"partitions\": ["
            + "{\"topic\": \"trimmed\", \"partition\": 0, \"offset\": 20}]}");
        tool(DeleteRecordsCommand::main, "--offset-json-file", file.toString()).ok()
            .has("partition: trimmed-0\tlow_watermark: 20");
        tool(GetOffsetShell::main, "--topic", "trimmed", "--time", "earliest").ok()
            .has("trimmed:0:20");
    }

    private static void logDirs() throws Exception {
        fill("sized", 30);
        tool(LogDirsCommand::main, "--describe", "--topic-list", "sized").ok()
            .has("\"partition\":\"sized-0\"", "\"error\":null", "\"isFuture\":false");
    }

    private static void consumerGroups() throws Exception {
        fill("grouped", 30);
        consume("grouped", "tool-group", 20);
        tool(ConsumerGroupCommand::main, "--list").ok().has("tool-group");
        tool(ConsumerGroupCommand::main, "--list", "--state").ok().has("Empty");
        tool(ConsumerGroupCommand::main, "--describe", "--group", "tool-group").ok()
            .has("has no active members", "grouped")
            .has("20              30              10");
        Tool state = tool(ConsumerGroupCommand::main, "--describe", "--group", "tool-group", "--state")
            .ok().has("Empty");
        Report.require(Report.BROKERS.stream().anyMatch(state.output::contains),
            "no coordinator in\n" + state.output);
        tool(ConsumerGroupCommand::main, "--describe", "--group", "tool-group", "--members").ok()
            .has("has no active members");
        tool(ConsumerGroupCommand::main, "--describe", "--all-groups").ok().has("tool-group");
    }

    private static void resetOffsets() throws Exception {
        fill("reset", 30);
        consume("reset", "reset-group", 10);
        reset("--to-earliest").has("reset-group", " 0");
        described("0 ");
        reset("--shift-by", "7");
        described("7 ");
        reset("--to-offset", "12");
        described("12 ");
        reset("--to-datetime", "2000-01-01T00:00:00.000");
        described("0 ");
        reset("--to-latest");
        described("30 ");
    }

    private static Tool reset(String... to) throws Exception {
        String[] base = {"--reset-offsets", "--group", "reset-group", "--topic", "reset", "--execute"};
        return tool(ConsumerGroupCommand::main, with(base, to)).ok();
    }

    private static void described(String offset) throws Exception {
        Tool described =
            tool(ConsumerGroupCommand::main, "--describe", "--group", "reset-group").ok();
        String found = described.output.lines().filter(line -> line.contains(" reset "))
            .map(line -> line.trim().split("\\s+")[3] + " ").findFirst().orElse("none");
        Report.same(offset, found, "committed offset in\n" + described.output);
    }

    private static void deleteGroups() throws Exception {
        fill("left", 10);
        consume("left", "left-group", 10);
        tool(ConsumerGroupCommand::main, "--delete-offsets", "--group", "left-group", "--topic",
            "left").ok().has("Request succeeded for deleting offsets");
        tool(ConsumerGroupCommand::main, "--describe", "--group", "left-group").lacks("left-group  ");
        consume("left", "left-group", 10);
        tool(ConsumerGroupCommand::main, "--delete", "--group", "left-group").ok()
            .has("Deletion of requested consumer groups ('left-group') was successful.");
        tool(ConsumerGroupCommand::main, "--list").ok().lacks("left-group");
        tool(ConsumerGroupCommand::main, "--delete", "--group", "left-group")
            .has("GroupIdNotFoundException");
    }

    private static void groups() throws Exception {
        fill("typed", 10);
        consume("typed", "typed-group", 10);
        tool(GroupsCommand::main, "--list").ok().has("typed-group", "Classic", "consumer");
    }

    private static void cluster() throws Exception {
        Tool.run(ClusterTool::main, "cluster-id", "--bootstrap-server", Report.BOOTSTRAP).ok()
            .has("Cluster ID: ");
        Tool.run(ClusterTool::main, "list-endpoints", "--bootstrap-server", Report.BOOTSTRAP).ok()
            .has("127.0.0.1");
    }

    private static void quorum() throws Exception {
        Tool.run(MetadataQuorumCommand::main, "--bootstrap-server", Report.BOOTSTRAP, "describe",
            "--status").ok().has("LeaderId:", "LeaderEpoch:", "HighWatermark:", "CurrentVoters:");
        Tool.run(MetadataQuorumCommand::main, "--bootstrap-server", Report.BOOTSTRAP, "describe",
            "--replication").ok().has("Leader");
    }

    private static void leaderElection() throws Exception {
        create("elected", 1);
        tool(LeaderElectionCommand::main, "--election-type", "preferred", "--topic", "elected",
            "--partition", "0").ok().has("Valid replica already elected");
    }

    private static void describeProducers() throws Exception {
        fill("producers", 3);
        Tool.run(TransactionsCommand::main, "--bootstrap-server", Report.BOOTSTRAP,
            "describe-producers", "--topic", "producers", "--partition", "0").ok()
            .has("ProducerId", "LastSequence", "None");
    }

    private static void perfTest() throws Exception {
        create("perf", 6);
        Tool.run(ProducerPerformance::main, "--topic", "perf", "--num-records", "20000",
            "--record-size", "200", "--throughput", "-1", "--producer-props",
            "bootstrap.servers=" + Report.BOOTSTRAP, "acks=all", "compression.type=lz4").ok()
            .has("20000 records sent", "99th");
        Tool.run(ConsumerPerformance::main, "--bootstrap-server", Report.BOOTSTRAP, "--topic", "perf",
            "--num-records", "20000", "--timeout", "20000").ok().has("20000");
    }

    private static void verifiable() throws Exception {
        create("verified", 2);
        Tool produced = Tool.fork(VerifiableProducer.class, "--bootstrap-server", Report.BOOTSTRAP,
            "--topic", "verified", "--max-messages", "1000", "--acks", "-1").ok().has("\"name\":\"tool_data\"");
        Report.same(1000L, count(produced, "\"name\":\"producer_send_success\""), "acknowledged");
        Tool consumed = Tool.fork(VerifiableConsumer.class, "--bootstrap-server", Report.BOOTSTRAP,
            "--topic", "verified", "--group-id", "verified-group", "--max-messages", "1000",
            "--reset-policy", "earliest", "--verbose").ok()
            .has("\"name\":\"offsets_committed\"", "\"success\":true");
        Report.same(1000L, count(consumed, "\"name\":\"record_data\""), "consumed");
    }

    private static long count(Tool tool, String part) {
        return tool.output.lines().filter(line -> line.contains(part)).count();
    }

    private static Tool create(String topic, int partitions, String... more) throws Exception {
        String[] base = {"--create", "--topic", topic, "--partitions", "" + partitions,
            "--replication-factor", "" + Report.REPLICAS};
        return tool(TopicCommand::main, with(base, more)).ok();
    }

    private static void fill(String topic, int count) throws Exception {
        create(topic, 1);
        String input = IntStream.range(0, count).mapToObj(i -> "value-" + i)
            .collect(Collectors.joining("\n", "", "\n"));
        Tool.runWith(ConsoleProducer::main, input, "--bootstrap-server", Report.BOOTSTRAP, "--topic",
            topic).ok();
    }

    private static void consume(String topic, String group, int count) throws Exception {
        tool(ConsoleConsumer::main, "--topic", topic, "--group", group, "--from-beginning",
            "--max-messages", "" + count, "--timeout-ms", "20000").ok();
    }

    private static String brokerId() throws Exception {
        create("where", 1);
        Tool described = tool(TopicCommand::main, "--describe", "--topic", "where").ok();
        String after = described.output.substring(described.output.indexOf("Leader: ") + 8);
        return after.split("\\s")[0];
    }

    private static Path scratch(String name, String text) throws Exception {
        return Files.writeString(Path.of(System.getenv("KLAMM_SCRATCH"), name), text);
    }

    private static Tool tool(Tool.Main main, String... args) throws Exception {
        return Tool.run(main, with(new String[] {"--bootstrap-server", Report.BOOTSTRAP}, args));
    }

    private static String[] with(String[] some, String... more) {
        return Stream.concat(Arrays.stream(some), Arrays.stream(more)).toArray(String[]::new);
    }
}
