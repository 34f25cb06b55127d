"""The names and contents of the files of local://."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from oslorpc.discovery.base import Instance, format_implementation, parse_implementation

_NAMES = ("id", "boot_id", "exchange", "topic", "server", "addr", "state", "zone")
_PROCESS = re.compile(r"oslorpc-.*-[A-Z2-7]{26}\.json", re.DOTALL)
_TEMPORARY = re.compile(r"oslorpc-.*-[A-Z2-7]{26}\.json\.[0-9]*\.tmp", re.DOTALL)
_SOCKET = re.compile(r"[0-9a-f]{8}\.sock")


def is_process_file(name: str) -> bool:
    """Whether a file name has the form for files of processes."""
    return _PROCESS.fullmatch(name) is not None


def is_temporary(name: str) -> bool:
    """Whether a file name has the form for temporary files."""
    return _TEMPORARY.fullmatch(name) is not None


def is_socket(name: str) -> bool:
    """Whether a file name has the form for sockets of servers."""
    return _SOCKET.fullmatch(name) is not None


def encode(instances: Sequence[Instance]) -> str:
    """Return the content of a process's file."""
    records = []
    for i in instances:
        record: dict[str, Any] = {
            "id": i.id,
            "boot_id": i.boot_id,
            "exchange": i.exchange,
            "topic": i.topic,
            "server": i.server,
            "addr": i.addr,
            "state": i.state,
        }
        if i.implemented:
            record["implemented"] = [format_implementation(one) for one in i.implemented]
        if i.zone:
            record["zone"] = i.zone
        records.append(record)
    return json.dumps({"format": 1, "instances": records}, ensure_ascii=False)


def decode(text: str | bytes) -> list[Instance]:
    """Parse the content of a process's file. A ValueError says what is wrong."""
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("format") != 1:
        raise ValueError("its format is not known to this program")
    instances = []
    for record in document.get("instances") or []:
        names = [record.get(name, "") for name in _NAMES]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a name is not text")
        implemented = tuple(parse_implementation(one) for one in record.get("implemented") or [])
        id, boot_id, exchange, topic, server, addr, state, zone = names
        instances.append(Instance(id, boot_id, exchange, topic, server, addr, state, implemented, zone))
    return instances
