import static java.util.stream.Collectors.toMap;
import static java.util.stream.Collectors.toSet;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the admin client asks. */
final class AdminChecks {
    private AdminChecks() {
    }

    static void run() {
        Report.check("admin/create-topic", AdminChecks::createTopic);
        Report.check("admin/create-topic-errors", AdminChecks::createErrors);
        Report.check("admin/describe-topic", AdminChecks::describeTopic);
        Report.check("admin/topic-configs", AdminChecks::topicConfigs);
        Report.check("admin/broker-configs", AdminChecks::brokerConfigs);
        Report.check("admin/create-partitions", AdminChecks::createPartitions);
        Report.check("admin/delete-records", AdminChecks::deleteRecords);
        Report.check("admin/list-offsets", AdminChecks::listOffsets);
        Report.check("admin/groups", AdminChecks::groups);
        Report.check("admin/group-offsets", AdminChecks::groupOffsets);
        Report.check("admin/delete-topic", AdminChecks::deleteTopic);
        Report.check("admin/describe-cluster", AdminChecks::describeCluster);
        Report.check("admin/log-dirs", AdminChecks::logDirs);
        Report.check("admin/reassignments", AdminChecks::reassignments);
    }

    private static void createTopic() throws Exception {
        NewTopic topic = new NewTopic("created", 3, Report.REPLICAS)
            .configs(Map.of("retention.ms", "60000", "cleanup.policy", "compact"));
        var created = Kit.ADMIN.createTopics(List.of(topic));
        Kit.get(created.all());
        Report.same(3, Kit.get(created.numPartitions("created")), "partitions");
        Report.same((int) Report.REPLICAS, Kit.get(created.replicationFactor("created")),
            "replication factor");
        Report.same("60000", Kit.get(created.config("created")).get("retention.ms").value(),
            "answered config");
        Report.require(Kit.get(Kit.ADMIN.listTopics().names()).contains("created"), "listed");
        Kit.get(Kit.ADMIN.createTopics(List.of(new NewTopic("validated", 1, Report.REPLICAS)),
            new org.apache.kafka.clients.admin.CreateTopicsOptions().validateOnly(true)).all());
        Report.require(!Kit.get(Kit.ADMIN.listTopics().names()).contains("validated"),
            "a topic that was only to be validated exists");
    }

    private static void createErrors() throws Exception {
        Kit.create("exists", 1);
        createFails(new NewTopic("exists", 1, Report.REPLICAS), TopicExistsException.class);
        createFails(new NewTopic("no/name", 1, Report.REPLICAS), InvalidTopicException.class);
        createFails(new NewTopic("none", 0, Report.REPLICAS), InvalidPartitionsException.class);
        createFails(new NewTopic("copies", 1, (short) 7), InvalidReplicationFactorException.class);
        createFails(new NewTopic("config", 1, Report.REPLICAS).configs(Map.of("no.such.key", "1")),
            InvalidConfigurationException.class);
        createFails(new NewTopic("value", 1, Report.REPLICAS).configs(Map.of("retention.ms", "long")),
            InvalidConfigurationException.class);
    }

    private static void createFails(NewTopic topic, Class<? extends Throwable> error)
        throws Exception {
        Kit.fails(Kit.ADMIN.createTopics(List.of(topic)).all(), error);
    }

    private static void describeTopic() throws Exception {
        String name = Kit.topic(3);
        TopicDescription found = describe(name);
        Report.same(3, found.partitions().size(), "partitions");
        Report.same(false, found.isInternal(), "internal");
        Set<Node> brokers = Set.copyOf(Kit.get(Kit.ADMIN.describeCluster().nodes()));
        found.partitions().forEach(partition -> {
            Report.same(partition.replicas().get(0), partition.leader(), "leader");
            Report.same(brokers, Set.copyOf(partition.replicas()), "replicas");
            Report.same(brokers, Set.copyOf(partition.isr()), "in-sync replicas");
        });
        Kit.fails(describeFuture("absent"), UnknownTopicOrPartitionException.class);
    }

    private static void topicConfigs() throws Exception {
        String topic = Kit.topic(1, "retention.ms", "60000");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config config = configs(resource);
        Report.require(config.entries().size() >= 25, "only " + config.entries().size() + " keys");
        entry(config, "retention.ms", "60000", "DYNAMIC_TOPIC_CONFIG");
        entry(config, "cleanup.policy", "delete", "DEFAULT_CONFIG");
        entry(config, "max.message.bytes", "1048588", "DEFAULT_CONFIG");
        alter(resource, AlterConfigOp.OpType.SET, "retention.ms", "70000");
        alter(resource, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact");
        entry(configs(resource), "retention.ms", "70000", "DYNAMIC_TOPIC_CONFIG");
        entry(configs(resource), "cleanup.policy", "delete,compact", "DYNAMIC_TOPIC_CONFIG");
        alter(resource, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "compact");
        entry(configs(resource), "cleanup.policy", "delete", "DYNAMIC_TOPIC_CONFIG");
        alter(resource, AlterConfigOp.OpType.DELETE, "retention.ms", "");
        entry(configs(resource), "retention.ms", "604800000", "DEFAULT_CONFIG");
        AlterConfigOp wrong =
            new AlterConfigOp(new ConfigEntry("retention.ms", "x"), AlterConfigOp.OpType.SET);
        Kit.fails(Kit.ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(wrong))).all(),
            InvalidConfigurationException.class);
    }

    private static void brokerConfigs() throws Exception {
        int id = Kit.get(Kit.ADMIN.describeCluster().nodes()).iterator().next().id();
        ConfigResource resource =
            new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(id));
        Config config = configs(resource);
        for (String key : List.of("message.max.bytes", "auto.create.topics.enable", "num.partitions",
            "log.dirs", "listeners", "offsets.topic.replication.factor")) {
            Report.require(config.get(key) != null, "no " + key);
        }
        Report.same("0", config.get("group.initial.rebalance.delay.ms").value(), "delay");
    }

    private static void createPartitions() throws Exception {
        String topic = Kit.topic(1);
        Kit.fill(topic, 5);
        Kit.get(Kit.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
        Report.same(4, describe(topic).partitions().size(), "partitions");
        Kit.fails(Kit.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all(),
            InvalidPartitionsException.class);
        Report.same(5, Kit.readAll(topic, 5).size(), "records");
    }

    private static void deleteRecords() throws Exception {
        TopicPartition partition = new TopicPartition(Kit.topic(1), 0);
        Kit.fill(partition.topic(), 20);
        var deleted = Kit.ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(12)));
        Report.same(12L, Kit.get(deleted.lowWatermarks().get(partition)).lowWatermark(),
            "low watermark");
        Report.same(12L, Kit.readAll(partition.topic(), 8).get(0).offset(), "first offset");
        Kit.fails(Kit.ADMIN.deleteRecords(
            Map.of(partition, RecordsToDelete.beforeOffset(99))).all(),
            OffsetOutOfRangeException.class);
        var all = Kit.ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1)));
        Report.same(20L, Kit.get(all.lowWatermarks().get(partition)).lowWatermark(), "all deleted");
    }

    private static void listOffsets() throws Exception {
        TopicPartition partition = new TopicPartition(Kit.topic(1), 0);
        try (var producer = Kit.producer()) {
            for (long time : List.of(1_600_000_000_000L, 1_600_000_009_000L, 1_600_000_005_000L)) {
                Kit.get(producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(
                    partition.topic(), 0, time, null, Kit.bytes("v"))));
            }
        }
        Report.same(0L, offset(partition, OffsetSpec.earliest()), "earliest");
        Report.same(3L, offset(partition, OffsetSpec.latest()), "latest");
        Report.same(1L, offset(partition, OffsetSpec.forTimestamp(1_600_000_001_000L)), "for time");
    }

    private static long offset(TopicPartition partition, OffsetSpec spec) throws Exception {
        ListOffsetsResultInfo found =
            Kit.get(Kit.ADMIN.listOffsets(Map.of(partition, spec)).partitionResult(partition));
        return found.offset();
    }

    private static void groups() throws Exception {
        String topic = Kit.topic(2);
        try (KafkaConsumer<byte[], byte[]> member = GroupChecks.member("admin-group")) {
            member.subscribe(List.of(topic));
            Report.await("it has both", () -> GroupChecks.sizes(member).equals(List.of(2)));
            member.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0)));
            ConsumerGroupDescription group = group("admin-group");
            Report.same("Stable", group.state().toString(), "state");
            Report.same("range", group.partitionAssignor(), "assignor");
            Report.same(2, group.members().iterator().next().assignment().topicPartitions().size(),
                "assigned partitions");
            Report.require(Kit.get(Kit.ADMIN.listConsumerGroups().all()).stream()
                .anyMatch(listed -> listed.groupId().equals("admin-group")), "listed");
            Kit.fails(Kit.ADMIN.deleteConsumerGroups(List.of("admin-group")).all(),
                GroupNotEmptyException.class);
            Kit.fails(Kit.ADMIN.deleteConsumerGroupOffsets("admin-group",
                Set.of(new TopicPartition(topic, 0))).all(),
                GroupSubscribedToTopicException.class);
        }
        Report.same("Empty", group("admin-group").state().toString(), "state without members");
        Kit.get(Kit.ADMIN.deleteConsumerGroups(List.of("admin-group")).all());
        Report.require(Kit.get(Kit.ADMIN.listConsumerGroups().all()).stream()
            .noneMatch(listed -> listed.groupId().equals("admin-group")), "listed after deletion");
        Kit.fails(Kit.ADMIN.deleteConsumerGroups(List.of("admin-group")).all(),
            GroupIdNotFoundException.class);
    }

    private static void groupOffsets() throws Exception {
        String topic = Kit.topic(2);
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        Kit.get(Kit.ADMIN.alterConsumerGroupOffsets("set-by-admin",
            Map.of(first, new OffsetAndMetadata(5), second, new OffsetAndMetadata(6))).all());
        Report.same(Map.of(first, 5L, second, 6L), committed("set-by-admin"), "offsets");
        Kit.get(Kit.ADMIN.deleteConsumerGroupOffsets("set-by-admin", Set.of(first)).all());
        Report.same(Map.of(second, 6L), committed("set-by-admin"), "offsets after deletion");
        Report.same(Map.of(), committed("never-seen"), "offsets of an unknown group");
    }

    private static Map<TopicPartition, Long> committed(String group) throws Exception {
        return Kit.get(Kit.ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
            .entrySet().stream().collect(toMap(Map.Entry::getKey, entry -> entry.getValue().offset()));
    }

    private static void deleteTopic() throws Exception {
        String topic = Kit.topic(2);
        Kit.fill(topic, 10);
        Kit.get(Kit.ADMIN.deleteTopics(List.of(topic)).all());
        Report.require(!Kit.get(Kit.ADMIN.listTopics().names()).contains(topic), "still listed");
        Kit.fails(Kit.ADMIN.deleteTopics(List.of(topic)).all(),
            UnknownTopicOrPartitionException.class);
        Kit.create(topic, 1);
        Kit.fill(topic, 3);
        Report.same(0L, Kit.readAll(topic, 3).get(0).offset(), "first offset of the new topic");
    }

    private static void describeCluster() throws Exception {
        var cluster = Kit.ADMIN.describeCluster();
        Collection<Node> nodes = Kit.get(cluster.nodes());
        Set<String> addresses =
            nodes.stream().map(node -> node.host() + ":" + node.port()).collect(toSet());
        Report.same(Report.BROKERS, addresses, "addresses");
        Report.require(nodes.contains(Kit.get(cluster.controller())), "the controller is a broker");
        Report.require(!Kit.get(cluster.clusterId()).isEmpty(), "no cluster id");
    }

    private static void logDirs() throws Exception {
        String topic = Kit.topic(2);
        Kit.fill(topic, 50);
        int id = Kit.get(Kit.ADMIN.describeCluster().nodes()).iterator().next().id();
        Map<String, LogDirDescription> dirs =
            Kit.get(Kit.ADMIN.describeLogDirs(List.of(id)).descriptions().get(id));
        Report.same(1, dirs.size(), "log directories");
        LogDirDescription dir = dirs.values().iterator().next();
        Report.same(null, dir.error(), "error");
        long size = 0;
        for (TopicPartition partition : Kit.partitions(topic, 2)) {
            size += dir.replicaInfos().get(partition).size();
        }
        Report.require(size > 1000, "size " + size);
    }

    private static void reassignments() throws Exception {
        Report.same(Map.of(), Kit.get(Kit.ADMIN.listPartitionReassignments().reassignments()),
            "reassignments");
    }

    private static ConsumerGroupDescription group(String name) throws Exception {
        return Kit.get(Kit.ADMIN.describeConsumerGroups(List.of(name)).all()).get(name);
    }

    private static void alter(ConfigResource resource, AlterConfigOp.OpType type, String key,
        String value) throws Exception {
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry(key, value), type);
        Kit.get(Kit.ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(op))).all());
    }

    private static Config configs(ConfigResource resource) throws Exception {
        return Kit.get(Kit.ADMIN.describeConfigs(List.of(resource)).all()).get(resource);
    }

    private static void entry(Config config, String key, String value, String source) {
        ConfigEntry entry = config.get(key);
        Report.same(value + " " + source, entry.value() + " " + entry.source(), key);
    }

    private static TopicDescription describe(String topic) throws Exception {
        return Kit.get(describeFuture(topic));
    }

    /** The method was renamed between the versions that this runs with. */
    @SuppressWarnings("unchecked")
    private static KafkaFuture<TopicDescription> describeFuture(String topic) throws Exception {
        Object result = Kit.ADMIN.describeTopics(List.of(topic));
        java.lang.reflect.Method method;
        try {
            method = result.getClass().getMethod("topicNameValues");
        } catch (NoSuchMethodException old) {
            method = result.getClass().getMethod("values");
        }
        return ((Map<String, KafkaFuture<TopicDescription>>) method.invoke(result)).get(topic);
    }
}
