import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/** A word count: a repartition topic, a state store with its changelog, at-least-once. */
public final class StreamsChecks {
    private static final Map<String, Long> COUNTS = new HashMap<>();
    private static final List<KafkaStreams> RUNNING = new ArrayList<>();
    private static KafkaConsumer<String, Long> output;
    private static KafkaProducer<String, String> input;

    private StreamsChecks() {
    }

    public static void main(String[] args) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Report.BOOTSTRAP))) {
            admin.createTopics(List.of(new NewTopic("lines", 2, Report.REPLICAS),
                new NewTopic("counts", 1, Report.REPLICAS))).all().get();
        }
        open();
        Report.check("word-count/counts", StreamsChecks::counts);
        Report.check("word-count/internal-topics", StreamsChecks::internalTopics);
        Report.check("word-count/second-instance", StreamsChecks::secondInstance);
        Report.check("word-count/survives-a-restart", StreamsChecks::restart);
        Report.check("word-count/state-is-restored", StreamsChecks::restored);
        Report.done();
    }

    private static void open() {
        input = new KafkaProducer<>(Map.of("bootstrap.servers", Report.BOOTSTRAP, "acks", "all"),
            new StringSerializer(), new StringSerializer());
        output = new KafkaConsumer<>(Map.of("bootstrap.servers", Report.BOOTSTRAP),
            new StringDeserializer(), new LongDeserializer());
        TopicPartition counts = new TopicPartition("counts", 0);
        output.assign(List.of(counts));
        output.seekToBeginning(List.of(counts));
    }

    private static void counts() throws Exception {
        RUNNING.add(start("one"));
        send("the quick brown fox", "the lazy dog", "the end");
        expect(Map.of("the", 3L, "quick", 1L, "dog", 1L, "end", 1L));
    }

    private static void internalTopics() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", Report.BOOTSTRAP))) {
            List<String> names = new ArrayList<>(admin.listTopics().names().get());
            names.removeIf(name -> !name.startsWith("word-count-"));
            java.util.Collections.sort(names);
            Report.same(List.of("word-count-store-changelog", "word-count-store-repartition"), names,
                "internal topics");
        }
    }

    /** The tasks are shared out, and counting goes on. */
    private static void secondInstance() throws Exception {
        KafkaStreams second = start("two");
        Report.await("both have tasks", () -> tasks(RUNNING.get(0)) > 0 && tasks(second) > 0);
        send("the fox");
        expect(Map.of("the", 4L, "fox", 2L));
        second.close(Duration.ofSeconds(20));
        Report.await("the first has all", () -> tasks(RUNNING.get(0)) == 4);
    }

    private static void restart() throws Exception {
        Report.restartBroker("kill");
        send("the dog");
        expectAtLeast(Map.of("the", 5L, "dog", 2L));
    }

    /** A new instance without local state reads the changelog. */
    private static void restored() throws Exception {
        RUNNING.get(0).close(Duration.ofSeconds(20));
        long before = COUNTS.get("the");
        start("three");
        send("the");
        expect(Map.of("the", before + 1));
    }

    private static long tasks(KafkaStreams streams) {
        return streams.metadataForLocalThreads().stream()
            .mapToLong(thread -> thread.activeTasks().size()).sum();
    }

    private static KafkaStreams start(String name) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream("lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with("store", Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long, org.apache.kafka.streams.state.KeyValueStore<
                org.apache.kafka.common.utils.Bytes, byte[]>>as("store")
                .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
            .toStream()
            .to("counts", Produced.with(Serdes.String(), Serdes.Long()));
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Report.BOOTSTRAP);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        config.put(StreamsConfig.STATE_DIR_CONFIG,
            Path.of(System.getenv("KLAMM_SCRATCH"), name).toString());
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put("session.timeout.ms", "6000");
        config.put("heartbeat.interval.ms", "300");
        config.put("auto.offset.reset", "earliest");
        config.put("reconnect.backoff.max.ms", "200");
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.start();
        return streams;
    }

    private static void send(String... lines) throws Exception {
        for (int i = 0; i < lines.length; i++) {
            input.send(new ProducerRecord<>("lines", i % 2, null, lines[i])).get();
        }
    }

    private static void expect(Map<String, Long> wanted) throws Exception {
        Report.await("counts " + wanted, () -> poll().entrySet().containsAll(wanted.entrySet()));
    }

    private static void expectAtLeast(Map<String, Long> wanted) throws Exception {
        Report.await("counts of at least " + wanted, () -> {
            Map<String, Long> found = poll();
            return wanted.entrySet().stream()
                .allMatch(word -> found.getOrDefault(word.getKey(), 0L) >= word.getValue());
        });
    }

    private static Map<String, Long> poll() {
        for (ConsumerRecord<String, Long> record : output.poll(Duration.ofMillis(100))) {
            COUNTS.put(record.key(), record.value());
        }
        return COUNTS;
    }
}
