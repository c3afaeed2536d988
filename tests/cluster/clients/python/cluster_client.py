"""An idempotent producer and two members of a group, with librdkafka, that write down what they do.

Arguments: bootstrap, topic, partitions, producer number, records a second, operation log, stop file.
It ends in good order when the stop file appears.
"""

import json
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BOOTSTRAP, TOPIC, PARTITIONS, NUMBER, RATE, LOG, STOP = sys.argv[1:8]
PARTITIONS, NUMBER, RATE = int(PARTITIONS), int(NUMBER), int(RATE)
GROUP = "librdkafka"
VALUE_BYTES = 100
COMMON = {
    "bootstrap.servers": BOOTSTRAP,
    # A host that vanished says nothing: answers are not waited for longer than this.
    "socket.timeout.ms": 1500,
    "socket.connection.setup.timeout.ms": 1000,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "topic.metadata.refresh.fast.interval.ms": 50,
}


class Log:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1 << 16)
        self.lock = threading.Lock()

    def add(self, op, **fields):
        with self.lock:
            self.file.write(json.dumps({"at": now(), "op": op, **fields}) + "\n")

    def close(self):
        with self.lock:
            self.file.close()


def now():
    return time.time_ns() // 1000


def is_over():
    return os.path.exists(STOP)


def payload(partition, number):
    once = f"{TOPIC}/{partition}/{NUMBER}/{number};"
    return (once * (VALUE_BYTES // len(once) + 1))[: max(VALUE_BYTES, len(once))]


def produce(log):
    client = f"librdkafka-producer-{NUMBER}"
    producer = Producer(
        COMMON
        | {
            "enable.idempotence": True,
            "linger.ms": 1,
            "request.timeout.ms": 1500,
            "message.timeout.ms": 60000,
            "retry.backoff.ms": 20,
            "retry.backoff.max.ms": 200,
        }
    )

    def ended(number):
        def report(error, message):
            if error is None:
                offset = message.offset()
                log.add("acked", producer=NUMBER, number=number, offset=offset if offset >= 0 else None)
            else:
                log.add("error", client=client, text=str(error))
                log.add("unknown", producer=NUMBER, number=number)

        return report

    log.add("started", client=client)
    number, begun = 0, time.monotonic()
    while not is_over():
        while number < (time.monotonic() - begun) * RATE:
            partition = number % PARTITIONS
            log.add("send", producer=NUMBER, number=number, topic=TOPIC, partition=partition)
            value = payload(partition, number)
            try:
                producer.produce(TOPIC, value, partition=partition, on_delivery=ended(number))
            except (BufferError, KafkaException) as error:
                log.add("error", client=client, text=str(error))
                log.add("failed", producer=NUMBER, number=number)
            number += 1
        producer.poll(0.005)
    left = producer.flush(70)
    if left == 0:
        log.add("stopped", client=client)


def consume(log, which):
    client = f"librdkafka-consumer-{NUMBER}-{which}"
    consumer = Consumer(
        COMMON
        | {
            "group.id": GROUP,
            "client.id": client,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10000,
            "heartbeat.interval.ms": 1000,
            "partition.assignment.strategy": "range",
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 20,
        }
    )

    def assigned(consumer, partitions):
        log.add("assigned", consumer=client, partitions=[[p.topic, p.partition] for p in partitions])
        begun = now()
        try:
            committed = consumer.committed(partitions, timeout=20)
        except KafkaException as error:
            log.add("error", client=client, text=f"committed: {error}")
            return
        for at in committed:
            if at.offset >= 0:
                log.add("resumed", group=GROUP, topic=at.topic, partition=at.partition, offset=at.offset, begun=begun)

    log.add("started", client=client)
    consumer.subscribe([TOPIC], on_assign=assigned)
    while not is_over():
        ends = {}
        for message in consumer.consume(num_messages=500, timeout=0.1):
            if message.error() is not None:
                log.add("error", client=client, text=str(message.error()))
                continue
            log.add(
                "polled",
                consumer=client,
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                value=message.value().decode(errors="replace"),
                epoch=message.leader_epoch(),
            )
            ends[message.partition()] = message.offset() + 1
        commit(log, client, consumer, ends)
    consumer.close()
    log.add("stopped", client=client)


def commit(log, client, consumer, ends):
    if not ends:
        return
    begun = now()
    offsets = [TopicPartition(TOPIC, partition, offset) for partition, offset in ends.items()]
    try:
        committed = consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        if error.args[0].name() not in ("REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"):
            log.add("error", client=client, text=f"commit: {error}")
        return
    for at in committed:
        if at.error is None:
            log.add("committed", group=GROUP, topic=at.topic, partition=at.partition, offset=at.offset, begun=begun)


def main():
    log = Log(LOG)
    jobs = [(produce, (log,)), (consume, (log, 0)), (consume, (log, 1))]
    threads = [threading.Thread(target=job, args=args) for job, args in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()


main()
