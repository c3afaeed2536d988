"""kafka-python."""

import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError, NodeNotReadyError
from kafka.structs import OffsetAndMetadata

from matrix import Matrix, Record, Refused
from report import BOOTSTRAP, REPLICAS

NAMES = {"MessageSizeTooLargeError": "MESSAGE_TOO_LARGE",
         "RecordTooLargeError": "MESSAGE_TOO_LARGE",
         "InvalidTopicError": "INVALID_TOPIC",
         "InvalidTopicException": "INVALID_TOPIC",
         "TopicAlreadyExistsError": "TOPIC_ALREADY_EXISTS",
         "UnknownTopicOrPartitionError": "UNKNOWN_TOPIC_OR_PARTITION",
         "InvalidConfigurationError": "INVALID_CONFIG",
         "InvalidPartitionsError": "INVALID_PARTITIONS",
         "NonEmptyGroupError": "NON_EMPTY_GROUP",
         "OffsetOutOfRangeError": "OFFSET_OUT_OF_RANGE"}


def ask(action, *args, **options):
    try:
        return action(*args, **options)
    except KafkaError as error:
        # Some errors come wrapped, with the name of the real one in the text.
        text = type(error).__name__ + " " + str(error)
        names = [ours for theirs, ours in NAMES.items() if theirs in text]
        raise Refused(names[0] if names else text) from error


class Sent:
    def __init__(self, future):
        self.future = future

    def ready(self):
        return self.future.is_done

    def __call__(self):
        at = ask(self.future.get, timeout=30)
        return at.partition, at.offset


class PyProducer:
    def __init__(self, producer):
        self.producer = producer

    def send(self, topic, key, value, headers=None, partition=None, timestamp=None):
        return Sent(ask(self.producer.send, topic, key=key, value=value, headers=headers or [],
                        partition=partition, timestamp_ms=timestamp))

    def serve(self):
        pass  # it has a thread of its own

    def flush(self):
        self.producer.flush(30)

    def close(self):
        self.flush()
        self.producer.close(30)


class PyConsumer:
    def __init__(self, consumer):
        self.consumer = consumer

    def assign(self, partitions):
        self.consumer.assign([TopicPartition(*p) for p in partitions])

    def subscribe(self, topics):
        self.consumer.subscribe(topics)

    def poll(self, seconds):
        polled = self.consumer.poll(timeout_ms=int(seconds * 1000))
        return [Record(r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
                for records in polled.values() for r in records]

    def assignment(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def commit(self, topic, partition, offset):
        at = OffsetAndMetadata(offset, "", -1)
        ask(self.consumer.commit, {TopicPartition(topic, partition): at})

    def committed(self, topic, partition):
        return ask(self.consumer.committed, TopicPartition(topic, partition))

    def seek(self, topic, partition, to):
        at = TopicPartition(topic, partition)
        if to == "beginning":
            self.consumer.seek_to_beginning(at)
        elif to == "end":
            self.consumer.seek_to_end(at)
        else:
            self.consumer.seek(at, to)

    def range(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self.consumer.beginning_offsets([at])[at], self.consumer.end_offsets([at])[at]

    def offset_for_time(self, topic, partition, time):
        at = TopicPartition(topic, partition)
        found = self.consumer.offsets_for_times({at: time})[at]
        return found and found.offset

    def close(self):
        self.consumer.close()


class Patient:
    """The admin client gives up where a broker is away; this asks again until a deadline."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        def method(*args, **options):
            deadline = time.monotonic() + 30
            while True:
                try:
                    return getattr(self.client, name)(*args, **options)
                except NodeNotReadyError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
        return method


class KafkaPython:
    codecs = ["gzip", "snappy", "lz4", "zstd"]
    idempotent = cooperative = True
    # 3.0.12 now and then drops an assignment that arrives just as its poll returns, and a static
    # member has nothing that would make it join again; so it does with Apache Kafka.
    static = False
    lacks = set()

    def __init__(self):
        self.admin = Patient(KafkaAdminClient(bootstrap_servers=BOOTSTRAP))

    def producer(self, codec="none", acks="all", idempotent=False, linger_ms=5, survives=False):
        return PyProducer(KafkaProducer(
            bootstrap_servers=BOOTSTRAP, compression_type=None if codec == "none" else codec,
            acks=acks if acks == "all" else int(acks), enable_idempotence=idempotent,
            linger_ms=linger_ms, reconnect_backoff_max_ms=200, retry_backoff_ms=50))

    def consumer(self, group=None, instance=None, cooperative=False):
        return PyConsumer(KafkaConsumer(
            bootstrap_servers=BOOTSTRAP, group_id=group, group_instance_id=instance,
            auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=6000,
            heartbeat_interval_ms=300, reconnect_backoff_max_ms=200,
            partition_assignment_strategy=[
                StickyPartitionAssignor if cooperative else RangePartitionAssignor]))

    def create_topic(self, name, partitions, configs):
        topic = NewTopic(name, num_partitions=partitions, replication_factor=REPLICAS,
                         topic_configs=configs)
        ask(self.admin.create_topics, [topic])

    def list_topics(self):
        return set(self.admin.list_topics())

    def partitions(self, name):
        return len(self.describe_topic(name))

    def describe_topic(self, name):
        found = self.admin.describe_topics([name])[0]["partitions"]
        return sorted((p["partition_index"], p["leader_id"], p["replica_nodes"]) for p in found)

    def topic_configs(self, name):
        return self._configs(ConfigResource(ConfigResourceType.TOPIC, name))

    def broker_configs(self, broker):
        return self._configs(ConfigResource(ConfigResourceType.BROKER, str(broker)))

    def _configs(self, resource):
        found = ask(self.admin.describe_configs, [resource], config_filter="all")
        (by_name,) = found.values()
        (configs,) = by_name.values()
        return {key: entry["value"] for key, entry in configs.items()}

    def set_topic_config(self, name, key, value):
        ask(self.admin.alter_configs, [ConfigResource(ConfigResourceType.TOPIC, name, {key: value})])

    def create_partitions(self, name, count):
        ask(self.admin.create_partitions, {name: count})

    def delete_records(self, topic, partition, offset):
        at = TopicPartition(topic, partition)
        return ask(self.admin.delete_records, {at: offset})[at]["low_watermark"]

    def list_groups(self):
        return {group["group_id"] for group in self.admin.list_groups()}

    def describe_group(self, name):
        group = self.admin.describe_groups([name])[name]
        return group["group_state"], len(group["members"])

    def delete_group(self, name):
        (outcome,) = dict(self.admin.delete_groups([name])).values()
        if str(outcome) not in ("OK", "None") and "NoError" not in repr(outcome):
            raise Refused("NON_EMPTY_GROUP" if "NonEmptyGroup" in repr(outcome) else repr(outcome))

    def delete_topic(self, name):
        ask(self.admin.delete_topics, [name])

    def brokers(self):
        brokers = self.admin.describe_cluster()["brokers"]
        return [(b.get("broker_id", b.get("node_id")), b["host"], b["port"]) for b in brokers]

    def log_size(self, topic):
        brokers = self.admin.describe_log_dirs([topic])
        return sum(partition["partition_size"] for broker in brokers
                   for log_dir in broker["log_dirs"]
                   for found in log_dir["topics"] for partition in found["partitions"])


Matrix(KafkaPython()).run()
