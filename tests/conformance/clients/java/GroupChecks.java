import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;

/** Classic groups: members on the threads of this check, polled in turn. */
final class GroupChecks {
    private static final String COOPERATIVE =
        "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";

    private GroupChecks() {
    }

    static void run() {
        Report.check("group/two-members", () -> twoMembers("two-members"));
        Report.check("group/cooperative-sticky",
            () -> twoMembers("cooperative", "partition.assignment.strategy", COOPERATIVE));
        Report.check("group/round-robin", () -> twoMembers("round-robin",
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RoundRobinAssignor"));
        Report.check("group/commit-and-resume", GroupChecks::commitAndResume);
        Report.check("group/commit-metadata", GroupChecks::commitMetadata);
        Report.check("group/static-membership", GroupChecks::staticMembership);
        Report.check("group/static-member-is-fenced", GroupChecks::staticFenced);
        Report.check("group/silent-member-is-dropped", GroupChecks::silentMember);
        Report.check("group/subscribes-by-pattern", GroupChecks::pattern);
    }

    private static void twoMembers(String group, String... more) throws Exception {
        String topic = Kit.topic(4);
        try (KafkaConsumer<byte[], byte[]> first = member(group, more)) {
            first.subscribe(List.of(topic));
            Report.await("the first has all", () -> sizes(first).equals(List.of(4)));
            KafkaConsumer<byte[], byte[]> second = member(group, more);
            second.subscribe(List.of(topic));
            Report.await("both have two", () -> sizes(first, second).equals(List.of(2, 2)));
            Set<TopicPartition> all = new HashSet<>(first.assignment());
            all.addAll(second.assignment());
            Report.same(4, all.size(), "partitions of both");
            consumeBoth(topic, first, second);
            second.close();
            Report.await("the first has all again", () -> sizes(first).equals(List.of(4)));
        }
    }

    private static void consumeBoth(String topic, KafkaConsumer<byte[], byte[]> first,
        KafkaConsumer<byte[], byte[]> second) throws Exception {
        try (var producer = Kit.producer()) {
            for (int i = 0; i < 40; i++) {
                producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(
                    topic, i % 4, null, Kit.bytes("v" + i)));
            }
        }
        List<Integer> counts = new ArrayList<>(List.of(0, 0));
        Report.await("each reads its half", () -> {
            counts.set(0, counts.get(0) + first.poll(Kit.POLL).count());
            counts.set(1, counts.get(1) + second.poll(Kit.POLL).count());
            return counts.equals(List.of(20, 20));
        });
    }

    private static void commitAndResume() throws Exception {
        String topic = Kit.topic(1);
        Kit.fill(topic, 30);
        try (KafkaConsumer<byte[], byte[]> consumer = member("resume", "max.poll.records", "10")) {
            consumer.subscribe(List.of(topic));
            Kit.read(consumer, 10);
            consumer.commitSync();
        }
        try (KafkaConsumer<byte[], byte[]> consumer = member("resume")) {
            consumer.subscribe(List.of(topic));
            List<ConsumerRecord<byte[], byte[]>> rest = Kit.read(consumer, 20);
            Report.same(10L, rest.get(0).offset(), "first offset after resuming");
        }
    }

    private static void commitMetadata() throws Exception {
        TopicPartition partition = new TopicPartition(Kit.topic(1), 0);
        try (KafkaConsumer<byte[], byte[]> consumer = member("metadata")) {
            consumer.assign(List.of(partition));
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(7, "a note: \u00fc")));
            OffsetAndMetadata found = consumer.committed(Set.of(partition)).get(partition);
            Report.same(7L, found.offset(), "offset");
            Report.same("a note: \u00fc", found.metadata(), "metadata");
        }
    }

    /** Leaving and coming back with the same instance id moves nothing. */
    private static void staticMembership() throws Exception {
        String topic = Kit.topic(4);
        try (KafkaConsumer<byte[], byte[]> first = member("static", "group.instance.id", "one")) {
            first.subscribe(List.of(topic));
            KafkaConsumer<byte[], byte[]> second = member("static", "group.instance.id", "two");
            second.subscribe(List.of(topic));
            Report.await("both have two", () -> sizes(first, second).equals(List.of(2, 2)));
            int generation = first.groupMetadata().generationId();
            Set<TopicPartition> owned = new HashSet<>(second.assignment());
            second.close();
            try (KafkaConsumer<byte[], byte[]> back = member("static", "group.instance.id", "two")) {
                back.subscribe(List.of(topic));
                Report.await("it is back", () -> sizes(first, back).equals(List.of(2, 2)));
                Report.same(owned, new HashSet<>(back.assignment()), "assignment of the second");
                Report.same(generation, first.groupMetadata().generationId(), "generation");
            }
        }
    }

    private static void staticFenced() throws Exception {
        String topic = Kit.topic(1);
        KafkaConsumer<byte[], byte[]> old = member("fenced", "group.instance.id", "same");
        old.subscribe(List.of(topic));
        Report.await("the old one has it", () -> sizes(old).equals(List.of(1)));
        try (KafkaConsumer<byte[], byte[]> young = member("fenced", "group.instance.id", "same")) {
            young.subscribe(List.of(topic));
            Report.await("the new one has it", () -> sizes(young).equals(List.of(1)));
            try {
                old.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0)));
                throw new AssertionError("a fenced member could commit");
            } catch (FencedInstanceIdException | CommitFailedException expected) {
                Report.same(FencedInstanceIdException.class, expected.getClass(), "error");
            }
        }
        old.close(java.time.Duration.ZERO);
    }

    /** A member that polls no more gives its partitions up after max.poll.interval.ms. */
    private static void silentMember() throws Exception {
        String topic = Kit.topic(2);
        try (KafkaConsumer<byte[], byte[]> busy = member("silent");
            KafkaConsumer<byte[], byte[]> silent = member("silent", "max.poll.interval.ms", "3000")) {
            busy.subscribe(List.of(topic));
            silent.subscribe(List.of(topic));
            Report.await("both have one", () -> sizes(busy, silent).equals(List.of(1, 1)));
            Report.await("one has both", () -> sizes(busy).equals(List.of(2)));
        }
    }

    private static void pattern() throws Exception {
        Kit.create("pattern-a", 1);
        Kit.create("pattern-b", 1);
        try (KafkaConsumer<byte[], byte[]> consumer =
            member("pattern", "metadata.max.age.ms", "500")) {
            consumer.subscribe(java.util.regex.Pattern.compile("pattern-.*"));
            Report.await("both are found", () -> sizes(consumer).equals(List.of(2)));
            Kit.create("pattern-c", 1);
            Report.await("the new one is found", () -> sizes(consumer).equals(List.of(3)));
        }
    }

    static KafkaConsumer<byte[], byte[]> member(String group, String... more) {
        Map<String, String> settings = new HashMap<>();
        settings.put("group.id", group);
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "300");
        for (int i = 0; i < more.length; i += 2) {
            settings.put(more[i], more[i + 1]);
        }
        List<String> flat = new ArrayList<>();
        settings.forEach((key, value) -> flat.addAll(List.of(key, value)));
        return Kit.consumer(flat.toArray(new String[0]));
    }

    /** How many partitions each has after a poll. */
    @SafeVarargs
    static List<Integer> sizes(KafkaConsumer<byte[], byte[]>... members) {
        List<Integer> sizes = new ArrayList<>();
        for (KafkaConsumer<byte[], byte[]> member : members) {
            member.poll(Kit.POLL);
        }
        for (KafkaConsumer<byte[], byte[]> member : members) {
            sizes.add(member.assignment().size());
        }
        return sizes;
    }
}
