"""The registry of addresses that the transport URL lists."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Sequence

from oslorpc.discovery.base import Instance, Notify, Update, split_addr
from oslorpc.errors import Error, invalid
from oslorpc.target import Target, check_zone

_MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})")
_ZONE = ";zone="  # between an address and its zone


class StaticRegistry:
    """The instances of a URL such as
    static://topic=host:port,topic/server=host:port,topic=host:port;zone=az1.
    """

    name = "the addresses in the transport URL"

    def __init__(self, rest: str, exchange: str) -> None:
        self._instances: list[Instance] = []
        for entry in rest.split(","):
            try:
                instance = _parse(entry, exchange)
            except (ValueError, Error) as e:
                raise invalid(f'transport URL "static://{rest}": {e}') from None
            if instance in self._instances:
                raise invalid(f'transport URL "static://{rest}": "{entry}" appears twice: remove one')
            self._instances.append(instance)

    def publish(self, instances: Sequence[Instance], timeout: float = 10) -> None:
        """Check that the instances are at addresses of the URL. Nothing is published."""
        for i in instances:
            known = [k.addr for k in self._instances if (k.exchange, k.topic) == (i.exchange, i.topic)]
            if known and not any(_may_be(addr, i.addr) for addr in known):
                raise invalid(
                    f"server {i.server} is at {i.addr}, where no message goes: the transport URL has the topic at "
                    f"{', '.join(known)}; listen there, or advertise the one that leads here"
                )

    def watch(self, exchange: str, topic: str, notify: Notify) -> Callable[[], None]:
        """Send the instances once, since they never change."""
        notify(Update(tuple(i for i in self._instances if (i.exchange, i.topic) == (exchange, topic))))
        return lambda: None

    def list(self) -> list[Instance]:
        """Return all addresses."""
        return list(self._instances)

    def await_listed(self, instances: Sequence[Instance], timeout: float) -> bool:
        """Return at once: nothing is published."""
        return True

    def socket(self) -> str | None:
        """Return None: servers listen on a port."""
        return None

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Do nothing: no registration can lapse."""

    def close(self) -> None:
        """Do nothing."""


def _parse(entry: str, exchange: str) -> Instance:
    name, equals, address = entry.partition("=")
    if not equals:
        raise ValueError(f'"{entry}" is not of the form topic=host:port or topic/server=host:port')
    topic, slash, server = name.partition("/")
    if "/" in server or (slash and not server):
        raise ValueError(f'"{entry}" needs one server name after the slash: write %2F for a slash within a name')
    topic, server = urllib.parse.unquote(topic, errors="strict"), urllib.parse.unquote(server, errors="strict")
    Target(topic=topic, server=server or None).check_client()
    address, zoned, zone = address.partition(_ZONE)
    if address.startswith("unix:"):
        address = urllib.parse.unquote(address, errors="strict")
        if not address.startswith("unix:/"):
            raise ValueError(f'address "{address}" is malformed: write unix: and an absolute path')
    else:
        try:
            split_addr(address)
        except ValueError as e:
            raise ValueError(f'address "{address}" is not host:port: {e}') from None
    return Instance("", "", exchange, topic, server, address, zone=_zone(entry, zone) if zoned else "")


def _zone(entry: str, text: str) -> str:
    try:
        zone = urllib.parse.unquote(text, errors="strict")
        check_zone(zone)
    except (UnicodeDecodeError, Error):
        zone = ""
    if not zone or _MALFORMED.search(text):
        raise ValueError(f'the zone in "{entry}": write topic=host:port;zone=NAME, with a percent-encoded name')
    return zone


def _may_be(a: str, b: str) -> bool:
    """Whether two addresses may be the same.

    Host names are not resolved, so two that differ may be the same.
    """
    if a == b:
        return True
    if a.startswith("unix:") or b.startswith("unix:"):
        return False
    (host_a, port_a), (host_b, port_b) = split_addr(a), split_addr(b)
    named = not all(h.replace(".", "").isdigit() or ":" in h for h in (host_a, host_b))
    return port_a == port_b and named
