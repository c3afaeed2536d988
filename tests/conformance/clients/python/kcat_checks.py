"""kcat, run as a user runs it."""

import json
import os
import random
import subprocess

from report import BOOTSTRAP, BROKERS, check, done, restart_broker, same

# The kernel ends a kcat whose parent is killed.
KCAT = ["setpriv", "--pdeathsig", "KILL", "--", "kcat", "-b", BOOTSTRAP]


def kcat(*args, data=b"", fails=False):
    # A configuration file of the user must not matter.
    found = subprocess.run([*KCAT, *args], input=data, capture_output=True, timeout=60,
                           env={**os.environ, "KCAT_CONFIG": "/dev/null"}, check=False)
    output = found.stdout.decode(errors="replace")
    errors = found.stderr.decode(errors="replace")
    assert (found.returncode != 0) == fails, f"exit {found.returncode}: {errors}{output}"
    return errors if fails else output


def lines(count):
    return [f"value-{i}" for i in range(count)]


def produce(topic, values, *args):
    kcat("-P", "-t", topic, *args, data="".join(value + "\n" for value in values).encode())


def consume(topic, *args):
    return kcat("-C", "-t", topic, "-e", "-q", *args).splitlines()


def codec(name):
    produce(f"codec-{name}", lines(300), "-z", name)
    same(lines(300), consume(f"codec-{name}"), "values")


def keys_and_headers():
    produce("keyed", ["a:1", "b:2"], "-K:", "-H", "h=x", "-H", "h2=y")
    same(["a 1 h=x,h2=y 0", "b 2 h=x,h2=y 1"], consume("keyed", "-f", "%k %s %h %o\n"), "records")


def nulls():
    produce("nulls", ["k:", ":v"], "-K:", "-Z")
    found = [json.loads(line) for line in consume("nulls", "-J")]
    same([("k", None), (None, "v")], [(r["key"], r["payload"]) for r in found], "records")


def big_record():
    path = os.path.join(os.environ["KLAMM_SCRATCH"], "big")
    data = random.Random(1).randbytes(900_000).hex().encode()[:900_000]
    with open(path, "wb") as file:
        file.write(data)
    kcat("-P", "-t", "big", path)
    same(data.decode(), kcat("-C", "-t", "big", "-e", "-q", "-D", ""), "value")


def acks(value):
    produce(f"acks-{value}", ["warm-up"], "-X", "acks=all")
    produce(f"acks-{value}", lines(50), "-X", f"acks={value}")
    same(51, len(consume(f"acks-{value}")), "records")


def idempotent():
    produce("idempotent", lines(200), "-X", "enable.idempotence=true")
    same(lines(200), consume("idempotent"), "values")


def offsets():
    produce("offsets", lines(20))
    same(lines(20)[15:], consume("offsets", "-o", "15"), "from an offset")
    same(lines(20)[-3:], consume("offsets", "-o", "-3"), "the last three")
    same(lines(20), consume("offsets", "-o", "s@1000"), "from a time")
    found = kcat("-Q", "-t", "offsets:0:-1", "-t", "offsets:0:1000")
    assert "offsets [0] offset 20" in found or "offset 0" in found, found


def group():
    produce("grouped", lines(30))
    first = kcat("-G", "kcat-group", "-e", "-q", "-c", "10", "-X", "auto.offset.reset=earliest",
                 "grouped").splitlines()
    same(lines(30)[:10], first, "first read")
    rest = kcat("-G", "kcat-group", "-e", "-q", "-X", "auto.offset.reset=earliest",
                "grouped").splitlines()
    same(lines(30)[10:], rest, "the rest")


def metadata():
    produce("described", lines(1))
    found = json.loads(kcat("-L", "-J"))
    same(BROKERS, sorted(broker["name"] for broker in found["brokers"]), "brokers")
    topic = next(topic for topic in found["topics"] if topic["topic"] == "described")
    brokers = sorted(broker["id"] for broker in found["brokers"])
    (partition,) = topic["partitions"]
    same(partition["replicas"][0]["id"], partition["leader"], "leader")
    for holders in ("replicas", "isrs"):
        same(brokers, sorted(holder["id"] for holder in partition[holders]), holders)


def unknown_topic():
    errors = kcat("-C", "-t", "absent", "-e", "-X", "allow.auto.create.topics=false", fails=True)
    assert "Unknown topic or partition" in errors, errors


def restart():
    produce("kept", lines(100), "-X", "acks=all")
    restart_broker("kill")
    produce("kept", lines(1), "-X", "acks=all")
    same(lines(100) + lines(1), consume("kept"), "values")


for name in ("none", "gzip", "snappy", "lz4", "zstd"):
    check(f"codec/{name}", codec, name)
check("keys-and-headers", keys_and_headers)
check("null-keys-and-values", nulls)
check("big-record", big_record)
for name in ("0", "1", "all"):
    check(f"acks/{name}", acks, name)
check("idempotent", idempotent)
check("offsets", offsets)
check("group", group)
check("metadata", metadata)
check("errors/unknown-topic", unknown_topic)
check("restart/kill", restart)
done()
