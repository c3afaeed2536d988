import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Of each key the newest record stays; the rest goes after a while. */
final class CompactionChecks {
    private static final int KEYS = 20;
    private static final int ROUNDS = 40;

    /** Records of one round, which make a segment. */
    private static final int PER_ROUND = 50;

    private CompactionChecks() {
    }

    static void run() {
        for (String codec : List.of("none", "lz4", "zstd")) {
            Report.check("compaction/" + codec, () -> compacted(codec, "delete.retention.ms", "3600000"));
        }
        Report.check("compaction/tombstones-go", () -> compacted("gzip", "delete.retention.ms", "0"));
    }

    private static void compacted(String codec, String... configs) throws Exception {
        String topic = topic("compacted-" + codec, configs);
        TreeMap<String, String> newest = new TreeMap<>();
        write(topic, codec, newest);
        boolean keepsTombstones = !configs[1].equals("0");
        if (!keepsTombstones) {
            newest.values().removeIf(value -> value == null);
        }
        // One segment is never compacted: that which is written to.
        Report.await("older records go from " + topic, () -> {
            List<ConsumerRecord<byte[], byte[]>> left = read(topic);
            return left.size() <= KEYS + PER_ROUND + 1 && newest.equals(table(left, keepsTombstones));
        });
        Report.restartBroker("kill");
        List<ConsumerRecord<byte[], byte[]>> left = read(topic);
        Report.same(newest, table(left, keepsTombstones), "the newest of each key after a restart");
        long last = -1;
        for (ConsumerRecord<byte[], byte[]> record : left) {
            Report.require(record.offset() > last, "offsets go up");
            last = record.offset();
        }
    }

    private static String topic(String name, String... configs) throws Exception {
        List<String> all = new ArrayList<>(List.of("cleanup.policy", "compact", "segment.ms", "1000",
            "min.cleanable.dirty.ratio", "0.01"));
        all.addAll(List.of(configs));
        return Kit.named(name, 1, all.toArray(new String[0]));
    }

    /** Each round is two seconds after the one before, by the records' own time. */
    private static void write(String topic, String codec, Map<String, String> newest)
        throws Exception {
        long start = System.currentTimeMillis() - 2_000L * ROUNDS;
        List<Future<?>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
            Kit.producer("compression.type", codec, "linger.ms", "5")) {
            for (int round = 0; round < ROUNDS; round++) {
                for (int i = 0; i < PER_ROUND; i++) {
                    String key = "key-" + (round * 7 + i * i) % KEYS;
                    String value = (round + i) % 9 == 0 ? null : "value-" + round + "-" + i;
                    newest.put(key, value);
                    sent.add(producer.send(new ProducerRecord<>(topic, 0, start + 2_000L * round,
                        Kit.bytes(key), Kit.bytes(value))));
                }
                producer.flush();
            }
            // Ends the last round's segment.
            newest.put("last", "last");
            sent.add(producer.send(new ProducerRecord<>(topic, 0, start + 2_000L * ROUNDS,
                Kit.bytes("last"), Kit.bytes("last"))));
        }
        for (Future<?> future : sent) {
            Kit.get(future);
        }
    }

    /** All there is now, however little. */
    private static List<ConsumerRecord<byte[], byte[]>> read(String topic) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            long deadline = System.currentTimeMillis() + 60_000;
            while (consumer.position(partition) < end) {
                Report.require(System.currentTimeMillis() < deadline, "the end is not reached");
                consumer.poll(Kit.POLL).forEach(records::add);
            }
        }
        return records;
    }

    private static TreeMap<String, String> table(
        List<ConsumerRecord<byte[], byte[]>> records, boolean keepsTombstones) {
        TreeMap<String, String> table = new TreeMap<>();
        records.forEach(record -> table.put(Kit.string(record.key()), Kit.string(record.value())));
        if (!keepsTombstones) {
            table.values().removeIf(value -> value == null);
        }
        return table;
    }
}
