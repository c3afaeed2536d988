import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Clients with the settings that all checks share. It compiles against every client version. */
final class Kit {
    static final Duration POLL = Duration.ofMillis(100);
    static final Admin ADMIN = Admin.create(Map.of("bootstrap.servers", Report.BOOTSTRAP));

    private static int topics;

    private Kit() {
    }

    /** A new topic with a name of its own. */
    static String topic(int partitions, String... configs) throws Exception {
        return named("topic-" + ++topics, partitions, configs);
    }

    static String named(String name, int partitions, String... configs) throws Exception {
        create(name, partitions, configs);
        // Kafka answers before its partitions have leaders. A batch that is refused for that while
        // the next one is taken leaves an idempotent producer out of sequence for good.
        Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
        partitions(name, partitions).forEach(partition -> latest.put(partition, OffsetSpec.latest()));
        Report.await("the partitions of " + name + " have leaders", () -> {
            try {
                get(ADMIN.listOffsets(latest).all());
                return true;
            } catch (Exception notYet) {
                return false;
            }
        });
        return name;
    }

    static void create(String name, int partitions, String... configs) throws Exception {
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) {
            map.put(configs[i], configs[i + 1]);
        }
        NewTopic topic = new NewTopic(name, partitions, Report.REPLICAS).configs(map);
        get(ADMIN.createTopics(List.of(topic)).all());
    }

    static KafkaProducer<byte[], byte[]> producer(String... settings) {
        Map<String, Object> config = config(settings);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(String... settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        config.putAll(config(settings));
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static ProducerRecord<byte[], byte[]> record(String topic, String key, String value) {
        return new ProducerRecord<>(topic, bytes(key), bytes(value));
    }

    /** Values that compress, of {@code count} records. */
    static List<String> values(int count) {
        List<String> values = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            values.add("value-" + i + "-" + "abcdefgh".repeat(i % 20));
        }
        return values;
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, List<String> values)
        throws Exception {
        List<Future<?>> sent = new ArrayList<>();
        for (String value : values) {
            sent.add(producer.send(record(topic, null, value)));
        }
        producer.flush();
        for (Future<?> future : sent) {
            get(future);
        }
    }

    /** Produces to a topic with a producer of its own. */
    static void fill(String topic, int count) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            send(producer, topic, values(count));
        }
    }

    /** Reads a whole topic without a group, at least {@code count} records. */
    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int count) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> partitions = new ArrayList<>();
            consumer.partitionsFor(topic)
                .forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            return read(consumer, count);
        }
    }

    /** Polls until {@code count} records came, and no more after them. */
    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.currentTimeMillis() + 60_000;
        while (records.size() < count) {
            Report.require(System.currentTimeMillis() < deadline,
                "found " + records.size() + " records of " + count);
            consumer.poll(POLL).forEach(records::add);
        }
        Report.same(count, records.size(), "records");
        return records;
    }

    static List<String> text(List<ConsumerRecord<byte[], byte[]>> records) {
        List<String> values = new ArrayList<>();
        records.forEach(record -> values.add(string(record.value())));
        return values;
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    static String string(byte[] bytes) {
        return bytes == null ? null : new String(bytes, java.nio.charset.StandardCharsets.UTF_8);
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(60, TimeUnit.SECONDS);
    }

    /** The future must fail with this error of Kafka. */
    static void fails(Future<?> future, Class<? extends Throwable> expected) throws Exception {
        try {
            get(future);
        } catch (ExecutionException error) {
            if (expected.isInstance(error.getCause())) {
                return;
            }
            throw error;
        }
        throw new AssertionError("it worked but should be " + expected.getSimpleName());
    }

    static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            partitions.add(new TopicPartition(topic, i));
        }
        return partitions;
    }

    private static Map<String, Object> config(String... settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", Report.BOOTSTRAP);
        for (int i = 0; i < settings.length; i += 2) {
            config.put(settings[i], settings[i + 1]);
        }
        return config;
    }
}
