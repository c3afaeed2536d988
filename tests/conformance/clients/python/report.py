"""The lines that the runner reads, and how a check waits and fails."""

import json
import os
import sys
import time
import traceback

BOOTSTRAP = os.environ["KLAMM_BOOTSTRAP"]
# The addresses of all brokers; every topic has a replica on each.
BROKERS = sorted(os.environ["KLAMM_BROKERS"].split(","))
REPLICAS = len(BROKERS)
_FILTER = os.environ.get("KLAMM_CHECKS", "")
_LIMIT = 60.0
_out = sys.stdout


def check(name, function, *args):
    """Runs one check; whatever it raises is its failure."""
    if _FILTER not in name:
        return
    _say({"begin": name})
    error = ""
    try:
        function(*args)
    except Exception:  # the runner decides what to do with it
        error = traceback.format_exc()[-3000:]
    _say({"check": name, "ok": not error, "detail": error})


def restart_broker(how):
    """Has the broker restarted, "kill" or "stop"; returns when it answers again."""
    _say({"broker": how})
    assert sys.stdin.readline().strip() == "ready", "the runner did not restart the broker"


def done():
    """The last line; ends the program whatever threads are left."""
    _say({"done": True})
    os._exit(0)


def same(expected, actual, what):
    assert expected == actual, f"{what}: expected {expected!r} but found {actual!r}"


def wait_until(what, holds, limit=_LIMIT):
    """Looks again until it holds, up to a deadline."""
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def _say(line):
    print(json.dumps(line), file=_out, flush=True)
