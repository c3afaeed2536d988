"""librdkafka through confluent-kafka."""

import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewPartitions, NewTopic)

from matrix import Matrix, Record, Refused
from quotas import alter_quota
from report import BOOTSTRAP, REPLICAS, check, same

NAMES = {
    "MSG_SIZE_TOO_LARGE": "MESSAGE_TOO_LARGE",
    "TOPIC_EXCEPTION": "INVALID_TOPIC",
    "UNKNOWN_TOPIC_OR_PART": "UNKNOWN_TOPIC_OR_PARTITION",
}


def raised(error):
    name = error.args[0].name() if isinstance(error, KafkaException) else error.name()
    name = name.lstrip("_")
    return Refused(NAMES.get(name, name))


def result(future):
    try:
        return future.result(30)
    except KafkaException as error:
        raise raised(error) from error


def only(futures):
    return result(next(iter(futures.values())))


class Sent:
    def __init__(self, producer):
        self.producer, self.outcome = producer, None

    def delivered(self, error, message):
        self.outcome = (error, message)

    def ready(self):
        return self.outcome is not None

    def __call__(self):
        assert self.ready(), "no delivery report"
        error, message = self.outcome
        if error:
            raise raised(error)
        return message.partition(), message.offset()


class RdProducer:
    def __init__(self, config):
        self.producer = Producer(config)

    def send(self, topic, key, value, headers=None, partition=None, timestamp=None):
        sent = Sent(self.producer)
        options = {"headers": headers, "timestamp": timestamp, "partition": partition}
        options = {name: option for name, option in options.items() if option is not None}
        self.producer.produce(topic, value, key, on_delivery=sent.delivered, **options)
        self.producer.poll(0)
        return sent

    def serve(self):
        self.producer.poll(0)

    def flush(self):
        assert self.producer.flush(30) == 0, "not everything was delivered"

    def close(self):
        self.flush()


class RdConsumer:
    def __init__(self, config):
        self.consumer = Consumer(config)

    def assign(self, partitions):
        self.consumer.assign([TopicPartition(topic, p, 0) for topic, p in partitions])

    def subscribe(self, topics):
        self.consumer.subscribe(topics)

    def poll(self, seconds):
        records = []
        for message in self.consumer.consume(500, seconds):
            if message.error():
                if message.error().retriable() or message.error().code() < 0:
                    continue  # the client reports and goes on
                raise raised(message.error())
            records.append(Record(message.partition(), message.offset(), message.key(),
                                  message.value(), message.headers() or [], message.timestamp()[1]))
        return records

    def assignment(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def commit(self, topic, partition, offset):
        self.consumer.commit(offsets=[TopicPartition(topic, partition, offset)],
                             asynchronous=False)

    def committed(self, topic, partition):
        try:
            return self.consumer.committed([TopicPartition(topic, partition)], 30)[0].offset
        except KafkaException as error:
            raise raised(error) from error

    def seek(self, topic, partition, to):
        offset = {"beginning": -2, "end": -1}.get(to, to)
        self.consumer.seek(TopicPartition(topic, partition, offset))

    def range(self, topic, partition):
        return self.consumer.get_watermark_offsets(TopicPartition(topic, partition), 30)

    def offset_for_time(self, topic, partition, time):
        found = self.consumer.offsets_for_times([TopicPartition(topic, partition, time)], 30)
        return None if found[0].offset < 0 else found[0].offset

    def close(self):
        self.consumer.close()


class Librdkafka:
    codecs = ["gzip", "snappy", "lz4", "zstd"]
    idempotent = static = cooperative = True
    lacks = {"log_dirs"}

    def __init__(self):
        self.admin = AdminClient({"bootstrap.servers": BOOTSTRAP})

    def producer(self, codec="none", acks="all", idempotent=False, linger_ms=5, survives=False):
        return RdProducer({
            "bootstrap.servers": BOOTSTRAP, "compression.type": codec, "acks": acks,
            "enable.idempotence": idempotent, "linger.ms": linger_ms,
            "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50})

    def consumer(self, group=None, instance=None, cooperative=False):
        config = {
            "bootstrap.servers": BOOTSTRAP, "group.id": group or "unused",
            "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
            "reconnect.backoff.max.ms": 200,
            "partition.assignment.strategy": "cooperative-sticky" if cooperative else "range"}
        if instance:
            config["group.instance.id"] = instance
        return RdConsumer(config)

    def create_topic(self, name, partitions, configs):
        topic = NewTopic(name, num_partitions=partitions, replication_factor=REPLICAS, config=configs)
        only(self.admin.create_topics([topic]))

    def list_topics(self):
        return set(self.admin.list_topics(timeout=30).topics)

    def partitions(self, name):
        return len(self.admin.list_topics(name, timeout=30).topics[name].partitions)

    def describe_topic(self, name):
        found = self.admin.list_topics(name, timeout=30).topics[name].partitions
        return [(p.id, p.leader, p.replicas) for _, p in sorted(found.items())]

    def topic_configs(self, name):
        return self._configs(ConfigResource(ConfigResource.Type.TOPIC, name))

    def broker_configs(self, broker):
        return self._configs(ConfigResource(ConfigResource.Type.BROKER, str(broker)))

    def _configs(self, resource):
        found = only(self.admin.describe_configs([resource]))
        return {name: entry.value for name, entry in found.items()}

    def set_topic_config(self, name, key, value):
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
        only(self.admin.incremental_alter_configs([resource]))

    def create_partitions(self, name, count):
        only(self.admin.create_partitions([NewPartitions(name, count)]))

    def delete_records(self, topic, partition, offset):
        deleted = self.admin.delete_records([TopicPartition(topic, partition, offset)])
        return only(deleted).low_watermark

    def list_groups(self):
        return {group.group_id for group in result(self.admin.list_consumer_groups()).valid}

    def describe_group(self, name):
        group = only(self.admin.describe_consumer_groups([name]))
        return group.state.name.capitalize(), len(group.members)

    def delete_group(self, name):
        only(self.admin.delete_consumer_groups([name]))

    def delete_topic(self, name):
        only(self.admin.delete_topics([name]))

    def brokers(self):
        nodes = result(self.admin.describe_cluster()).nodes
        return [(node.id, node.host, node.port) for node in nodes]


# A client may use up ten seconds of its limit at once.
SECONDS_AHEAD = 10
LIMIT = 100_000
VALUE = b"v" * 10_000


class Throttled:
    """Counts how often a client was told to wait."""

    def __init__(self):
        self.times = []

    def config(self, client_id):
        return {"bootstrap.servers": BOOTSTRAP, "client.id": client_id,
                "throttle_cb": lambda event: self.times.append(event.throttle_time)}

    def held(self, started, seconds):
        took = time.monotonic() - started
        assert took >= seconds, f"it took {took} s and not {seconds}"
        assert self.times, "the client was not told to wait"


def quota_topic(name):
    Librdkafka().create_topic(name, 1, {})
    return name


def quota_producer():
    topic, count, throttled = quota_topic("slow-producer"), 130, Throttled()
    alter_quota("slow-producer", "producer_byte_rate", LIMIT)
    producer = Producer({**throttled.config("slow-producer"), "max.in.flight": 1,
                         "message.timeout.ms": 120_000, "batch.size": 20_000})
    producer.list_topics(topic, timeout=30)
    started = time.monotonic()
    for _ in range(count):
        producer.produce(topic, VALUE, partition=0)
    same(0, producer.flush(120), "not delivered")
    # The last request, of two values at the most, is acknowledged before it is paid for.
    throttled.held(started, (count - 2) * len(VALUE) / LIMIT - SECONDS_AHEAD)
    alter_quota("slow-producer", "producer_byte_rate", None)


def quota_consumer():
    # An eleventh second would wait until the window has passed.
    topic, count, throttled = quota_topic("slow-consumer"), 109, Throttled()
    filling = Producer({"bootstrap.servers": BOOTSTRAP})
    for _ in range(count):
        filling.produce(topic, VALUE, partition=0)
    same(0, filling.flush(30), "not delivered")
    alter_quota("slow-consumer", "consumer_byte_rate", LIMIT)
    consumer = Consumer({**throttled.config("slow-consumer"), "group.id": "unused"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    started, found, deadline = time.monotonic(), 0, time.monotonic() + 120
    while found < count or not throttled.times:
        assert time.monotonic() < deadline, f"found {found} of {count}, {throttled.times}"
        found += sum(1 for message in consumer.consume(500, 0.1) if not message.error())
    throttled.held(started, count * len(VALUE) / LIMIT - SECONDS_AHEAD)
    consumer.close()
    same(count, found, "records")
    alter_quota("slow-consumer", "consumer_byte_rate", None)


check("quotas/producer", quota_producer)
check("quotas/consumer", quota_consumer)
Matrix(Librdkafka()).run()
