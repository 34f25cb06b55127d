"""What an instance is, and what a registry of them does."""

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
    """One server in one process, as discovery knows it. Static addresses have no id and no boot id."""

    id: str
    boot_id: str
    exchange: str
    topic: str
    server: str
    addr: str
    state: str = ACTIVE
    implemented: tuple[Implementation, ...] = ()
    zone: str = ""  # where its process runs; empty: not said
    relayed: bool = False  # the address and the boot id belong to a gateway


@dataclasses.dataclass(frozen=True, slots=True)
class Update:
    """What a registry knows about a topic at a moment.

    ``reset`` is True if the registry seems to have lost its data, so that an absence says nothing.
    ``error`` is why the registry cannot be read; then the instances say nothing.
    """

    instances: tuple[Instance, ...] = ()
    reset: bool = False
    error: Exception | None = None


Notify = Callable[[Update], None]


class Registry(Protocol):
    """Tells processes of each other. All methods may be called from any thread."""

    name: str  # as errors name it: "Consul at 127.0.0.1:8500"

    def publish(self, instances: Sequence[Instance], timeout: float = 10) -> None:
        """Make these the instances of this process, and keep them alive; none withdraws all."""

    def watch(self, exchange: str, topic: str, notify: Notify) -> Callable[[], None]:
        """Call notify, in one thread, with what is known and at each change, until the result is called."""

    def list(self) -> list[Instance]:
        """Return all instances of all topics, read now."""

    def await_listed(self, instances: Sequence[Instance], timeout: float) -> bool:
        """Wait until other processes can find the instances."""

    def socket(self) -> str | None:
        """Return the path for a socket to listen on by default; None to listen on a port."""

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Have notify called with a reason each time a registration that was lost is back."""

    def close(self) -> None:
        """Withdraw what was published, and end all watches."""


def format_implementation(i: Implementation) -> str:
    """Return "namespace=version", with an encoded namespace."""
    return f"{urllib.parse.quote_plus(i.namespace, safe='~')}={i.version}"


def parse_implementation(text: str) -> Implementation:
    """Read what format_implementation wrote. A ValueError says what is wrong."""
    namespace, equals, version = text.partition("=")
    if not equals:
        raise ValueError(f'implementation {text!r} is not of the form "namespace=version"')
    return Implementation(urllib.parse.unquote_plus(namespace, errors="strict"), Version.parse(version))


def split_addr(addr: str) -> tuple[str, int]:
    """Return host and port of an address that others can connect to. A ValueError says what is wrong."""
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
    """Return an address, with an IPv6 address in brackets."""
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
    """A daemon thread that runs a step again and again, with a pause that can be cut short."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step = step
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the loop is to end."""
        return self._ended

    def wake(self) -> None:
        """Run the next step now."""
        self._wake.set()

    def end(self, wait: float | None = None) -> None:
        """End the loop, and wait for that for so long."""
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
