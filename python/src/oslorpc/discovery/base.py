"""Instances, and the interface of registries."""

from __future__ import annotations

import dataclasses
import ipaddress
import threading
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Protocol

from oslorpc.versions import Implementation, Version

ACTIVE, HELD, DRAINING = "active", "held", "draining"


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One server in one process, in the view of discovery.

    Instances at static addresses have no id and no boot id.
    """

    id: str
    boot_id: str
    exchange: str
    topic: str
    server: str
    addr: str
    state: str = ACTIVE
    implemented: tuple[Implementation, ...] = ()
    zone: str = ""  # the zone where its process runs; empty if unknown
    relayed: bool = False  # the address and the boot id belong to a gateway


@dataclasses.dataclass(frozen=True, slots=True)
class Update:
    """A registry's current knowledge about a topic.

    ``reset`` is True if the registry seems to have lost its data. Missing instances may then still
    run. ``error`` says why the registry cannot be read; if it is set, ignore ``instances``.
    """

    instances: tuple[Instance, ...] = ()
    reset: bool = False
    error: Exception | None = None


Notify = Callable[[Update], None]


class Registry(Protocol):
    """Lets processes find each other. All methods may be called from any thread."""

    name: str  # its name in errors, such as "Consul at 127.0.0.1:8500"

    def publish(self, instances: Sequence[Instance], timeout: float = 10) -> None:
        """Publish these instances of this process, and keep them registered.

        An empty list withdraws all.
        """

    def watch(self, exchange: str, topic: str, notify: Notify) -> Callable[[], None]:
        """Call notify, in one thread, with the current state and at each change.

        The returned function ends the watch.
        """

    def list(self) -> list[Instance]:
        """Read all instances of all topics from the registry, without a cache."""

    def await_listed(self, instances: Sequence[Instance], timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until other processes can find the instances, and return
        whether they can.
        """

    def socket(self) -> str | None:
        """Return a path for the socket to listen on by default, or None to listen on a port."""

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Set the function that is called with a reason each time a lost registration is
        restored.
        """

    def close(self) -> None:
        """Withdraw the published instances, and end all watches."""


def format_implementation(i: Implementation) -> str:
    """Return "namespace=version", with the namespace encoded."""
    return f"{urllib.parse.quote_plus(i.namespace, safe='~')}={i.version}"


def parse_implementation(text: str) -> Implementation:
    """Parse the result of format_implementation. Raise a ValueError if it is malformed."""
    namespace, equals, version = text.partition("=")
    if not equals:
        raise ValueError(f'implementation {text!r} is not of the form "namespace=version"')
    return Implementation(urllib.parse.unquote_plus(namespace, errors="strict"), Version.parse(version))


def split_addr(addr: str) -> tuple[str, int]:
    """Split an address that others can connect to into host and port.

    Raises a ValueError for any other address.
    """
    host, colon, port = addr.rpartition(":")
    if not colon:
        raise ValueError('it has no port: write "host:port"')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError('it has too many colons: write an IPv6 address in brackets, as in "[::1]:7000"')
    check_host(host)
    if not port.isascii() or not port.isdigit() or port[0] == "0" or int(port) > 65535:
        raise ValueError(f"the port must be a number from 1 to 65535, and is {port!r}")
    return host, int(port)


def join_addr(host: str, port: int) -> str:
    """Join host and port. An IPv6 address gets brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_host(host: str) -> None:
    """Raise a ValueError if others cannot connect to a host."""
    try:
        unspecified = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        unspecified = host == ""
        if any(c.isspace() or c in ":/=%?#[]@," or ord(c) < 32 for c in host):
            raise ValueError(f"{host!r} is not a host: write a name or an IP address") from None
    if unspecified:
        raise ValueError("others cannot connect to an unspecified host: name one that they can reach")


class Loop:
    """A daemon thread that repeats a step. The pause between steps can be cut short."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step = step
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the loop has been told to end."""
        return self._ended

    def wake(self) -> None:
        """Run the next step now."""
        self._wake.set()

    def end(self, wait: float | None = None) -> None:
        """End the loop. If ``wait`` is given, wait up to ``wait`` seconds for its thread to end."""
        self._ended = True
        self._wake.set()
        if wait and self._thread is not threading.current_thread():
            self._thread.join(wait)

    def _run(self) -> None:
        while not self._ended:
            pause = self._step()
            if not self._ended:
                self._wake.wait(pause)
            self._wake.clear()
