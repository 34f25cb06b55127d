"""The frames between the driver and its helper process.

A frame has two lengths, a JSON header, and JSON texts that the helper passes on without parsing.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

Header = dict[str, Any]
_LENGTHS = struct.Struct("!II")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def write(header: Header, *texts: str) -> bytes:
    """Encode a frame."""
    encoded = [text.encode() for text in texts]
    if encoded:
        header["sizes"] = [len(text) for text in encoded]
    head = _encode(header).encode()
    body = b"".join(encoded)
    return _LENGTHS.pack(len(head), len(body)) + head + body


class Reader:
    """Decodes frames from a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Header, list[str]]]:
        """Add bytes, and yield the frames that are now complete."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTHS.size:
            head, body = _LENGTHS.unpack_from(buffer, at)
            begin = at + _LENGTHS.size
            end = begin + head + body
            if len(buffer) < end:
                break
            header: Header = json.loads(buffer[begin : begin + head])
            place = begin + head
            texts = []
            for size in header.get("sizes", ()):
                texts.append(buffer[place : place + size].decode())
                place += size
            at = end
            yield header, texts
        del buffer[:at]
