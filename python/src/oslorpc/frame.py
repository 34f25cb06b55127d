"""Encodes usual requests and results without protobuf's classes, which are slower.

The requests of all RPCs of the protocol have the same encoding: field 1 is the message.
"""

from __future__ import annotations

from typing import Any

from oslorpc.v1 import payload_pb2, rpc_pb2

_HEAD = b"\x0a"  # field 1: the message of a request, the result of a response, the JSON text of a payload
_SERVER = b"\x2a"  # field 5 of a target: the server's name
_CONTEXT, _KWARGS, _ID, _INSTANCE = b"\x1a", b"\x22", b"\x2a", b"\x32"
_SHORT = [bytes([n]) for n in range(128)]
# The maximum number of bytes that a payload or a request has around its text.
ENVELOPE = 16

parse_response = rpc_pb2.CallResponse.FromString


def _length(n: int) -> bytes:
    if n < 128:
        return _SHORT[n]
    if n < 16384:
        return bytes((n & 127 | 128, n >> 7))
    encoded = bytearray()
    while n > 127:
        encoded.append(n & 127 | 128)
        n >>= 7
    encoded.append(n)
    return bytes(encoded)


def instance(id: str, server: str) -> bytes:
    """Return the encoded field that names the intended instance.

    A static address has no instance id. For it, the field names the server in the target.
    """
    if id:
        return _field(_INSTANCE, id.encode())
    return _field(_HEAD, _field(_SERVER, server.encode())) if server else b""


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _length(len(content)) + content


def request(head: bytes, to: bytes, id: str, kwargs: bytes, context: bytes) -> bytes:
    """Return a request: the fields that all messages for a method share, and the message's own."""
    size = len(kwargs)
    inner = _HEAD + _length(size)
    parts = [head, to, _ID, _length(len(id)), id.encode(), _KWARGS, _length(size + len(inner)), inner, kwargs]
    if context:
        size = len(context)
        inner = _HEAD + _length(size)
        parts += (_CONTEXT, _length(size + len(inner)), inner, context)
    message = b"".join(parts)
    return _HEAD + _length(len(message)) + message


def result(text: bytes) -> bytes:
    """Return a response with a result, or an item, as JSON text."""
    head = _HEAD + _length(len(text))
    return b"".join((_HEAD, _length(len(head) + len(text)), head, text))


def payload(p: payload_pb2.Payload) -> bytes:
    """Return a response with a result, or an item, in any encoding."""
    encoded = p.SerializeToString()
    return _HEAD + _length(len(encoded)) + encoded


def parse(text: bytes) -> Any:
    """Return the payload of a response."""
    return parse_response(text).result
