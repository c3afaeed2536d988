import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

/** The broker goes away in the middle. */
final class RestartChecks {
    private RestartChecks() {
    }

    static void run() {
        Report.check("restart/kill-idempotent", () -> produceThrough("kill", true));
        Report.check("restart/kill", () -> produceThrough("kill", false));
        Report.check("restart/stop", () -> produceThrough("stop", true));
        Report.check("restart/group-survives", RestartChecks::groupSurvives);
    }

    /** What was acknowledged is there: exactly once with idempotence, at least once without. */
    private static void produceThrough(String how, boolean idempotent) throws Exception {
        String topic = Kit.topic(3);
        Set<String> acknowledged = new HashSet<>(produceAcross(topic, how, idempotent));
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = Kit.consumer()) {
            List<TopicPartition> partitions = Kit.partitions(topic, 3);
            long records =
                consumer.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
            found.addAll(Kit.text(Kit.readAll(topic, (int) records)));
        }
        Set<String> lost = new HashSet<>(acknowledged);
        lost.removeAll(new HashSet<>(found));
        Report.same(Set.of(), lost, "acknowledged but not found");
        if (idempotent) {
            Report.same(found.size(), new HashSet<>(found).size(), "records without duplicates");
        }
    }

    private static List<String> produceAcross(String topic, String how, boolean idempotent)
        throws Exception {
        ConcurrentLinkedQueue<String> acknowledged = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<Exception> errors = new ConcurrentLinkedQueue<>();
        AtomicBoolean stop = new AtomicBoolean();
        try (KafkaProducer<byte[], byte[]> producer = Kit.producer("acks", "all",
            "enable.idempotence", Boolean.toString(idempotent), "retries", "1000000",
            "linger.ms", "5", "reconnect.backoff.max.ms", "200", "retry.backoff.ms", "50")) {
            Thread sender = new Thread(() -> {
                for (int i = 0; !stop.get() && i < 200_000; i++) {
                    String value = "v" + i;
                    producer.send(Kit.record(topic, "k" + i % 50, value), (at, error) -> {
                        if (error == null) {
                            acknowledged.add(value);
                        } else {
                            errors.add(error);
                        }
                    });
                    if (i % 20 == 0) {
                        java.util.concurrent.locks.LockSupport.parkNanos(1_000_000);
                    }
                }
            });
            sender.start();
            Report.await("some before", () -> acknowledged.size() > 1000);
            Report.restartBroker(how);
            int so_far = acknowledged.size();
            Report.await("some after", () -> acknowledged.size() > so_far + 1000);
            stop.set(true);
            sender.join();
            producer.flush();
        }
        Report.same(List.of(), new ArrayList<>(errors), "errors of the producer");
        return new ArrayList<>(acknowledged);
    }

    /** Committed offsets are exact and the member goes on. */
    private static void groupSurvives() throws Exception {
        String topic = Kit.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        Kit.fill(topic, 20);
        try (KafkaConsumer<byte[], byte[]> member =
            GroupChecks.member("survivor", "max.poll.records", "5")) {
            member.subscribe(List.of(topic));
            Kit.read(member, 5);
            member.commitSync();
            Report.restartBroker("kill");
            Report.same(5L, member.committed(Set.of(partition)).get(partition).offset(),
                "committed offset after the restart");
            List<ConsumerRecord<byte[], byte[]>> more = new ArrayList<>();
            Report.await("the rest is read", () -> {
                member.poll(Kit.POLL).forEach(more::add);
                return more.stream().anyMatch(record -> record.offset() == 19);
            });
            Report.await("it can commit again", () -> {
                member.poll(Kit.POLL);
                try {
                    member.commitSync(Map.of(partition, new OffsetAndMetadata(20)));
                    return true;
                } catch (org.apache.kafka.clients.consumer.CommitFailedException
                    | org.apache.kafka.common.errors.RebalanceInProgressException rebalancing) {
                    return false;
                }
            });
        }
    }
}
