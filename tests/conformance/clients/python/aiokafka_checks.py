"""aiokafka: its event loop runs on a thread, and each call waits for it."""

import asyncio
import threading

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import (AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete)
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import OffsetAndMetadata

from matrix import Matrix, Record, Refused
from report import BOOTSTRAP, REPLICAS

NAMES = {"MessageSizeTooLargeError": "MESSAGE_TOO_LARGE",
         "InvalidTopicError": "INVALID_TOPIC",
         "TopicAlreadyExistsError": "TOPIC_ALREADY_EXISTS",
         "UnknownTopicOrPartitionError": "UNKNOWN_TOPIC_OR_PARTITION",
         "InvalidConfigurationError": "INVALID_CONFIG",
         "InvalidPartitionsError": "INVALID_PARTITIONS",
         "OffsetOutOfRangeError": "OFFSET_OUT_OF_RANGE"}

LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def wait(coroutine, seconds=60):
    try:
        return asyncio.run_coroutine_threadsafe(coroutine, LOOP).result(seconds)
    except KafkaError as error:
        raise Refused(NAMES.get(type(error).__name__, repr(error))) from error


def refuse(code):
    if code:
        name = for_code(code).__name__
        raise Refused(NAMES.get(name, name))


class Sent:
    def __init__(self, future):
        self.future = future

    def ready(self):
        return self.future.done()

    def __call__(self):
        async def at():
            return await self.future
        found = wait(at())
        return (found.partition, found.offset) if found else None


class AioProducer:
    def __init__(self, **config):
        async def start():
            producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **config)
            await producer.start()
            return producer
        self.producer = wait(start())

    def send(self, topic, key, value, headers=None, partition=None, timestamp=None):
        return Sent(wait(self.producer.send(topic, value, key, partition, timestamp, headers)))

    def serve(self):
        pass  # the loop does

    def flush(self):
        wait(self.producer.flush())

    def close(self):
        wait(self.producer.stop())


class AioConsumer:
    def __init__(self, **config):
        async def start():
            consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, **config)
            await consumer.start()
            return consumer
        self.consumer = wait(start())

    def assign(self, partitions):
        LOOP.call_soon_threadsafe(self.consumer.assign, [TopicPartition(*p) for p in partitions])

    def subscribe(self, topics):
        LOOP.call_soon_threadsafe(self.consumer.subscribe, topics)

    def poll(self, seconds):
        polled = wait(self.consumer.getmany(timeout_ms=int(seconds * 1000)))
        return [Record(r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
                for records in polled.values() for r in records]

    def assignment(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def commit(self, topic, partition, offset):
        wait(self.consumer.commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, "")}))

    def committed(self, topic, partition):
        found = wait(self.consumer.committed(TopicPartition(topic, partition)))
        if found is None:
            # It does not look at the error of the whole answer, which is that of a coordinator
            # that is still loading.
            raise Refused("COORDINATOR_NOT_AVAILABLE")
        return found

    def seek(self, topic, partition, to):
        at = TopicPartition(topic, partition)
        if to == "beginning":
            wait(self.consumer.seek_to_beginning(at))
        elif to == "end":
            wait(self.consumer.seek_to_end(at))
        else:
            self.consumer.seek(at, to)

    def range(self, topic, partition):
        at = TopicPartition(topic, partition)
        return (wait(self.consumer.beginning_offsets([at]))[at],
                wait(self.consumer.end_offsets([at]))[at])

    def offset_for_time(self, topic, partition, time):
        at = TopicPartition(topic, partition)
        found = wait(self.consumer.offsets_for_times({at: time}))[at]
        return found and found.offset

    def close(self):
        wait(self.consumer.stop())


class AioKafka:
    codecs = ["gzip", "snappy", "lz4", "zstd"]
    idempotent = static = True
    cooperative = False
    lacks = {"delete_group", "log_dirs"}

    def __init__(self):
        async def start():
            admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
            await admin.start()
            return admin
        self.admin = wait(start())

    def producer(self, codec="none", acks="all", idempotent=False, linger_ms=5, survives=False):
        return AioProducer(
            compression_type=None if codec == "none" else codec, linger_ms=linger_ms,
            acks=acks if acks == "all" else int(acks), enable_idempotence=idempotent)

    def consumer(self, group=None, instance=None, cooperative=False):
        return AioConsumer(
            group_id=group, group_instance_id=instance, auto_offset_reset="earliest",
            enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=300,
            partition_assignment_strategy=[RangePartitionAssignor])

    def create_topic(self, name, partitions, configs):
        topic = NewTopic(name, num_partitions=partitions, replication_factor=REPLICAS,
                         topic_configs=configs)
        response = wait(self.admin.create_topics([topic]))
        refuse(response.topic_errors[0][1])

    def list_topics(self):
        return set(wait(self.admin.list_topics()))

    def partitions(self, name):
        return len(self.describe_topic(name))

    def describe_topic(self, name):
        found = wait(self.admin.describe_topics([name]))[0]["partitions"]
        return sorted((p["partition"], p["leader"], p["replicas"]) for p in found)

    def topic_configs(self, name):
        return self._configs(ConfigResource(ConfigResourceType.TOPIC, name))

    def broker_configs(self, broker):
        return self._configs(ConfigResource(ConfigResourceType.BROKER, str(broker)))

    def _configs(self, resource):
        (response,) = wait(self.admin.describe_configs([resource]))
        refuse(response.resources[0][0])
        return {entry[0]: entry[1] for entry in response.resources[0][4]}

    def set_topic_config(self, name, key, value):
        resource = ConfigResource(ConfigResourceType.TOPIC, name, {key: value})
        (response,) = wait(self.admin.alter_configs([resource]))
        refuse(response.resources[0][0])

    def create_partitions(self, name, count):
        response = wait(self.admin.create_partitions({name: NewPartitions(count)}))
        refuse(response.topic_errors[0][1])

    def delete_records(self, topic, partition, offset):
        at = TopicPartition(topic, partition)
        return wait(self.admin.delete_records({at: RecordsToDelete(offset)}))[at]

    def list_groups(self):
        return {group[0] for group in wait(self.admin.list_consumer_groups())}

    def describe_group(self, name):
        (response,) = wait(self.admin.describe_consumer_groups([name]))
        group = response.groups[0]
        refuse(group[0])
        return group[2], len(group[5])

    def delete_topic(self, name):
        response = wait(self.admin.delete_topics([name]))
        refuse(response.topic_error_codes[0][1])

    def brokers(self):
        brokers = wait(self.admin.describe_cluster())["brokers"]
        return [(b["node_id"], b["host"], b["port"]) for b in brokers]


Matrix(AioKafka()).run()
