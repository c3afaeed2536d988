"""Sets client quotas, which no Python client can: AlterClientQuotas of version 0, byte by byte."""

import socket
import struct

from report import BOOTSTRAP

_ALTER_CLIENT_QUOTAS = 49


def alter_quota(client_id, key, value):
    """Sets a quota of a client-id; None takes it back."""
    entity = _array(_text("client-id") + _text(client_id))
    limit = struct.pack(">d?", value or 0.0, value is None)
    entry = entity + _array(_text(key) + limit)
    body = _array(entry) + b"\0"  # not only to be validated
    header = struct.pack(">hhi", _ALTER_CLIENT_QUOTAS, 0, 1) + _text("quotas")
    answer = _exchange(header + body)
    _correlation, _throttle, count, error = struct.unpack_from(">iiih", answer)
    assert (count, error) == (1, 0), f"error {error}"


def _text(text):
    return struct.pack(">h", len(text)) + text.encode()


def _array(element):
    return struct.pack(">i", 1) + element


def _exchange(frame):
    host, port = BOOTSTRAP.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        reader = connection.makefile("rb")
        (length,) = struct.unpack(">i", reader.read(4))
        return reader.read(length)
