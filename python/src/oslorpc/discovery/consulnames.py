"""The names and metadata of Consul services, encoded and decoded. docs/protocol.md has the
rules.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Any, NamedTuple

from oslorpc.discovery.base import (
    DRAINING,
    Instance,
    format_implementation,
    join_addr,
    parse_implementation,
    split_addr,
)
from oslorpc.errors import invalid

_PLAIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_PLAIN_EXCHANGE = re.compile(r"[a-z0-9]{1,23}", re.ASCII)
PREFIX = "oslorpc-"
PROCESS = "--process"
_MAX_NAME = 63 - len(PROCESS)
_HASH_LENGTH = 20
_MAX_VALUE, _MAX_PARTS = 512, 56
_DEREGISTER = "5m0s"


def service_name(exchange: str, topic: str) -> str:
    """Return the name of a topic's services."""
    plain_exchange = _PLAIN_EXCHANGE.fullmatch(exchange) is not None
    name = f"{PREFIX}{exchange}-{topic}"
    if plain_exchange and _PLAIN.fullmatch(topic) and len(name) <= _MAX_NAME:
        return name
    readable = "".join(_mapped(c) for c in f"{exchange}-{topic}")
    start = PREFIX if plain_exchange else PREFIX + "-"
    key = f"{len(exchange.encode())}:{exchange}{topic}"
    digest = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:_HASH_LENGTH]
    return (start + readable)[: _MAX_NAME - 2 - _HASH_LENGTH] + "--" + digest


def _mapped(c: str) -> str:
    if c in "abcdefghijklmnopqrstuvwxyz0123456789-":
        return c
    return c.lower() if "A" <= c <= "Z" else "-"


def process_name(exchange: str, topic: str) -> str:
    """Return the name of the services of processes that register under a topic."""
    return service_name(exchange, topic) + PROCESS


class IDs(NamedTuple):
    """The ids of a service and of its check at an agent.

    They cannot be guessed, so holders of other tokens cannot register under them first.
    """

    service: str
    check: str


def new_ids(of: str) -> IDs:
    """Return ids for the service of an instance, or of a process, with this id."""
    service = f"{PREFIX}{of}-{_random()}"
    return IDs(service, f"{service}-{_random()}")


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(20)).decode()[:26]


def instance_service(i: Instance, ids: IDs, process_id: str) -> dict[str, Any]:
    """Return the service of an instance. Its check follows the check of its process."""
    host, port = _host_port(i)
    meta = {
        "rpc-exchange": i.exchange,
        "rpc-topic": i.topic,
        "rpc-server": i.server,
        "rpc-instance": i.id,
        "rpc-boot": i.boot_id,
        "rpc-state": i.state,
    }
    if i.zone:
        meta["rpc-zone"] = i.zone
    text = ",".join(format_implementation(one) for one in i.implemented)
    parts = [text[n : n + _MAX_VALUE] for n in range(0, len(text), _MAX_VALUE)]
    if len(parts) > _MAX_PARTS:
        raise invalid(f"publish {i.server} of {i.topic}: its interfaces do not fit into Consul's metadata")
    meta.update({f"rpc-versions-{n}": part for n, part in enumerate(parts)})
    check = {
        "CheckID": ids.check,
        "Name": "The process is alive",
        "Status": "passing",
        "AliasService": process_id,
        "DeregisterCriticalServiceAfter": _DEREGISTER,
    }
    name = service_name(i.exchange, i.topic)
    return {"ID": ids.service, "Name": name, "Address": host, "Port": port, "Meta": meta, "Check": check}


def process_service(i: Instance, ids: IDs, ttl: str) -> dict[str, Any]:
    """Return the service that represents the process of an instance. Its check is a TTL check."""
    host, port = _host_port(i)
    check = {
        "CheckID": ids.check,
        "Name": "The process sends a sign of life",
        "Status": "passing",
        "TTL": ttl,
        "DeregisterCriticalServiceAfter": _DEREGISTER,
    }
    name = process_name(i.exchange, i.topic)
    return {
        "ID": ids.service,
        "Name": name,
        "Address": host,
        "Port": port,
        "Meta": {"rpc-boot": i.boot_id},
        "Check": check,
    }


def _host_port(i: Instance) -> tuple[str, int]:
    if i.addr.startswith("unix:"):
        raise invalid(f"publish {i.addr}: Consul's services have a host and a port: listen on TCP, or use local://")
    try:
        return split_addr(i.addr)
    except ValueError as e:
        raise invalid(f'publish "{i.addr}": {e}') from None


def read_entries(entries: list[Any], name: str) -> tuple[list[Instance], dict[str, str]]:
    """Return the instances among the services of a name, and why each other service is unusable, by
    id.
    """
    found: dict[str, Instance] = {}
    broken: dict[str, str] = {}
    for e in entries:
        if not isinstance(e, dict) or not isinstance(e.get("Service"), dict):
            broken["(null)"] = "null was sent instead of the service"
            continue
        alive, maintained = _health(e.get("Checks") or [])
        if not alive:
            continue
        try:
            i = _instance(e, name, maintained)
            found[i.id] = i
        except (ValueError, TypeError, AttributeError) as why:
            broken[str(e["Service"].get("ID"))] = str(why)
    return sorted(found.values(), key=lambda i: (i.exchange, i.topic, i.server, i.id)), broken


def _health(checks: list[Any]) -> tuple[bool, bool]:
    """Return whether no check is critical, and whether an operator put the service or its node into
    maintenance.
    """
    maintained = False
    for c in checks:
        check = str(c.get("CheckID"))
        if check == "_node_maintenance" or check.startswith("_service_maintenance:"):
            maintained = True
        elif c.get("Status") == "critical":
            return False, maintained
    return True, maintained


def _instance(entry: dict[str, Any], name: str, maintained: bool) -> Instance:
    service = entry["Service"]
    meta: dict[str, str] = service.get("Meta") or {}
    for key in ("rpc-topic", "rpc-instance", "rpc-boot"):
        if not meta.get(key):
            raise ValueError(f"its metadata has no {key}")
    text, n = "", 0
    while (part := meta.get(f"rpc-versions-{n}")) is not None:
        text, n = text + part, n + 1
    host = service.get("Address") or (entry.get("Node") or {}).get("Address") or ""
    addr = join_addr(host, service.get("Port") or 0)
    split_addr(addr)
    exchange, topic = meta.get("rpc-exchange", ""), meta["rpc-topic"]
    if service.get("Service") != name or service_name(exchange, topic) != name:
        raise ValueError(
            f'its name is "{service.get("Service")}", and its metadata says topic "{topic}" of "{exchange}"'
        )
    return Instance(
        meta["rpc-instance"],
        meta["rpc-boot"],
        exchange,
        topic,
        meta.get("rpc-server", ""),
        addr,
        DRAINING if maintained else meta.get("rpc-state", ""),
        tuple(parse_implementation(item) for item in text.split(",")) if text else (),
        meta.get("rpc-zone", ""),
    )
