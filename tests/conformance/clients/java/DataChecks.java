import static java.util.stream.Collectors.toList;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.Header;

/** Producing and consuming. */
final class DataChecks {
    private DataChecks() {
    }

    static void run() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Report.check("codec/" + codec, () -> codec(codec));
        }
        Report.check("codec/topic-recompresses", DataChecks::recompressed);
        Report.check("headers", DataChecks::headers);
        Report.check("null-keys-and-values", DataChecks::nulls);
        Report.check("big-record", DataChecks::bigRecord);
        Report.check("keys-stay-in-their-partition", DataChecks::keyed);
        for (String acks : List.of("0", "1", "all")) {
            Report.check("acks/" + acks, () -> acks(acks));
        }
        Report.check("idempotent", DataChecks::idempotent);
        Report.check("timestamps/create-time", DataChecks::createTime);
        Report.check("timestamps/log-append-time", DataChecks::logAppendTime);
        Report.check("offsets/for-times", DataChecks::offsetsForTimes);
        Report.check("offsets/beginning-and-end", DataChecks::seeks);
        Report.check("offsets/seek-into-a-batch", DataChecks::seekIntoBatch);
        Report.check("offsets/out-of-range-resets", DataChecks::outOfRange);
        Report.check("many-segments", DataChecks::manySegments);
        Report.check("auto-create", DataChecks::autoCreate);
        Report.check("errors/too-large", DataChecks::tooLarge);
        Report.check("errors/invalid-topic-name", DataChecks::invalidName);
        Report.check("errors/unknown-topic", DataChecks::unknownTopic);
    }

    private static void codec(String codec) throws Exception {
        String topic = Kit.topic(1);
        List<String> values = Kit.values(500);
        try (KafkaProducer<byte[], byte[]> producer =
            Kit.producer("compression.type", codec, "linger.ms", "20")) {
            Kit.send(producer, topic, values);
        }
        Report.same(values, Kit.text(Kit.readAll(topic, 500)), "values");
    }

    private static void recompressed() throws Exception {
        for (String codec : List.of("uncompressed", "gzip", "snappy", "lz4", "zstd")) {
            String topic = Kit.topic(1, "compression.type", codec);
            List<String> values = Kit.values(100);
            try (KafkaProducer<byte[], byte[]> producer = Kit.producer("compression.type", "lz4")) {
                Kit.send(producer, topic, values);
            }
            Report.same(values, Kit.text(Kit.readAll(topic, 100)), codec);
        }
    }

    private static void headers() throws Exception {
        String topic = Kit.topic(1);
        ProducerRecord<byte[], byte[]> record = Kit.record(topic, "k", "v");
        record.headers().add("a", Kit.bytes("1")).add("a", Kit.bytes("2"));
        record.headers().add("empty", new byte[0]).add("null", null);
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            Kit.get(producer.send(record));
        }
        List<String> found = new ArrayList<>();
        for (Header header : Kit.readAll(topic, 1).get(0).headers()) {
            found.add(header.key() + "=" + Kit.string(header.value()));
        }
        Report.same(List.of("a=1", "a=2", "empty=", "null=null"), found, "headers");
    }

    private static void nulls() throws Exception {
        String topic = Kit.topic(1);
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            Kit.get(producer.send(Kit.record(topic, null, null)));
            Kit.get(producer.send(Kit.record(topic, "k", null)));
            Kit.get(producer.send(Kit.record(topic, null, "v")));
            Kit.get(producer.send(Kit.record(topic, "", "")));
        }
        List<String> found = Kit.readAll(topic, 4).stream()
            .map(record -> Kit.string(record.key()) + "=" + Kit.string(record.value()))
            .collect(toList());
        Report.same(List.of("null=null", "k=null", "null=v", "="), found, "records");
    }

    private static void bigRecord() throws Exception {
        String topic = Kit.topic(1);
        byte[] value = new byte[900_000];
        new Random(1).nextBytes(value);
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            for (int i = 0; i < 5; i++) {
                Kit.get(producer.send(new ProducerRecord<>(topic, value)));
            }
        }
        for (ConsumerRecord<byte[], byte[]> record : Kit.readAll(topic, 5)) {
            Report.require(java.util.Arrays.equals(value, record.value()), "a big value changed");
        }
    }

    private static void keyed() throws Exception {
        String topic = Kit.topic(6);
        Map<String, Integer> sent = new HashMap<>();
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            for (int i = 0; i < 60; i++) {
                String key = "key-" + i % 20;
                RecordMetadata at = Kit.get(producer.send(Kit.record(topic, key, "v" + i)));
                Integer before = sent.put(key, at.partition());
                Report.require(before == null || before == at.partition(), key + " moved");
            }
        }
        Map<String, Integer> last = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> record : Kit.readAll(topic, 60)) {
            String key = Kit.string(record.key());
            Report.same(sent.get(key), record.partition(), key);
            int number = Integer.parseInt(Kit.string(record.value()).substring(1));
            Integer before = last.put(key, number);
            Report.require(before == null || before < number, "order within " + key);
        }
        Report.require(new java.util.HashSet<>(sent.values()).size() > 1, "one partition only");
    }

    private static void acks(String acks) throws Exception {
        String topic = Kit.topic(2);
        try (KafkaProducer<byte[], byte[]> producer =
            Kit.producer("acks", acks, "enable.idempotence", "false")) {
            Kit.send(producer, topic, Kit.values(100));
        }
        Report.same(100, Kit.readAll(topic, 100).size(), "records");
    }

    private static void idempotent() throws Exception {
        String topic = Kit.topic(3);
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("enable.idempotence", "true",
            "acks", "all", "batch.size", "200", "max.in.flight.requests.per.connection", "5")) {
            Kit.send(producer, topic, Kit.values(500));
        }
        List<String> found = Kit.text(Kit.readAll(topic, 500));
        Report.same(500, new java.util.HashSet<>(found).size(), "distinct records");
    }

    private static void createTime() throws Exception {
        String topic = Kit.topic(1);
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            RecordMetadata at = Kit.get(producer.send(
                new ProducerRecord<>(topic, 0, 1_600_000_000_123L, null, Kit.bytes("v"))));
            Report.same(1_600_000_000_123L, at.timestamp(), "answered timestamp");
        }
        ConsumerRecord<byte[], byte[]> record = Kit.readAll(topic, 1).get(0);
        Report.same(1_600_000_000_123L, record.timestamp(), "timestamp");
        Report.same("CreateTime", record.timestampType().toString(), "type");
    }

    private static void logAppendTime() throws Exception {
        String topic = Kit.topic(1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        long answered;
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("compression.type", "gzip")) {
            answered = Kit.get(producer.send(
                new ProducerRecord<>(topic, 0, 1L, null, Kit.bytes("v")))).timestamp();
        }
        ConsumerRecord<byte[], byte[]> record = Kit.readAll(topic, 1).get(0);
        Report.require(record.timestamp() >= before - 1000, "timestamp " + record.timestamp());
        Report.same(answered, record.timestamp(), "timestamp");
        Report.same("LogAppendTime", record.timestampType().toString(), "type");
    }

    private static void offsetsForTimes() throws Exception {
        String topic = Kit.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        long base = 1_600_000_000_000L;
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("linger.ms", "50")) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, base + i * 10L, null, Kit.bytes("v")));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            consumer.assign(List.of(partition));
            for (int i : List.of(0, 1, 37, 99)) {
                OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Map.of(partition, base + i * 10L - 5)).get(partition);
                Report.same((long) i, found.offset(), "offset for time " + i);
                Report.same(base + i * 10L, found.timestamp(), "timestamp " + i);
            }
            Report.same(null,
                consumer.offsetsForTimes(Map.of(partition, base + 10_000L)).get(partition),
                "after the end");
        }
    }

    private static void seeks() throws Exception {
        String topic = Kit.topic(2);
        List<TopicPartition> partitions = Kit.partitions(topic, 2);
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            for (int i = 0; i < 20; i++) {
                producer.send(new ProducerRecord<>(topic, i % 2, null, Kit.bytes("v" + i)));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            Report.same(Map.of(partitions.get(0), 0L, partitions.get(1), 0L),
                consumer.beginningOffsets(partitions), "beginning");
            Report.same(Map.of(partitions.get(0), 10L, partitions.get(1), 10L),
                consumer.endOffsets(partitions), "end");
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            Report.same(10L, consumer.position(partitions.get(0)), "position at the end");
            consumer.seekToBeginning(partitions);
            Report.same(20, Kit.read(consumer, 20).size(), "records");
            Report.same(true, consumer.poll(Duration.ofMillis(200)).isEmpty(), "nothing is left");
        }
    }

    private static void seekIntoBatch() throws Exception {
        String topic = Kit.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer =
            Kit.producer("linger.ms", "200", "compression.type", "lz4")) {
            Kit.send(producer, topic, Kit.values(50));
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 33);
            List<ConsumerRecord<byte[], byte[]>> records = Kit.read(consumer, 17);
            Report.same(33L, records.get(0).offset(), "first offset");
        }
    }

    /** Segments roll by size, and every offset and time is found again. */
    private static void manySegments() throws Exception {
        String topic = Kit.topic(1, "segment.bytes", "1048576", "index.interval.bytes", "512");
        TopicPartition partition = new TopicPartition(topic, 0);
        long base = 1_600_000_000_000L;
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("batch.size", "4000")) {
            for (int i = 0; i < 5000; i++) {
                producer.send(new ProducerRecord<>(topic, 0, base + i, null, new byte[1000]));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            consumer.assign(List.of(partition));
            for (long i : List.of(0L, 1L, 999L, 1049L, 2500L, 4999L)) {
                Report.same(i,
                    consumer.offsetsForTimes(Map.of(partition, base + i)).get(partition).offset(),
                    "offset for a time");
                consumer.seek(partition, i);
                ConsumerRecord<byte[], byte[]> first = consumer.poll(Duration.ofSeconds(10))
                    .iterator().next();
                Report.same(i, first.offset(), "offset after a seek");
            }
        }
        Report.same(5000, Kit.readAll(topic, 5000).size(), "records");
    }

    private static void outOfRange() throws Exception {
        String topic = Kit.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        Kit.fill(topic, 10);
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 5_000);
            Report.same(0L, Kit.read(consumer, 10).get(0).offset(), "first offset after reset");
        }
    }

    private static void autoCreate() throws Exception {
        Kit.fill("made-by-its-first-use", 10);
        Report.same(10, Kit.readAll("made-by-its-first-use", 10).size(), "records");
    }

    private static void tooLarge() throws Exception {
        String topic = Kit.topic(1, "max.message.bytes", "2000");
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            Kit.fails(producer.send(new ProducerRecord<>(topic, new byte[5000])),
                RecordTooLargeException.class);
            Kit.get(producer.send(new ProducerRecord<>(topic, new byte[500])));
        }
        Report.same(1, Kit.readAll(topic, 1).size(), "records");
    }

    private static void invalidName() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer()) {
            Kit.fails(producer.send(Kit.record("not a name!", null, "v")),
                InvalidTopicException.class);
        }
    }

    /** A partition that does not exist is waited for in vain, and the topic is not created. */
    private static void unknownTopic() throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer(
            "allow.auto.create.topics", "false", "default.api.timeout.ms", "1500")) {
            try {
                consumer.beginningOffsets(Kit.partitions("never-made", 1));
                throw new AssertionError("offsets of a topic that does not exist");
            } catch (TimeoutException expected) {
                Report.require(!Kit.get(Kit.ADMIN.listTopics().names()).contains("never-made"),
                    "asking for offsets created the topic");
            }
        }
    }
}
