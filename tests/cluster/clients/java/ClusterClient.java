import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An idempotent producer and two members of a group, with Kafka's own client, that write down what
 * they do.
 *
 * <p>Arguments: bootstrap, topic, partitions, producer number, records a second, operation log, stop
 * file. It ends in good order when the stop file appears.
 */
public final class ClusterClient {
    private static final String GROUP = "java";
    private static final int VALUE_BYTES = 100;
    private static final Duration POLL = Duration.ofMillis(100);

    private static String bootstrap;
    private static String topic;
    private static int partitions;
    private static int number;
    private static int rate;
    private static Path stop;
    private static PrintWriter log;

    private ClusterClient() {
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        topic = args[1];
        partitions = Integer.parseInt(args[2]);
        number = Integer.parseInt(args[3]);
        rate = Integer.parseInt(args[4]);
        log = new PrintWriter(Files.newBufferedWriter(Path.of(args[5])));
        stop = Path.of(args[6]);
        List<Thread> threads = new ArrayList<>();
        threads.add(start("java-producer-" + number, ClusterClient::produce));
        for (int which = 0; which < 2; which++) {
            threads.add(start("java-consumer-" + number + "-" + which, ClusterClient::consume));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        log.close();
    }

    interface Job {
        void run(String client) throws Exception;
    }

    /** Whoever fails has not stopped: the log lacks the line that says so. */
    private static Thread start(String client, Job job) {
        Thread thread = new Thread(() -> {
            add("started", "client", client);
            try {
                job.run(client);
                add("stopped", "client", client);
            } catch (Exception failure) {
                add("error", "client", client, "text", String.valueOf(failure));
            }
        });
        thread.start();
        return thread;
    }

    private static void produce(String client) throws Exception {
        Map<String, Object> config = config();
        config.put("enable.idempotence", true);
        config.put("linger.ms", 1);
        config.put("delivery.timeout.ms", 60_000);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            long begun = System.nanoTime();
            for (long next = 0; !isOver();) {
                if (next >= (System.nanoTime() - begun) / 1e9 * rate) {
                    Thread.sleep(2);
                    continue;
                }
                send(client, producer, next++);
            }
            producer.flush();
        }
    }

    private static void send(String client, KafkaProducer<byte[], byte[]> producer, long next) {
        int partition = (int) (next % partitions);
        add("send", "producer", number, "number", next, "topic", topic, "partition", partition);
        byte[] value = payload(partition, next);
        producer.send(new ProducerRecord<>(topic, partition, null, value), (written, failure) -> {
            if (failure == null) {
                Object offset = written.hasOffset() ? (Object) written.offset() : null;
                add("acked", "producer", number, "number", next, "offset", offset);
            } else {
                add("error", "client", client, "text", String.valueOf(failure));
                add("unknown", "producer", number, "number", next);
            }
        });
    }

    private static void consume(String client) {
        Map<String, Object> config = config();
        config.put("group.id", GROUP);
        config.put("client.id", client);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", false);
        config.put("session.timeout.ms", 10_000);
        config.put("heartbeat.interval.ms", 1_000);
        config.put("fetch.max.wait.ms", 100);
        config.put("partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RangeAssignor");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic), new Rebalances(client, consumer));
            while (!isOver()) {
                Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
                for (ConsumerRecord<byte[], byte[]> found : consumer.poll(POLL)) {
                    polled(client, found);
                    ends.put(new TopicPartition(found.topic(), found.partition()),
                        new OffsetAndMetadata(found.offset() + 1));
                }
                commit(client, consumer, ends);
            }
        }
    }

    private static void polled(String client, ConsumerRecord<byte[], byte[]> found) {
        String value = new String(found.value(), StandardCharsets.UTF_8);
        add("polled", "consumer", client, "topic", found.topic(), "partition", found.partition(),
            "offset", found.offset(), "value", value, "epoch", found.leaderEpoch().orElse(null));
    }

    private static void commit(String client, KafkaConsumer<byte[], byte[]> consumer,
            Map<TopicPartition, OffsetAndMetadata> ends) {
        if (ends.isEmpty()) {
            return;
        }
        long begun = now();
        try {
            consumer.commitSync(ends);
        } catch (CommitFailedException | RebalanceInProgressException rebalanced) {
            return;
        }
        ends.forEach((at, end) -> add("committed", "group", GROUP, "topic", at.topic(),
            "partition", at.partition(), "offset", end.offset(), "begun", begun));
    }

    /** Writes down what a member is given, and where its group stands there. */
    private record Rebalances(String client, KafkaConsumer<byte[], byte[]> consumer)
            implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> gone) {
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> given) {
            List<String> pairs = new ArrayList<>();
            given.forEach(at -> pairs.add("[" + quote(at.topic()) + "," + at.partition() + "]"));
            add("assigned", "consumer", client, "group", GROUP,
                "generation", consumer.groupMetadata().generationId(),
                "partitions", new Raw("[" + String.join(",", pairs) + "]"));
            long begun = now();
            consumer.committed(new HashSet<>(given)).forEach((at, committed) -> {
                if (committed != null) {
                    add("resumed", "group", GROUP, "topic", at.topic(), "partition", at.partition(),
                        "offset", committed.offset(), "begun", begun);
                }
            });
        }
    }

    private static Map<String, Object> config() {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        // A host that vanished says nothing: answers are not waited for longer than this.
        config.put("request.timeout.ms", 1_500);
        config.put("socket.connection.setup.timeout.ms", 1_000);
        config.put("reconnect.backoff.ms", 20);
        config.put("reconnect.backoff.max.ms", 200);
        config.put("retry.backoff.ms", 20);
        config.put("retry.backoff.max.ms", 200);
        return config;
    }

    private static byte[] payload(int partition, long next) {
        String once = topic + "/" + partition + "/" + number + "/" + next + ";";
        String often = once.repeat(VALUE_BYTES / once.length() + 1);
        int size = Math.max(VALUE_BYTES, once.length());
        return often.substring(0, size).getBytes(StandardCharsets.UTF_8);
    }

    private static boolean isOver() {
        return Files.exists(stop);
    }

    private static long now() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    }

    /** JSON as it is. */
    private record Raw(String text) {
    }

    /** One line: names and values in turn. */
    private static synchronized void add(String op, Object... fields) {
        StringBuilder line = new StringBuilder("{\"at\":" + now() + ",\"op\":" + quote(op));
        for (int at = 0; at < fields.length; at += 2) {
            line.append(',').append(quote((String) fields[at])).append(':').append(json(fields[at + 1]));
        }
        log.println(line.append('}'));
    }

    private static String json(Object value) {
        if (value instanceof Raw raw) {
            return raw.text();
        }
        return value instanceof String text ? quote(text) : String.valueOf(value);
    }

    private static String quote(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }
}
