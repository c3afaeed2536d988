import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/**
 * Client quotas. A client may use up ten seconds of its limit at once; what it asks for beyond that
 * takes time. How much is bounded from below alone: a busy machine is slower, never quicker.
 */
final class QuotaChecks {
    private static final double SECONDS_AHEAD = 10;
    private static final int VALUE_BYTES = 10_000;

    private QuotaChecks() {
    }

    static void run() {
        Report.check("quotas/set-and-found", QuotaChecks::setAndFound);
        Report.check("quotas/producer", QuotaChecks::producer);
        Report.check("quotas/consumer", QuotaChecks::consumer);
    }

    private static void setAndFound() throws Exception {
        ClientQuotaEntity entity = entity("user", "carol", "client-id", null);
        alter(entity, "producer_byte_rate", 1000.0);
        alter(entity, "request_percentage", 0.5);
        Map<String, Double> limits = Map.of("producer_byte_rate", 1000.0, "request_percentage", 0.5);
        await(entity, limits);
        Kit.fails(Kit.ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
            List.of(new ClientQuotaAlteration.Op("producer_byte_rate", -1.0))))).all(),
            InvalidRequestException.class);
        await(entity, limits);
        alter(entity, "producer_byte_rate", null);
        alter(entity, "request_percentage", null);
        await(entity, null);
    }

    private static void producer() throws Exception {
        String topic = Kit.topic(1);
        double limit = 100_000;
        // 13 seconds of it.
        int count = 130;
        ClientQuotaEntity entity = entity("client-id", "slow-producer");
        alter(entity, "producer_byte_rate", limit);
        await(entity, Map.of("producer_byte_rate", limit));
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("client.id", "slow-producer",
            "compression.type", "none", "max.in.flight.requests.per.connection", "1")) {
            producer.partitionsFor(topic);
            long started = System.nanoTime();
            Kit.send(producer, topic, values(count));
            // The last request, of two values at the most, is acknowledged before it is paid for.
            atLeast((count - 2) * VALUE_BYTES / limit - SECONDS_AHEAD, started);
            throttled(producer.metrics(), "produce-throttle-time-max");
        }
        Report.same(count, Kit.readAll(topic, count).size(), "records");
        alter(entity, "producer_byte_rate", null);
    }

    private static void consumer() throws Exception {
        String topic = Kit.topic(1);
        double limit = 100_000;
        // 10.9 seconds of it: an eleventh would wait until the window has passed.
        int count = 109;
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("compression.type", "none")) {
            Kit.send(producer, topic, values(count));
        }
        ClientQuotaEntity entity = entity("client-id", "slow-consumer");
        alter(entity, "consumer_byte_rate", limit);
        await(entity, Map.of("consumer_byte_rate", limit));
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer("client.id", "slow-consumer")) {
            List<TopicPartition> partitions = Kit.partitions(topic, 1);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long started = System.nanoTime();
            Kit.read(consumer, count);
            atLeast(count * VALUE_BYTES / limit - SECONDS_AHEAD, started);
            throttled(consumer.metrics(), "fetch-throttle-time-max");
        }
        alter(entity, "consumer_byte_rate", null);
    }

    private static List<String> values(int count) {
        return Stream.generate(() -> "v".repeat(VALUE_BYTES)).limit(count)
            .collect(Collectors.toList());
    }

    private static void atLeast(double seconds, long started) {
        double took = (System.nanoTime() - started) / 1e9;
        Report.require(took >= seconds, "it took " + took + " s and not " + seconds);
    }

    private static void throttled(Map<MetricName, ? extends Metric> metrics, String name) {
        double longest = metrics.entrySet().stream()
            .filter(metric -> metric.getKey().name().equals(name))
            .mapToDouble(metric -> (double) metric.getValue().metricValue())
            .filter(Double::isFinite).max().orElse(0);
        Report.require(longest > 0, name + " is " + longest);
    }

    private static ClientQuotaEntity entity(String... parts) {
        Map<String, String> entries = new HashMap<>();
        for (int i = 0; i < parts.length; i += 2) {
            entries.put(parts[i], parts[i + 1]);
        }
        return new ClientQuotaEntity(entries);
    }

    private static void alter(ClientQuotaEntity entity, String key, Double value) throws Exception {
        Collection<ClientQuotaAlteration.Op> ops =
            List.of(new ClientQuotaAlteration.Op(key, value));
        Kit.get(Kit.ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, ops))).all());
    }

    /** Waits until exactly these limits are found; none is null. */
    private static void await(ClientQuotaEntity entity, Map<String, Double> limits)
        throws InterruptedException {
        List<ClientQuotaFilterComponent> components = entity.entries().entrySet().stream()
            .map(part -> part.getValue() == null
                ? ClientQuotaFilterComponent.ofDefaultEntity(part.getKey())
                : ClientQuotaFilterComponent.ofEntity(part.getKey(), part.getValue()))
            .collect(Collectors.toList());
        Map<ClientQuotaEntity, Map<String, Double>> expected =
            limits == null ? Map.of() : Map.of(entity, limits);
        Report.await("the quotas are " + expected, () -> {
            try {
                return Kit.get(Kit.ADMIN.describeClientQuotas(
                    ClientQuotaFilter.containsOnly(components)).entities()).equals(expected);
            } catch (Exception notYet) {
                return false;
            }
        });
    }
}
