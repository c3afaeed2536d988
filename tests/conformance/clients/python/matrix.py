"""The checks of every Python client, through a small adapter that each of them has.

An adapter has the attributes `codecs`, `idempotent`, `static` and `cooperative`, and the methods
that the classes `Adapter`, `Producer` and `Consumer` name.
"""

import random
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

from report import BROKERS, check, done, restart_broker, same, wait_until

Record = namedtuple("Record", "partition offset key value headers timestamp")
POOL = ThreadPoolExecutor(2)
# A poll that is cut off while it joins starts to join anew (kafka-python), so not too short.
TURN = 0.4
BASE = 1_600_000_000_000


class Refused(Exception):
    """An error that the broker answered with, by its name in the protocol."""


class Matrix:
    def __init__(self, adapter):
        self.client = adapter
        self.topics = 0

    def run(self):
        client = self.client
        for codec in ["none", *client.codecs]:
            check(f"codec/{codec}", self.codec, codec)
        check("headers", self.headers)
        check("null-keys-and-values", self.nulls)
        check("big-record", self.big_record)
        check("keys-stay-in-their-partition", self.keyed)
        for acks in ("0", "1", "all"):
            check(f"acks/{acks}", self.acks, acks)
        if client.idempotent:
            check("idempotent", self.idempotent)
        check("offsets/for-times", self.offsets_for_times)
        check("offsets/beginning-and-end", self.seeks)
        check("offsets/seek-into-a-batch", self.seek_into_batch)
        check("auto-create", self.auto_create)
        check("errors/too-large", self.too_large)
        check("errors/invalid-topic-name", self.invalid_name)
        check("errors/unknown-topic", self.unknown_topic)
        check("group/two-members", self.two_members, "two-members")
        if client.cooperative:
            check("group/cooperative-sticky", self.two_members, "cooperative", True)
        check("group/commit-and-resume", self.commit_and_resume)
        if client.static:
            check("group/static-membership", self.static_membership)
        self.admin_checks()
        if client.idempotent:
            check("restart/kill-idempotent", self.restart, "kill", True)
        check("restart/stop", self.restart, "stop", False)
        check("restart/group-survives", self.group_survives)
        done()

    def admin_checks(self):
        for name in ("create_topic", "describe_topic", "topic_configs", "broker_configs",
                     "create_partitions", "delete_records", "groups", "delete_topic", "cluster",
                     "log_dirs"):
            if name not in self.client.lacks:
                check("admin/" + name.replace("_", "-"), getattr(self, "admin_" + name))

    # Helpers.

    def topic(self, partitions=1, **configs):
        self.topics += 1
        name = f"topic-{self.topics}"
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.client.create_topic(name, partitions, configs)
        # Kafka answers before its broker has heard of the topic.
        wait_until("the topic is there", lambda: name in self.client.list_topics()
                   and self.client.partitions(name) == partitions)
        consumer = self.client.consumer()
        for partition in range(partitions):
            wait_until("the partition has a leader", lambda p=partition: answers(consumer, name, p))
        consumer.close()
        return name

    def fill(self, topic, values, **options):
        producer = self.client.producer(**options)
        futures = [producer.send(topic, None, value) for value in values]
        producer.flush()
        results = [future() for future in futures]
        producer.close()
        return results

    def read_all(self, topic, count):
        consumer = self.client.consumer()
        consumer.assign([(topic, p) for p in range(self.client.partitions(topic))])
        records = read(consumer, count)
        consumer.close()
        return records

    # Data.

    def codec(self, codec):
        topic = self.topic()
        sent = values(300)
        self.fill(topic, sent, codec=codec)
        same(sent, [record.value for record in self.read_all(topic, 300)], "values")

    def headers(self):
        topic = self.topic()
        headers = [("a", b"1"), ("a", b"2"), ("empty", b"")]
        producer = self.client.producer()
        producer.send(topic, b"k", b"v", headers=headers)
        producer.close()
        same(headers, list(self.read_all(topic, 1)[0].headers), "headers")

    def nulls(self):
        topic = self.topic()
        pairs = [(b"k", None), (None, b"v"), (b"", b"")]
        producer = self.client.producer()
        for key, value in pairs:
            producer.send(topic, key, value)
        producer.close()
        same(pairs, [(record.key, record.value) for record in self.read_all(topic, 3)], "records")

    def big_record(self):
        topic = self.topic()
        value = random.Random(1).randbytes(900_000)
        self.fill(topic, [value] * 4)
        for record in self.read_all(topic, 4):
            assert record.value == value, "a big value changed"

    def keyed(self):
        topic = self.topic(6)
        producer = self.client.producer()
        futures = [(i, producer.send(topic, b"key-%d" % (i % 20), b"%d" % i)) for i in range(60)]
        producer.flush()
        homes = {}
        for i, future in futures:
            partition, _ = future()
            same(homes.setdefault(i % 20, partition), partition, f"partition of key {i % 20}")
        producer.close()
        last = {}
        for record in self.read_all(topic, 60):
            number = int(record.value)
            same(homes[number % 20], record.partition, "partition")
            assert last.get(record.key, -1) < number, "order within a key"
            last[record.key] = number
        assert len(set(homes.values())) > 1, "one partition only"

    def acks(self, acks):
        topic = self.topic(2)
        self.fill(topic, values(100), acks=acks)
        same(100, len(self.read_all(topic, 100)), "records")

    def idempotent(self):
        topic = self.topic(3)
        self.fill(topic, values(500), idempotent=True)
        same(500, len({record.value for record in self.read_all(topic, 500)}), "distinct records")

    def offsets_for_times(self):
        topic = self.topic()
        producer = self.client.producer()
        for i in range(50):
            producer.send(topic, None, b"v", partition=0, timestamp=BASE + i * 10)
        producer.close()
        same(BASE + 70, self.read_all(topic, 50)[7].timestamp, "timestamp")
        consumer = self.client.consumer()
        for i in (0, 1, 37, 49):
            found = consumer.offset_for_time(topic, 0, BASE + i * 10 - 5)
            same(i, found, f"offset for time {i}")
        same(None, consumer.offset_for_time(topic, 0, BASE + 10_000), "after the end")
        consumer.close()

    def seeks(self):
        topic = self.topic()
        self.fill(topic, values(20))
        consumer = self.client.consumer()
        consumer.assign([(topic, 0)])
        same((0, 20), consumer.range(topic, 0), "offsets")
        same(20, len(read(consumer, 20)), "records")
        consumer.seek(topic, 0, "end")
        same([], consumer.poll(0.5), "records at the end")
        consumer.seek(topic, 0, "beginning")
        same(0, read(consumer, 20)[0].offset, "first offset")
        consumer.close()

    def seek_into_batch(self):
        topic = self.topic()
        self.fill(topic, values(50), codec="gzip", linger_ms=100)
        consumer = self.client.consumer()
        consumer.assign([(topic, 0)])
        read(consumer, 50)
        consumer.seek(topic, 0, 33)
        same(33, read(consumer, 17)[0].offset, "first offset")
        consumer.close()

    def auto_create(self):
        self.fill("made-by-its-first-use", values(10))
        same(10, len(self.read_all("made-by-its-first-use", 10)), "records")

    # Errors.

    def too_large(self):
        topic = self.topic(max_message_bytes=2000)
        refused("MESSAGE_TOO_LARGE", lambda: self.fill(topic, [bytes(5000)]))
        self.fill(topic, [bytes(500)])
        same(1, len(self.read_all(topic, 1)), "records")

    def invalid_name(self):
        refused("INVALID_TOPIC", lambda: self.client.create_topic("not a name!", 1, {}))
        refused("TOPIC_ALREADY_EXISTS", lambda: [self.client.create_topic("taken", 1, {})
                                                 for _ in range(2)])

    def unknown_topic(self):
        refused("UNKNOWN_TOPIC_OR_PARTITION", lambda: self.client.delete_topic("absent"))
        assert "absent" not in self.client.list_topics(), "deleting created a topic"

    # Groups.

    def two_members(self, group, cooperative=False):
        topic = self.topic(4)
        first = self.client.consumer(group, cooperative=cooperative)
        first.subscribe([topic])
        seen = [0, 0]
        wait_until("the first has all", lambda: sizes(seen, first) == [4])
        second = self.client.consumer(group, cooperative=cooperative)
        second.subscribe([topic])
        wait_until("both have two", lambda: sizes(seen, first, second) == [2, 2])
        same(4, len(first.assignment() | second.assignment()), "partitions of both")
        producer = self.client.producer()
        for i in range(40):
            producer.send(topic, None, b"v", partition=i % 4)
        producer.close()
        wait_until("each reads its half",
                   lambda: sizes(seen, first, second) == [2, 2] and seen == [20, 20])
        second.close()
        wait_until("the first has all again", lambda: sizes(seen, first) == [4])
        first.close()

    def commit_and_resume(self):
        topic = self.topic()
        self.fill(topic, values(30))
        consumer = self.client.consumer("resume")
        consumer.subscribe([topic])
        read(consumer, 30)
        consumer.commit(topic, 0, 10)
        same(10, consumer.committed(topic, 0), "committed offset")
        consumer.close()
        consumer = self.client.consumer("resume")
        consumer.subscribe([topic])
        same(10, read(consumer, 20)[0].offset, "first offset after resuming")
        consumer.close()

    def static_membership(self):
        topic = self.topic(4)
        seen = [0, 0]
        first = self.client.consumer("static", instance="one")
        first.subscribe([topic])
        second = self.client.consumer("static", instance="two")
        second.subscribe([topic])
        wait_until("both have two", lambda: sizes(seen, first, second) == [2, 2])
        owned = second.assignment()
        second.close()
        back = self.client.consumer("static", instance="two")
        back.subscribe([topic])
        wait_until("it is back", lambda: sizes(seen, first, back) == [2, 2])
        same(owned, back.assignment(), "assignment of the second")
        first.close()
        back.close()

    # Admin.

    def admin_create_topic(self):
        self.client.create_topic("created", 3, {"retention.ms": "60000"})
        assert "created" in self.client.list_topics(), "not listed"
        same(3, self.client.partitions("created"), "partitions")
        refused("INVALID_CONFIG", lambda: self.client.create_topic("no", 1, {"no.such.key": "1"}))
        refused("INVALID_PARTITIONS", lambda: self.client.create_topic("no", 0, {}))

    def admin_describe_topic(self):
        topic = self.topic(3)
        brokers = sorted(broker[0] for broker in self.client.brokers())
        found = self.client.describe_topic(topic)
        same([0, 1, 2], [index for index, _, _ in found], "partitions")
        for _, leader, replicas in found:
            same(replicas[0], leader, "leader")
            same(brokers, sorted(replicas), "replicas")

    def admin_topic_configs(self):
        topic = self.topic(retention_ms=60000)
        configs = self.client.topic_configs(topic)
        same("60000", configs["retention.ms"], "retention.ms")
        same("delete", configs["cleanup.policy"], "cleanup.policy")
        self.client.set_topic_config(topic, "retention.ms", "70000")
        same("70000", self.client.topic_configs(topic)["retention.ms"], "retention.ms")

    def admin_broker_configs(self):
        configs = self.client.broker_configs(self.client.brokers()[0][0])
        same("0", configs["group.initial.rebalance.delay.ms"], "group.initial.rebalance.delay.ms")
        same("1048588", configs["message.max.bytes"], "message.max.bytes")

    def admin_create_partitions(self):
        topic = self.topic()
        self.client.create_partitions(topic, 4)
        wait_until("four partitions", lambda: self.client.partitions(topic) == 4)
        refused("INVALID_PARTITIONS", lambda: self.client.create_partitions(topic, 2))

    def admin_delete_records(self):
        topic = self.topic()
        self.fill(topic, values(20))
        same(12, self.client.delete_records(topic, 0, 12), "low watermark")
        same(12, self.read_all(topic, 8)[0].offset, "first offset")
        refused("OFFSET_OUT_OF_RANGE", lambda: self.client.delete_records(topic, 0, 99))

    def admin_groups(self):
        topic = self.topic()
        consumer = self.client.consumer("admin-group")
        consumer.subscribe([topic])
        wait_until("it has it", lambda: sizes([0], consumer) == [1])
        same(("Stable", 1), self.client.describe_group("admin-group"), "state and members")
        assert "admin-group" in self.client.list_groups(), "not listed"
        if "delete_group" not in self.client.lacks:
            refused("NON_EMPTY_GROUP", lambda: self.client.delete_group("admin-group"))
        consumer.commit(topic, 0, 0)
        consumer.close()
        same(("Empty", 0), self.client.describe_group("admin-group"), "state without members")
        if "delete_group" not in self.client.lacks:
            self.client.delete_group("admin-group")
            assert "admin-group" not in self.client.list_groups(), "listed after deletion"

    def admin_delete_topic(self):
        topic = self.topic()
        self.fill(topic, values(5))
        self.client.delete_topic(topic)
        wait_until("it is gone", lambda: topic not in self.client.list_topics())

    def admin_cluster(self):
        found = sorted(f"{host}:{port}" for _, host, port in self.client.brokers())
        same(BROKERS, found, "brokers")

    def admin_log_dirs(self):
        topic = self.topic()
        self.fill(topic, values(20))
        assert self.client.log_size(topic) > 500, "size of the log"

    # Restarts.

    def restart(self, how, idempotent):
        """What was acknowledged is there: exactly once with idempotence, at least once without."""
        topic = self.topic(3)
        acknowledged, errors, stop = set(), [], threading.Event()
        producer = self.client.producer(idempotent=idempotent, survives=True)
        sender = threading.Thread(
            target=send_until, args=(producer, topic, acknowledged, errors, stop))
        sender.start()
        wait_until("some before", lambda: len(acknowledged) > 500 or errors)
        restart_broker(how)
        so_far = len(acknowledged)
        wait_until("some after", lambda: len(acknowledged) > so_far + 500 or errors)
        stop.set()
        sender.join()
        producer.close()
        same([], errors, "errors of the producer")
        consumer = self.client.consumer()
        ends = [consumer.range(topic, partition)[1] for partition in range(3)]
        consumer.close()
        found = [record.value for record in self.read_all(topic, sum(ends))]
        same(set(), acknowledged - set(found), "acknowledged but not found")
        if idempotent:
            same(len(found), len(set(found)), "records without duplicates")

    def group_survives(self):
        topic = self.topic()
        self.fill(topic, values(20))
        member = self.client.consumer("survivor")
        member.subscribe([topic])
        read(member, 20)
        member.commit(topic, 0, 5)
        restart_broker("kill")
        same(5, patiently(lambda: member.committed(topic, 0)), "committed offset after the restart")
        self.fill(topic, [b"more"])
        records = []
        wait_until("it reads on",
                   lambda: records.extend(member.poll(0.1)) or any(r.offset == 20 for r in records))
        member.close()


def answers(consumer, topic, partition):
    try:
        consumer.range(topic, partition)
    except Exception:  # each client has its own; the deadline decides
        return False
    return True


def values(count):
    return [b"value-%d-" % i + b"abcdefgh" * (i % 20) for i in range(count)]


def read(consumer, count):
    """Polls until `count` records came, and no more came with them."""
    records = []
    wait_until(f"{count} records",
               lambda: records.extend(consumer.poll(0.1)) or len(records) >= count)
    same(count, len(records), "records")
    return records


def sizes(seen, *members):
    """How many partitions each has after a poll; `seen` counts what they read."""
    # At once: a member that joins waits for the others inside its poll.
    for i, records in enumerate(POOL.map(lambda member: member.poll(TURN), members)):
        seen[i] += len(records)
    return [len(member.assignment()) for member in members]


def refused(name, action):
    try:
        action()
    except Refused as error:
        same(name, str(error), "error")
        return
    raise AssertionError(f"it worked but should be {name}")


def patiently(ask):
    """The first answer of a coordinator that may still be loading."""
    answers = []

    def answered():
        try:
            answers.append(ask())
        except Refused as error:
            assert str(error) in ("NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS",
                                  "COORDINATOR_NOT_AVAILABLE"), str(error)
        return answers

    wait_until("the coordinator answers", answered)
    return answers[0]


def send_until(producer, topic, acknowledged, errors, stop):
    """Sends steadily; a bounded number is in flight."""
    pending = []
    number = 0
    while not stop.is_set() or pending:
        if not stop.is_set() and len(pending) < 500:
            value = b"v%d" % number
            pending.append((value, producer.send(topic, b"k%d" % (number % 50), value)))
            number += 1
            if number % 20:
                continue
        producer.serve()
        time.sleep(0.001)
        while pending and pending[0][1].ready():
            value, future = pending.pop(0)
            try:
                future()
                acknowledged.add(value)
            except Refused as error:
                errors.append(repr(error))
                return
